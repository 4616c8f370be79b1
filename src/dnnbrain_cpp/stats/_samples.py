"""Samples along one axis, tests along the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_array, check_finite

__all__ = ["check_pairs", "samples_first"]


def samples_first(value: ArrayLike, name: str, axis: int, *, minimum: int) -> NDArray[np.float64]:
    """Return finite samples in float64 with their axis in front."""
    array = as_array(value, name, dtype=np.float64)
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"axis must be an integer; got {axis!r}.")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis must be one of {name}, which has {array.ndim}; got {axis}.")
    check_finite(array, name)
    array = np.moveaxis(array, axis, 0)
    if len(array) < minimum:
        raise ValueError(f"{name} must hold at least {minimum} samples; got {len(array)}.")
    return array


def check_pairs(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """Raise unless the samples of `a` and `b` can be pairs."""
    if len(a) != len(b):
        raise ValueError(f"paired samples must be equally many; got {len(a)} and {len(b)}.")
