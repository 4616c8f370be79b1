"""Wilcoxon's signed-rank test, exact with ties and zeros, for many regions at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.stats._samples import check_pairs, samples_first
from dnnbrain_cpp.stats._table import long_table
from dnnbrain_cpp.stats._tails import ALTERNATIVES, normal_p

__all__ = ["WilcoxonResult", "wilcoxon"]

Values = NDArray[np.float64]

_EXACT_BY_DEFAULT = 25
_MOST_EXACT = 52  # counts up to 2**52 are exact in float64


@dataclass(frozen=True, repr=False)
class WilcoxonResult:
    """A signed-rank test in each place.

    Attributes
    ----------
    w_plus, w_minus : ndarray
        Sums of the ranks of positive and of negative differences.
    p : ndarray
        NaN where all differences are zero.
    r : ndarray
        Effect size: matched-pairs rank-biserial correlation, ``(w_plus - w_minus)`` over their sum.
    n : ndarray of int
        Differences that are not zero.
    exact : ndarray of bool
        Whether p comes from the exact distribution.
    alternative : str
    """

    w_plus: Values
    w_minus: Values
    p: Values
    r: Values
    n: NDArray[np.int64]
    exact: NDArray[np.bool_]
    alternative: str

    @property
    def statistic(self) -> Values:
        """What SciPy reports: the smaller sum, or that of positive differences if one-sided."""
        if self.alternative == "two-sided":
            return np.minimum(self.w_plus, self.w_minus)
        return self.w_plus

    def to_frame(self) -> pd.DataFrame:
        """Return one row per test."""
        shown = ("w_plus", "w_minus", "n", "p", "r", "exact")
        return long_table({name: getattr(self, name) for name in shown}, self.p.shape)

    def __repr__(self) -> str:
        head = f"WilcoxonResult: {self.alternative}"
        if self.p.ndim:
            return f"{head}, {self.p.size} tests"
        how = "exact" if self.exact else "normal"
        return (
            f"{head}, n = {self.n}, W+ = {self.w_plus:g}, W- = {self.w_minus:g}, "
            f"p = {self.p:.4g} ({how}), r = {self.r:.4g}"
        )


def wilcoxon(
    a: ArrayLike,
    b: ArrayLike | None = None,
    *,
    axis: int = 0,
    alternative: str = "two-sided",
    method: str = "auto",
    zero_method: str = "wilcox",
    continuity: bool = False,
) -> WilcoxonResult:
    """Test whether differences are symmetric around zero.

    Parameters
    ----------
    a : array_like
        Differences, or the first sample of each pair, along `axis`; each place of the other axes is
        a test of its own.
    b : array_like, optional
        The second sample of each pair.
    axis : int
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: `a` is the greater.
    method : {"auto", "exact", "approx"}
        ``"exact"`` counts the ``2**n`` assignments of signs to the ranks as they are, ties
        included; up to 52 differences. ``"approx"`` is the normal approximation with the variance
        of tied ranks. ``"auto"`` is exact up to 25.
    zero_method : {"wilcox", "pratt"}
        Differences of zero are left out before ranking, or after it (Pratt 1959).
    continuity : bool
        Move the approximate statistic half a rank towards its mean.

    Returns
    -------
    WilcoxonResult

    Raises
    ------
    ValueError
        For NaN, unequal numbers of samples, or too many for an exact test.

    Notes
    -----
    Wilcoxon (1945). Without ties equal to `scipy.stats.wilcoxon`; with ties, SciPy's exact method
    takes the distribution of ranks without ties, this one that of the ranks there are. Differences
    tie if they are equal in float64. Cost: a sort, and O(n^3) for each pattern of ranks that
    occurs, one if there are neither ties nor zeros.

    Examples
    --------
    >>> result = wilcoxon([1.0, 2.0, 3.0, 4.0, -0.5])
    >>> float(result.w_plus), float(result.p)
    (14.0, 0.125)
    """
    check_choice(alternative, "alternative", ALTERNATIVES)
    check_choice(method, "method", ("auto", "exact", "approx"))
    check_choice(zero_method, "zero_method", ("wilcox", "pratt"))
    x = samples_first(a, "a", axis, minimum=1)
    if b is not None:
        y = samples_first(b, "b", axis, minimum=1)
        check_pairs(x, y)
        x = x - y
    shape = x.shape[1:]
    x = x.reshape(len(x), -1)

    ranks = _ranks(x, zero_method)
    n = (x != 0).sum(0)
    most = int(n.max(initial=0))
    if method == "exact" and most > _MOST_EXACT:
        raise ValueError(
            f"an exact test must have at most {_MOST_EXACT} differences; got {most}. Use "
            "method='approx'."
        )
    w_plus = np.where(x > 0, ranks, 0.0).sum(0)
    total = ranks.sum(0)
    w_minus = total - w_plus
    exact = np.full(len(n), method == "exact") if method != "auto" else n <= _EXACT_BY_DEFAULT
    p = np.full(len(n), np.nan)
    some = n > 0
    near = some & ~exact
    p[near] = _approximate(w_plus[near], ranks[:, near], alternative, continuity=continuity)
    for columns in _equal_columns(ranks, np.flatnonzero(some & exact)):
        p[columns] = _exact(w_plus[columns], ranks[:, columns[0]], alternative)
    with np.errstate(invalid="ignore"):
        r = (w_plus - w_minus) / total
    return WilcoxonResult(
        w_plus=w_plus.reshape(shape),
        w_minus=w_minus.reshape(shape),
        p=p.reshape(shape),
        r=r.reshape(shape),
        n=n.reshape(shape),
        exact=exact.reshape(shape),
        alternative=alternative,
    )


def _ranks(x: Values, zero_method: str) -> Values:
    """Return ranks of absolute differences along the first axis, 0 for those that are zero."""
    size = np.abs(x)
    zero = size == 0
    ranks: Values = rankdata(size, axis=0)
    if zero_method == "wilcox":  # zeros sort first: without them every rank is so much lower
        ranks -= zero.sum(0)
    return np.where(zero, 0.0, ranks)


def _approximate(w: Values, ranks: Values, alternative: str, *, continuity: bool) -> Values:
    # Each rank counts or not with probability 1/2: mean and variance are exact, with ties too.
    away = w - ranks.sum(0) / 2
    if continuity:
        half = {"two-sided": np.sign(away), "greater": 1.0, "less": -1.0}[alternative]
        away = away - 0.5 * half
    return normal_p(away / np.sqrt(np.square(ranks).sum(0) / 4), alternative)


def _equal_columns(ranks: Values, columns: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Group columns that hold the same ranks in any order."""
    if not len(columns):
        return []
    _, group = np.unique(np.sort(ranks[:, columns], axis=0), axis=1, return_inverse=True)
    order = np.argsort(group, kind="stable")
    return np.split(columns[order], np.flatnonzero(np.diff(group[order])) + 1)


def _exact(w: Values, ranks: Values, alternative: str) -> Values:
    """Return p for statistics that share their ranks: the share of sums as extreme."""
    doubled = np.rint(2 * ranks).astype(int)  # tied ranks are halves
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1
    for rank in doubled[doubled > 0]:
        ways[rank:] += ways[:-rank].copy()
    share = ways / ways.sum()
    place = np.rint(2 * w).astype(int)
    at_least: Values = np.cumsum(share[::-1])[::-1][place]
    at_most: Values = np.cumsum(share)[place]
    tails = {
        "greater": at_least,
        "less": at_most,
        "two-sided": 2 * np.minimum(at_least, at_most),
    }
    return np.asarray(np.minimum(tails[alternative], 1.0))
