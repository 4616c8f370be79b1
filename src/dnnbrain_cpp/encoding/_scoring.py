"""What a held-out prediction is worth: one number per target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLD_AVERAGES", "SCORINGS", "better_is_less", "score_columns"]

SCORINGS = ("r", "r2", "mse", "ev")
"""Pearson correlation, coefficient of determination, mean squared error, explained variance."""

FOLD_AVERAGES = ("mean", "pooled")
"""A score per fold, to be averaged; or one score over all held-out predictions."""

_ROUNDING = 1e-13


def better_is_less(scoring: str) -> bool:
    """Return whether the best score is the lowest."""
    return scoring == "mse"


def score_columns(
    measured: NDArray[Any], predicted: NDArray[Any], scoring: str
) -> NDArray[np.float64]:
    """Score each column in float64, as the core does.

    A target that is constant has no correlation and no variance to explain: NaN. A prediction that
    is constant but for rounding has a correlation of zero.
    """
    y = np.asarray(measured, dtype=np.float64)
    p = np.asarray(predicted, dtype=np.float64)
    scores = _COLUMN_SCORES[scoring](y, p)
    if scoring != "mse":
        scores[(y == y[0]).all(0)] = np.nan
    return scores


def _pearson(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    y = measured - measured.mean(0)
    p = predicted - predicted.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (y * p).sum(0) / np.sqrt((y * y).sum(0) * (p * p).sum(0))
    # A constant prediction, but for rounding, does not covary with anything.
    r[np.abs(p).max(0) <= _ROUNDING * np.abs(predicted).max(0)] = 0.0
    return np.asarray(np.clip(r, -1.0, 1.0))


def _r2(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    return _one_minus(((measured - predicted) ** 2).mean(0), measured)


def _mse(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(((measured - predicted) ** 2).mean(0))


def _explained_variance(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    return _one_minus((measured - predicted).var(0), measured)


def _one_minus(lost: NDArray[Any], measured: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - lost / measured.var(0))


_COLUMN_SCORES: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]] = {
    "r": _pearson,
    "r2": _r2,
    "mse": _mse,
    "ev": _explained_variance,
}
