"""What was measured and what was predicted for it, and which rows of it belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_finite, check_integer

__all__ = ["RowBlocks", "block_rows", "check_held_out", "check_pair"]


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


def check_pair(
    measured: ArrayLike, predicted: ArrayLike, name: str = "predicted"
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both as arrays of one dtype and shape (n_stim, n_vox), free of NaN."""
    y = _columns(measured, "measured")
    p = _columns(predicted, name)
    if y.shape != p.shape:
        raise ValueError(f"measured and {name} must have one shape; got {y.shape} and {p.shape}.")
    if y.shape[0] < 2 or y.shape[1] == 0:
        raise ValueError(
            f"measured must hold at least 2 stimuli and 1 target; got shape {y.shape}."
        )
    check_finite(y, "measured")
    check_finite(p, name)
    if y.dtype != p.dtype:
        y, p = y.astype(np.float64), p.astype(np.float64)
    return y, p


def check_held_out(
    measured: ArrayLike, predicted: ArrayLike, folds: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Return the checked pair and the number of each row's fold."""
    y, p = check_pair(measured, predicted)
    return y, p, fold_numbers(folds, len(y))


def fold_numbers(folds: ArrayLike | None, n_stim: int) -> NDArray[np.int64]:
    """Return the number of each row's fold, in order of first appearance."""
    if folds is None:
        return np.zeros(n_stim, dtype=np.int64)
    numbers = _numbers(folds, "folds", n_stim)
    sizes = np.bincount(numbers)
    if sizes.min() < 2:
        raise ValueError(
            "every fold must hold out at least 2 stimuli, or a score has no meaning; fold "
            f"{int(sizes.argmin())} holds out {int(sizes.min())}."
        )
    return numbers


def block_rows(
    folds: NDArray[np.int64], blocks: ArrayLike | int | None, *, whole_folds: bool = False
) -> RowBlocks:
    """Return the rows of each fold and block.

    Parameters
    ----------
    folds : ndarray of shape (n_stim,)
        Number of each row's fold.
    blocks : int, array_like of shape (n_stim,) or None
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
    elif np.ndim(blocks) == 0:
        within = place // check_integer(blocks, "blocks", minimum=1)
    else:
        within = _numbers(blocks, "blocks", n_stim)
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


def _numbers(labels: ArrayLike, name: str, n_stim: int) -> NDArray[np.int64]:
    """Return labels as numbers, in order of first appearance."""
    array = np.asarray(labels)
    if array.shape != (n_stim,):
        raise ValueError(
            f"{name} must label each of the {n_stim} stimuli; got shape {array.shape}."
        )
    if array.dtype.kind == "f":
        check_finite(array, name)
    _, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
