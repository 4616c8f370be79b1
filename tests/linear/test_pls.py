"""Partial least squares: against scikit-learn, fit by fit and fold by fold, and a twin on units."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression as SklearnPLS
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp._native import core
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.linear import FoldPlan, PLSRegression
from dnnbrain_cpp.linear._pls import cross_validate_pls
from tolerances import TOLERANCES

ATTRIBUTES = [
    "x_weights_",
    "y_weights_",
    "x_loadings_",
    "y_loadings_",
    "x_scores_",
    "y_scores_",
    "x_rotations_",
    "y_rotations_",
    "coef_",
    "intercept_",
]


@parametrize_with_checks([PLSRegression(), PLSRegression(algorithm="exact", scale=False)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, t: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features of decaying variance, a weak relation, means that are not zero."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, min(n, p))) * np.arange(1, min(n, p) + 1) ** -0.5
    x = latent @ rng.standard_normal((min(n, p), p)) + 0.1 * rng.standard_normal((n, p))
    y = latent[:, :5] @ rng.standard_normal((min(n, p, 5), t))
    y = 0.4 * y / y.std(0) + rng.standard_normal((n, t)) + 2 * rng.standard_normal(t)
    return x + rng.standard_normal(p), y


def naive_pls(
    x: NDArray[Any], y: NDArray[Any], k: int, tol: float, max_iter: int
) -> tuple[NDArray[Any], list[int]]:
    """NIPALS on the matrices, as the textbook has it: coefficients of centred data, and counts."""
    x, y = x - x.mean(0), y - y.mean(0)
    weights, loadings, y_loadings, counts = [], [], [], []
    for _ in range(k):
        u, old, count = y[:, 0], None, 0
        for _ in range(max_iter):
            count += 1
            w = x.T @ u
            w /= np.linalg.norm(w)
            s = x @ w
            c = y.T @ s / (s @ s)
            u = y @ c / (c @ c)
            if old is not None and ((w - old) ** 2).sum() < tol:
                break
            old = w
        counts.append(count)
        p = x.T @ s / (s @ s)
        x, y = x - np.outer(s, p), y - np.outer(s, c)
        weights.append(w)
        loadings.append(p)
        y_loadings.append(c)
    w, p, c = (np.array(part).T for part in (weights, loadings, y_loadings))
    return w @ np.linalg.inv(p.T @ w) @ c.T, counts


SHAPES = [
    (60, 200, 8, 6),  # wide
    (60, 20, 8, 6),  # tall
    (40, 40, 3, 5),
    (200, 500, 300, 10),
    (50, 30, 200, 8),  # more targets than rows
    (120, 90, 40, 10),  # p between n / 2 and n: a Gram matrix of deficient rank
    (100, 30, 100, 25),  # most of what there is
    (60, 100, 1, 5),
    (50, 1, 4, 1),
    (300, 600, 2, 3),  # few products: the features are streamed
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [True, False])
def test_nipals_equals_scikit_learn(shape: tuple[int, int, int, int], scale: bool) -> None:
    n, p, t, k = shape
    x, y = draw(n, p, t)
    theirs = SklearnPLS(k, scale=scale).fit(x, y)
    ours = PLSRegression(k, scale=scale).fit(x, y)
    assert ours.n_iter_ == theirs.n_iter_
    for name in ATTRIBUTES:
        check_close(getattr(ours, name), getattr(theirs, name), "fp64_score", name)
    new = draw(17, p, t, seed=1)
    check_close(ours.predict(new[0]), theirs.predict(new[0]), "fp64_score")
    check_close(ours.score(*new), theirs.score(*new), "fp64_score")
    for mine, other in zip(ours.transform(*new), theirs.transform(*new), strict=True):
        check_close(mine, other, "fp64_score")
    scores = ours.transform(*new)
    back, expected = ours.inverse_transform(*scores), theirs.inverse_transform(*scores)
    for mine, other in zip(back, expected, strict=True):
        check_close(mine, other, "fp64_score")
    check_close(ours.inverse_transform(scores[0]), expected[0], "fp64_score")
    for mine, other in zip(
        PLSRegression(k, scale=scale).fit_transform(x, y),
        SklearnPLS(k, scale=scale).fit_transform(x, y),
        strict=True,
    ):
        check_close(mine, other, "fp64_score")


def check_close(ours: Any, theirs: Any, tolerance: str, name: str = "") -> None:
    """Compare relative to the largest value."""
    theirs = np.asarray(theirs)
    assert np.shape(ours) == theirs.shape, name
    atol = TOLERANCES[tolerance] * max(np.abs(theirs).max(), 1e-300)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [True, False])
def test_exact_is_what_scikit_learn_converges_to(
    shape: tuple[int, int, int, int], scale: bool
) -> None:
    n, p, t, k = shape
    x, y = draw(n, p, t, seed=2)
    theirs = SklearnPLS(k, scale=scale, tol=1e-24, max_iter=100_000).fit(x, y)
    ours = PLSRegression(k, scale=scale, algorithm="exact").fit(x, y)
    for name in ATTRIBUTES:
        check_close(getattr(ours, name), getattr(theirs, name), "pls_converged", name)
    if t > 1:
        assert sum(ours.n_iter_) < sum(theirs.n_iter_)
        default = SklearnPLS(k, scale=scale).fit(x, y)
        if k > 1:  # the default is not there yet, or the test would say nothing
            assert np.abs(default.coef_ - theirs.coef_).max() > 1e-5 * np.abs(theirs.coef_).max()


def test_against_a_naive_twin() -> None:
    x, y = draw(45, 70, 6, seed=3)
    for tol in (1e-3, 1e-6, 1e-12, 1e-20):
        ours = PLSRegression(4, scale=False, tol=tol, max_iter=3000).fit(x, y)
        coef, counts = naive_pls(x, y, 4, tol, 3000)
        assert ours.n_iter_ == counts
        check_close(ours.coef_.T, coef, "fp64_score")


def test_exact_against_ikpls() -> None:
    ikpls = pytest.importorskip("ikpls.numpy")
    x, y = draw(60, 40, 7, seed=4)
    model = ikpls.PLS(algorithm=1, center_X=True, center_Y=True, scale_X=True, scale_Y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, 5)
    new = draw(11, 40, 7, seed=5)[0]
    plan = [(np.arange(60), np.arange(60, 71))]
    held_out = cross_validate_pls(
        np.vstack([x, new]), np.vstack([y, y[:11]]), plan, 5, algorithm="exact", predictions=True
    )
    ours = PLSRegression(5, algorithm="exact").fit(x, y).predict(new)
    check_close(ours, model.predict(new, n_components=5), "pls_converged")
    check_close(held_out.predictions[0], ours, "fp64_score")


@pytest.mark.parametrize("max_iter", [1, 2, 7])
def test_iterations_that_do_not_converge(max_iter: int) -> None:
    x, y = draw(50, 80, 12, seed=6)
    with pytest.warns(ConvergenceWarning):
        theirs = SklearnPLS(3, max_iter=max_iter, tol=1e-16).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="Maximum number of iterations reached"):
        ours = PLSRegression(3, max_iter=max_iter, tol=1e-16).fit(x, y)
    assert ours.n_iter_ == theirs.n_iter_ == [max_iter] * 3
    check_close(ours.coef_, theirs.coef_, "fp64_score")
    with pytest.warns(ConvergenceWarning):
        cross_validate_pls(x, y, FoldPlan.make(3, n_stim=50), 3, max_iter=max_iter, tol=1e-16)


# Cross-validation.


def refit(
    x: NDArray[Any], y: NDArray[Any], folds: Any, k: int, scoring: str, **options: Any
) -> NDArray[Any]:
    rows = []
    for train, test in folds:
        model = SklearnPLS(k, **options).fit(x[train], y[train])
        predicted = model.predict(x[test]).reshape(len(test), -1)
        if scoring == "r":
            rows.append(
                [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[test].T, strict=True)]
            )
        else:
            total = ((y[test] - y[test].mean(0)) ** 2).sum(0)
            rows.append(1 - ((y[test] - predicted) ** 2).sum(0) / total)
    return np.array(rows)


GROUPS = np.repeat(np.arange(6), [14, 5, 11, 9, 7, 14])

SCHEMES = {
    "kfold": KFold(5),
    "shuffled": KFold(4, shuffle=True, random_state=0),
    "runs": GroupKFold(3),
    "gaps": ShuffleSplit(3, train_size=30, test_size=12, random_state=1),
    "bootstrap": [
        (np.random.default_rng(f).integers(0, 45, 50), np.arange(45, 60)) for f in range(2)
    ],
    "unequal": [(np.arange(20), np.arange(20, 60)), (np.arange(15, 60), np.arange(15))],
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("p", [15, 45, 150])
def test_held_out_scores(scheme: str, scale: bool, p: int) -> None:
    x, y = draw(60, p, 7, seed=7)
    plan = FoldPlan.make(SCHEMES[scheme], n_stim=60, groups=GROUPS if scheme == "runs" else None)
    for scoring in ("r", "r2"):
        held_out = cross_validate_pls(
            x, y, plan, 6, scale=scale, scoring=scoring, counts=[1, 3, 6], predictions=True
        )
        for place, k in enumerate((1, 3, 6)):
            expected = refit(x, y, plan, k, scoring, scale=scale)
            np.testing.assert_allclose(
                held_out.scores[place].numpy(), expected, rtol=0, atol=TOLERANCES["fp64_score"]
            )
    for (train, test), predicted in zip(plan, held_out.predictions, strict=True):
        theirs = SklearnPLS(6, scale=scale).fit(x[train], y[train])
        check_close(predicted.numpy(), theirs.predict(x[test]), "fp64_score")


@pytest.mark.parametrize("t", [1, 2, 40, 600])
@pytest.mark.parametrize("scale", [True, False])
def test_few_and_many_targets(t: int, scale: bool) -> None:
    x, y = draw(50, 80, t, seed=8)
    plan = FoldPlan.make(4, n_stim=50)
    ours = cross_validate_pls(x, y, plan, 3, scale=scale)
    np.testing.assert_allclose(
        ours.scores[0].numpy(),
        refit(x, y, plan, 3, "r", scale=scale),
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )


def test_streamed_features() -> None:
    """One target and many rows: no Gram matrix is formed."""
    x, y = draw(150, 200, 1, seed=9)
    plan = FoldPlan.make(3, n_stim=150)
    for scale in (True, False):
        ours = cross_validate_pls(x, y, plan, 2, scale=scale)
        np.testing.assert_allclose(
            ours.scores[0].numpy(),
            refit(x, y, plan, 2, "r", scale=scale),
            rtol=0,
            atol=TOLERANCES["fp64_score"],
        )


def test_exact_folds() -> None:
    x, y = draw(60, 100, 9, seed=10)
    plan = FoldPlan.make(5, n_stim=60)
    for scale in (True, False):
        ours = cross_validate_pls(x, y, plan, 4, scale=scale, algorithm="exact")
        expected = refit(x, y, plan, 4, "r", scale=scale, tol=1e-24, max_iter=100_000)
        np.testing.assert_allclose(
            ours.scores[0].numpy(), expected, rtol=0, atol=TOLERANCES["pls_converged"]
        )


@pytest.mark.parametrize("algorithm", ["nipals", "exact"])
def test_many_float32_features(algorithm: str) -> None:
    """What the folds' Gram matrices do not share is formed in float32, where it is small."""
    x, y = draw(120, 33_000, 4, seed=30)
    x[:, 1] = np.arange(120) == 3  # units that are active for one stimulus, or in one fold
    x[12:, 2] = 1e3
    x[:12, 3] *= 1000
    x[:, 4] = 7.0
    x[:, 5] += 1e3
    low = x.astype(np.float32)
    high = low.astype(np.float64)
    plan = FoldPlan.make(10, n_stim=120)
    ours = cross_validate_pls(low, y, plan, 3, algorithm=algorithm)
    in_double = cross_validate_pls(high, y, plan, 3, algorithm=algorithm)
    one_by_one = cross_validate_pls(low, y, plan, 3, algorithm=algorithm, max_bytes=1)
    assert not torch.equal(ours.scores, in_double.scores)
    close = partial(torch.testing.assert_close, rtol=0, atol=TOLERANCES["fp64_score"])
    close(ours.scores, in_double.scores)
    close(one_by_one.scores, in_double.scores)
    if algorithm == "nipals":
        close(ours.scores[0, :2], torch.tensor(refit(high, y, list(plan)[:2], 3, "r")))


