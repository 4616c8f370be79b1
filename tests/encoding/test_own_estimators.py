"""Estimators of this package, handed in like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from dnnbrain_cpp import linear
from dnnbrain_cpp.encoding import encode
from oracle.encoding import refit
from tolerances import TOLERANCES

ESTIMATORS: dict[str, Any] = {
    "Ridge": linear.Ridge(2.0),
    "RidgeCV": linear.RidgeCV([0.1, 10.0, 1000.0], cv=3),
    "PCA + LinearRegression": make_pipeline(linear.PCA(4), LinearRegression()),
    "PCA + Ridge": make_pipeline(linear.PCA(4), linear.Ridge(1.0)),
    "BandedRidgeCV": linear.BandedRidgeCV(
        bands=[slice(0, 4), slice(4, 10)], alphas=[1.0, 100.0], n_iter=5, cv=3, random_state=0
    ),
    "FracRidge": linear.FracRidge(0.5),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_own_estimators(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((45, 10))
    y = x @ rng.standard_normal((10, 3)) + rng.standard_normal((45, 3))
    scores = encode(x, y, estimator=ESTIMATORS[name], cv=4)
    home = "scikit-learn" if "+" in name else "dnnbrain_cpp"  # a Pipeline is scikit-learn's
    assert scores.route["features"].startswith(f"{home}: {name} as it is; ")
    expected = refit(ESTIMATORS[name], x, y, KFold(4).split(x))
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    assert np.nanmean(scores.scores["features"]) > 0.5
