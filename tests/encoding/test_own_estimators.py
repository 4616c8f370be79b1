"""Estimators of this package, handed in like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, LeaveOneGroupOut
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dnnbrain_cpp import linear
from dnnbrain_cpp.encoding import encode
from dnnbrain_cpp.features import Gram
from oracle.encoding import refit, score
from tolerances import TOLERANCES

ALPHAS = [0.1, 10.0, 1000.0]
NATIVE: dict[str, Any] = {
    "ridge(alpha=2)": linear.Ridge(2.0),
    "least squares": linear.Ridge(0.0),
    "StandardScaler + ridge(alpha=3)": linear.Ridge(3.0, standardize=True),
    "ridge(3 alphas, per target, nested folds)": linear.RidgeCV(ALPHAS, cv=3),
    "ridge(3 alphas, shared, nested folds)": linear.RidgeCV(
        ALPHAS[::-1], cv=KFold(4, shuffle=True, random_state=0), alpha_per_target=False
    ),
    "ridge(2 alphas, per target, nested folds)": linear.RidgeCV(ALPHAS[1:], scoring="r"),
    "ridge(3 alphas, per target, leave-one-out)": linear.RidgeCV(ALPHAS, cv="loo"),
    "ridge(2 alphas, per target, leave-one-out)": linear.RidgeCV(
        ALPHAS[:2], cv="loo", scoring="r2"
    ),
    "StandardScaler + ridge(3 alphas, per target, nested folds)": linear.RidgeCV(
        ALPHAS, cv=3, scoring="r2", standardize="global"
    ),
    "StandardScaler + PCA(4) + ridge(3 alphas, per target, nested folds)": make_pipeline(
        StandardScaler(), linear.PCA(4, whiten=True), linear.RidgeCV(ALPHAS, cv=3)
    ),
    "PCA(4) + least squares": linear.PCRegression(4),
    "StandardScaler + PCA(3) + least squares": make_pipeline(
        StandardScaler(), linear.PCRegression(3)
    ),
    "PCA(5) + least squares": make_pipeline(linear.PCA(5), LinearRegression()),
    "PCA(4) + ridge(alpha=1)": make_pipeline(linear.PCA(4), linear.Ridge(1.0)),
    "PLSRegression(3)": linear.PLSRegression(3),
    "PLSRegression(4, exact)": linear.PLSRegression(4, scale=False, algorithm="exact"),
}
OTHERS: dict[str, tuple[Any, str]] = {
    "Ridge": (linear.Ridge([1.0, 2.0, 3.0]), "one alpha for all targets"),
    "RidgeCV": (linear.RidgeCV(ALPHAS, standardize="fold"), "a scale for every inner fold"),
    "PCA + RidgeCV": (
        make_pipeline(linear.PCA(4), linear.RidgeCV(ALPHAS, standardize="global")),
        "does not scale components",
    ),
    "PCA + Ridge": (
        make_pipeline(linear.PCA(4, svd_solver="randomized", random_state=0), linear.Ridge()),
        "svd_solver='randomized'",
    ),
    "PCRegression": (linear.PCRegression([1, 3]), "chosen by cross-validation"),
    "StandardScaler + PLSRegression": (
        make_pipeline(StandardScaler(), linear.PLSRegression(2)),
        "steps in front of PLSRegression",
    ),
    "BandedRidgeCV": (
        linear.BandedRidgeCV(
            bands=[slice(0, 4), slice(4, 10)], alphas=[1.0, 100.0], n_iter=5, cv=3, random_state=0
        ),
        "no native route for BandedRidgeCV",
    ),
    "FracRidge": (linear.FracRidge(0.5), "no native route for FracRidge"),
}


def simulate(n_feat: int) -> Any:
    rng = np.random.default_rng(n_feat)
    latent = rng.standard_normal((45, 4)) * [4, 3, 2, 1]
    x = latent @ rng.standard_normal((4, n_feat)) + rng.standard_normal((45, n_feat)) + 3
    return x, latent @ rng.standard_normal((4, 3)) + 2 * rng.standard_normal((45, 3)) + 20


@pytest.mark.parametrize("n_feat", [10, 60])
@pytest.mark.parametrize("name", NATIVE)
def test_native(name: str, n_feat: int) -> None:
    x, y = simulate(n_feat)
    scores = encode(x, y, estimator=NATIVE[name], cv=4, scoring="r2")
    assert scores.route["features"] == f"native: {name}"
    expected = refit(NATIVE[name], x, y, KFold(4).split(x), "r2")
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    # Least squares with more features than rows is no model; its numbers are compared all the same.
    assert name == "least squares" or np.median(scores.scores["features"]) > 0.1


@pytest.mark.parametrize("name", OTHERS)
def test_as_it_is(name: str) -> None:
    estimator, why = OTHERS[name]
    x, y = simulate(10)
    scores = encode(x, y, estimator=estimator, cv=4)
    home = "scikit-learn" if "+" in name else "dnnbrain_cpp"  # a Pipeline is scikit-learn's
    assert scores.route["features"].startswith(f"{home}: {name} as it is; ")
    assert why in scores.fallbacks["features"]
    expected = refit(estimator, x, y, KFold(4).split(x))
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    assert np.nanmean(scores.scores["features"]) > 0.5


@pytest.mark.parametrize("cv", [3, "loo"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_kernels(cv: Any, fit_intercept: bool) -> None:
    x, y = simulate(60)
    kernel = x @ x.T
    estimator = linear.KernelRidgeCV(ALPHAS, cv=cv, fit_intercept=fit_intercept)
    splits = list(KFold(4).split(x))
    scores = encode(kernel, y, estimator=estimator, cv=splits)
    assert scores.route["features"].startswith(
        "native: kernel ridge(3 alphas, per target, " if fit_intercept else "dnnbrain_cpp: Kernel"
    )
    for (train, test), found in zip(splits, scores.scores["features"], strict=True):
        model = clone(estimator).fit(kernel[np.ix_(train, train)], y[train])
        predicted = model.predict(kernel[np.ix_(test, train)])
        expected = [score(*pair, "r") for pair in zip(y[test].T, predicted.T, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_gram_matrices_will_do() -> None:
    x, y = simulate(60)
    layers = {"x": Gram.from_features(x)}
    ridge = linear.RidgeCV(ALPHAS, cv=3)
    ours = encode(layers, y, estimator=ridge).scores["x"]
    np.testing.assert_allclose(
        ours, encode(x, y, estimator=ridge).scores["features"], atol=TOLERANCES["fp64_score"]
    )
    kernel = encode(layers, y, estimator=linear.KernelRidgeCV(ALPHAS, cv=3)).scores["x"]
    np.testing.assert_allclose(kernel, ours, atol=TOLERANCES["fp64_score"])


def test_single_precision_stays() -> None:
    x, y = simulate(60)
    for n_feat in (10, 60):
        for estimator in (linear.RidgeCV(ALPHAS, cv=3), linear.RidgeCV(ALPHAS, cv="loo")):
            single, double = (
                encode(
                    x[:, :n_feat].astype(dtype),
                    y.astype(dtype),
                    estimator=estimator,
                    return_predictions=True,
                )
                for dtype in (np.float32, np.float64)
            )
            assert single.predictions["features"].dtype == np.float32
            np.testing.assert_allclose(
                single.scores["features"],
                double.scores["features"],
                atol=TOLERANCES["fp32_ridge_score"],
            )


def by_runs(x: Any, y: Any, runs: Any, estimator: Any) -> Any:
    """Refit by hand, each training set with its runs."""
    scores = []
    for train, test in LeaveOneGroupOut().split(x, groups=runs):
        model = clone(estimator)
        if isinstance(model, Pipeline):
            model.fit(x[train], y[train], **{f"{model.steps[-1][0]}__groups": runs[train]})
        else:
            model.fit(x[train], y[train], groups=runs[train])
        pairs = zip(y[test].T, model.predict(x[test]).T, strict=True)
        scores.append([score(*pair, "r") for pair in pairs])
    return scores


@pytest.mark.parametrize(
    "estimator",
    [
        linear.RidgeCV([0.1, 30.0, 1000.0], cv="run"),
        make_pipeline(StandardScaler(), linear.RidgeCV([0.1, 30.0, 1000.0], cv="run")),
        linear.PCRegression(cv="run"),
        make_pipeline(StandardScaler(), linear.LassoCV(5, cv="run")),
    ],
    ids=["native", "native pipeline", "as it is", "pipeline as it is"],
)
def test_inner_folds_by_run(estimator: Any) -> None:
    x, y = simulate(20)
    runs = np.repeat(["a", "b", "c", "d", "e"], [12, 9, 8, 6, 10])
    found = encode(x, y, estimator=estimator, cv="run", groups=runs).scores["features"]
    np.testing.assert_allclose(
        found, by_runs(x, y, runs, estimator), rtol=0, atol=TOLERANCES["fp64_score"]
    )
    with pytest.raises(ValueError, match="groups must say the run of each stimulus"):
        encode(x, y, estimator=estimator)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (linear.RidgeCV([1.0, -1.0]), "alphas must be finite and positive"),
        (linear.Ridge(-1.0), "alphas must be finite and not negative"),
        (linear.RidgeCV([1.0], scoring="rho"), "scoring must be one of"),
        (linear.RidgeCV([1.0], cv=35), r"cv of RidgeCV.* in fold 0, cv must be from 2 .* 33; got"),
        (linear.LassoCV(cv=35), r"cv of LassoCV.* in fold 0, cv must be from 2 .* 33; got"),
        (linear.KernelRidgeCV([1.0]), "'wide' must be the square kernel"),
        (linear.PCRegression(12), "keep from 1 to 10 components of layer 'features'"),
        (linear.PLSRegression(11), "PLSRegression must keep from 1 to 10 components"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(estimator: Any, message: str) -> None:
    x, y = simulate(10)
    wide = np.repeat(x, 3, axis=1)
    seen: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match=message):
        encode(
            {"wide": wide, "features": x},
            y,
            estimator=estimator,
            cv=4,
            progress=lambda *at: seen.append(at),
        )
    assert not seen
