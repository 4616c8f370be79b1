"""Ridge and RidgeCV against refitting by normal equations, and against scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV as SklearnRidgeCV
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold, ShuffleSplit, TimeSeriesSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp.linear import FoldPlan, KernelRidgeCV, Ridge, RidgeCV
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._kernel_route import factorises_folds
from linear import ridge_twin
from tolerances import TOLERANCES

ALPHAS = np.logspace(-2, 5, 12)
SHAPES = [(60, 150, 3), (60, 20, 3), (41, 40, 2), (40, 40, 2), (50, 1, 1), (30, 7, 140)]


@parametrize_with_checks([Ridge(), RidgeCV(cv=3), KernelRidgeCV(cv=3)])
def test_contract_of_scikit_learn(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, t: int, *, seed: int = 0, offset: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.5 + offset
    Y = X @ rng.standard_normal((p, t)) / np.sqrt(p) + 2 * rng.standard_normal((n, t)) + offset
    return X, Y


def relative(ours: Any, theirs: Any) -> float:
    theirs = np.asarray(theirs)
    return float(np.abs(np.asarray(ours) - theirs).max() / max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("scoring", ["r", "r2", "mse"])
@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_refitting(shape: tuple[int, int, int], scoring: str) -> None:
    X, Y = draw(*shape)
    model = RidgeCV(ALPHAS, cv=4, scoring=scoring, store_cv_results=True).fit(X, Y)
    expected = ridge_twin.cross_validate(X, Y, KFold(4).split(X), ALPHAS, scoring)
    assert relative(model.cv_results_, expected) < TOLERANCES["fp64_score"]
    mean = expected.mean(0)
    chosen = np.searchsorted(ALPHAS, model.alpha_)
    assert np.array_equal(model.alpha_, ALPHAS[chosen])
    # One feature gives the same r at every alpha: what counts is the score.
    assert relative(mean[chosen, range(shape[2])], mean.max(0)) < TOLERANCES["fp64_score"]
    assert relative(model.best_score_, mean.max(0)) < TOLERANCES["fp64_score"]
    for target, alpha in enumerate(model.alpha_):
        twin = SklearnRidge(alpha, solver="svd").fit(X, Y[:, target])
        assert relative(model.coef_[target], twin.coef_) < TOLERANCES["fp64_factor"]
        assert abs(model.intercept_[target] - twin.intercept_) < TOLERANCES["fp64_factor"]


@pytest.mark.parametrize(
    "cv",
    [
        KFold(7),
        KFold(4, shuffle=True, random_state=1),
        ShuffleSplit(3, test_size=0.2, train_size=0.5, random_state=0),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        TimeSeriesSplit(3, gap=4),
        [(np.arange(20), np.arange(25, 40)), (np.arange(30, 60), np.arange(3))],
    ],
    ids=lambda cv: type(cv).__name__,
)
@pytest.mark.parametrize("p", [12, 90])
def test_any_folds(cv: Any, p: int) -> None:
    X, Y = draw(60, p, 4)
    model = RidgeCV(ALPHAS, cv=cv, store_cv_results=True).fit(X, Y)
    folds = FoldPlan.make(cv, n_stim=60)
    expected = ridge_twin.cross_validate(X, Y, folds, ALPHAS, "mse")
    assert relative(model.cv_results_, expected) < TOLERANCES["fp64_score"]


@pytest.mark.parametrize("standardize", [None, "fold"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_nuisance", [0, 3])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("p", [9, 70])
def test_weights_nuisance_and_scale(
    p: int, intercept: bool, n_nuisance: int, weighted: bool, standardize: Any
) -> None:
    if standardize and not intercept and not n_nuisance:
        pytest.skip("without a mean, the scale is that of scikit-learn's with_mean=False: not ours")
    rng = np.random.default_rng(1)
    X, Y = draw(50, p, 2)
    X = X * np.exp(rng.standard_normal(p)) + 1
    nuisance = rng.standard_normal((50, n_nuisance)) if n_nuisance else None
    weight = rng.uniform(0.2, 3, 50) if weighted else None
    model = RidgeCV(
        ALPHAS, cv=4, fit_intercept=intercept, standardize=standardize, store_cv_results=True
    ).fit(X, Y, weight, nuisance=nuisance)
    expected = ridge_twin.cross_validate(
        X,
        Y,
        KFold(4).split(X),
        ALPHAS,
        "mse",
        nuisance=nuisance,
        intercept=intercept,
        weight=weight,
        standardize=standardize is not None,
    )
    assert relative(model.cv_results_, expected) < TOLERANCES["fp64_score"]
    columns = ([np.ones((50, 1))] if intercept else []) + ([nuisance] if n_nuisance else [])
    beside = np.hstack(columns) if columns else np.empty((50, 0))
    for target, alpha in enumerate(model.alpha_):
        coefs, rest = ridge_twin.fit(
            X, Y, alpha, beside=beside, weight=weight, standardize=standardize is not None
        )
        assert relative(model.coef_[target], coefs[:, target]) < TOLERANCES["fp64_factor"]
        if intercept:
            assert abs(model.intercept_[target] - rest[0, target]) < TOLERANCES["fp64_factor"]
        if n_nuisance:
            own = rest[int(intercept) :, target]
            assert relative(model.nuisance_coef_[:, target], own) < TOLERANCES["fp64_factor"]


@pytest.mark.parametrize("p", [12, 90])
@pytest.mark.parametrize("per_target", [True, False])
def test_leave_one_out_is_that_of_scikit_learn(p: int, per_target: bool) -> None:
    X, Y = draw(40, p, 5)
    grid = np.logspace(-2, 7, 99)
    ours = RidgeCV(grid, cv="loo", alpha_per_target=per_target).fit(X, Y)
    theirs = SklearnRidgeCV(grid, alpha_per_target=per_target).fit(X, Y)
    assert np.allclose(ours.alpha_, theirs.alpha_)
    assert relative(ours.best_score_, theirs.best_score_) < TOLERANCES["fp64_score"]
    assert relative(ours.coef_, theirs.coef_) < TOLERANCES["fp64_factor"]


@pytest.mark.parametrize("p", [15, 120])
def test_groups_are_held_out_together(p: int) -> None:
    X, Y = draw(60, p, 3)
    groups = np.repeat(np.arange(6), 10)
    ours = RidgeCV(ALPHAS, cv=3, store_cv_results=True).fit(X, Y, groups=groups)
    folds = GroupKFold(3).split(X, groups=groups)
    expected = ridge_twin.cross_validate(X, Y, folds, ALPHAS, "mse")
    assert relative(ours.cv_results_, expected) < TOLERANCES["fp64_score"]


@pytest.mark.parametrize("p", [30, 300])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_float32_stays_close(p: int, offset: float) -> None:
    X, Y = draw(120, p, 40, offset=offset)
    X32, Y32 = X.astype(np.float32), Y.astype(np.float32)
    ours = RidgeCV(ALPHAS, cv=4, scoring="r2", store_cv_results=True).fit(X32, Y32)
    exact = RidgeCV(ALPHAS, cv=4, scoring="r2", store_cv_results=True).fit(
        X32.astype(float), Y32.astype(float)
    )
    assert ours.coef_.dtype == ours.predict(X32).dtype == np.float32
    assert np.abs(ours.cv_results_ - exact.cv_results_).max() < TOLERANCES["fp32_ridge_score"]


def test_float32_with_a_million_added() -> None:
    rng = np.random.default_rng(0)
    X, Y = draw(100, 20, 10)
    shifted = Y + 1e6 * rng.choice([-1, 1], 10)
    ours = RidgeCV(ALPHAS, scoring="r").fit(X.astype(np.float32), shifted.astype(np.float32))
    rounded = shifted.astype(np.float32).astype(float)
    exact = RidgeCV(ALPHAS, scoring="r").fit(X.astype(np.float32).astype(float), rounded)
    assert np.abs(ours.best_score_ - exact.best_score_).max() < TOLERANCES["fp32_ridge_score"]


@pytest.mark.parametrize("p", [10, 100])
def test_one_run_of_another_scale(p: int) -> None:
    X, Y = draw(80, p, 3)
    X[20:40] *= 1000
    ours = RidgeCV(ALPHAS, cv=4, scoring="r2", store_cv_results=True).fit(
        X.astype(np.float32), Y.astype(np.float32)
    )
    expected = ridge_twin.cross_validate(
        X.astype(np.float32).astype(float),
        Y.astype(np.float32).astype(float),
        KFold(4).split(X),
        ALPHAS,
        "r2",
    )
    clean = [0, 2, 3]  # predictions of the loud run are a thousand times off
    scale = np.maximum(1, np.abs(expected[clean]))
    assert (np.abs(ours.cv_results_[clean] - expected[clean]) / scale).max() < 1e-3


def test_targets_of_a_large_variance_choose_as_others_do() -> None:
    X, Y = draw(80, 100, 6)
    plain, loud = RidgeCV(ALPHAS).fit(X, Y), RidgeCV(ALPHAS).fit(X, 1e3 * Y)
    assert np.array_equal(plain.alpha_, loud.alpha_)
    assert relative(loud.best_score_ / 1e6, plain.best_score_) < TOLERANCES["fp64_score"]


@pytest.mark.parametrize("p", [8, 60])
def test_columns_that_are_constant_or_twice_there(p: int) -> None:
    X, Y = draw(40, p, 3)
    X[:, 1] = 5.0
    X[:, 3] = X[:, 2]
    Y[:, 2] = -7.0
    for standardize in (None, "fold", "global"):
        model = RidgeCV(ALPHAS, cv=4, standardize=standardize, scoring="r2").fit(X, Y)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.best_score_[:2]).all()
        assert np.isnan(model.best_score_[2])
        assert np.abs(model.coef_[:, 1]).max() < 1e-10
        assert np.allclose(model.coef_[:, 2], model.coef_[:, 3])
        assert np.allclose(model.predict(X)[:, 2], -7.0)


def test_ties_choose_the_largest_alpha() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 5)), np.ones((40, 1))
    assert RidgeCV([1.0, 100.0, 10.0]).fit(X, Y).alpha_.item() == 100.0


def test_shared_alpha_is_the_best_of_the_mean() -> None:
    X, Y = draw(60, 30, 7)
    model = RidgeCV(ALPHAS, cv=3, alpha_per_target=False, scoring="r2").fit(X, Y)
    expected = ridge_twin.cross_validate(X, Y, KFold(3).split(X), ALPHAS, "r2").mean((0, 2))
    assert model.alpha_ == ALPHAS[expected.argmax()]
    assert model.best_score_ == pytest.approx(expected.max(), abs=TOLERANCES["fp64_score"])


@pytest.mark.parametrize(("n", "p"), [(40, 8), (20, 50), (30, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_penalty_is_least_squares(n: int, p: int, dtype: Any) -> None:
    X, Y = draw(n, p, 3)
    ours = Ridge(0.0).fit(X.astype(dtype), Y.astype(dtype))
    theirs = LinearRegression().fit(X, Y)
    tolerance = TOLERANCES["fp64_factor"] if dtype == np.float64 else 2e-3
    assert relative(ours.predict(X.astype(dtype)), theirs.predict(X)) < tolerance


def test_a_penalty_for_each_target() -> None:
    X, Y = draw(30, 50, 4)
    penalties = np.array([0.1, 1.0, 10.0, 1000.0])
    theirs = SklearnRidge(penalties, solver="svd").fit(X, Y)
    assert relative(Ridge(penalties).fit(X, Y).coef_, theirs.coef_) < TOLERANCES["fp64_factor"]


@pytest.mark.parametrize("p", [12, 90])
def test_tensors_come_back_as_tensors(p: int) -> None:
    X, Y = draw(50, p, 3)
    arrays = RidgeCV(ALPHAS).fit(X, Y)
    tensors = RidgeCV(ALPHAS).fit(torch.from_numpy(X), torch.from_numpy(Y))
    for name in ("alpha_", "best_score_", "coef_", "intercept_"):
        assert isinstance(getattr(tensors, name), torch.Tensor)
        assert np.array_equal(getattr(tensors, name).numpy(), getattr(arrays, name))
    assert isinstance(tensors.predict(torch.from_numpy(X)), torch.Tensor)


@pytest.mark.parametrize("p", [40, 150])
def test_same_bits_on_one_and_two_threads(p: int) -> None:
    X, Y = draw(100, p, 300)
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            folds = FoldPlan.make(4, n_stim=100)
            design = solvers.make_design(
                torch.from_numpy(X), torch.from_numpy(Y), fit_intercept=True
            )
            # The factorisation is LAPACK's, whose bits are its own: what follows is ours.
            mean, _ = solvers.cross_validate(design, folds, torch.from_numpy(ALPHAS))
            results.append(mean)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(results[0], results[1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("standardize", [None, "global"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_ways_through_the_kernel(
    monkeypatch: pytest.MonkeyPatch, standardize: Any, weighted: bool, dtype: torch.dtype
) -> None:
    """A factor in each fold, and one for all, give the same scores in every fold."""
    X, Y = draw(61, 150, 300)
    weights = torch.from_numpy(np.random.default_rng(0).uniform(0.5, 2, 61)) if weighted else None
    alphas = torch.logspace(-2, 5, 30, dtype=torch.float64)
    found = []
    for by_fold in (False, True):
        monkeypatch.setattr(solvers, "factorises_folds", lambda *_, by_fold=by_fold, **__: by_fold)
        design = solvers.make_design(
            torch.from_numpy(X).to(dtype),
            torch.from_numpy(Y).to(dtype),
            fit_intercept=True,
            sample_weight=weights,
            nuisance=torch.linspace(-1, 1, 61, dtype=torch.float64)[:, None],
        )
        mean, folds = solvers.cross_validate(
            design,
            FoldPlan.make(4, n_stim=61),
            alphas,
            standardize=standardize,
            keep_folds=True,
        )
        assert folds is not None
        assert torch.equal(mean, folds.mean(0))
        found.append(folds)
    tolerance = TOLERANCES["fp64_score" if dtype == torch.float64 else "fp32_ridge_score"]
    assert relative(found[0].numpy(), found[1].numpy()) < tolerance


def test_the_way_through_the_kernel_that_takes_less() -> None:
    sizes = [(800, 200)] * 5
    dense = torch.logspace(-1, 6, 20, dtype=torch.float64)[None]
    wide = torch.logspace(1, 20, 20, dtype=torch.float64)[None]
    assert factorises_folds(sizes, dense, 2e4, 10_000, factored=True)
    assert not factorises_folds(sizes, wide, 2e4, 10_000, factored=True)  # few penalties count
    assert not factorises_folds([(900, 100)] * 10, dense, 2e4, 10, factored=True)  # few targets
    assert not factorises_folds([(990, 10)] * 100, dense, 2e4, 2000)  # many folds


def test_awkward_memory() -> None:
    X, Y = draw(60, 40, 6)
    plain = RidgeCV(ALPHAS).fit(X, Y)
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    wide.setflags(write=False)
    turned = np.asfortranarray(Y)
    assert np.allclose(RidgeCV(ALPHAS).fit(wide, turned).coef_, plain.coef_, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": [1.0, 0.0]}, "positive"),
        ({"alphas": []}, "positive"),
        ({"alphas": [np.nan]}, "positive"),
        ({"cv": 100}, "cv must be from 2"),
        ({"scoring": "accuracy"}, "scoring must be one of"),
        ({"standardize": "both"}, "standardize must be one of"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str) -> None:
    X, Y = draw(30, 5, 2)
    with pytest.raises(ValueError, match=message):
        RidgeCV(**change).fit(X, Y)


def test_bad_data_are_refused() -> None:
    X, Y = draw(30, 5, 2)
    with pytest.raises(ValueError, match="independent"):
        RidgeCV().fit(X, Y, nuisance=np.ones((30, 1)))
    with pytest.raises(ValueError, match="negative"):
        RidgeCV().fit(X, Y, -np.ones(30))
    with pytest.raises(ValueError, match="one for each of 2 targets"):
        Ridge([1.0, 2.0, 3.0]).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        RidgeCV().fit(torch.full((30, 5), torch.nan), torch.from_numpy(Y))


def test_progress_may_stop_the_work() -> None:
    from dnnbrain_cpp.exceptions import Cancelled

    X, Y = draw(60, 100, 3000)
    with pytest.raises(Cancelled):
        RidgeCV(ALPHAS, progress=lambda done, total: False).fit(X, Y)


class TestKernelRidgeCV:
    @pytest.mark.parametrize("cv", [4, "loo"])
    @pytest.mark.parametrize("p", [10, 90])
    def test_equal_to_ridge_on_features(self, cv: Any, p: int) -> None:
        X, Y = draw(40, p, 3, offset=2.0)
        kernel = X @ X.T
        ours = KernelRidgeCV(ALPHAS, cv=cv, store_cv_results=True).fit(kernel, Y)
        direct = RidgeCV(ALPHAS, cv=cv, store_cv_results=True).fit(X, Y)
        assert np.array_equal(ours.alpha_, direct.alpha_)
        assert relative(ours.cv_results_, direct.cv_results_) < TOLERANCES["fp64_factor"]
        new = np.random.default_rng(3).standard_normal((7, p))
        assert relative(ours.predict(new @ X.T), direct.predict(new)) < TOLERANCES["fp64_factor"]
        centred = X - X.mean(0)
        assert relative(centred.T @ ours.dual_coef_, direct.coef_.T) < TOLERANCES["fp64_factor"]

    def test_bad_kernels_are_refused(self) -> None:
        X, Y = draw(30, 5, 2)
        with pytest.raises(ValueError, match="square kernel"):
            KernelRidgeCV().fit(X, Y)
        with pytest.raises(ValueError, match="symmetric"):
            KernelRidgeCV().fit(np.random.default_rng(0).random((30, 30)), Y)


@pytest.mark.parametrize("standardize", [None, "global"])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_formed_when_asked_for(standardize: Any, weighted: bool) -> None:
    rng = np.random.default_rng(3)
    # Weights multiply rows before anything is taken off: an offset then costs digits.
    offset = 10 if weighted else 1e5
    X = (rng.standard_normal((40, 300)) * rng.uniform(0.1, 10, 300) + offset).astype(np.float32)
    Y = rng.standard_normal((40, 20)).astype(np.float32) + 50
    new = X[:3] + rng.standard_normal((3, 300)).astype(np.float32)
    weight = rng.uniform(0.5, 2, 40) if weighted else None
    model = RidgeCV(np.logspace(1, 4, 5), standardize=standardize).fit(X, Y, weight)
    assert model._weights._formed is None
    through_rows = model.predict(new)
    assert model._weights._formed is None
    assert model.coef_.shape == (20, 300)
    through_weights = model.predict(new)
    np.testing.assert_allclose(through_rows, through_weights, rtol=2e-6, atol=1e-6)
    twin = RidgeCV(np.logspace(1, 4, 5), standardize=standardize)
    exact = twin.fit(X.astype(np.float64), Y.astype(np.float64), weight).predict(new)
    np.testing.assert_allclose(through_rows, exact, rtol=2e-6)
    again = pickle.loads(pickle.dumps(RidgeCV(np.logspace(1, 4, 5)).fit(X, Y)))
    np.testing.assert_allclose(again.predict(X), RidgeCV(np.logspace(1, 4, 5)).fit(X, Y).predict(X))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("extra", [[], ["weights"], ["nuisance"], ["weights", "nuisance"]])
def test_many_targets_without_their_weights(
    extra: list[str], standardize: bool, intercept: bool
) -> None:
    n, p, t = 24, 60, 150
    X, Y = draw(n, p, t, offset=3.0)
    rng = np.random.default_rng(1)
    beside: dict[str, Any] = {}
    if "weights" in extra:
        beside["sample_weight"] = rng.uniform(0.5, 2, n)
    if "nuisance" in extra:
        beside["nuisance"] = rng.standard_normal((n, 2))
    penalties = np.logspace(-1, 3, t)
    new = rng.standard_normal((7, p)) + 3.0

    def fitted(some: slice) -> Ridge:
        model = Ridge(penalties[some], fit_intercept=intercept, standardize=standardize)
        return model.fit(X, Y[:, some], **beside)

    whole, parts = fitted(slice(None)), [fitted(slice(i, i + 10)) for i in range(0, t, 10)]
    near = TOLERANCES["fp64_factor"]
    # Before and after the weights are formed.
    for model in (whole, whole):
        assert relative(model.predict(new), np.hstack([part.predict(new) for part in parts])) < near
        assert relative(model.coef_, np.concatenate([part.coef_ for part in parts])) < near
    if intercept:
        assert relative(whole.intercept_, np.hstack([part.intercept_ for part in parts])) < near
    if "nuisance" in extra:
        own = np.hstack([part.nuisance_coef_ for part in parts])
        assert relative(whole.nuisance_coef_, own) < near


def test_many_targets_far_from_zero_keep_their_digits() -> None:
    X, Y = draw(24, 60, 150, offset=0.0)
    # Powers of two, so that the offset takes nothing off the features themselves.
    near = (np.round(X * 16) / 16).astype(np.float32)
    far = near + np.float32(2**19)
    plain = Ridge(3.0).fit(near.astype(np.float64), Y)
    moved = Ridge(3.0).fit(far, Y.astype(np.float32))
    assert moved.predict(far).dtype == np.float32
    assert relative(moved.predict(far), plain.predict(near)) < TOLERANCES["fp32_reduction"]
    tensors = Ridge(3.0).fit(torch.from_numpy(far), torch.from_numpy(Y))
    assert isinstance(tensors.coef_, torch.Tensor)
    assert tensors.coef_.shape == (150, 60)
