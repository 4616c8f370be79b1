"""Kruskal and Wallis' test of several groups, for many regions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.stats import rankdata

from dnnbrain_cpp.stats._samples import samples_first
from dnnbrain_cpp.stats._table import long_table

__all__ = ["KruskalResult", "kruskal"]


@dataclass(frozen=True, repr=False)
class KruskalResult:
    """A test in each place.

    Attributes
    ----------
    h, p : ndarray
        Statistic, and its p-value by the chi-square approximation. NaN where all values are equal.
    df : int
        Number of groups, less 1.
    epsilon2 : ndarray
        Effect size, ``h / (n - 1)``: the share of the ranks' variance that groups explain.
    """

    h: NDArray[np.float64]
    p: NDArray[np.float64]
    df: int
    epsilon2: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per test."""
        return long_table(vars(self), self.h.shape)

    def __repr__(self) -> str:
        if self.h.ndim:
            return f"KruskalResult: {self.df + 1} groups, {self.h.size} tests"
        return (
            f"KruskalResult: H({self.df}) = {self.h:.4g}, p = {self.p:.4g}, "
            f"epsilon2 = {self.epsilon2:.4g}"
        )


def kruskal(*groups: ArrayLike, axis: int = 0) -> KruskalResult:
    """Test whether groups of independent samples have one distribution.

    Parameters
    ----------
    *groups : array_like
        Two or more, with samples along `axis` and equal other axes, each place of which is a test
        of its own. Not for repeated measures of the same subjects: those are not independent.
    axis : int

    Returns
    -------
    KruskalResult

    Raises
    ------
    ValueError
        For fewer than two groups, NaN, or other axes that differ.

    Notes
    -----
    Kruskal & Wallis (1952), ties corrected: ``h = (n - 1) sum_j n_j (mean rank_j - mean rank)^2 /
    sum (rank - mean rank)^2``. Equal to `scipy.stats.kruskal`. Cost: a sort.

    Examples
    --------
    >>> result = kruskal([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    >>> round(float(result.h), 3), result.df
    (3.857, 1)
    """
    if len(groups) < 2:
        raise ValueError(f"groups must be at least 2; got {len(groups)}.")
    samples = [samples_first(x, f"group {i}", axis, minimum=1) for i, x in enumerate(groups)]
    shapes = {x.shape[1:] for x in samples}
    if len(shapes) > 1:
        raise ValueError(f"groups must agree in all axes but that of samples; got {shapes}.")
    ranks = rankdata(np.concatenate(samples), axis=0)
    n = len(ranks)
    middle = (n + 1) / 2
    between = np.zeros(shapes.pop())
    start = 0
    for x in samples:
        between += len(x) * np.square(ranks[start : start + len(x)].mean(0) - middle)
        start += len(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = between / np.square(ranks - middle).sum(0)
    h = (n - 1) * explained
    df = len(samples) - 1
    return KruskalResult(h=h, p=special.chdtrc(df, h), df=df, epsilon2=explained)
