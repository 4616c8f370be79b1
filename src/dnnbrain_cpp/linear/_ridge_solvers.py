"""Ridge by folds and penalties: the functional layer under the estimators.

Rows may be weighted; an intercept and nuisance regressors are fitted without a penalty, in every
fold anew. Work goes through the features or through the kernel, whichever is smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.linear._components import column_chunks
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._kernel_route import LARGEST_FOLD, factorises_folds, fold_factor_bytes
from dnnbrain_cpp.linear._plan import RidgePlan
from dnnbrain_cpp.linear._weights import Weights

__all__ = [
    "RIDGE_SCORES",
    "Design",
    "best_alphas",
    "cross_validate",
    "leave_one_out",
    "make_design",
    "score_kernel",
    "solve",
]

Standardize = Literal["fold", "global"] | None
Pairs = list[tuple[torch.Tensor, torch.Tensor]]

RIDGE_SCORES = {
    None: core.RidgeScore.mse,
    "mse": core.RidgeScore.mse,
    "neg_mean_squared_error": core.RidgeScore.mse,
    "r2": core.RidgeScore.r2,
    "r": core.RidgeScore.r,
}

_TIES = {torch.float32: 1e-7, torch.float64: 1e-12}
"""Scores that are closer than this, relative to the best, are equal but for rounding."""


_RANK = 1e-12
"""Nuisance columns span no direction that is this much weaker than their strongest."""


@dataclass(frozen=True)
class Design:
    """The rows of a regression, weights applied; what is worked out once stays for the next step.

    Attributes
    ----------
    X : Tensor of shape (n, p)
    Y : Tensor of shape (n, t)
    nuisance : Tensor of shape (n, z), float64
        What is fitted without a penalty; the intercept first, if there is one.
    ones : Tensor of shape (n,), float64
        Square roots of the weights.
    fit_intercept : bool
    """

    X: torch.Tensor
    Y: torch.Tensor
    nuisance: torch.Tensor
    ones: torch.Tensor
    fit_intercept: bool
    _factors: dict[bool, core.KernelFactor] = field(default_factory=dict, repr=False)
    _products: list[torch.Tensor] = field(default_factory=list, repr=False)

    @property
    def n(self) -> int:
        """Rows."""
        return self.X.shape[0]

    @property
    def p(self) -> int:
        """Features."""
        return self.X.shape[1]

    @property
    def origin(self) -> torch.Tensor | None:
        """About the mean of the features, shape (p,), if an intercept makes any shift free."""
        if not self.fit_intercept:
            return None
        return (self.ones / self.ones.square().sum()).to(self.X.dtype) @ self.X

    def kernel(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """Return X X' in float64, columns about their mean and divided by `scale`."""
        return core.row_kernel(self.X, self.ones if self.fit_intercept else None, scale, None)

    def factor(self, *, standardize: bool, kernel: torch.Tensor | None = None) -> core.KernelFactor:
        """Return the kernel decomposed, of features divided by their deviation over all rows.

        `kernel` saves making it, where it is at hand.
        """
        if standardize not in self._factors:
            if kernel is None:
                kernel = self.kernel(column_scale(self) if standardize else None)
            self._factors[standardize] = core.KernelFactor(kernel, self.nuisance)
        return self._factors[standardize]

    def keep_factor(self, factor: core.KernelFactor, *, standardize: bool) -> None:
        """Keep what `factor` would return, where it has been made already."""
        self._factors[standardize] = factor

    def products(self) -> torch.Tensor:
        """Return X'Y as left by a pass over the folds, or room for it, shape (t, p)."""
        if not self._products:
            self._products.append(self.X.new_empty((self.Y.shape[1], self.p)))
        return self._products[0]

    @property
    def has_products(self) -> bool:
        """Whether a pass over the folds has left X'Y."""
        return bool(self._products)


