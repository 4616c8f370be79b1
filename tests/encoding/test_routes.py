"""Recognised estimators: the numbers of scikit-learn refitted in every fold, natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import KFold, LeaveOneOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from dnnbrain_cpp._native import core
from dnnbrain_cpp.encoding import SCORINGS, encode
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.features import Gram
from oracle.encoding import refit
from tolerances import TOLERANCES

FULL = {"svd_solver": "full"}
NATIVE = {
    "least squares": LinearRegression(),
    "ridge(alpha=3)": Ridge(3.0),
    "StandardScaler + least squares": make_pipeline(StandardScaler(), LinearRegression()),
    "StandardScaler + ridge(alpha=0.5)": make_pipeline(StandardScaler(), Ridge(0.5, solver="svd")),
    "PCA(4) + least squares": make_pipeline(PCA(4, **FULL), LinearRegression()),
    "PCA(4) + ridge(alpha=3)": make_pipeline(PCA(4, **FULL), Ridge(3.0)),
    "PCA(4) + ridge(alpha=2)": make_pipeline(PCA(4, whiten=True, **FULL), Ridge(2.0)),
    "StandardScaler + PCA(4) + least squares": make_pipeline(
        StandardScaler(), PCA(4, **FULL), LinearRegression()
    ),
    "StandardScaler + PCA(4) + ridge(alpha=9)": make_pipeline(
        StandardScaler(with_mean=False),
        "passthrough",
        PCA(4, **FULL),
        Ridge(9.0, solver="cholesky"),
    ),
    "PLSRegression(2)": PLSRegression(2),
    "PLSRegression(3)": PLSRegression(3, scale=False),
}


def simulate(n_stim: int = 33, n_feat: int = 80, n_vox: int = 5, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_stim, n_feat)) * rng.uniform(0.2, 5, n_feat) + rng.uniform(
        -9, 9, n_feat
    )
    y = x[:, :4] @ rng.standard_normal((min(4, n_feat), n_vox)) + rng.standard_normal(
        (n_stim, n_vox)
    )
    return x, y + rng.standard_normal(n_vox)


def close(ours: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(
        ours, expected, rtol=TOLERANCES["fp64_score"], atol=TOLERANCES["fp64_score"]
    )


@pytest.mark.parametrize("n_feat", [8, 80], ids=["tall", "wide"])
@pytest.mark.parametrize("name", NATIVE)
def test_equal_to_scikit_learn(name: str, n_feat: int) -> None:
    x, y = simulate(n_feat=n_feat)
    splits = list(KFold(4, shuffle=True, random_state=1).split(x))
    for scoring in SCORINGS:
        for fold_average in ("mean", "pooled"):
            scores = encode(
                x,
                y,
                estimator=NATIVE[name],
                cv=splits,
                scoring=scoring,
                fold_average=fold_average,
            )
            assert scores.route["features"] == f"native: {name}"
            expected = refit(NATIVE[name], x, y, splits, scoring, pooled=fold_average == "pooled")
            close(scores.scores["features"], expected)


@pytest.mark.parametrize("name", NATIVE)
def test_predictions_are_those_of_the_folds(name: str) -> None:
    x, y = simulate(n_feat=40)
    splits = list(KFold(4).split(x))[1:]  # the first stimuli are never held out
    scores = encode(x, y, estimator=NATIVE[name], cv=splits, return_predictions=True)
    predicted = scores.predictions["features"]
    held_out = np.concatenate([test for _, test in splits])
    assert np.isnan(np.delete(predicted, held_out, axis=0)).all()
    for train, test in splits:
        close(predicted[test], NATIVE[name].fit(x[train], y[train]).predict(x[test]))
    plain = encode(x, y, estimator=NATIVE[name], cv=splits)
    close(scores.scores["features"], plain.scores["features"])
    with pytest.raises(AttributeError, match="return_predictions=True"):
        _ = plain.predictions
    with pytest.raises(Cancelled):
        encode(x, y, return_predictions=True, progress=lambda done, total: False)


@pytest.mark.parametrize("estimator", [LinearRegression(), Lasso(0.1, random_state=0)])
def test_a_stimulus_held_out_twice_has_the_mean_prediction(estimator: Any) -> None:
    x, y = simulate(n_feat=6)
    splits = [(np.arange(10, 30), np.arange(5)), (np.arange(8, 33), np.arange(3))]
    predicted = encode(x, y, estimator=estimator, cv=splits, return_predictions=True).predictions
    both = [estimator.fit(x[a], y[a]).predict(x[b]) for a, b in splits]
    close(predicted["features"][:3], (both[0][:3] + both[1]) / 2)
    close(predicted["features"][3:5], both[0][3:])


@pytest.mark.parametrize("n_feat", [1, 26, 27, 28])
@pytest.mark.parametrize("estimator", [Ridge(1.0), make_pipeline(StandardScaler(), Ridge(1.0))])
def test_either_side_of_as_many_features_as_stimuli(estimator: Any, n_feat: int) -> None:
    x, y = simulate(36, n_feat + 3)
    x = x[:, :n_feat]
    ours = encode(x, y, estimator=estimator, cv=4, scoring="r2").scores["features"]
    close(ours, refit(estimator, x, y, KFold(4).split(x), "r2"))


@pytest.mark.parametrize("n_feat", [9, 90])
def test_columns_without_variance(n_feat: int) -> None:
    """Constant everywhere, in the training rows alone, and twice the same."""
    x, y = simulate(40, n_feat)
    x[:, 0], x[10:, 1], x[:, 3] = 0.1, 1e6 + 0.1, x[:, 2]
    for name in ("StandardScaler + least squares", "StandardScaler + PCA(4) + ridge(alpha=9)"):
        ours = encode(x, y, estimator=NATIVE[name], cv=4).scores["features"]
        expected = refit(NATIVE[name], x, y, KFold(4).split(x))
        np.testing.assert_allclose(ours[1:], expected[1:], rtol=0, atol=TOLERANCES["fp64_factor"])
        # What varies in the held-out rows alone has no weight, whatever it is divided by.
        x_without = np.delete(x, 1, axis=1)
        without = encode(x_without, y, estimator=NATIVE[name], cv=4).scores["features"]
        np.testing.assert_allclose(ours[0], without[0], rtol=0, atol=TOLERANCES["fp64_factor"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_feat", [9, 90])
def test_offsets_of_a_million(n_feat: int, dtype: type) -> None:
    x, y = simulate(40, n_feat)
    x, y = (10 * x + 1e6).astype(dtype), y.astype(dtype)
    for name in ("ridge(alpha=3)", "StandardScaler + ridge(alpha=0.5)"):
        ours = encode(x, y, estimator=NATIVE[name], cv=4).scores["features"]
        expected = refit(NATIVE[name], x, y, KFold(4).split(x))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_factor"])


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(2.0), Lasso(0.1, random_state=0)])
def test_leave_one_out_is_pooled(estimator: Any) -> None:
    x, y = simulate(20, 6)
    splits = list(LeaveOneOut().split(x))
    for scoring in SCORINGS:
        scores = encode(x, y, estimator=estimator, cv="loo", scoring=scoring, fold_average="pooled")
        close(scores.scores["features"], refit(estimator, x, y, splits, scoring, pooled=True))
        assert "fold" not in scores.to_frame()
        assert "pooled over folds" in repr(scores)


def test_gram_matrices_serve_ridge_and_least_squares() -> None:
    x, y = simulate(n_feat=80)
    names = ("least squares", "ridge(alpha=3)", "PCA(4) + ridge(alpha=3)", "PLSRegression(3)")
    for name in names:
        ours = encode({"x": x, "gram": Gram.from_features(x)}, y, estimator=NATIVE[name]).scores
        close(ours["gram"], ours["x"])
    with pytest.raises(TypeError, match="needs the features themselves"):
        encode({"gram": Gram.from_features(x)}, y, estimator=PLSRegression(2))


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (Ridge(fit_intercept=False), "fit_intercept=False"),
        (Ridge(positive=True), "positive=True has no closed form"),
        (Ridge(solver="sag", random_state=0), "solver='sag' stops where its tolerance says"),
        (Ridge([1.0, 2.0, 3.0, 4.0, 5.0]), "one alpha for all targets"),
        (make_pipeline(PCA(0.9), LinearRegression()), "n_components=0.9"),
        (make_pipeline(MinMaxScaler(), Ridge()), "no native route with MinMaxScaler"),
        (make_pipeline(PCA(3), StandardScaler(), Ridge()), "these steps in this order"),
        (make_pipeline(PCA(3), Lasso(random_state=0)), "no native route for Lasso"),
    ],
)
def test_why_a_route_is_not_native(estimator: Any, why: str) -> None:
    x, y = simulate(n_feat=6)
    scores = encode(x, y, estimator=estimator, cv=3)
    assert why in scores.fallbacks["features"]
    assert scores.fallbacks["features"] in scores.route["features"]


@pytest.mark.parametrize("is_gram", [True, False])
@pytest.mark.parametrize(("n_comp", "alpha"), [(5, 0.0), (0, 0.0), (0, 2.0)])
@pytest.mark.parametrize("n_feat", [60, 300])
def test_any_number_of_threads(n_feat: int, n_comp: int, alpha: float, is_gram: bool) -> None:
    """Folds are decomposed side by side, and targets scored in tiles.

    LAPACK's factors alone depend on the number of threads, in their last digits.
    """
    x, y = simulate(200, n_feat, n_vox=600)
    data = torch.from_numpy(Gram.from_features(x).kernel.copy() if is_gram else x)
    y = torch.from_numpy(y)
    rows = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in KFold(5).split(x)]
    results, scores = [], []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        maps = core.make_fold_maps(data, is_gram, rows, n_comp, alpha, False, False, None)
        scores.append(core.score_fold_maps(maps, y, rows, core.FoldScore.r, False, None))
        maps = maps if not results else results[0][0]
        kernels = core.fold_kernels(data, is_gram, rows[0], False)
        predicted = core.predict_fold_maps(maps, y, rows, None)
        results.append((maps, predicted, *kernels))
    assert all(torch.equal(a, b) for a, b in zip(results[0][1:], results[1][1:], strict=True))
    close(*scores)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_between_groups_of_folds(n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    x, y = simulate(700, 800, n_vox=3)
    seen: list[tuple[int, int]] = []

    def report(done: int, total: int) -> bool:
        seen.append((done, total))
        return len(seen) < 2

    # So many components that each fold takes a while.
    many = make_pipeline(PCA(250), LinearRegression())
    with pytest.raises(Cancelled):
        encode(x, y, estimator=many, cv=10, progress=report)
    assert seen[0][0] in (n_threads, 2 * n_threads, 3 * n_threads)
    assert seen[-1][0] < 10
    assert all(total == 20 for _, total in seen)
    seen.clear()
    encode(x[:, :9], y, cv=10, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (20, 20)


def test_more_targets_than_a_tile() -> None:
    x, y = simulate(20, 10, n_vox=1030)
    ours = encode(x, y, estimator=Ridge(1.0), cv=2).scores["features"]
    chosen = [0, 255, 256, 1023, 1024, 1029]
    close(ours[:, chosen], refit(Ridge(1.0), x, y[:, chosen], KFold(2).split(x)))


def test_the_core_refuses_what_does_not_fit() -> None:
    x, y = (torch.from_numpy(a) for a in simulate(20, 6))
    rows = (torch.arange(10), torch.arange(10, 20))

    def make(data: torch.Tensor, is_gram: bool, n_comp: int, alpha: float) -> Any:
        return core.make_fold_maps(data, is_gram, [rows], n_comp, alpha, False, False, None)

    fold_map = make(x, False, 0, 1.0)[0]
    with pytest.raises(ValueError, match="one map per fold"):
        core.score_fold_maps([], y, [rows], core.FoldScore.r, False, None)
    with pytest.raises(ValueError, match="fold 0 does not fit"):
        core.score_fold_maps([fold_map], y, [(rows[0], rows[1][:3])], core.FoldScore.r, False, None)
    with pytest.raises(ValueError, match="alpha must not be negative"):
        make(x @ x.T, True, 0, -1.0)
    with pytest.raises(ValueError, match="n_components must be at most 6"):
        make(x, False, 7, 0.0)
    with pytest.raises(ValueError, match="square float64"):
        make(x, True, 0, 1.0)
