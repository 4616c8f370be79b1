"""Banded ridge: against scikit-learn's ridge in loops, himalaya's draws, and finite differences."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.linear import BandedRidgeCV, draw_band_weights, solve_banded_ridge
from dnnbrain_cpp.linear._band_gradient import weight_gradient
from dnnbrain_cpp.linear._band_search import BestSoFar, Curves, KernelScores, choose_alphas
from dnnbrain_cpp.linear._bands import resolve_bands
from dnnbrain_cpp.linear._folds import FoldPlan
from tolerances import TOLERANCES

ALPHAS = np.logspace(-1, 3, 5)
WEIGHTS = np.array([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0], [1.0, 0.0], [0.2, 0.8]])


@parametrize_with_checks(
    [
        BandedRidgeCV(n_iter=3, random_state=0),
        BandedRidgeCV(n_iter=2, solver="gradient", n_refine=2, random_state=0),
    ]
)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(
    n: int = 45, sizes: tuple[int, ...] = (6, 9), t: int = 4, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Targets that listen to the bands in different measures."""
    rng = np.random.default_rng(seed)
    bands = [rng.standard_normal((n, p)) * 2 ** rng.standard_normal() + 1 for p in sizes]
    shares = rng.dirichlet([0.5] * len(sizes), t).T
    y = rng.standard_normal((n, t)) * 2 + 3
    for band, share in zip(bands, shares, strict=True):
        y += band @ rng.standard_normal((band.shape[1], t)) * np.sqrt(share)
    return np.hstack(bands), y


def scaled(x: NDArray[Any], sizes: tuple[int, ...], weights: NDArray[Any]) -> NDArray[Any]:
    return x * np.sqrt(np.repeat(weights, sizes))


def score_of(scoring: str, y: NDArray[Any], p: NDArray[Any]) -> float:
    if scoring == "mse":
        return float(-((y - p) ** 2).mean())
    if scoring == "r2":
        return float(r2_score(y, p))
    return float(np.corrcoef(y, p)[0, 1])


def naive_scores(
    x: NDArray[Any],
    y: NDArray[Any],
    sizes: tuple[int, ...],
    weights: NDArray[Any],
    alphas: NDArray[Any],
    folds: list[Any],
    scoring: str = "mse",
    fit_intercept: bool = True,
) -> NDArray[Any]:
    """Return (k, g, a, t) by refitting scikit-learn's ridge on scaled columns."""
    scores = np.zeros((len(folds), len(weights), len(alphas), y.shape[1]))
    for k, (train, test) in enumerate(folds):
        for g, weight in enumerate(weights):
            z = scaled(x, sizes, weight)
            for a, alpha in enumerate(alphas):
                model = Ridge(alpha, fit_intercept=fit_intercept).fit(z[train], y[train])
                predicted = model.predict(z[test]).reshape(len(test), -1)
                for t in range(y.shape[1]):
                    scores[k, g, a, t] = score_of(scoring, y[test, t], predicted[:, t])
    return scores


def check_against_naive(
    model: BandedRidgeCV,
    x: NDArray[Any],
    y: NDArray[Any],
    sizes: tuple[int, ...],
    folds: list[Any],
    weights: NDArray[Any] = WEIGHTS,
) -> None:
    options = {"scoring": model.scoring or "mse", "fit_intercept": model.fit_intercept}
    each = naive_scores(x, y, sizes, weights, ALPHAS, folds, **options)
    curves = each.mean(0)  # (g, a, t)
    best = curves.max(1)
    scale = np.abs(best).max()
    tolerance = TOLERANCES["fp64_score"] * max(scale, 1)
    np.testing.assert_allclose(model.cv_scores_, best, rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.best_score_, best.max(0), rtol=0, atol=tolerance)
    for t in range(y.shape[1]):
        # Whatever was chosen is as good as the best.
        g = int(np.flatnonzero((weights == model.band_weights_[:, t]).all(1))[0])
        a = int(np.flatnonzero(model.alpha_[t] == ALPHAS)[0])
        assert curves[g, a, t] == pytest.approx(best[:, t].max(), abs=1e-9 * max(scale, 1))
        peer = Ridge(ALPHAS[a], fit_intercept=model.fit_intercept)
        z = scaled(x, sizes, weights[g])
        peer.fit(z, y[:, t])
        coef = peer.coef_ * np.sqrt(np.repeat(weights[g], sizes))
        atol = TOLERANCES["fp64_factor"] * np.abs(coef).max()
        np.testing.assert_allclose(model.coef_[t], coef, rtol=0, atol=atol)
        np.testing.assert_allclose(
            model.intercept_[t], peer.intercept_, atol=TOLERANCES["fp64_factor"]
        )
        np.testing.assert_allclose(
            model.predict(x)[:, t], peer.predict(z), atol=TOLERANCES["fp64_factor"] * 10
        )