def test_a_gram_matrix_about_any_centre() -> None:
    x, y = draw(50, 90, 5, seed=11)
    plan = FoldPlan.make(5, n_stim=50)
    expected = cross_validate_pls(x, y, plan, 4, scale=False).scores
    for shift in (0, x.mean(0), 3.0):
        gram = (x - shift) @ (x - shift).T
        ours = cross_validate_pls(gram, y, plan, 4, kernel=True, scale=False).scores
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_little_memory_takes_folds_in_turn() -> None:
    x, y = draw(50, 90, 60, seed=12)
    plan = FoldPlan.make(5, n_stim=50)
    expected = cross_validate_pls(x, y, plan, 4, predictions=True)
    ours = cross_validate_pls(x, y, plan, 4, predictions=True, max_bytes=1)
    torch.testing.assert_close(
        ours.scores, expected.scores, rtol=0, atol=TOLERANCES["fp64_reduction"]
    )
    assert torch.equal(ours.n_iter, expected.n_iter)
    assert len(ours.predictions) == 5


# Hard data.


def test_constant_columns_and_targets() -> None:
    x, y = draw(60, 90, 6, seed=13)
    x[:, 3] = 2.0
    x[12:, 5] = 4.0  # varies in the first held-out fold alone
    y[:, 0] = 1.0  # the iteration starts from the first that varies
    y[12:, 4] = 0.5
    plan = FoldPlan.make(5, n_stim=60)
    theirs = SklearnPLS(4).fit(x, y)
    ours = PLSRegression(4).fit(x, y)
    assert ours.n_iter_ == theirs.n_iter_
    check_close(ours.coef_, theirs.coef_, "fp64_score")
    for scale in (True, False):
        held_out = cross_validate_pls(x, y, plan, 4, scale=scale, scoring="r2").scores[0].numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = refit(x, y, plan, 4, "r2", scale=scale)
        np.testing.assert_array_equal(np.isnan(held_out[:, 0]), True)
        np.testing.assert_array_equal(np.isnan(held_out[1:, 4]), True)
        defined = ~np.isnan(held_out)
        np.testing.assert_allclose(
            held_out[defined], expected[defined], rtol=0, atol=TOLERANCES["fp64_score"]
        )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_a_mean_that_is_no_float_is_no_variance(value: float) -> None:
    x, y = draw(60, 90, 6, seed=14)
    without = PLSRegression(3).fit(x[:, 1:], y[:, 1:])
    x[:, 0] = y[:, 0] = value
    ours = PLSRegression(3).fit(x, y)
    assert ours.n_iter_ == without.n_iter_
    check_close(ours.coef_[1:, 1:], without.coef_, "fp64_score")
    np.testing.assert_array_equal(ours.coef_[:, 0], 0)
    np.testing.assert_array_equal(ours.predict(x)[:, 0], value)


