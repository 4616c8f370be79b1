"""Stupid twins of the bootstrap of RSA: copies are written out, one sample at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from oracle.rsa import SCORES

Vector = NDArray[np.float64]

WHITENED = ("corr_cov", "cosine_cov")


def written_out(counts: NDArray[Any]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the conditions of a sample, and the places of pairs of different ones."""
    conditions = [i for i, count in enumerate(counts) for _ in range(int(count))]
    pairs = [
        (a, b)
        for a, b in itertools.combinations(range(len(conditions)), 2)
        if conditions[a] != conditions[b]
    ]
    return conditions, pairs


def resampled(condensed: Vector, counts: NDArray[Any]) -> Vector:
    square = squareform(condensed)
    conditions, pairs = written_out(counts)
    return np.array([square[conditions[a], conditions[b]] for a, b in pairs])


def whitening(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Covariance of the sample's distances for independent noise of all copies: V = Xi o Xi."""
    conditions, pairs = written_out(counts)
    contrasts = np.zeros((len(pairs), len(conditions)))
    for row, (a, b) in enumerate(pairs):
        contrasts[row, [a, b]] = 1, -1
    return np.asarray((contrasts @ contrasts.T) ** 2)


def similarity(method: str, x: Vector, y: Vector, counts: NDArray[Any]) -> float:
    """Compare two RDMs in a sample; both are vectors of its pairs."""
    if method not in WHITENED:
        return SCORES[method](x, y)
    if method == "corr_cov":
        x, y = x - x.mean(), y - y.mean()
    v = whitening(counts)
    x_v, y_v = np.linalg.solve(v, x), np.linalg.solve(v, y)
    return float(x @ y_v / np.sqrt((x @ x_v) * (y @ y_v)))


def seen(method: str, x: Vector, counts: NDArray[Any]) -> Vector:
    """Return what the optimal pool adds up."""
    if method == "cosine":
        return x / np.linalg.norm(x)
    if method == "corr":
        return (x - x.mean()) / x.std()
    if method in WHITENED:
        x = x - x.mean() if method == "corr_cov" else x
        return np.asarray(x / np.sqrt(x @ np.linalg.solve(whitening(counts), x)))
    return np.asarray(rankdata(x))


def sample_scores(
    method: str, models: Vector, subjects: Vector, counts: NDArray[Any]
) -> NDArray[np.float64]:
    xs = [resampled(x, counts) for x in models]
    ys = [resampled(y, counts) for y in subjects]
    return np.array([[similarity(method, x, y, counts) for y in ys] for x in xs])


def sample_ceilings(
    method: str, kind: str, subjects: Vector, counts: NDArray[Any], copies: NDArray[Any]
) -> tuple[float, float]:
    """Return lower and upper bound, a subject's copies all left out of the lower one's pool."""
    ys = [resampled(y, counts) for y in subjects]
    pooled = [seen(method, y, counts) if kind == "optimal" else y for y in ys]
    drawn = [s for s, count in enumerate(copies) for _ in range(int(count))]
    lower, upper = [], []
    for s in drawn:
        everyone = np.mean([pooled[t] for t in drawn], axis=0)
        upper.append(similarity(method, everyone, ys[s], counts))
        others = [pooled[t] for t in drawn if t != s]
        lower.append(
            similarity(method, np.mean(others, axis=0), ys[s], counts) if others else np.nan
        )
    return float(np.mean(lower)), float(np.mean(upper))


__all__ = ["resampled", "sample_ceilings", "sample_scores", "written_out"]
