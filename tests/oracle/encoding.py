"""Stupid twins of encoding: one fit per fold, one score per target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import explained_variance_score, mean_squared_error, r2_score
from sklearn.pipeline import Pipeline, make_pipeline


def pcr(n_components: int, **options: Any) -> Pipeline:
    """Return the pipeline that runs natively, with scikit-learn's exact solver."""
    return make_pipeline(PCA(n_components, svd_solver="full", **options), LinearRegression())


def score(measured: NDArray[Any], predicted: NDArray[Any], scoring: str) -> float:
    if scoring == "r2":
        return float(r2_score(measured, predicted))
    if scoring == "mse":
        return float(mean_squared_error(measured, predicted))
    if scoring == "ev":
        return float(explained_variance_score(measured, predicted))
    if np.ptp(predicted) == 0:  # which does not covary with anything
        return 0.0
    return float(pearsonr(measured, predicted).statistic)


def refit(
    estimator: Any,
    features: NDArray[Any],
    responses: NDArray[Any],
    splits: Iterable[tuple[Any, Any]],
    scoring: str = "r",
    *,
    one_by_one: bool = False,
    pooled: bool = False,
) -> NDArray[np.float64]:
    """Score every fold and target, in float64; `one_by_one` fits each target alone."""
    x, y = np.asarray(features, dtype=np.float64), np.asarray(responses, dtype=np.float64)
    held_out: list[tuple[Any, Any]] = []
    for train, test in splits:
        if one_by_one:
            predicted = np.column_stack(
                [clone(estimator).fit(x[train], column[train]).predict(x[test]) for column in y.T]
            )
        else:
            predicted = clone(estimator).fit(x[train], y[train]).predict(x[test])
            predicted = predicted.reshape(len(test), -1)
        held_out.append((y[test], predicted))
    if pooled:
        measured, guessed = zip(*held_out, strict=True)
        held_out = [(np.concatenate(measured), np.concatenate(guessed))]
    return np.array(
        [
            [score(a, b, scoring) for a, b in zip(measured.T, guessed.T, strict=True)]
            for measured, guessed in held_out
        ]
    )