def test_dead_features_predict_the_mean() -> None:
    _, y = draw(40, 5, 3, seed=15)
    dead = np.full((40, 100), 0.1)
    with pytest.warns(UserWarning, match="constant at iteration 0"):
        model = PLSRegression(2).fit(dead, y)
    np.testing.assert_allclose(model.predict(dead), np.tile(y.mean(0), (40, 1)), rtol=1e-14)
    with pytest.warns(UserWarning, match="fold 0 has only 0 of 2 components"):
        scores = cross_validate_pls(dead, y, FoldPlan.make(4, n_stim=40), 2).scores
    np.testing.assert_array_equal(scores, 0)


def test_targets_that_are_all_constant() -> None:
    x, _ = draw(20, 30, 1)
    for y in (np.full((20, 3), 1 / 3), np.zeros(20)):
        with pytest.warns(UserWarning, match="y residual is constant at iteration 0"):
            model = PLSRegression(2).fit(x, y)
        assert model.n_iter_ == []
        np.testing.assert_array_equal(model.predict(x), y)
        np.testing.assert_array_equal(model.x_scores_, np.zeros((20, 2)))


def test_an_exact_fit_ends_early() -> None:
    """One component explains all of y."""
    rng = np.random.default_rng(16)
    latent = rng.standard_normal((30, 1))
    x = np.hstack([latent, np.zeros((30, 4))])
    y = latent @ rng.standard_normal((1, 3)) + 5
    with pytest.warns(UserWarning, match="constant at iteration 1"):
        model = PLSRegression(3).fit(x, y)
    assert model.x_weights_.shape == (5, 3)
    np.testing.assert_array_equal(model.x_weights_[:, 1:], 0)
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-12)


