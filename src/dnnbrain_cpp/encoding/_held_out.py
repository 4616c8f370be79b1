"""What was measured and what was predicted for it, and which rows of it belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_finite, check_integer
from dnnbrain_cpp.encoding._scores import Scores

__all__ = ["HeldOut", "RowBlocks", "TargetTable", "block_rows", "check_held_out", "share_of_null"]


class TargetTable:
    """A result with a number per target and column."""

    targets: tuple[object, ...]
    _columns: ClassVar[tuple[str, ...]]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target: its name, then the attributes that are per target."""
        columns = {name: getattr(self, name) for name in self._columns}
        return pd.DataFrame({"target": list(self.targets), **columns})


def share_of_null(
    exceed: NDArray[np.int64], n_perm: int, known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return p of each target, (1 + exceed) / (1 + n_perm); NaN where it has no score."""
    return np.where(known, (1 + exceed) / (1 + n_perm), np.nan)


@dataclass(frozen=True)
class RowBlocks:
    """Rows fold after fold, and in each fold block after block.

    Attributes
    ----------
    rows : ndarray of shape (n_stim,)
        Rows of the data, in that order.
    block_starts : ndarray of shape (n_block + 1,)
        Where each block begins among `rows`.
    fold_starts : ndarray of shape (n_fold + 1,)
        Where each fold begins among the blocks.
    """

    rows: NDArray[np.int64]
    block_starts: NDArray[np.int64]
    fold_starts: NDArray[np.int64]

    @property
    def n_block(self) -> int:
        """Number of blocks in all folds."""
        return len(self.block_starts) - 1

    @property
    def n_fold(self) -> int:
        """Number of folds."""
        return len(self.fold_starts) - 1

    def check_several_per_fold(self, what: str) -> None:
        """Raise unless every fold has at least two blocks."""
        counts = np.diff(self.fold_starts)
        if (counts < 2).any():
            raise ValueError(
                f"every fold must have at least 2 blocks {what}; fold {int(counts.argmin())} has "
                f"{int(counts.min())}. Give smaller blocks, or fewer folds."
            )


@dataclass(frozen=True)
class HeldOut:
    """Measured responses and one or more models' predictions of them.

    Attributes
    ----------
    measured : ndarray of shape (n_stim, n_vox)
    predicted : tuple of ndarray of shape (n_stim, n_vox)
        Of the dtype of `measured`.
    folds : ndarray of shape (n_stim,)
        Number of each row's fold.
    blocks : int, ndarray of shape (n_stim,) or None
        As `block_rows` takes them.
    targets : tuple
    """

    measured: NDArray[Any]
    predicted: tuple[NDArray[Any], ...]
    folds: NDArray[np.int64]
    blocks: NDArray[Any] | int | None
    targets: tuple[object, ...]


def check_held_out(
    measured: ArrayLike,
    predicted: Mapping[str, ArrayLike | Scores],
    *,
    folds: ArrayLike | None,
    blocks: ArrayLike | int | None,
    targets: Sequence[object] | None,
) -> HeldOut:
    """Return what came as arrays of one dtype and shape, free of NaN.

    Stimuli that no fold of some `Scores` held out are left out.
    """
    y = _columns(measured, "measured")
    n_stim, n_vox = y.shape
    kept = np.ones(n_stim, dtype=bool)
    predictions = {}
    for name, given in predicted.items():
        p = _columns(_predictions_of(given, name), name)
        if p.shape != y.shape:
            raise ValueError(
                f"measured and {name} must have one shape; got {y.shape} and {p.shape}."
            )
        if isinstance(given, Scores):
            kept &= ~np.isnan(p).all(1)
            targets = given.targets if targets is None else targets
        predictions[name] = p
    if n_stim < 2 or n_vox == 0:
        raise ValueError(
            f"measured must hold at least 2 stimuli and 1 target; got shape {y.shape}."
        )
    if targets is not None and len(targets) != n_vox:
        raise ValueError(f"targets must name {n_vox} targets; got {len(targets)}.")
    labels = None if folds is None else _labels(folds, "folds", n_stim)
    if blocks is not None and np.ndim(blocks) > 0:
        blocks = _labels(blocks, "blocks", n_stim)
    if not kept.all():
        y = y[kept]
        predictions = {name: p[kept] for name, p in predictions.items()}
        labels = None if labels is None else labels[kept]
        blocks = blocks[kept] if isinstance(blocks, np.ndarray) else blocks
    check_finite(y, "measured")
    for name, p in predictions.items():
        check_finite(p, name)
    dtype = np.result_type(y, *predictions.values())
    return HeldOut(
        measured=np.ascontiguousarray(y, dtype=dtype),
        predicted=tuple(np.ascontiguousarray(p, dtype=dtype) for p in predictions.values()),
        folds=_fold_numbers(labels, len(y)),
        blocks=blocks
        if blocks is None or isinstance(blocks, np.ndarray)
        else check_integer(blocks, "blocks", minimum=1),
        targets=tuple(range(n_vox)) if targets is None else tuple(targets),
    )


def _predictions_of(given: ArrayLike | Scores, name: str) -> ArrayLike:
    if not isinstance(given, Scores):
        return given
    if len(given.layers) != 1:
        raise ValueError(
            f"{name} must be of one model; these scores have {len(given.layers)} layers. Take "
            "scores.predictions[layer]."
        )
    return given.predictions[given.layers[0]]


def _fold_numbers(labels: NDArray[Any] | None, n_stim: int) -> NDArray[np.int64]:
    """Return the number of each row's fold, in order of first appearance."""
    if labels is None:
        return np.zeros(n_stim, dtype=np.int64)
    numbers = _numbers(labels)
    sizes = np.bincount(numbers)
    if sizes.min() < 2:
        raise ValueError(
            "every fold must hold out at least 2 stimuli, or a score has no meaning; fold "
            f"{int(sizes.argmin())} holds out {int(sizes.min())}."
        )
    return numbers


def block_rows(
    folds: NDArray[np.int64], blocks: NDArray[Any] | int | None, *, whole_folds: bool = False
) -> RowBlocks:
    """Return the rows of each fold and block.

    Parameters
    ----------
    folds : ndarray of shape (n_stim,)
        Number of each row's fold.
    blocks : int, ndarray of shape (n_stim,) or None
        Rows that stay together: so many consecutive ones of a fold, or those with one label in one
        fold. None for single rows, or for whole folds.
    whole_folds : bool
        What None stands for.
    """
    n_stim = len(folds)
    by_fold = np.argsort(folds, kind="stable")
    starts = np.searchsorted(folds[by_fold], np.arange(folds.max() + 1))
    place = np.empty(n_stim, dtype=np.int64)  # of each row in its fold
    place[by_fold] = np.arange(n_stim) - starts[folds[by_fold]]
    if blocks is None:
        within = np.zeros(n_stim, dtype=np.int64) if whole_folds else place
    elif isinstance(blocks, np.ndarray):
        within = _numbers(blocks)
    else:
        within = place // blocks
    rows = np.lexsort((place, within, folds))
    fold, block = folds[rows], within[rows]
    new_fold = np.flatnonzero(np.diff(fold, prepend=-1))
    new_block = np.flatnonzero((np.diff(fold, prepend=-1) != 0) | (np.diff(block, prepend=-1) != 0))
    return RowBlocks(
        rows=rows.astype(np.int64),
        block_starts=np.append(new_block, n_stim).astype(np.int64),
        fold_starts=np.append(np.searchsorted(new_block, new_fold), len(new_block)).astype(
            np.int64
        ),
    )


def _columns(values: ArrayLike, name: str) -> NDArray[Any]:
    array = as_float_array(values, name, ndim=(1, 2))
    return array[:, None] if array.ndim == 1 else array


def _labels(labels: ArrayLike | int, name: str, n_stim: int) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.shape != (n_stim,):
        raise ValueError(
            f"{name} must label each of the {n_stim} stimuli; got shape {array.shape}."
        )
    if array.dtype.kind == "f":
        check_finite(array, name)
    return array


def _numbers(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels as numbers, in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