@pytest.mark.parametrize("scoring", [None, "r2", "r"])
@pytest.mark.parametrize(
    ("n", "sizes"), [(45, (6, 9)), (23, (20, 30)), (16, (7, 8)), (30, (1, 1))], ids=str
)
def test_against_scikit_learn(n: int, sizes: tuple[int, ...], scoring: str | None) -> None:
    x, y = draw(n, sizes)
    model = BandedRidgeCV(sizes, ALPHAS, n_iter=WEIGHTS, cv=4, scoring=scoring).fit(x, y)
    check_against_naive(model, x, y, sizes, list(KFold(4).split(x)))


def test_without_intercept() -> None:
    x, y = draw()
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, fit_intercept=False).fit(x, y)
    check_against_naive(model, x, y, (6, 9), list(KFold(5).split(x)))
    assert (model.intercept_ == 0).all()


def test_hard_cases() -> None:
    x, y = draw(40, (6, 9), t=5)
    x[:, 3] = 7.0  # constant
    x[:, 4] = x[:, 5]  # duplicated
    x[10:20] *= 1000  # one run
    y[:, 1] *= 1e3  # variance of 1e6 or more
    y[:, 2] = 0.1  # constant
    folds = [
        (np.r_[10:40], np.r_[0:8]),
        (np.r_[0:20, 25:40], np.r_[20:24]),
        (np.r_[0:30], np.r_[30:40]),
    ]
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, cv=folds).fit(x, y)
    each = naive_scores(x, y, (6, 9), WEIGHTS, ALPHAS, folds).mean(0).max(1)
    np.testing.assert_allclose(model.cv_scores_, each, rtol=1e-7, atol=1e-20)
    assert np.isfinite(model.predict(x)).all()
    np.testing.assert_allclose(model.predict(x)[:, 2], 0.1)


def test_groups() -> None:
    x, y = draw(48)
    groups = np.arange(48) // 12
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, cv=4).fit(x, y, groups=groups)
    check_against_naive(model, x, y, (6, 9), list(GroupKFold(4).split(x, groups=groups)))


def test_leave_one_out() -> None:
    x, y = draw(20)
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, cv="loo").fit(x, y)
    check_against_naive(model, x, y, (6, 9), list(KFold(20).split(x)))
    with pytest.raises(ValueError, match="hold out"):
        BandedRidgeCV((6, 9), ALPHAS, cv="loo", scoring="r").fit(x, y)


def test_one_band_one_target() -> None:
    x, y = draw()
    model = BandedRidgeCV(alphas=ALPHAS, n_iter=1, cv=3).fit(x, y[:, 0])
    curves = naive_scores(x, y[:, :1], (15,), np.ones((1, 1)), ALPHAS, list(KFold(3).split(x)))
    assert model.best_score_ == pytest.approx(curves.mean(0).max())
    assert model.band_weights_.shape == model.deltas_.shape == (1,)
    assert model.coef_.shape == (15,)
    assert model.predict(x).shape == (45,)
    assert model.predict(x, split=True).shape == (1, 45)


def test_shared_by_all_targets() -> None:
    x, y = draw(t=6)
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, alpha_per_target=False).fit(x, y)
    curves = naive_scores(x, y, (6, 9), WEIGHTS, ALPHAS, list(KFold(5).split(x))).mean((0, 3))
    g, a = np.unravel_index(curves.argmax(), curves.shape)
    assert (model.alpha_ == ALPHAS[a]).all()
    assert (model.band_weights_ == WEIGHTS[g][:, None]).all()
    assert model.best_score_.mean() == pytest.approx(curves.max())


def test_conservative() -> None:
    x, y = draw(t=8)
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS[:1], conservative=True).fit(x, y)
    each = naive_scores(x, y, (6, 9), WEIGHTS[:1], ALPHAS, list(KFold(5).split(x)))[:, 0]
    mean, std = each.mean(0), each.std(0)
    for t in range(8):
        best = mean[:, t].argmax()
        enough = np.flatnonzero(mean[:, t] >= mean[best, t] - std[best, t])
        assert model.alpha_[t] == ALPHAS[enough.max()]
        assert model.best_score_[t] == pytest.approx(mean[enough.max(), t])
    plain = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS[:1]).fit(x, y)
    assert (model.alpha_ >= plain.alpha_).all()
    assert (model.alpha_ > plain.alpha_).any()


