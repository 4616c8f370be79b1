"""Tail probabilities of a statistic's null distribution, by direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["ALTERNATIVES", "normal_p", "t_p", "t_quantile"]

ALTERNATIVES = ("two-sided", "greater", "less")

Values = NDArray[np.float64]


def t_p(statistic: Values, df: Values | float, alternative: str) -> Values:
    """Return the p-values of t statistics. Tails are taken from their own side: none is 1 - cdf."""
    if alternative == "two-sided":
        return np.asarray(2 * special.stdtr(df, -np.abs(statistic)), dtype=np.float64)
    signed = -statistic if alternative == "greater" else statistic
    return np.asarray(special.stdtr(df, signed), dtype=np.float64)


def normal_p(z: Values, alternative: str) -> Values:
    """Return the p-values of standard normal statistics."""
    if alternative == "two-sided":
        return np.asarray(2 * special.ndtr(-np.abs(z)), dtype=np.float64)
    return np.asarray(special.ndtr(-z if alternative == "greater" else z), dtype=np.float64)


def t_quantile(df: Values | float, level: float) -> Values:
    """Return the value below which Student's t lies with probability `level`."""
    return np.asarray(special.stdtrit(df, level), dtype=np.float64)
