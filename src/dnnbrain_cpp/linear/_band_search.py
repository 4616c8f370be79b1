"""The search for weights of bands and penalties: candidates, held-out scores, the best so far."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.linear._folds import FoldPlan

__all__ = [
    "BestSoFar",
    "Curves",
    "FeatureScores",
    "HeldOutScores",
    "KernelScores",
    "choose_alphas",
]

RELATIVE_TIE = 1e-10
"""Scores this close are equal; of equals the largest alpha wins."""

_FACTOR_BYTES = 2**29
"""Factorised kernels that are kept between the search and the refit."""


class Curves(NamedTuple):
    """Held-out scores over a grid of penalties."""

    mean: torch.Tensor  # (a, t) float64 over folds
    folds: torch.Tensor | None  # (k, a, t) float64


class HeldOutScores:
    """What a candidate's weights are worth in the folds; `KernelScores` or `FeatureScores`.

    Parameters
    ----------
    responses : Tensor of shape (n, t)
    folds : FoldPlan
        Without repeated rows.
    scoring : {None, "mse", "r2", "r"}
    fit_intercept : bool
    """

    n_band: int

    def __init__(
        self,
        responses: torch.Tensor,
        folds: FoldPlan,
        *,
        scoring: str | None,
        fit_intercept: bool,
    ) -> None:
        if folds.has_repeats:
            raise ValueError(
                "folds must not train on a row more than once, as a bootstrap does: all share "
                "one factorisation. Use folds without repeated rows."
            )
        device = responses.device
        self.responses = responses
        self.folds = folds.tensors(device)
        self.scoring = scoring or "mse"
        self.fit_intercept = fit_intercept
        self._ones = torch.ones(len(responses), dtype=torch.float64, device=device)
        self._nuisance = (
            self._ones[:, None] if fit_intercept else self._ones.new_empty((len(responses), 0))
        )

    def curves(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        *,
        keep_folds: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Curves:
        """Score one candidate, weights of shape (B,), at all penalties."""
        raise NotImplementedError

    def solve(
        self, weights: torch.Tensor, alphas: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Fit all rows of the targets (m,), with a penalty each (m,), and one candidate."""
        raise NotImplementedError


