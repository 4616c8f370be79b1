"""The search for weights of bands and penalties: candidates, held-out scores, the best so far."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._kernel_route import factorises_folds

__all__ = [
    "BestSoFar",
    "Curves",
    "FeatureScores",
    "HeldOutScores",
    "KernelScores",
    "choose_alphas",
    "part_of",
]

RELATIVE_TIE = 1e-10
"""Scores this close are equal; of equals the largest alpha wins."""

_SCORE_BYTES = 2**27
"""Scores of candidates that are searched at once, all folds and penalties of all targets."""

_FACTOR_BYTES = 2**28
"""Decomposed kernels that are kept for the final fit."""

_MANY_CANDIDATES = 8
"""Candidates that keep the threads busy."""


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

    def n_at_once(self, n_alpha: int) -> int:
        """Return how many candidates to hand to `curves`."""
        n_score = len(self.folds) * n_alpha * self.responses.shape[1]
        return max(1, min(_MANY_CANDIDATES, _SCORE_BYTES // (8 * n_score)))

    def curves(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        *,
        keep_folds: bool = False,
        progress: ProgressCallback | None = None,
    ) -> list[Curves]:
        """Score candidates, weights of shape (g, B), each at its penalties, (g, a)."""
        return [
            self._score_one(each, grid, keep_folds, part_of(progress, place, 1, len(weights)))
            for place, (each, grid) in enumerate(zip(weights, alphas, strict=True))
        ]

    def _score_one(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        keep_folds: bool,
        progress: ProgressCallback | None,
    ) -> Curves:
        raise NotImplementedError

    def solve(
        self, candidates: torch.Tensor, chosen: torch.Tensor, alphas: torch.Tensor
    ) -> torch.Tensor:
        """Fit all rows, each target with its own candidate and penalty, both of shape (t,)."""
        raise NotImplementedError


def part_of(
    progress: ProgressCallback | None, first: int, size: int, n_all: int
) -> ProgressCallback | None:
    """Return the callback of parts [first, first + size) of the `n_all` of a job."""
    if progress is None:
        return None
    return lambda done, total: progress(first * total + size * done, n_all * total)


class KernelScores(HeldOutScores):
    """From kernels of shape (B, n, n), float64."""

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

    def kernel(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the kernels, shape (n, n)."""
        total = torch.zeros_like(self.kernels[0])
        for kernel, weight in zip(self.kernels, weights.tolist(), strict=True):
            if weight > 0:
                total.add_(kernel, alpha=weight)
        return total

    def factors(self, weights: torch.Tensor) -> list[core.KernelFactor]:
        """Return weighted sums of the kernels, (g, B), decomposed; the last ones are kept."""
        keys = [tuple(each) for each in weights.tolist()]
        new = [key for key in dict.fromkeys(keys) if key not in self._factors]
        if new:
            made = core.factor_kernel_sums(
                self.kernels, torch.tensor(new, dtype=torch.float64), self._nuisance
            )
            self._factors.update(zip(new, made, strict=True))
        found = [self._factors[key] for key in keys]
        while len(self._factors) > max(1, _FACTOR_BYTES // (8 * len(self.responses) ** 2)):
            self._factors.popitem(last=False)
        return found

    def curves(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        *,
        keep_folds: bool = False,
        progress: ProgressCallback | None = None,
    ) -> list[Curves]:
        """Score candidates at all their penalties, with factorisations by fold or of all rows."""
        sizes = [(len(train), len(test)) for train, test in self.folds]
        trace = float(self.kernels.diagonal(dim1=1, dim2=2).sum())
        if not factorises_folds(sizes, alphas, trace, self.responses.shape[1]):
            self.factors(weights)
            return super().curves(weights, alphas, keep_folds=keep_folds, progress=progress)
        scores = core.score_kernel_sums(
            self.kernels,
            weights.cpu(),
            alphas.cpu(),
            self.responses,
            self._nuisance,
            self._ones,
            self.folds,
            core.RidgeScore[self.scoring],
            progress,
        ).to(self.responses.device)
        return [Curves(folds.nanmean(0), folds if keep_folds else None) for folds in scores]

    def _score_one(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        keep_folds: bool,
        progress: ProgressCallback | None,
    ) -> Curves:
        scores = self.factors(weights[None])[0].cross_validate(
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
        self, candidates: torch.Tensor, chosen: torch.Tensor, alphas: torch.Tensor
    ) -> torch.Tensor:
        """Return dual coefficients (n, t): a factorisation per candidate that won targets."""
        kept = torch.tensor([tuple(each.tolist()) in self._factors for each in candidates])
        known = kept.to(chosen.device)[chosen]
        dual = torch.empty_like(self.responses)
        if not bool(known.all()):
            rest = (~known).nonzero().flatten()
            dual[:, rest] = core.solve_kernel_sums(
                self.kernels,
                candidates.cpu(),
                chosen[rest],
                alphas[rest],
                self.responses[:, rest].contiguous(),
                self._nuisance,
            )
        for candidate in sorted(set(chosen[known].tolist())):
            held = (chosen == candidate).nonzero().flatten()
            factor = self.factors(candidates[candidate, None])[0]
            dual[:, held] = factor.solve(self.responses[:, held].contiguous(), alphas[held])
        return dual


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

    def _score_one(
        self,
        weights: torch.Tensor,
        alphas: torch.Tensor,
        keep_folds: bool,
        progress: ProgressCallback | None,
    ) -> Curves:
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
        self, candidates: torch.Tensor, chosen: torch.Tensor, alphas: torch.Tensor
    ) -> torch.Tensor:
        """Return the coefficients of the columns, band after band, (p, t)."""
        sizes = [rows.shape[1] for rows in self.rows]
        coefs = self.responses.new_zeros((sum(sizes), len(chosen)))
        for candidate in sorted(set(chosen.tolist())):
            weights = candidates[candidate]
            held = (chosen == candidate).nonzero().flatten()
            roots = weights.sqrt().repeat_interleave(torch.tensor(sizes, device=weights.device))
            used = roots.nonzero().flatten()
            scaled = core.solve_feature_ridge(
                self._scaled(weights),
                self.responses[:, held].contiguous(),
                self._nuisance,
                self._ones,
                alphas[held],
                False,
            )
            coefs[used[:, None], held] = scaled * roots[used, None].to(scaled.dtype)
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