@pytest.mark.parametrize("per_target", [True, False])
def test_ties_go_to_the_largest_alpha_and_nothing_to_explain_to_the_largest_too(
    per_target: bool,
) -> None:
    mean = torch.tensor([[1.0, 2.0, np.nan], [2.0, 2.0 - 1e-12, np.nan], [2.0, 0.0, np.nan]])
    alphas = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    place, score = choose_alphas(
        Curves(mean.double(), None), alphas, per_target=per_target, conservative=False
    )
    assert place.tolist() == [1, 1, 1]
    assert score.tolist()[:1] == [2.0]
    best = BestSoFar(3, mean.device, per_target=per_target)
    best.update(0, alphas[place], score)
    best.update(1, alphas[place], score)
    assert best.candidate.tolist() == [0, 0, 0]


def test_draws_are_those_of_himalaya() -> None:
    from himalaya.kernel_ridge import generate_dirichlet_samples

    for n_iter, n_band, concentration in (
        (7, 3, [0.1, 1.0]),
        (10, 2, [1.0]),
        (8, 4, [0.5, np.inf, 1.0]),
        (1, 2, [0.1, 1.0]),
    ):
        peer = np.array(generate_dirichlet_samples(n_iter, n_band, concentration, random_state=3))
        peer[0] = 1 / n_band
        ours = draw_band_weights(n_iter, n_band, concentration=concentration, random_state=3)
        np.testing.assert_array_equal(ours, peer)


