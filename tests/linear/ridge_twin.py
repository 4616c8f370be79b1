"""Ridge as anybody would write it: refitted in every fold, for every alpha, by normal equations."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fit(
    X: Array,
    Y: Array,
    alpha: float,
    *,
    beside: Array,
    weight: Array | None = None,
    standardize: bool = False,
) -> tuple[Array, Array]:
    """Return weights (p, t) and those of `beside` (z, t), which has no penalty."""
    n, p = X.shape
    w = np.ones(n) if weight is None else weight
    scale = np.ones(p)
    if standardize:
        left = (
            X
            - beside
            @ np.linalg.lstsq(beside * np.sqrt(w)[:, None], X * np.sqrt(w)[:, None], rcond=None)[0]
        )
        scale = np.sqrt((w[:, None] * left**2).sum(0) / w.sum())
        scale[scale < 1e-12] = 1.0
    # Rows that pull each coefficient to zero: least squares of these is ridge.
    root = np.sqrt(w)[:, None]
    pull = np.hstack([np.sqrt(alpha) * np.eye(p), np.zeros((p, beside.shape[1]))])
    rows = np.vstack([root * np.hstack([X / scale, beside]), pull])
    targets = np.vstack([root * Y, np.zeros((p, Y.shape[1]))])
    solution = np.linalg.lstsq(rows, targets, rcond=None)[0]
    return solution[:p] / scale[:, None], solution[p:]


def score(y: Array, predicted: Array, scoring: str, weight: Array | None = None) -> Array:
    """Score each column; "mse" is negative."""
    w = np.ones(len(y)) if weight is None else weight
    if scoring == "mse":
        return -np.average((y - predicted) ** 2, axis=0, weights=w)
    centre = y - np.average(y, axis=0, weights=w)
    total = (w[:, None] * centre**2).sum(0)
    if scoring == "r2":
        return 1 - (w[:, None] * (y - predicted) ** 2).sum(0) / total
    other = predicted - np.average(predicted, axis=0, weights=w)
    return (w[:, None] * centre * other).sum(0) / np.sqrt(total * (w[:, None] * other**2).sum(0))


def cross_validate(
    X: Array,
    Y: Array,
    folds: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
    alphas: Array,
    scoring: str,
    *,
    nuisance: Array | None = None,
    intercept: bool = True,
    weight: Array | None = None,
    standardize: bool = False,
) -> Array:
    """Return scores of shape (k, a, t)."""
    columns = [np.ones((len(X), 1))] if intercept else []
    if nuisance is not None:
        columns.append(nuisance)
    beside = np.hstack(columns) if columns else np.empty((len(X), 0))
    out = []
    for train, test in folds:
        of_fold = []
        for alpha in alphas:
            coefs, rest = fit(
                X[train],
                Y[train],
                alpha,
                beside=beside[train],
                weight=None if weight is None else weight[train],
                standardize=standardize,
            )
            predicted = X[test] @ coefs + beside[test] @ rest
            of_fold.append(
                score(Y[test], predicted, scoring, None if weight is None else weight[test])
            )
        out.append(of_fold)
    return np.array(out)