def test_a_first_target_unrelated_to_the_features() -> None:
    x = np.hstack([np.repeat([[1.0], [-1.0]], 10, axis=0), np.zeros((20, 2))])
    y = np.column_stack([np.tile([1.0, -1.0], 10), x[:, 0] + np.tile([0.3, -0.3], 10)])
    model = PLSRegression(1).fit(x, y)
    np.testing.assert_allclose(model.predict(x)[:, 1], x[:, 0], atol=1e-12)


def test_repeated_stimuli_have_a_rank() -> None:
    x, y = draw(12, 80, 5, seed=17)
    x = np.tile(x, (4, 1))
    y = np.tile(y, (4, 1)) + 0.1 * np.random.default_rng(0).standard_normal((48, 5))
    theirs, ours = SklearnPLS(8).fit(x, y), PLSRegression(8).fit(x, y)
    assert ours.n_iter_ == theirs.n_iter_
    check_close(ours.coef_, theirs.coef_, "fp64_score")
    with pytest.warns(UserWarning, match="constant at iteration 11"):
        more = PLSRegression(14).fit(x, y)
    check_close(more.predict(x), PLSRegression(11).fit(x, y).predict(x), "fp64_score")


def test_duplicated_columns() -> None:
    x, y = draw(40, 30, 5, seed=18)
    for scale in (True, False):
        check_close(
            PLSRegression(6, scale=scale).fit(np.hstack([x, x, x[:, :7]]), y).coef_,
            SklearnPLS(6, scale=scale).fit(np.hstack([x, x, x[:, :7]]), y).coef_,
            "fp64_score",
        )


