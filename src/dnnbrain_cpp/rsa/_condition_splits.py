"""Random splits of conditions, of which pairs are then taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import core

__all__ = ["MIN_CONDITIONS", "fold_count", "repeated_folds"]

Rows = NDArray[np.int64]

_MIN_PER_FOLD = 3
"""Conditions of which there must be three for their pairs to have an order."""

MIN_CONDITIONS = 9
"""Fewest that leave three to hold out and three to hold out within the rest, and three to fit."""


def fold_count(n_cond: int, wanted: int) -> int:
    """Return `wanted` folds, or as many as leave three conditions in each; two at least."""
    return max(2, min(wanted, n_cond // _MIN_PER_FOLD))


def repeated_folds(
    rows: Rows, n_fold: int, n_repeat: int, *, seed: int, first: int
) -> list[tuple[Rows, Rows]]:
    """Return (train, test) of `n_repeat` random partitions of `rows`, folds of one side by side.

    Partition r is that of random permutation number ``first + r`` under the seed. Rows are in
    ascending order within each part.
    """
    splits = []
    for order in core.random_permutations(seed, first, n_repeat, len(rows)):
        fold_of = np.empty(len(rows), dtype=np.int64)
        fold_of[order] = np.arange(len(rows)) % n_fold
        splits += [(rows[fold_of != fold], rows[fold_of == fold]) for fold in range(n_fold)]
    return splits
