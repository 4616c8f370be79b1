"""How held-out scores change with the weights of the bands, and steps that follow."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dnnbrain_cpp.linear._band_search import BestSoFar, KernelScores

__all__ = ["refine", "weight_gradient"]

_TARGET_BLOCK = 1024
"""Targets whose intermediate products, B + 5 of the size of the responses, exist at once."""

_FIRST_STEP = 1.0
_LAST_STEP = 0.03
"""Length of a step, as the largest change of a log weight."""


def weight_gradient(
    objective: KernelScores, weights: torch.Tensor, alphas: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the derivative of each target's mean held-out score by the weights.

    With K = sum_b w_b K_b on the training rows (all centred there), z = (K + alpha)^-1 y the dual
    coefficients, p = K_* z the held-out predictions and g the derivative of the score by p,

        d score / d w_b = g'(K_b* z) - v'(K_b z),    v = (K + alpha)^-1 K_*' g

    which is exact. Cost per fold: an eigendecomposition, and (2 B + 8) n_train^2 FLOP a target.

    Parameters
    ----------
    objective : KernelScores
    weights : Tensor of shape (B,), float64
    alphas : Tensor of shape (m,), float64
        The penalty of each of the targets.
    targets : Tensor of shape (m,), int64

    Returns
    -------
    Tensor of shape (B, m), float64
    """
    total = objective.kernel(weights)
    gradient = torch.zeros((len(weights), len(targets)), dtype=torch.float64, device=weights.device)
    for train, test in objective.folds:
        inner, outer = total[train][:, train], total[test][:, train]
        if objective.fit_intercept:
            column_mean = inner.mean(0)
            outer = outer - column_mean
            inner = inner - column_mean - column_mean[:, None] + column_mean.mean()
        values, vectors = torch.linalg.eigh(inner)
        floor = len(train) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
        values = torch.where(values > floor, values, 0.0)[:, None]
        rows = torch.cat([train, test])
        sides = [kernel[rows][:, train] for kernel in objective.kernels]
        for first in range(0, len(targets), _TARGET_BLOCK):
            block = slice(first, first + _TARGET_BLOCK)
            y = objective.responses[:, targets[block]].double()
            measured, alpha = y[test], alphas[block]
            y_train = y[train]
            if objective.fit_intercept:
                measured, y_train = measured - y_train.mean(0), y_train - y_train.mean(0)
            dual = vectors @ ((vectors.T @ y_train) / (values + alpha))
            parts = torch.stack([side @ dual for side in sides])  # (B, n_train + n_test, m)
            if objective.fit_intercept:
                parts = parts - parts[:, : len(train)].mean(1, keepdim=True)
            within, beyond = parts[:, : len(train)], parts[:, len(train) :]
            predicted = torch.tensordot(weights, beyond, 1)
            slope = _score_slope(measured, predicted, objective.scoring)
            back = outer.T @ slope
            if objective.fit_intercept:
                back = back - back.mean(0)
            adjoint = vectors @ ((vectors.T @ back) / (values + alpha))
            gradient[:, block] += (beyond * slope).sum(1) - (within * adjoint).sum(1)
    return gradient / len(objective.folds)


def _score_slope(y: torch.Tensor, p: torch.Tensor, scoring: str) -> torch.Tensor:
    """Return the derivative of each column's score by its predictions; 0 where there is none."""
    if scoring == "mse":
        return 2 * (y - p) / len(y)
    about = y - y.mean(0)
    if scoring == "r2":
        slope = 2 * (y - p) / (about**2).sum(0)
    else:
        other = p - p.mean(0)
        y_norm, p_norm = about.norm(dim=0), other.norm(dim=0)
        r = (about * other).sum(0) / (y_norm * p_norm)
        slope = (about / y_norm - r * other / p_norm) / p_norm
    return slope.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def refine(
    objective: KernelScores,
    best: BestSoFar,
    candidates: list[torch.Tensor],
    n_step: int,
    evaluate: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """Try `n_step` more candidates, each a gradient step from one that has won targets.

    A step starts where the most targets may gain: candidates are taken by how many targets hold
    them, times the length of their next step. It follows the gradient of the mean score of those
    targets by the log weights, and halves where that mean did not rise. `evaluate` scores the new
    candidate for *all* targets and appends it, so no score can fall.

    Parameters
    ----------
    objective : KernelScores
    best : BestSoFar
    candidates : list of Tensor of shape (B,)
    n_step : int
    evaluate : callable of (weights,)
        Returns the scores, (t,).
    """
    steps = dict.fromkeys(range(len(candidates)), _FIRST_STEP)
    directions: dict[int, torch.Tensor] = {}
    for _ in range(n_step):
        counts = torch.bincount(best.candidate, minlength=len(candidates)).tolist()
        open_ = [c for c, step in steps.items() if counts[c] and step >= _LAST_STEP]
        if not open_:
            return
        start = max(open_, key=lambda c: counts[c] * steps[c])
        held = (best.candidate == start).nonzero().flatten()
        if start not in directions:
            directions[start] = _direction(objective, candidates[start], best, held)
        weights, direction = candidates[start], directions[start]
        if not direction.any():
            steps[start] = 0.0
            continue
        moved = weights * torch.exp(steps[start] * direction)
        moved = moved * (weights.sum() / moved.sum())
        before = best.score[held]
        gain = (evaluate(moved)[held] - before) * _target_weight(objective, best, before)
        rose = bool(gain.nansum() > 0)
        steps[len(candidates) - 1] = steps[start] * (1.5 if rose else 0.5)
        steps[start] *= 0.5


def _direction(
    objective: KernelScores, weights: torch.Tensor, best: BestSoFar, held: torch.Tensor
) -> torch.Tensor:
    """Return the ascent direction of log weights, largest entry one; 0 where there is none."""
    gradient = weight_gradient(objective, weights, best.alpha[held], held)
    by_weight = (gradient * _target_weight(objective, best, best.score[held])).sum(1)
    # The sum of the weights stays: alphas keep their meaning.
    by_log = weights * (by_weight - (weights * by_weight).sum() / weights.sum())
    largest = by_log.abs().max()
    return by_log / largest if bool(largest > 0) and bool(largest.isfinite()) else by_log * 0


def _target_weight(
    objective: KernelScores, best: BestSoFar, score: torch.Tensor
) -> torch.Tensor | float:
    """Return what makes targets of any scale count alike, where each chooses for itself."""
    if objective.scoring != "mse" or not best.per_target:
        return 1.0
    return score.abs().clamp(min=torch.finfo(torch.float64).tiny).reciprocal()
