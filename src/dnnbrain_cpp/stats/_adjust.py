"""p-values corrected for the number of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_array, check_choice

__all__ = ["METHODS", "adjust"]

METHODS = ("bh", "by", "holm", "bonferroni")


def adjust(p: ArrayLike, *, method: str = "bh", axis: int | None = None) -> NDArray[np.float64]:
    """Correct p-values for the number of tests.

    An adjusted value is the smallest level at which its test would still be rejected.

    Parameters
    ----------
    p : array_like
        In [0, 1], any shape. NaN stays NaN and does not count as a test.
    method : {"bh", "by", "holm", "bonferroni"}
        ``"bh"`` controls the false discovery rate of independent or positively dependent tests
        (Benjamini & Hochberg 1995), ``"by"`` under any dependence (Benjamini & Yekutieli 2001);
        ``"holm"`` (Holm 1979) and ``"bonferroni"`` control the family-wise error rate under any
        dependence, and Holm's is never the weaker.
    axis : int, optional
        Tests along this axis are one family; by default all of them are.

    Returns
    -------
    ndarray of float64
        In the shape of `p`, in [0, 1].

    Raises
    ------
    ValueError
        For values outside [0, 1], or an axis that `p` does not have.

    Notes
    -----
    Cost: one sort. Equal to ``scipy.stats.false_discovery_control`` without NaN, where SciPy's
    default is ``axis=0``.

    Examples
    --------
    >>> adjust([0.01, 0.02, 0.03, 0.5])
    array([0.04, 0.04, 0.04, 0.5 ])
    >>> adjust([0.01, 0.02, float("nan")], method="bonferroni")
    array([0.02, 0.04,  nan])
    """
    check_choice(method, "method", METHODS)
    values = as_array(p, "p", dtype=np.float64)
    outside = (values < 0) | (values > 1)
    if outside.any():
        raise ValueError(
            f"p must be in [0, 1]; {int(outside.sum())} of {values.size} values are not, such as "
            f"{values[outside][0]}."
        )
    if axis is None:
        return _adjust_last(values.reshape(1, -1), method).reshape(values.shape)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"axis must be an integer or None; got {axis!r}.")
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis must be one of p, which has {values.ndim}; got {axis}.")
    return np.moveaxis(_adjust_last(np.moveaxis(values, axis, -1), method), -1, axis)


def _adjust_last(values: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Correct along the last axis; NaN sorts behind everything and so is never counted."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, -1)
    n_test = np.isfinite(ordered).sum(-1, keepdims=True)
    rank = np.arange(1, values.shape[-1] + 1)
    if method == "bonferroni":
        ordered = ordered * n_test
    elif method == "holm":
        ordered = np.maximum.accumulate(ordered * (n_test - rank + 1), axis=-1)
    else:
        ordered = ordered * (n_test / rank)
        if method == "by":
            harmonic = np.concatenate([[0.0], np.cumsum(1.0 / rank)])
            ordered = ordered * harmonic[n_test]
        # fmin: the values behind the last test are NaN and must not reach it.
        ordered = np.where(
            rank <= n_test, np.fmin.accumulate(ordered[..., ::-1], axis=-1)[..., ::-1], np.nan
        )
    adjusted = np.empty_like(ordered)
    np.put_along_axis(adjusted, order, np.minimum(ordered, 1.0), -1)
    return adjusted
