"""Student's and Welch's t tests, for many regions at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.stats._samples import check_pairs, samples_first
from dnnbrain_cpp.stats._table import long_table
from dnnbrain_cpp.stats._tails import ALTERNATIVES, t_p, t_quantile

__all__ = ["TTestResult", "ttest"]

Values = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class TTestResult:
    """A t test in each place.

    Attributes
    ----------
    t, p : ndarray
        NaN where nothing varies and nothing differs.
    df : ndarray
    difference : ndarray
        Mean of `a`, less that of `b` or the value that was tested against.
    ci_low, ci_high : ndarray
        Confidence limits of the difference; one is infinite for a one-sided test.
    d : ndarray
        Effect size: difference over the standard deviation of the differences (``d_z``, one sample
        or paired) or over the pooled one (Cohen's d, two samples).
    kind : {"one-sample", "paired", "unpaired", "welch"}
    alternative : str
    confidence : float
        Of the limits.
    """

    t: Values
    p: Values
    df: Values
    difference: Values
    ci_low: Values
    ci_high: Values
    d: Values
    kind: str
    alternative: str
    confidence: float

    @property
    def g(self) -> Values:
        """`d` less its bias in small samples (Hedges 1981), for samples of equal variance."""
        return self.d * (1 - 3 / (4 * self.df - 1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per test."""
        shown = ("t", "df", "p", "difference", "ci_low", "ci_high", "d")
        return long_table({name: getattr(self, name) for name in shown}, self.t.shape)

    def __repr__(self) -> str:
        head = f"TTestResult: {self.kind}, {self.alternative}"
        if self.t.ndim:
            return f"{head}, {self.t.size} tests"
        return (
            f"{head}, t({self.df:.4g}) = {self.t:.4g}, p = {self.p:.4g}, d = {self.d:.4g}, "
            f"{self.confidence:.0%} of [{self.ci_low:.4g}, {self.ci_high:.4g}]"
        )


def ttest(
    a: ArrayLike,
    b: ArrayLike | None = None,
    *,
    paired: bool = False,
    axis: int = 0,
    alternative: str = "two-sided",
    popmean: float = 0.0,
    equal_var: bool = True,
    confidence: float = 0.95,
) -> TTestResult:
    """Test whether a mean differs from a value, or two means from each other.

    Parameters
    ----------
    a : array_like
        Samples along `axis`; each place of the other axes is a test of its own.
    b : array_like, optional
        The other sample; without it `a` is tested against `popmean`. Where samples of both come
        from the same subjects, say ``paired=True``: an unpaired test of paired values takes
        differences between subjects for noise.
    paired : bool
        Sample i of `a` belongs to sample i of `b`.
    axis : int
        Of samples. The other axes of `a` and `b` are equal, or broadcast.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: the mean of `a` is the greater.
    popmean : float
        What the difference is tested against.
    equal_var : bool
        With False, Welch's test of unpaired samples with unequal variances.
    confidence : float
        In (0, 1).

    Returns
    -------
    TTestResult

    Raises
    ------
    ValueError
        For NaN, fewer than two samples, or unequal numbers of paired samples.

    Notes
    -----
    Cost: two passes over the samples, in float64. Equal to `scipy.stats.ttest_1samp`,
    `ttest_rel` and `ttest_ind`.

    Examples
    --------
    >>> result = ttest([1.0, 2.0, 4.0], [0.0, 1.5, 2.0], paired=True)
    >>> round(float(result.t), 3), float(result.df)
    (2.646, 2.0)
    """
    check_choice(alternative, "alternative", ALTERNATIVES)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1); got {confidence}.")
    first = samples_first(a, "a", axis, minimum=1 if b is not None and not paired else 2)
    if b is None:
        if paired:
            raise ValueError("a paired test needs b, the other sample of each pair.")
        kind, moments = "one-sample", _one(first)
    else:
        second = samples_first(b, "b", axis, minimum=1)
        if paired:
            check_pairs(first, second)
            kind, moments = "paired", _one(first - second)
        else:
            if len(first) + len(second) < 3 or (
                not equal_var and min(map(len, (first, second))) < 2
            ):
                raise ValueError(
                    "an unpaired test needs 3 samples in all, and 2 of each if variances differ; "
                    f"got {len(first)} and {len(second)}."
                )
            kind = "unpaired" if equal_var else "welch"
            moments = _two(first, second, equal_var=equal_var)
    difference, error, spread, df = moments
    effect = difference - popmean
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect / error
        d = effect / spread
    two_sided = alternative == "two-sided"
    reach = t_quantile(df, 0.5 + confidence / 2 if two_sided else confidence) * error
    infinite = np.full_like(t, np.inf)
    return TTestResult(
        t=t,
        p=t_p(t, df, alternative),
        df=np.broadcast_to(df, t.shape),
        difference=difference,
        ci_low=-infinite if alternative == "less" else difference - reach,
        ci_high=infinite if alternative == "greater" else difference + reach,
        d=d,
        kind=kind,
        alternative=alternative,
        confidence=confidence,
    )


_Moments = tuple[Values, Values, Values, Values]


def _one(x: Values) -> _Moments:
    """Return mean, its standard error, standard deviation, degrees of freedom."""
    deviation = np.sqrt(_variance(x))
    return x.mean(0), deviation / math.sqrt(len(x)), deviation, np.asarray(len(x) - 1.0)


def _two(a: Values, b: Values, *, equal_var: bool) -> _Moments:
    n, m = len(a), len(b)
    square_a, square_b = (_variance(x) if len(x) > 1 else np.zeros(x.shape[1:]) for x in (a, b))
    pooled = ((n - 1) * square_a + (m - 1) * square_b) / (n + m - 2)
    difference = a.mean(0) - b.mean(0)
    if equal_var:
        error = np.sqrt(pooled * (1 / n + 1 / m))
        return difference, error, np.sqrt(pooled), np.asarray(n + m - 2.0)
    part_a, part_b = square_a / n, square_b / m
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (part_a + part_b) ** 2 / (part_a**2 / (n - 1) + part_b**2 / (m - 1))
    df = np.where(part_a + part_b > 0, df, n + m - 2.0)
    return difference, np.sqrt(part_a + part_b), np.sqrt(pooled), df


def _variance(x: Values) -> Values:
    """Return the variance (n - 1) along the first axis; equal values have none, exactly."""
    out: Values = np.var(x - x[:1], axis=0, ddof=1)
    return out