class KernelScores(HeldOutScores):
    """From kernels of shape (B, n, n), float64: a factorisation per candidate for all folds."""

    def __init__(
        self,
        kernels: torch.Tensor,
        responses: torch.Tensor,
        folds: FoldPlan,
        *,
        scoring: str | None,
        fit_intercept: bool,
    ) -> None:
        super().__init__(responses, folds, scoring=scoring, fit_intercept=fit_intercept)
        self.kernels = kernels
        self.n_band = len(kernels)
        self._factors: OrderedDict[tuple[float, ...], core.KernelFactor] = OrderedDict()
        self._n_factor = _FACTOR_BYTES // (8 * len(responses) ** 2)

    def kernel(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the kernels, shape (n, n)."""
        total = torch.zeros_like(self.kernels[0])
        for kernel, weight in zip(self.kernels, weights.tolist(), strict=True):
            if weight > 0:
                total.add_(kernel, alpha=weight)
        return total

    def factor(self, weights: torch.Tensor) -> core.KernelFactor:
        """Return the factorised kernel; the latest are kept for the refit."""
        key = tuple(weights.tolist())
        if key in self._factors:
            return self._factors[key]
        factor = core.KernelFactor(self.kernel(weights), self._nuisance)
        self._factors[key] = factor
        while len(self._factors) > self._n_factor:
            self._factors.popitem(last=False)
        return factor

    def curves(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        *,
        keep_folds: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Curves:
        """Score one candidate at all penalties: one factorisation, no predictions kept."""
        scores = self.factor(weights).cross_validate(
            self.responses,
            self._ones,
            self.folds,
            alphas.tolist(),
            core.RidgeScore[self.scoring],
            keep_folds,
            progress,
        )
        return _curves(scores, self.responses.device)

    def solve(
        self, weights: torch.Tensor, alphas: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return dual coefficients (n, m): 4 n^2 m FLOP, whatever the number of penalties."""
        return self.factor(weights).solve(self.responses[:, targets].contiguous(), alphas)


class FeatureScores(HeldOutScores):
    """From the rows of each band, (n, p_b) about their means: for fewer columns than rows."""

    def __init__(
        self,
        rows: Sequence[torch.Tensor],
        responses: torch.Tensor,
        folds: FoldPlan,
        *,
        scoring: str | None,
        fit_intercept: bool,
    ) -> None:
        super().__init__(responses, folds, scoring=scoring, fit_intercept=fit_intercept)
        self.rows = rows
        self.n_band = len(rows)

    def _scaled(self, weights: torch.Tensor) -> torch.Tensor:
        """Return columns times the roots of their weights, without those that weigh nothing."""
        parts = [
            rows * weight**0.5
            for rows, weight in zip(self.rows, weights.tolist(), strict=True)
            if weight > 0
        ]
        return torch.cat(parts, 1)

    def curves(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        *,
        keep_folds: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Curves:
        """Score one candidate at all penalties, from sums over the folds."""
        scores = core.cross_validate_feature_ridge(
            self._scaled(weights),
            self.responses,
            self._nuisance,
            self._ones,
            self.folds,
            alphas.tolist(),
            False,
            core.RidgeScore[self.scoring],
            keep_folds,
            progress,
        )
        return _curves(scores, self.responses.device)

    def solve(
        self, weights: torch.Tensor, alphas: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return the coefficients of the columns, band after band, (p, m)."""
        scaled = core.solve_feature_ridge(
            self._scaled(weights),
            self.responses[:, targets].contiguous(),
            self._nuisance,
            self._ones,
            alphas,
            False,
        )
        coefs = scaled.new_zeros((sum(rows.shape[1] for rows in self.rows), len(targets)))
        begin = used = 0
        for rows, weight in zip(self.rows, weights.tolist(), strict=True):
            size = rows.shape[1]
            if weight > 0:
                coefs[begin : begin + size] = scaled[used : used + size] * weight**0.5
                used += size
            begin += size
        return coefs


def _curves(scores: tuple[torch.Tensor, torch.Tensor | None], device: torch.device) -> Curves:
    mean, folds = scores
    return Curves(mean.to(device), None if folds is None else folds.to(device))


def choose_alphas(
    curves: Curves, alphas: torch.Tensor, *, per_target: bool, conservative: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose a penalty for each target.

    Parameters
    ----------
    curves : Curves
        With folds where `conservative`.
    alphas : Tensor of shape (a,)
    per_target : bool
        False: all targets take the one that is best for their mean.
    conservative : bool
        The largest penalty whose score is within a standard deviation over folds of the best,
        rather than the largest of the best.

    Returns
    -------
    place : Tensor of shape (t,), int64
        Where in the grid.
    score : Tensor of shape (t,), float64
        There.
    """
    mean = curves.mean if per_target else curves.mean.nanmean(1, keepdim=True)
    known = mean.nan_to_num(nan=-torch.inf)
    best, where = known.max(0)
    if conservative:
        assert curves.folds is not None
        folds = curves.folds if per_target else curves.folds.nanmean(2, keepdim=True)
        slack = folds.std(0, correction=0).gather(0, where[None])[0]
    else:
        slack = RELATIVE_TIE * best.abs()
    enough = (known >= best - slack) | ~best.isfinite()
    rank = alphas.argsort().argsort().to(mean.device) + 1
    place = (enough * rank[:, None]).argmax(0).expand(curves.mean.shape[1])
    return place, curves.mean.gather(0, place[None])[0]


class BestSoFar:
    """The best candidate and penalty of each target; only these are kept.

    Attributes
    ----------
    score : Tensor of shape (t,), float64
        NaN as long as no candidate has a score.
    alpha : Tensor of shape (t,), float64
    candidate : Tensor of shape (t,), int64
    """

    def __init__(self, n_target: int, device: torch.device, *, per_target: bool) -> None:
        self.per_target = per_target
        self.score = torch.full((n_target,), torch.nan, dtype=torch.float64, device=device)
        self.alpha = torch.zeros_like(self.score)
        self.candidate = torch.full((n_target,), -1, device=device)

    def update(self, candidate: int, alpha: torch.Tensor, score: torch.Tensor) -> None:
        """Take over what is better: target by target, or for all where the mean is better."""
        if self.per_target:
            better = (score > self.score) | (self.score.isnan() & ~score.isnan())
        else:
            now, before = score.nanmean(), self.score.nanmean()
            better = ((now > before) | before.isnan()).expand(len(score))
        better = better | (self.candidate < 0)
        self.score = torch.where(better, score, self.score)
        self.alpha = torch.where(better, alpha, self.alpha)
        self.candidate = torch.where(better, candidate, self.candidate)