def make_design(
    X: torch.Tensor,
    Y: torch.Tensor,
    *,
    fit_intercept: bool,
    sample_weight: torch.Tensor | None = None,
    nuisance: torch.Tensor | None = None,
) -> Design:
    """Put the parts of a regression together.

    Parameters
    ----------
    X : Tensor of shape (n, p)
    Y : Tensor of shape (n, t)
    fit_intercept : bool
    sample_weight : Tensor of shape (n,), optional
        Not negative.
    nuisance : Tensor of shape (n, z), optional

    Raises
    ------
    ValueError
        For weights that are negative or all zero, or nuisance columns that depend on each other.
    """
    n = len(X)
    columns = [X.new_ones((n, 1), dtype=torch.float64)] if fit_intercept else []
    if nuisance is not None:
        columns.append(nuisance.to(X.device, torch.float64))
    beside = torch.cat(columns, 1) if columns else X.new_empty((n, 0), dtype=torch.float64)
    if beside.shape[1]:
        scaled = beside / beside.norm(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
        rank = int(torch.linalg.matrix_rank(scaled))
        if rank < beside.shape[1]:
            raise ValueError(
                "nuisance columns must be linearly independent of each other and of the "
                f"intercept; {beside.shape[1]} columns have rank {rank}. Leave some out."
            )
    ones = X.new_ones(n, dtype=torch.float64)
    if sample_weight is None:
        return Design(X, Y, beside, ones, fit_intercept)
    weight = sample_weight.to(X.device, torch.float64)
    if weight.shape != (n,) or bool((weight < 0).any()) or not bool((weight > 0).any()):
        raise ValueError(
            f"sample_weight must have shape ({n},), hold no negative number and not be all zero; "
            f"got shape {tuple(weight.shape)}, the lowest {float(weight.min()):g}."
        )
    root = weight.sqrt()
    sides = root.to(X.dtype)[:, None]
    return Design(X * sides, Y * sides, beside * root[:, None], root, fit_intercept)


def column_scale(design: Design, rows: torch.Tensor | None = None) -> torch.Tensor:
    """Return the standard deviation of each feature over `rows`, beyond the nuisance; 0 -> 1."""
    beside = design.nuisance if rows is None else design.nuisance[rows]
    total = (design.ones if rows is None else design.ones[rows]).square().sum()
    lengths = beside.norm(dim=0).clamp_min(torch.finfo(beside.dtype).tiny)
    basis, sizes, _ = torch.linalg.svd(beside / lengths, full_matrices=False)
    basis = basis[:, sizes > _RANK * sizes.max()] if len(sizes) else basis
    scale = design.X.new_empty(design.p, dtype=torch.float64)
    for chunk in column_chunks(design.X):
        block = design.X[:, chunk] if rows is None else design.X[:, chunk].index_select(0, rows)
        data = block.double()
        left = data - basis @ (basis.T @ data)
        variance = left.square().sum(0) / total
        size = data.square().sum(0) / total
        scale[chunk] = torch.where(variance > 1e-26 * size, variance.sqrt(), 1.0)
    return scale


def _rescaled(design: Design) -> torch.Tensor:
    """Return X over its standard deviation: a copy, made in chunks."""
    scale = column_scale(design)
    out = torch.empty_like(design.X)
    for chunk in column_chunks(design.X):
        out[:, chunk] = design.X[:, chunk] / scale[chunk]
    return out


def uses_kernel(design: Design, folds: FoldPlan | None = None) -> bool:
    """Whether the kernel of the rows is smaller than the covariance of the features."""
    n_train = min(folds.n_train) if folds is not None else design.n
    return design.p >= n_train


def cross_validate(
    design: Design,
    folds: FoldPlan,
    alphas: torch.Tensor,
    *,
    scoring: str | None = None,
    standardize: Standardize = None,
    keep_folds: bool = False,
    run_plan: RidgePlan | None = None,
    report: ProgressCallback | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Score every penalty for every target.

    Parameters
    ----------
    design : Design
    folds : FoldPlan
    alphas : Tensor of shape (a,), float64
        Positive.
    scoring : {None, "mse", "r2", "r"}
        "mse" is negative. None is "mse".
    standardize : {None, "fold", "global"}
        Divide features by the standard deviation of the training rows of each fold, or of all.
    keep_folds : bool
    run_plan : RidgePlan, optional
        How many folds or penalties to hold at a time; all by default.
    report : callable, optional
        Of each block of folds or penalties in turn.

    Returns
    -------
    mean : Tensor of shape (a, t), float64
        Over folds; NaN where no fold has a score.
    folds : Tensor of shape (k, a, t) or None
    """
    rows = folds.tensors(design.X.device)
    fold_block = len(rows) if run_plan is None else run_plan.fold_block
    if not uses_kernel(design, folds):
        X = _rescaled(design) if standardize == "global" else design.X
        reusable = standardize != "global" and fold_block >= len(rows)
        keep_products = reusable and core.is_partition(rows, design.n)
        parts = [
            core.cross_validate_feature_ridge(
                X,
                design.Y,
                design.nuisance,
                design.ones,
                rows[first : first + fold_block],
                [float(alpha) for alpha in alphas],
                standardize == "fold",
                RIDGE_SCORES[scoring],
                keep_folds or fold_block < len(rows),
                report,
                design.products() if keep_products else None,
            )
            for first in range(0, len(rows), fold_block)
        ]
        return parts[0] if len(parts) == 1 else _join_folds([part[1] for part in parts], keep_folds)
    alpha_block = len(alphas) if run_plan is None else run_plan.alpha_block

    def of_factor(
        factor: core.KernelFactor, some: Pairs, *, keep: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        parts = [
            score_kernel(factor, design, some, few, scoring=scoring, keep_folds=keep, report=report)
            for few in torch.split(alphas, alpha_block)
        ]
        every = [part[1] for part in parts if part[1] is not None]
        return torch.cat([part[0] for part in parts]), torch.cat(every, 1) if every else None

    if standardize != "fold":
        if min(len(train) for train, _ in rows) > 1 and not folds.has_repeats:
            scored = _by_fold_factors(design, rows, alphas, scoring, standardize, run_plan, report)
            if scored is not None:
                return _join_folds([scored], keep_folds)
        factor = design.factor(standardize=standardize == "global")
        if fold_block >= len(rows):
            return of_factor(factor, rows, keep=keep_folds)
        blocks = [rows[first : first + fold_block] for first in range(0, len(rows), fold_block)]
        return _join_folds([of_factor(factor, some, keep=True)[1] for some in blocks], keep_folds)
    # The scale is the fold's own, and so is the kernel.
    own = []
    for train, test in rows:
        kernel = design.kernel(column_scale(design, train))
        factor = core.KernelFactor(kernel, design.nuisance)
        own.append(of_factor(factor, [(train, test)], keep=True)[1])
    return _join_folds(own, keep_folds)


def _by_fold_factors(
    design: Design,
    rows: Pairs,
    alphas: torch.Tensor,
    scoring: str | None,
    standardize: Standardize,
    run_plan: RidgePlan | None,
    report: ProgressCallback | None,
) -> torch.Tensor | None:
    """Score with a factor in each fold, (k, a, t), where that is less work and fits the plan."""
    sizes = [(len(train), len(test)) for train, test in rows]
    if max(train for train, _ in sizes) > LARGEST_FOLD:
        return None
    n_target = design.Y.shape[1]
    n_bytes = fold_factor_bytes(sizes, len(alphas), design.Y.element_size())
    n_bytes += 8 * len(rows) * len(alphas) * n_target
    if run_plan is not None and n_bytes > run_plan.peak_bytes:
        return None
    scaled = standardize == "global"
    kernel = design.kernel(column_scale(design) if scaled else None)
    trace = float(kernel.diagonal().sum())
    if not factorises_folds(sizes, alphas[None], trace, n_target, factored=True):
        design.factor(standardize=scaled, kernel=kernel)
        return None
    scores, factor = core.score_kernel_folds(
        kernel,
        alphas.double().cpu(),
        design.Y,
        design.nuisance,
        design.ones,
        rows,
        RIDGE_SCORES[scoring],
        report,
    )
    design.keep_factor(factor, standardize=scaled)
    return scores.to(design.Y.device)


def score_kernel(
    factor: core.KernelFactor,
    design: Design,
    rows: Pairs | None,
    alphas: torch.Tensor,
    *,
    scoring: str | None = None,
    keep_folds: bool = False,
    report: ProgressCallback | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Score penalties with a factored kernel, as `cross_validate` does.

    Parameters
    ----------
    factor : core.KernelFactor
    design : Design
        Its X is not looked at.
    rows : list of (train, test) or None
        None leaves out one row at a time, predictions pooled: one fold.
    """
    grid = [float(alpha) for alpha in alphas]
    score = RIDGE_SCORES[scoring]
    if rows is not None:
        return factor.cross_validate(design.Y, design.ones, rows, grid, score, keep_folds, report)
    pooled = factor.leave_one_out(design.Y, design.ones, grid, score, report)
    return pooled, pooled[None]


def _join_folds(
    parts: Sequence[torch.Tensor | None], keep_folds: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the mean over folds that have a score, and the folds if they are wanted."""
    every = torch.cat([part for part in parts if part is not None])
    return every.nanmean(0), every if keep_folds else None


def leave_one_out(
    design: Design,
    alphas: torch.Tensor,
    *,
    scoring: str | None = None,
    standardize: Standardize = None,
    report: ProgressCallback | None = None,
) -> torch.Tensor:
    """Score every penalty by leaving out one row at a time, predictions pooled, shape (a, t)."""
    factor = design.factor(standardize=standardize == "global")
    return score_kernel(factor, design, None, alphas, scoring=scoring, report=report)[0]


def best_alphas(
    scores: torch.Tensor, alphas: torch.Tensor, *, per_target: bool, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose penalties; of those that score alike but for rounding, the largest.

    Parameters
    ----------
    scores : Tensor of shape (a, t), float64
        More is better. A target without scores gets the largest penalty.
    alphas : Tensor of shape (a,), float64
    per_target : bool
        Otherwise one for all, by the mean score over targets that have one.
    dtype : torch.dtype
        Precision that the scores come from.

    Returns
    -------
    alpha : Tensor of shape (t,), float64
    score : Tensor of shape (t,) or (1,), float64
    """
    order = alphas.argsort(descending=True)
    ranked = scores[order.to(scores.device)]
    if not per_target:
        ranked = ranked.nanmean(1, keepdim=True)
    seen = ranked.nan_to_num(nan=-torch.inf)
    top = seen.max(0).values
    tied = seen >= top - _TIES[dtype] * top.abs()
    first = tied.to(torch.uint8).argmax(0)
    chosen = alphas[order][first.to(alphas.device)]
    score = ranked.gather(0, first[None])[0]
    return chosen.expand(scores.shape[1]) if not per_target else chosen, score


def solve(design: Design, alphas: torch.Tensor, *, standardize: bool = False) -> Weights:
    """Return the weights, one penalty of shape (t,) per target; 0 is allowed.

    float64 without a penalty goes through a singular value decomposition: squaring the features
    would lose half of the digits.
    """
    penalty = alphas.to(design.X.device, torch.float64)
    if design.X.dtype == torch.float64 and bool((penalty == 0).any()):
        return Weights.of(_solve_by_svd(design, penalty, standardize=standardize), design.origin)
    if not uses_kernel(design):
        formed = core.solve_feature_ridge(
            design.X,
            design.Y,
            design.nuisance,
            design.ones,
            penalty,
            standardize,
            design.products() if design.has_products else None,
        )
        return Weights.of(formed, design.origin)
    dual = design.factor(standardize=standardize).solve(design.Y, penalty)
    scale = column_scale(design) if standardize else None
    return Weights.of_rows(design.X, dual, design.ones, design.origin, scale)


def _solve_by_svd(design: Design, penalty: torch.Tensor, *, standardize: bool) -> torch.Tensor:
    origin, beside = design.origin, design.nuisance
    data = design.X if origin is None else design.X - design.ones[:, None] * origin
    scale = column_scale(design) if standardize else None
    if scale is not None:
        data = data / scale
    targets = design.Y
    if beside.shape[1]:
        data = data - beside @ torch.linalg.lstsq(beside, data).solution
        targets = targets - beside @ torch.linalg.lstsq(beside, targets).solution
    u, s, vt = torch.linalg.svd(data, full_matrices=False)
    kept = s > max(data.shape) * torch.finfo(data.dtype).eps * s[0] if len(s) else s > 0
    u, s, vt = u[:, kept], s[kept, None], vt[kept]
    weights: torch.Tensor = vt.T @ ((u.T @ targets) * s / (s.square() + penalty))
    return weights if scale is None else weights / scale[:, None]
