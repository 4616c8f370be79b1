"""What a ridge regression with cross-validation will do, and what it takes, before it is done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from dnnbrain_cpp._memory import available_bytes, format_bytes
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.linear._components import chunk_bytes

__all__ = ["RidgePlan", "plan", "plan_ridge"]

_SHARE_OF_FREE = 0.5
"""Part of the memory that is free that a plan allows itself."""

_PER_DECADE = 2.5
"""Members that a skeleton has per decade of the spectrum, roughly; a guess for costs alone."""

_SPECTRUM_DECADES = 4
_TILE = 256
_PARALLEL_ORDER = 2048
"""Kernels up to this order are filtered by all threads side by side."""

_CHUNK_COPIES = 3
"""A chunk of columns in float64, about its mean, and over its scale."""

_EIGH_PASSES = 23.0
"""Products of n x n matrices that an eigendecomposition takes the time of."""


@dataclass(frozen=True)
class RidgePlan:
    """How a cross-validated ridge regression runs.

    Attributes
    ----------
    form : {"features", "kernel"}
        Through sums over folds, (p, p), or through the kernel of the rows, (n, n).
    n, p, t, n_alpha, n_fold : int
    dtype : {"float32", "float64"}
    alpha_block : int
        Penalties at a time; fewer than all where memory is short (kernel).
    fold_block : int
        Folds whose operators are held at a time; fewer than all where memory is short.
    peak_bytes : int
        Beyond the data and the result.
    budget_bytes : int or None
        None where nothing is known of the memory that is free.
    flops : float
        Of products with targets; about what everything else takes is in `seconds`.
    seconds : float
        Expected, from a measurement of this machine's products of matrices.
    """

    form: str
    n: int
    p: int
    t: int
    n_alpha: int
    n_fold: int
    dtype: str
    alpha_block: int
    fold_block: int
    peak_bytes: int
    budget_bytes: int | None
    flops: float
    seconds: float

    def __repr__(self) -> str:
        budget = (
            "" if self.budget_bytes is None else f" of {format_bytes(self.budget_bytes)} allowed"
        )
        how = {
            "features": f"features ({self.p} x {self.p} sums over folds)",
            "kernel": f"kernel ({self.n} x {self.n}, one factor for all folds or one in each)",
        }[self.form]
        lines = [
            f"Ridge of {self.t} targets on {self.p} features, {self.n} rows, {self.n_alpha} alphas,"
            f" {self.n_fold} folds, {self.dtype}",
            f"  through the {how}",
            f"  memory {format_bytes(self.peak_bytes)}{budget}",
            f"  about {self.flops:.1e} FLOP with targets, {self.seconds:.2g} s",
        ]
        if self.fold_block < self.n_fold:
            lines.append(f"  memory is short: {self.fold_block} folds at a time")
        if self.alpha_block < self.n_alpha:
            lines.append(f"  memory is short: {self.alpha_block} alphas at a time")
        return "\n".join(lines)


@cache
def _flop_rate(dtype: str) -> float:
    """Measure products of matrices, once per process: some ten milliseconds."""
    side = 512
    a = torch.ones((side, side), dtype=getattr(torch, dtype))
    out = torch.empty_like(a)
    torch.mm(a, a, out=out)
    best = np.inf
    for _ in range(3):
        begin = time.perf_counter()
        torch.mm(a, a, out=out)
        best = min(best, time.perf_counter() - begin)
    return float(2 * side**3 / best)


def plan(
    n: int,
    p: int,
    t: int,
    *,
    n_alpha: int = 15,
    n_fold: int = 5,
    dtype: str = "float32",
    budget_bytes: int | None = None,
) -> RidgePlan:
    """Show what `RidgeCV` would do, without doing it.

    Parameters
    ----------
    n, p, t : int
        Rows, features, targets.
    n_alpha, n_fold : int
    dtype : {"float32", "float64"}
    budget_bytes : int, optional
        Memory beyond the data and the result; by default half of what is free.

    Returns
    -------
    RidgePlan
        Prints as a summary.

    Raises
    ------
    MemoryError
        If the least that works is more than the budget; says how much that is.
    """
    sizes = {"n": n, "p": p, "t": t, "n_alpha": n_alpha, "n_fold": n_fold}
    for name, value in sizes.items():
        check_integer(value, name, minimum=2 if name in ("n", "n_fold") else 1)
    check_choice(dtype, "dtype", ("float32", "float64"))
    n_train = n - -(-n // n_fold)
    return plan_ridge(
        n,
        p,
        t,
        n_alpha=n_alpha,
        n_fold=n_fold,
        n_train=n_train,
        n_test=-(-n // n_fold),
        dtype=dtype,
        budget_bytes=budget_bytes,
    )


def plan_ridge(
    n: int,
    p: int,
    t: int,
    *,
    n_alpha: int,
    n_fold: int,
    n_train: int,
    n_test: int,
    dtype: str,
    budget_bytes: int | None,
    rescaled: bool = False,
) -> RidgePlan:
    """Do what `plan` promises for folds of known size: the smallest `n_train`, largest `n_test`.

    `rescaled` features are copied once.
    """
    form = "kernel" if p >= n_train else "features"
    if budget_bytes is None:
        free = available_bytes()
        budget_bytes = None if free is None else int(_SHARE_OF_FREE * free)
    member = min(n_alpha, int(_PER_DECADE * _SPECTRUM_DECADES) + 1)
    size = 4 if dtype == "float32" else 8

    # Before and after, X and Y are read in chunks.
    chunks = _CHUNK_COPIES * max(chunk_bytes(n, p), chunk_bytes(n, t))

    def peak(folds: int, alphas: int) -> int:
        if form == "kernel":
            run = _kernel_bytes(n, n_train, n_test, folds, min(member, alphas), size)
            return max(run, 8 * n * n + chunks)
        # The products with targets are reused by the final fit if all folds go at once.
        products = size * p * t if folds == n_fold else 0
        copy = size * n * p if rescaled else 0
        run = _feature_bytes(n, p, n_test, folds, n_fold, member, size) + products + copy
        return max(run, chunks)

    fold_block, alpha_block = n_fold, n_alpha
    while budget_bytes is not None and peak(fold_block, alpha_block) > budget_bytes:
        if fold_block > 1:
            fold_block = max(1, fold_block // 2)
        elif form == "kernel" and alpha_block > 1:
            alpha_block = max(1, alpha_block // 2)
        else:
            raise MemoryError(
                f"ridge of {t} targets on {p} features and {n} rows needs at least "
                f"{format_bytes(peak(fold_block, alpha_block))} beyond its data; "
                f"{format_bytes(budget_bytes)} are allowed. Use fewer features or rows, or float32."
            )
    flops = (
        2.0 * member * n * n_train * t
        if form == "kernel"
        else 4.0 * n * p * t + (2 + member) * n_fold * p * p * t
    )
    decompositions = _EIGH_PASSES * (n**3 if form == "kernel" else n_fold * p**3)
    squares = n * n * p if form == "kernel" else n * p * p
    seconds = flops / _flop_rate(dtype) + (decompositions + squares) / _flop_rate("float64")
    return RidgePlan(
        form=form,
        n=n,
        p=p,
        t=t,
        n_alpha=n_alpha,
        n_fold=n_fold,
        dtype=dtype,
        alpha_block=alpha_block,
        fold_block=fold_block,
        peak_bytes=peak(fold_block, alpha_block),
        budget_bytes=budget_bytes,
        flops=flops,
        seconds=seconds,
    )


def _kernel_bytes(n: int, n_train: int, n_test: int, n_fold: int, member: int, size: int) -> int:
    """Kernel, copy, vectors, work space; then vectors, filters, operators and tiles of threads."""
    n_thread = torch.get_num_threads()
    filters = (n_thread if n <= _PARALLEL_ORDER else 1) * 8 * (2 * n * n + n_test * n_train)
    operators = n_fold * member * n_test * n_train * size
    tiles = n_thread * _TILE * (2 * n + member * n_test) * size
    return max(4 * 8 * n * n, (8 + size) * n * n + filters + operators + tiles)


def _feature_bytes(
    n: int, p: int, n_test: int, block: int, n_fold: int, member: int, size: int
) -> int:
    """Features less their mean, sums and factors of the folds, tiles of two threads."""
    sums = 8 * p * p * (block + 4)
    factors = block * (2 * p * p + n_test * p) * size
    rows = 2 * n * p * size + 8 * (2 * n_test + 1024) * p
    tiles = torch.get_num_threads() * size * (_TILE * (n + n_fold * p) + 64 * member * p)
    return sums + factors + rows + tiles