def test_random_states() -> None:
    rng = np.random.default_rng(1)
    first, second = (draw_band_weights(5, 3, random_state=rng) for _ in range(2))
    assert (first[1:] != second[1:]).all()
    again = draw_band_weights(5, 3, random_state=np.random.default_rng(1))
    np.testing.assert_array_equal(first, again)
    state = np.random.RandomState(4)
    np.testing.assert_array_equal(
        draw_band_weights(5, 3, random_state=state), draw_band_weights(5, 3, random_state=4)
    )
    assert (draw_band_weights(5, 3)[1:] != draw_band_weights(5, 3)[1:]).any()
    with pytest.raises(TypeError, match="random_state must be an int"):
        draw_band_weights(5, 3, random_state="one")
    for wrong in (0.0, [], [-1.0]):
        with pytest.raises(ValueError, match="concentration must be"):
            draw_band_weights(5, 3, concentration=wrong)


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("per_target", [True, False])
def test_himalaya_finds_the_same(per_target: bool, jitter: bool) -> None:
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    set_backend("numpy")
    sizes = (8, 5, 12)
    x, y = draw(60, sizes, t=20)
    ends = np.cumsum(sizes)
    kernels = np.stack(
        [x[:, e - s : e] @ x[:, e - s : e].T for s, e in zip(sizes, ends, strict=True)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        deltas, duals, cv_scores, alphas, intercept = solve_multiple_kernel_ridge_random_search(
            kernels.copy(),
            y.copy(),
            n_iter=12,
            alphas=ALPHAS,
            cv=5,
            fit_intercept=True,
            return_weights="dual",
            local_alpha=per_target,
            jitter_alphas=jitter,
            random_state=7,
            progress_bar=False,
            return_alphas=True,
        )
    ours = solve_banded_ridge(
        kernels,
        y,
        ALPHAS,
        n_iter=12,
        alpha_per_target=per_target,
        jitter_alphas=jitter,
        random_state=7,
    )
    np.testing.assert_allclose(ours.cv_scores, cv_scores, rtol=1e-8)
    np.testing.assert_allclose(ours.alpha, alphas)
    np.testing.assert_allclose(np.exp(ours.deltas), np.exp(deltas), atol=1e-12)
    np.testing.assert_allclose(ours.intercept, intercept, rtol=1e-6)
    np.testing.assert_allclose(ours.dual_coef * alphas, duals, atol=1e-7 * np.abs(duals).max())
    estimator = BandedRidgeCV(
        sizes, ALPHAS, n_iter=12, alpha_per_target=per_target, jitter_alphas=jitter, random_state=7
    ).fit(x, y)
    np.testing.assert_allclose(estimator.cv_scores_, ours.cv_scores, rtol=1e-9)
    np.testing.assert_allclose(estimator.predict(x), ours.predict(kernels), rtol=1e-7)
    np.testing.assert_allclose(
        ours.predict(dict(enumerate(kernels)), split=True).sum(0) + ours.intercept,
        ours.predict(kernels),
    )


@pytest.mark.parametrize("scoring", ["mse", "r2", "r"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_gradient_is_that_of_finite_differences(scoring: str, fit_intercept: bool) -> None:
    x, y = draw(40, (6, 9), t=3)
    parts = torch.from_numpy(x).split([6, 9], dim=1)
    kernels = torch.stack([part @ part.T for part in parts])
    objective = KernelScores(
        kernels,
        torch.from_numpy(y),
        FoldPlan.make(4, n_stim=40),
        scoring=scoring,
        fit_intercept=fit_intercept,
    )
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    alphas = torch.tensor([0.5, 20.0, 300.0], dtype=torch.float64)
    gradient = weight_gradient(objective, weights, alphas, torch.arange(3))
    for band in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[band] = 1e-5
        up, down = (
            objective.curves((weights + s * step)[None], alphas[None])[0].mean for s in (1, -1)
        )
        expected = ((up - down) / 2e-5).diagonal()
        np.testing.assert_allclose(gradient[band], expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("scoring", [None, "r"])
@pytest.mark.parametrize("per_target", [True, False])
def test_refinement_only_ever_gains(scoring: str | None, per_target: bool) -> None:
    x, y = draw(60, (10, 15, 5), t=12, seed=1)
    y[:, 3] *= 1e3
    options: dict[str, Any] = {
        "n_iter": 4,
        "random_state": 0,
        "scoring": scoring,
        "alpha_per_target": per_target,
    }
    plain = BandedRidgeCV((10, 15, 5), ALPHAS, **options).fit(x, y)
    refined = BandedRidgeCV((10, 15, 5), ALPHAS, solver="gradient", n_refine=12, **options)
    refined.fit(x, y)
    np.testing.assert_allclose(refined.cv_scores_[:4], plain.cv_scores_, rtol=1e-10)
    np.testing.assert_allclose(refined.band_weights_.sum(0), 1)
    assert np.isin(refined.alpha_, ALPHAS).all()
    if per_target:
        assert (refined.best_score_ >= plain.best_score_ - 1e-10 * abs(plain.best_score_)).all()
        assert (refined.best_score_ > plain.best_score_ + 1e-6).mean() > 0.5
        np.testing.assert_array_equal(refined.best_score_, refined.cv_scores_.max(0))
    else:
        assert refined.best_score_.mean() > plain.best_score_.mean()
    assert len(refined.candidates_) == len(refined.cv_scores_) <= 16


def test_split_scores_add_up() -> None:
    x, y = draw(80, (6, 9, 4), t=5)
    model = BandedRidgeCV((6, 9, 4), ALPHAS, n_iter=5, random_state=0).fit(x[:50], y[:50])
    parts = model.predict(x[50:], split=True)
    np.testing.assert_allclose(parts.sum(0) + y[:50].mean(0), model.predict(x[50:]))
    scores = model.score(x[50:], y[50:], split=True)
    total = r2_score(y[50:], model.predict(x[50:]), multioutput="raw_values")
    np.testing.assert_allclose(scores.sum(0), total, atol=TOLERANCES["fp64_score"])
    assert model.score(x[50:], y[50:]) == pytest.approx(total.mean())
    # Without an offset between the means, it is the product measure as it stands in the books.
    test = y[50:] - y[50:].mean(0) + y[:50].mean(0)
    about = test - test.mean(0)
    expected = (2 * about * parts - parts * parts.sum(0)).sum(1) / (about**2).sum(0)
    np.testing.assert_allclose(model.score(x[50:], test, split=True), expected, atol=1e-12)
    constant = model.score(x[50:], np.full((30, 5), 2.0), split=True)
    assert np.isnan(constant).all()
    with pytest.raises(ValueError, match=r"y must have shape \(30, 5\)"):
        model.score(x[50:], y[50:, :2], split=True)


def test_winner_takes_all() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 20))
    y = np.column_stack([x[:, :10].sum(1), x[:, 10:].sum(1)]) + rng.standard_normal((80, 2))
    model = BandedRidgeCV({"left": slice(0, 10), "right": slice(10, 20)}, ALPHAS, n_iter=np.eye(2))
    model.fit(x, y)
    np.testing.assert_array_equal(model.band_weights_, np.eye(2))
    assert (model.coef_[0, 10:] == 0).all()
    assert (model.coef_[1, :10] == 0).all()
    assert np.isneginf(model.deltas_[0, 1])
    assert list(model.bands_) == ["left", "right"]


def test_predicting_by_kernels_or_weights() -> None:
    x, y = draw(20, (30, 50), t=3)
    model = BandedRidgeCV((30, 50), ALPHAS, n_iter=3, random_state=0).fit(x, y)
    new = np.random.default_rng(1).standard_normal((200, 80))
    expected = new @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-9, atol=1e-9)  # by weights
    np.testing.assert_allclose(model.predict(new[:1]), expected[:1], rtol=1e-9, atol=1e-9)
    wide, responses = draw(20, (30, 50), t=40)
    model.fit(wide, responses)
    expected = new[:3] @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.predict(new[:3]), expected, rtol=1e-9, atol=1e-9)


def test_float32_offsets_and_tensors() -> None:
    x, y = draw(60, (10, 15), t=6)
    exact = BandedRidgeCV((10, 15), ALPHAS, n_iter=6, random_state=0).fit(x, y)
    # Offsets that float32 holds exactly, with 1e6 times less variance.
    rounded = np.round(x * 16) / 16
    shifted = (rounded + 2.0**17).astype(np.float32)
    y32 = y.astype(np.float32)
    plain = BandedRidgeCV((10, 15), ALPHAS, n_iter=6, random_state=0).fit(rounded, y)
    model = BandedRidgeCV((10, 15), ALPHAS, n_iter=6, random_state=0).fit(shifted, y32)
    np.testing.assert_allclose(model.cv_scores_, plain.cv_scores_, rtol=1e-4)
    assert model.predict(shifted).dtype == model.coef_.dtype == np.float32
    np.testing.assert_allclose(model.predict(shifted), plain.predict(rounded), atol=1e-3)
    tensor = BandedRidgeCV((10, 15), ALPHAS, n_iter=6, random_state=0)
    tensor.fit(torch.from_numpy(x), torch.from_numpy(y))
    for name in ("band_weights_", "alpha_", "deltas_", "coef_", "intercept_", "cv_scores_"):
        value = getattr(tensor, name)
        assert isinstance(value, torch.Tensor)
        np.testing.assert_array_equal(value.numpy(), getattr(exact, name))
    predicted = tensor.predict(torch.from_numpy(x))
    np.testing.assert_array_equal(predicted.numpy(), exact.predict(x))
    np.testing.assert_allclose(
        tensor.score(torch.from_numpy(x), torch.from_numpy(y), split=True),
        exact.score(x, y, split=True),
    )


def test_inputs_are_not_changed_and_any_layout_is_read() -> None:
    x, y = draw()
    expected = BandedRidgeCV((6, 9), ALPHAS, n_iter=3, random_state=0).fit(x, y)
    wide = np.asfortranarray(np.hstack([x, x]))[:, :15]
    wide.setflags(write=False)
    model = BandedRidgeCV((6, 9), ALPHAS, n_iter=3, random_state=0).fit(wide, y[::-1][::-1])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
    np.testing.assert_array_equal(wide, x)


def test_same_bits_for_any_number_of_threads() -> None:
    x, y = draw(50, (10, 20), t=300)
    n_threads = torch.get_num_threads()
    try:
        models = []
        for n in (1, 2):
            torch.set_num_threads(n)
            models.append(
                BandedRidgeCV((10, 20), ALPHAS, n_iter=2, random_state=0).fit(
                    x.astype(np.float32), y.astype(np.float32)
                )
            )
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(models[0].cv_scores_, models[1].cv_scores_)


def test_progress_and_cancellation() -> None:
    x, y = draw()
    seen: list[tuple[int, int]] = []
    options: dict[str, Any] = {"n_iter": 3, "cv": 3, "random_state": 0}
    BandedRidgeCV(
        (6, 9), ALPHAS, progress=lambda done, total: seen.append((done, total)), **options
    ).fit(x, y)
    assert seen[-1][0] == seen[-1][1]
    assert sorted(seen) == seen
    with pytest.raises(Cancelled):
        BandedRidgeCV((6, 9), ALPHAS, progress=lambda done, total: False, **options).fit(x, y)


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (None, {"0": [0, 1, 2, 3]}),
        ([1, 3], {"0": [0], "1": [1, 2, 3]}),
        (np.array([1, 3]), {"0": [0], "1": [1, 2, 3]}),
        (["a", "b", "a", "b"], {"a": [0, 2], "b": [1, 3]}),
        ([0, 0, 7, 0], {"0": [0, 1, 3], "7": [2]}),
        ([slice(1, None), [0]], {"0": [1, 2, 3], "1": [0]}),
        ({"x": [3, 0], "y": np.array([False, True, True, False])}, {"x": [3, 0], "y": [1, 2]}),
        ([1, 1, 1, 1], {"0": [0], "1": [1], "2": [2], "3": [3]}),
    ],
    ids=str,
)
def test_bands(bands: Any, expected: dict[str, list[int]]) -> None:
    found = resolve_bands(bands, 4)
    assert {name: columns.tolist() for name, columns in found.items()} == expected