def test_a_run_at_a_thousand_times_the_scale() -> None:
    x, y = draw(60, 100, 6, seed=19)
    x[:12] *= 1000
    plan = FoldPlan.make(5, n_stim=60)
    for scale in (True, False):
        ours = cross_validate_pls(x, y, plan, 3, scale=scale, scoring="r").scores[0]
        expected = refit(x, y, plan, 3, "r", scale=scale)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_factor"])


def test_offsets_scales_and_float32() -> None:
    x, y = draw(60, 100, 6, seed=20)
    y = y * [1e3, 1e3, 1e-3, 1, 1, 1] + [0, 1e6, 0, 1e4, 0, 0]
    plan = FoldPlan.make(5, n_stim=60)
    low = (100 * x + 1e6).astype(np.float32)
    for data, responses in ((low, y.astype(np.float32)), (x * 1e-12, y), (x * 1e12, y)):
        ours = cross_validate_pls(data, responses, plan, 4, predictions=True)
        expected = refit(data.astype(float), responses.astype(float), plan, 4, "r")
        np.testing.assert_allclose(ours.scores[0], expected, rtol=0, atol=TOLERANCES["fp64_factor"])
        assert ours.predictions[0].numpy().dtype == responses.dtype
    model = PLSRegression(4).fit(low, y.astype(np.float32))
    for name in ATTRIBUTES:
        assert getattr(model, name).dtype == np.float32
    assert model.predict(low).dtype == np.float32
    expected_rows = SklearnPLS(4).fit(low.astype(float), y.astype(np.float32).astype(float))
    check_close(model.predict(low), expected_rows.predict(low.astype(float)), "fp32_reduction")


# What goes in and out.


def test_tensors_stay_tensors() -> None:
    x, y = draw(40, 60, 4, seed=21)
    expected = PLSRegression(3).fit(x, y)
    model = PLSRegression(3).fit(torch.tensor(x), torch.tensor(y))
    for name in ATTRIBUTES:
        assert isinstance(getattr(model, name), torch.Tensor)
        check_close(getattr(model, name), getattr(expected, name), "fp64_reduction")
    rows, targets = model.transform(torch.tensor(x), torch.tensor(y))
    check_close(rows, expected.x_scores_, "fp64_reduction")
    check_close(targets, expected.transform(x, y)[1], "fp64_reduction")
    assert isinstance(model.predict(torch.tensor(x)), torch.Tensor)
    assert isinstance(model.inverse_transform(rows), torch.Tensor)
    assert model.score(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected.score(x, y))


def test_one_dimensional_targets() -> None:
    x, y = draw(40, 60, 1, seed=22)
    theirs, ours = SklearnPLS(3).fit(x, y[:, 0]), PLSRegression(3).fit(x, y[:, 0])
    assert ours.predict(x).shape == (40,)
    check_close(ours.predict(x), theirs.predict(x), "fp64_score")
    assert ours.coef_.shape == theirs.coef_.shape == (1, 60)


