"""How well each target is predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import r2_score

__all__ = ["SCORES", "r2_average", "target_scores"]

SCORES = (None, "mse", "r2", "r")
"""Values of ``scoring``; None is "mse", which is negative so that more is better."""


def target_scores(
    measured: torch.Tensor, predicted: torch.Tensor, scoring: str | None
) -> torch.Tensor:
    """Score each column, in float64.

    Parameters
    ----------
    measured, predicted : Tensor of shape (n, t)
    scoring : {None, "mse", "r2", "r"}

    Returns
    -------
    Tensor of shape (t,), float64
        NaN where "r2" or "r" have nothing to explain: a constant measured column. A constant
        prediction has r = 0.
    """
    y, p = measured.double(), predicted.double()
    if scoring in (None, "mse"):
        return -((y - p) ** 2).mean(0)
    varies = (y != y[0]).any(0)
    about = y - y.mean(0)
    if scoring == "r2":
        scores = 1 - ((y - p) ** 2).sum(0) / (about**2).sum(0)
    else:
        other = p - p.mean(0)
        # What is left of a constant by subtracting its mean is rounding.
        moves = other.abs().amax(0) > 1e-13 * p.abs().amax(0)
        product = (about * other).sum(0) / (about.norm(dim=0) * other.norm(dim=0))
        scores = torch.where(moves, product.clamp(-1, 1), 0.0)
    return torch.where(varies, scores, torch.nan)


def r2_average(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    """Return scikit-learn's ``score`` of a regressor, for arrays or tensors."""
    arrays = [
        np.asarray(a.detach().cpu()) if isinstance(a, torch.Tensor) else a
        for a in (y, predicted, sample_weight)
    ]
    return float(r2_score(arrays[0], arrays[1], sample_weight=arrays[2]))
