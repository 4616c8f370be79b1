"""Bands: which columns of X belong to which feature space, and how much each of them weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bands", "as_weights", "draw_band_weights", "random_generator", "resolve_bands"]

Bands = Mapping[str, Any] | Sequence[Any] | NDArray[Any] | None
"""What the ``bands`` argument accepts; `resolve_bands` says what each form means."""


def resolve_bands(bands: Bands, n_feat: int) -> dict[str, NDArray[np.int64]]:
    """Return the columns of each band, by name.

    Parameters
    ----------
    bands : None, mapping, sequence or array
        None
            One band of all columns.
        sequence of int
            How many columns each band has, in order; they add up to `n_feat`.
        shape (n_feat,)
            The band of each column: labels of any kind, bands in the order of first appearance.
        sequence of slice, index array or mask
            The columns of each band.
        mapping
            Likewise, with a name for each.
    n_feat : int

    Returns
    -------
    dict of str to ndarray of int64
        Bands without a name are called by their number.

    Raises
    ------
    ValueError
        Unless every column is in exactly one band and every band has a column.
    """
    if bands is None:
        return {"0": np.arange(n_feat)}
    if isinstance(bands, Mapping):
        parts = {str(name): _columns(part, n_feat) for name, part in bands.items()}
    elif _is_flat(bands):
        parts = _from_flat(np.asarray(bands), n_feat)
    else:
        parts = {str(place): _columns(part, n_feat) for place, part in enumerate(bands)}
    if not parts:
        raise ValueError("bands must name at least one band; got none.")
    for name, columns in parts.items():
        if not len(columns):
            raise ValueError(f"every band must have a column; band {name!r} has none.")
    times = np.bincount(np.concatenate(list(parts.values())), minlength=n_feat)
    if (times != 1).any():
        column = int(np.flatnonzero(times != 1)[0])
        raise ValueError(
            f"every column of X must be in exactly one band; column {column} is in "
            f"{times[column]}. Drop columns that no band should use, repeat those that several "
            "should."
        )
    return parts


def _is_flat(bands: Any) -> bool:
    """Whether `bands` is one 1-D array of numbers or labels rather than a part per band."""
    if isinstance(bands, np.ndarray):
        return bands.ndim == 1 and bands.dtype != object
    return all(np.ndim(part) == 0 and not isinstance(part, slice) for part in bands)


def _from_flat(flat: NDArray[Any], n_feat: int) -> dict[str, NDArray[np.int64]]:
    if flat.dtype.kind in "iu" and flat.size and flat.min() >= 1 and flat.sum() == n_feat:
        ends = np.cumsum(flat)
        return {
            str(place): np.arange(end - size, end)
            for place, (size, end) in enumerate(zip(flat, ends, strict=True))
        }
    if len(flat) != n_feat:
        raise ValueError(
            "bands must be sizes that add up to the number of columns, or a label for each column; "
            f"got {len(flat)} entries"
            + (f" that add up to {flat.sum()}" if flat.dtype.kind in "iu" else "")
            + f" for {n_feat} columns."
        )
    labels = list(dict.fromkeys(flat.tolist()))
    return {str(label): np.flatnonzero(flat == label) for label in labels}


def _columns(part: Any, n_feat: int) -> NDArray[np.int64]:
    if isinstance(part, slice):
        return np.arange(n_feat)[part]
    chosen = np.atleast_1d(np.asarray(part))
    if chosen.dtype == bool:
        if chosen.shape != (n_feat,):
            raise ValueError(f"masks of bands must have shape ({n_feat},); got {chosen.shape}.")
        return np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise TypeError(
            "bands must be slices, masks or 1-D arrays of column numbers; got shape "
            f"{chosen.shape} of {chosen.dtype}."
        )
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n_feat):
        raise ValueError(
            f"bands must number columns from 0 to {n_feat - 1}; got {chosen.min()} to "
            f"{chosen.max()}."
        )
    return chosen.astype(np.int64)


def random_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator that `random_state` stands for; None takes fresh entropy.

    An int gives the stream of ``numpy.random.RandomState(int)``, which is what peers draw from.
    """
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, dtype=np.uint32))
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise TypeError(
            "random_state must be an int, a numpy Generator, a RandomState or None; "
            f"got {random_state!r}."
        )
    return np.random.RandomState(random_state)


def draw_band_weights(
    n_iter: int,
    n_band: int,
    *,
    concentration: float | Sequence[float] = (0.1, 1.0),
    random_state: Any = None,
) -> NDArray[np.float64]:
    """Draw weights of bands from Dirichlet distributions.

    Parameters
    ----------
    n_iter : int
        How many draws.
    n_band : int
        How many bands; weights are 0 or more and add up to 1.
    concentration : float or sequence of float, default=(0.1, 1.0)
        Of the distributions, which draws take in turns. 1 is uniform over the simplex, less
        prefers its corners, infinity is equal weights.
    random_state : int, Generator, RandomState or None
        An int draws what himalaya draws from that seed.

    Returns
    -------
    ndarray of shape (n_iter, n_band), float64
        The first row is replaced by equal weights.
    """
    generator = random_generator(random_state)
    levels = np.atleast_1d(np.asarray(concentration, dtype=np.float64))
    if levels.ndim != 1 or not levels.size or not (levels > 0).all():
        raise ValueError(f"concentration must be one or more positive numbers; got {levels}.")
    n_each = -(-n_iter // len(levels))
    draws = [
        np.full((n_each, n_band), 1 / n_band)
        if np.isinf(level)
        else generator.dirichlet([level] * n_band, n_each)
        for level in levels
    ]
    weights = np.stack(draws, axis=1).reshape(-1, n_band)[:n_iter]
    weights[0] = 1 / n_band
    return weights


def as_weights(weights: ArrayLike, n_band: int) -> NDArray[np.float64]:
    """Return explicit weights of shape (n_iter, n_band), each 0 or more, none of them all 0."""
    array = np.array(weights, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != n_band or not len(array):
        raise ValueError(f"weights of bands must have shape (n_iter, {n_band}); got {array.shape}.")
    if not (np.isfinite(array) & (array >= 0)).all() or not array.any(1).all():
        raise ValueError(
            "weights of bands must be finite, 0 or more, and not all 0 in a row; got "
            f"{array.min()} to {array.max()}."
        )
    return array