def test_memory_maps_strides_and_read_only(tmp_path: Path) -> None:
    x, y = draw(40, 60, 4, seed=23)
    plan = FoldPlan.make(4, n_stim=40)
    expected = cross_validate_pls(x, y, plan, 3).scores
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    frozen = x.copy()
    frozen.setflags(write=False)
    for data in (mapped, strided, frozen, np.asfortranarray(x), torch.tensor(x)):
        assert torch.equal(cross_validate_pls(data, y, plan, 3).scores, expected)
    np.testing.assert_array_equal(
        PLSRegression(3, copy=False).fit(frozen, y).coef_, PLSRegression(3).fit(x, y).coef_
    )


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shape", [(150, 350, 160), (150, 40, 20), (150, 350, 1)], ids=str)
def test_same_bits_for_any_number_of_threads(shape: tuple[int, int, int], scale: bool) -> None:
    x, y = draw(*shape, seed=24)
    plan = FoldPlan.make(2, n_stim=150)
    results = []
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            held_out = cross_validate_pls(x, y, plan, 2, scale=scale, counts=[1, 2])
            model = PLSRegression(2, scale=scale).fit(x, y)
            results.append((held_out.scores, torch.tensor(model.coef_)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_what_is_refused() -> None:
    x, y = draw(30, 20, 3)
    plan = FoldPlan.make(3, n_stim=30)
    with pytest.raises(ValueError, match=r"upper bound is 20\. Got 21"):
        PLSRegression(21).fit(x, y)
    with pytest.raises(ValueError, match="algorithm"):
        PLSRegression(algorithm="svd").fit(x, y)
    with pytest.raises(ValueError, match="requires y"):
        PLSRegression().fit(x, None)
    with pytest.raises(ValueError, match=r"from 1 to 19.*training set of fold 0.*got 20"):
        cross_validate_pls(np.hstack([x, x]), y, plan, 20)
    with pytest.raises(ValueError, match="from 1 to 2,"):
        cross_validate_pls(x[:, :2], y, plan, 3)
    with pytest.raises(ValueError, match="at least 2 rows"):
        cross_validate_pls(x, y, FoldPlan.make("loo", n_stim=30, min_test=1), 2)
    with pytest.raises(ValueError, match="Gram matrix"):
        cross_validate_pls(x @ x.T, y, plan, 2, kernel=True)
    with pytest.raises(ValueError, match="square"):
        cross_validate_pls(x, y, plan, 2, kernel=True, scale=False)
    with pytest.raises(ValueError, match="as many rows"):
        cross_validate_pls(x, y[:20], plan, 2)
    with pytest.raises(ValueError, match="counts must be at most"):
        cross_validate_pls(x, y, plan, 2, counts=[3])
    with pytest.raises(ValueError, match="scoring"):
        cross_validate_pls(x, y, plan, 2, scoring="mse")
    with pytest.raises(ValueError, match="targets that the estimator"):
        PLSRegression().fit(x, y).transform(x, y[:, :2])
    with pytest.raises(ValueError, match="a column per component"):
        PLSRegression().fit(x, y).inverse_transform(x)
    x[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        cross_validate_pls(x, y, plan, 2)


def test_leave_one_out_predictions() -> None:
    x, y = draw(12, 30, 2, seed=25)
    plan = FoldPlan.make("loo", n_stim=12, min_test=1)
    held_out = cross_validate_pls(x, y, plan, 2, predictions=True)
    assert torch.isnan(held_out.scores).all()
    for (train, test), predicted in zip(plan, held_out.predictions, strict=True):
        expected = SklearnPLS(2).fit(x[train], y[train]).predict(x[test])
        check_close(predicted, expected, "fp64_score")


def test_progress_and_stopping() -> None:
    x, y = draw(40, 60, 4, seed=26)
    seen: list[tuple[int, int]] = []
    cross_validate_pls(
        x, y, FoldPlan.make(4, n_stim=40), 2, progress=lambda a, b: seen.append((a, b))
    )
    assert seen
    assert all(0 <= done <= total == 4 for done, total in seen)
    with pytest.raises(Cancelled):
        cross_validate_pls(
            x, y, FoldPlan.make(4, n_stim=40), 2, progress=lambda _done, _total: False
        )


@pytest.mark.boundary
def test_the_core_refuses_what_python_converts() -> None:
    options = core.PlsOptions(2, True, core.PlsAlgorithm.nipals, 500, 1e-6)
    x, y = torch.zeros(5, 3), torch.zeros(4, 2)
    with pytest.raises(ValueError, match="responses must be"):
        core.fit_pls(x, y, options, None)
    with pytest.raises(ValueError, match="features must be"):
        core.fit_pls(x.long(), torch.zeros(5, 2), options, None)