@pytest.mark.parametrize(
    ("bands", "error", "message"),
    [
        ([1, 2], ValueError, "2 entries that add up to 3 for 4 columns"),
        (["a", "b"], ValueError, "2 entries for 4 columns"),
        ([[0, 1], [1, 2, 3]], ValueError, "column 1 is in 2"),
        ([[0, 1], [2]], ValueError, "column 3 is in 0"),
        ([[0, 1, 2, 3], []], ValueError, "band '1' has none"),
        ([[0, 1], [2, 4]], ValueError, "from 0 to 3; got 2 to 4"),
        ([[0, 1], [2.0, 3.0]], TypeError, "column numbers"),
        ({}, ValueError, "at least one band"),
        ([np.ones(3, bool), [3]], ValueError, r"shape \(4,\); got \(3,\)"),
    ],
    ids=str,
)
def test_wrong_bands(bands: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve_bands(bands, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphas": [1.0, 0.0]}, "alphas must be positive"),
        ({"alphas": [-1.0]}, "alphas must be positive"),
        ({"alphas": [np.inf]}, "alphas must be positive"),
        ({"alphas": []}, "alphas must be positive"),
        ({"n_iter": 0}, "n_iter must be at least 1"),
        ({"n_iter": np.eye(3)}, r"shape \(n_iter, 2\); got \(3, 3\)"),
        ({"n_iter": [[0.0, 0.0]]}, "not all 0 in a row"),
        ({"n_iter": [[1.0, -0.5]]}, "0 or more"),
        ({"n_iter": [[1.0, np.nan]]}, "finite"),
        ({"solver": "newton"}, "solver must be one of"),
        ({"n_refine": -1}, "n_refine must be at least 0"),
        ({"scoring": "pearson"}, "scoring must be one of"),
        ({"cv": 99}, "cv must be"),
        ({"cv": [([0, 0, 1, 2], [3, 4])]}, "more than once"),
    ],
    ids=str,
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    x, y = draw()
    with pytest.raises(ValueError, match=message):
        BandedRidgeCV((6, 9), **options).fit(x, y)


def test_wrong_kernels() -> None:
    k, y = np.eye(10), np.ones((10, 2))
    holes = k.copy()
    holes[0, 0] = np.nan
    for kernels, responses, message in (
        ([], y, "at least one kernel"),
        ([k, np.eye(9)], y, "of one size; kernel 0 has 10 rows, kernel 1 9"),
        ([k[:5]], y, "kernel 0 must be square"),
        ([holes], y, "kernel 0 must be finite"),
        ([np.triu(np.ones((10, 10)))], y, "kernel 0 must be symmetric"),
        ([k], y[:5], r"y must have shape \(10, t\)"),
        ([k], np.full((10, 1), np.inf), "y must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            solve_banded_ridge(kernels, responses, [1.0])


def test_few_columns_need_no_kernels() -> None:
    x, y = draw(60, (6, 9), t=5)
    folds = FoldPlan.make(4, n_stim=60)
    primal = BandedRidgeCV((6, 9), ALPHAS, n_iter=WEIGHTS, cv=folds).fit(x, y)
    assert not hasattr(primal, "dual_coef_")
    parts = np.split(x - x.mean(0), [6], axis=1)
    kernels = [part @ part.T for part in parts]
    dual = solve_banded_ridge(kernels, y, ALPHAS, n_iter=WEIGHTS, cv=folds)
    np.testing.assert_allclose(primal.cv_scores_, dual.cv_scores, rtol=TOLERANCES["fp64_score"])
    np.testing.assert_array_equal(primal.alpha_, dual.alpha)
    np.testing.assert_array_equal(primal.band_weights_, dual.band_weights)
    np.testing.assert_allclose(primal.predict(x), dual.predict(kernels), rtol=1e-8)
    split = primal.predict(x, split=True)
    np.testing.assert_allclose(split, dual.predict(kernels, split=True), rtol=0, atol=1e-8)
