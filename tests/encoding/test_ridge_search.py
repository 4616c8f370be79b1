"""Penalties chosen inside each training set, as RidgeCV and GridSearchCV choose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnnbrain_cpp.encoding import encode
from dnnbrain_cpp.features import Gram
from oracle.encoding import refit
from tolerances import TOLERANCES

ALPHAS = [0.1, 3.0, 40.0, 700.0]
FULL = {"svd_solver": "full"}
SEARCHES = {
    "ridge(4 alphas, shared, leave-one-out)": RidgeCV(ALPHAS),
    "ridge(4 alphas, per target, leave-one-out)": RidgeCV(ALPHAS, alpha_per_target=True),
    "ridge(4 alphas, shared, nested folds)": RidgeCV(ALPHAS, cv=3),
    "ridge(3 alphas, shared, nested folds)": GridSearchCV(
        Ridge(), {"alpha": ALPHAS[1:]}, scoring="neg_mean_squared_error"
    ),
    "ridge(2 alphas, shared, nested folds)": GridSearchCV(
        Ridge(7.0, solver="svd"),
        {"alpha": ALPHAS[1:3]},
        cv=KFold(4, shuffle=True, random_state=0),
        scoring="r2",
    ),
}
FRONTS: dict[str, list[Any]] = {
    "": [],
    "StandardScaler + ": [StandardScaler()],
    "PCA(5) + ": [PCA(5, **FULL)],
    "StandardScaler + PCA(5) + ": [StandardScaler(), PCA(5, whiten=True, **FULL)],
}


def simulate(n_feat: int, n_stim: int = 42) -> Any:
    rng = np.random.default_rng(n_feat)
    x = rng.standard_normal((n_stim, n_feat)) * rng.uniform(0.3, 3, n_feat) + 5
    y = x[:, :4] @ rng.standard_normal((4, 6)) * [0, 0.1, 0.3, 1, 1, 3]
    return x, y + 2 * rng.standard_normal((n_stim, 6)) + 100


@pytest.mark.parametrize("n_feat", [7, 31, 32, 90])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("name", SEARCHES)
def test_equal_to_scikit_learn(name: str, front: str, n_feat: int) -> None:
    x, y = simulate(n_feat)
    estimator: Any = SEARCHES[name]
    if front:
        estimator = make_pipeline(*FRONTS[front], estimator)
    splits = list(KFold(4, shuffle=True, random_state=3).split(x))
    scores = encode(x, y, estimator=estimator, cv=splits, scoring="r2")
    assert scores.route["features"] == f"native: {front}{name}"
    expected = refit(estimator, x, y, splits, "r2")
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=1e-9, atol=TOLERANCES["fp64_score"]
    )


def test_choices_differ_between_folds_and_targets() -> None:
    """So that the tests above can fail."""
    x, y = simulate(90)
    alphas = {
        float(alpha)
        for train, _ in KFold(4, shuffle=True, random_state=3).split(x)
        for alpha in RidgeCV(ALPHAS, alpha_per_target=True).fit(x[train], y[train]).alpha_
    }
    assert len(alphas) >= 3


def test_gram_matrices_will_do() -> None:
    x, y = simulate(90)
    for estimator in (RidgeCV(ALPHAS), make_pipeline(PCA(4), RidgeCV(ALPHAS, cv=3))):
        scores = encode({"x": x, "gram": Gram.from_features(x)}, y, estimator=estimator).scores
        np.testing.assert_allclose(scores["gram"], scores["x"], atol=TOLERANCES["fp64_score"])


def test_targets_that_are_constant_in_training_do_not_choose() -> None:
    x, y = simulate(20)
    y[:, 0] = 0.1
    for estimator in (RidgeCV(ALPHAS), RidgeCV(ALPHAS, cv=3)):
        with pytest.warns(UserWarning, match="1 of 6 targets"):
            scores = encode(x, y, estimator=estimator, cv=4).scores["features"]
        splits = list(KFold(4).split(x))
        expected = refit(estimator, x, y, splits)
        np.testing.assert_allclose(scores[:, 1:], expected[:, 1:], atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (RidgeCV(ALPHAS, fit_intercept=False), "fit_intercept=False"),
        (RidgeCV(ALPHAS, scoring="r2"), "leave-one-out has no scoring='r2'"),
        (RidgeCV(ALPHAS, cv=3, scoring="explained_variance"), "scoring='explained_variance'"),
        (GridSearchCV(Ridge(), {"alpha": [0.0, 1.0]}), "positive alphas"),
        (GridSearchCV(Ridge(), {"alpha": [1.0], "tol": [1e-3]}), "over alpha alone"),
        (
            GridSearchCV(Ridge(solver="lsqr"), {"alpha": [1.0, 2.0]}),
            "stops where its tolerance says",
        ),
        (GridSearchCV(Lasso(random_state=0), {"alpha": [1.0]}), "no native route for GridSearchCV"),
        (
            RandomizedSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, n_iter=2, random_state=0),
            "no native route for RandomizedSearchCV",
        ),
    ],
)
def test_other_searches_run_as_they_are(estimator: Any, why: str) -> None:
    x, y = simulate(7)
    splits = list(KFold(3).split(x))
    scores = encode(x, y, estimator=estimator, cv=splits)
    assert why in scores.fallbacks["features"]
    expected = refit(estimator, x, y, splits)
    np.testing.assert_allclose(scores.scores["features"], expected, atol=TOLERANCES["fp64_score"])
