"""Which of two ways through the kernel takes less: a factor for all folds, or one in each.

With one factor for all, every penalty of the skeleton is a product with all targets in every fold.
With a factor in each fold, few functions of each stretch of its spectrum stand for all penalties.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["LARGEST_FOLD", "factorises_folds", "fold_factor_bytes"]

LARGEST_FOLD = 2048
"""Training rows beyond which one decomposition wants all threads, rather than each fold one."""

_EIGH = 16.0
_N_FUNCTION = 7
_SPECTRUM = 1e-6
"""What an eigendecomposition takes, in products of matrices; functions that stand for a grid of
penalties; where a spectrum ends, relative to its sum. Measured once, for choices between ways."""

_EIGH_COPIES = 4
"""Matrices that an eigendecomposition holds."""


def factorises_folds(
    sizes: Sequence[tuple[int, int]],
    alphas: torch.Tensor,
    trace: float,
    n_target: int,
    *,
    factored: bool = False,
) -> bool:
    """Whether factorising every fold takes less than one factor for all.

    Counted in FLOP of float32; float64 takes twice as long, an eigendecomposition `_EIGH` n^3.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Training and held-out rows of each fold.
    alphas : Tensor of shape (g, a)
        Grids of penalties.
    trace : float
        Sum of the spectrum.
    n_target : int
    factored : bool
        The factor for all is needed in either case.
    """
    n = max(train + test for train, test in sizes)
    n_alpha = alphas.shape[1]
    within = (alphas > _SPECTRUM * trace) & (alphas < trace)
    n_member = min(n_alpha, 3 + int(within.sum(1).max()))
    by_fold, whole = 0.0, ((0.0 if factored else _EIGH) + 2.0 * n_member) * n**3
    for train, test in sizes:
        rows, held_out = float(train), float(test)
        by_fold += _EIGH * rows**3 + 8 * held_out * rows**2
        by_fold += 2 * rows * (rows + min(n_alpha, _N_FUNCTION) * held_out) * n_target
        whole += n_member * held_out * rows * (4 * held_out + 2 * n_target)
    return by_fold < whole


def fold_factor_bytes(sizes: Sequence[tuple[int, int]], n_alpha: int, itemsize: int) -> int:
    """Return what kernel, factors and work space of all folds take, without scores."""
    n = max(train + test for train, test in sizes)
    kept = sum(train * (train + min(n_alpha, _N_FUNCTION) * test) for train, test in sizes)
    work = torch.get_num_threads() * _EIGH_COPIES * 8 * max(train for train, _ in sizes) ** 2
    return 8 * n * n + itemsize * kept + work
