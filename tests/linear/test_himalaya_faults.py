"""Known faults of himalaya 0.4.11's solvers, each as something that ours get right."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.model_selection import KFold

from dnnbrain_cpp.linear import (
    BandedRidgeCV,
    KernelRidgeCV,
    Ridge,
    RidgeCV,
    solve_banded_ridge,
)
from tolerances import TOLERANCES

ALPHAS = np.logspace(-2, 4, 7)


def draw(n: int = 40, p: int = 60, t: int = 6, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    signal = x @ rng.standard_normal((p, t)) / np.sqrt(p)
    return x, signal + np.linspace(0.3, 3, t) * rng.standard_normal((n, t))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_raw_scales_do_not_select_alphas_without_meaning(dtype: Any) -> None:
    """A finite stand-in for "impossible" loses against the losses of large responses."""
    x, y = draw()
    # Rank 20 of 40: the smallest alphas are below what float32 can tell from zero.
    x = (x[:, :20] @ np.random.default_rng(1).standard_normal((20, 60))).astype(dtype)
    grid = np.r_[1e-10, 1e-8, ALPHAS]
    for scale in (1e3, 1e5):
        for estimator in (
            RidgeCV(grid),
            BandedRidgeCV([30, 30], grid, n_iter=3, random_state=0),
        ):
            small = estimator.fit(x, y.astype(dtype)).alpha_.copy()
            assert (small > 1e-8).all()
            large = estimator.fit(x, (scale * y).astype(dtype)).alpha_
            np.testing.assert_array_equal(large, small)
        kernel = x @ x.T
        model = KernelRidgeCV(grid)
        small = model.fit(kernel, y.astype(dtype)).alpha_.copy()
        np.testing.assert_array_equal(model.fit(kernel, (scale * y).astype(dtype)).alpha_, small)


def test_slightly_negative_eigenvalues_do_not_blow_up() -> None:
    """Clipping after the inverse was formed leaves 1 / (alpha - rounding)."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    values = np.r_[np.full(10, -1.000001e-3), np.zeros(10), np.linspace(1, 100, 10)]
    kernel = (basis * values) @ basis.T
    kernel = (kernel + kernel.T) / 2
    clipped = (basis * values.clip(min=0)) @ basis.T
    y = rng.standard_normal((30, 3))
    alpha = [1e-3]
    for fit_intercept in (False, True):
        ours = solve_banded_ridge([kernel], y, alpha, n_iter=1, fit_intercept=fit_intercept)
        peer = solve_banded_ridge([clipped], y, alpha, n_iter=1, fit_intercept=fit_intercept)
        # 1 / alpha is what a direction without variance may weigh.
        assert np.abs(ours.dual_coef).max() <= 1e3 * np.abs(y - y.mean(0)).sum(0).max()
        atol = 0.02 * np.abs(peer.dual_coef).max() if fit_intercept else 1e-6
        np.testing.assert_allclose(ours.dual_coef, peer.dual_coef, atol=atol)
        model = KernelRidgeCV(alpha, fit_intercept=fit_intercept).fit(kernel, y)
        np.testing.assert_allclose(model.dual_coef_, ours.dual_coef, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n", "p"), [(40, 60), (60, 12)], ids=str)
def test_weights_of_exactly_zero(n: int, p: int) -> None:
    """0 / 0 where weights of the bands are divided out of the coefficients."""
    x, y = draw(n, p)
    half = p // 2
    model = BandedRidgeCV([half, p - half], ALPHAS, n_iter=np.eye(2)).fit(x, y)
    assert np.isfinite(model.coef_).all()
    for place, weight in enumerate(model.band_weights_.T):
        columns = np.repeat(weight > 0, [half, p - half])
        peer = linear_model.Ridge(model.alpha_[place]).fit(x[:, columns], y[:, place])
        np.testing.assert_allclose(model.coef_[place, columns], peer.coef_, rtol=1e-7, atol=1e-10)
        assert (model.coef_[place, ~columns] == 0).all()


@pytest.mark.parametrize(("n", "p"), [(40, 60), (60, 12)], ids=str)
def test_one_choice_for_all_targets_includes_the_bands(n: int, p: int) -> None:
    """A shared alpha with bands weighed per target is not a shared model."""
    x, y = draw(n, p)
    shared = BandedRidgeCV([p // 2] * 2, ALPHAS, n_iter=20, random_state=0, alpha_per_target=False)
    shared.fit(x, y)
    assert len(np.unique(shared.band_weights_, axis=1).T) == len(np.unique(shared.alpha_)) == 1
    own = BandedRidgeCV([p // 2] * 2, ALPHAS, n_iter=20, random_state=0).fit(x, y)
    assert len(np.unique(own.band_weights_, axis=1).T) > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_alphas_are_values_of_the_grid(dtype: Any) -> None:
    """exp(-log(weight / alpha)) in float32 gives 1000.0001."""
    x, y = (a.astype(dtype) for a in draw(t=30))
    grid = [1.0, 10.0, 100.0, 1000.0, 12345.678]
    for model in (
        RidgeCV(grid).fit(x, y),
        KernelRidgeCV(grid).fit(x @ x.T, y),
        BandedRidgeCV([20, 40], grid, n_iter=5, random_state=0).fit(x, y),
    ):
        assert np.isin(model.alpha_, grid).all()
        assert len(np.unique(model.alpha_)) > 1


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_predictions_stay_on_the_device_in_their_precision(device: str, dtype: Any) -> None:
    """Predictions that move to the CPU undo what the GPU is for."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = (torch.from_numpy(a).to(device, dtype) for a in draw())
    for model, rows in (
        (Ridge(3.0).fit(x, y), x),
        (RidgeCV(ALPHAS).fit(x, y), x),
        (KernelRidgeCV(ALPHAS).fit(x @ x.T, y), x @ x.T),
        (BandedRidgeCV([20, 40], ALPHAS, n_iter=3, random_state=0).fit(x, y), x),
    ):
        predicted = model.predict(rows)
        assert isinstance(predicted, torch.Tensor)
        assert predicted.device == x.device
        assert predicted.dtype == dtype


@pytest.mark.parametrize(("n", "p"), [(40, 60), (60, 12)], ids=str)
def test_an_alpha_per_target_is_solved_exactly(n: int, p: int) -> None:
    """A hundred steps of conjugate gradients are not a solution."""
    x, y = draw(n, p)
    alphas = np.logspace(-6, 5, y.shape[1])
    ours = Ridge(alphas).fit(x, y)
    for place, alpha in enumerate(alphas):
        peer = linear_model.Ridge(alpha, solver="svd").fit(x, y[:, place])
        atol = TOLERANCES["fp64_factor"] * np.abs(peer.coef_).max()
        np.testing.assert_allclose(ours.coef_[place], peer.coef_, rtol=0, atol=atol)
    model = KernelRidgeCV(np.logspace(-6, 5, 12)).fit(x @ x.T, y)
    centred = x - x.mean(0)
    for place, alpha in enumerate(model.alpha_):
        dual = np.linalg.solve(
            centred @ centred.T + alpha * np.eye(n), y[:, place] - y[:, place].mean()
        )
        atol = TOLERANCES["fp64_factor"] * np.abs(dual).max()
        np.testing.assert_allclose(model.dual_coef_[:, place], dual, rtol=0, atol=atol)


@pytest.mark.parametrize(("n", "p"), [(30, 80), (80, 10), (40, 40)], ids=str)
def test_primal_or_dual_by_itself_with_curves_and_groups(n: int, p: int) -> None:
    """The user need not know which form is cheaper, and gets the curves."""
    x, y = draw(n, p)
    groups = np.arange(n) // (n // 5)
    model = RidgeCV(ALPHAS, store_cv_results=True).fit(x, y)
    kernel = KernelRidgeCV(ALPHAS, store_cv_results=True).fit(x @ x.T, y)
    expected = np.zeros((5, len(ALPHAS), y.shape[1]))
    for fold, (train, test) in enumerate(KFold(5).split(x)):
        for place, alpha in enumerate(ALPHAS):
            peer = linear_model.Ridge(alpha).fit(x[train], y[train])
            expected[fold, place] = -((y[test] - peer.predict(x[test])) ** 2).mean(0)
    tolerance = TOLERANCES["fp64_score"] * np.abs(expected).max() * 10
    np.testing.assert_allclose(model.cv_results_, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(kernel.cv_results_, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(model.alpha_, kernel.alpha_)
    by_run = RidgeCV(ALPHAS, cv="run").fit(x, y, groups=groups)
    assert by_run.best_score_.shape == (y.shape[1],)


def test_no_global_state() -> None:
    """A backend that is set for the whole process is not safe in threads."""
    x, y = draw()
    jobs = [
        lambda: RidgeCV(ALPHAS).fit(x, y).predict(x),
        lambda: (
            RidgeCV(ALPHAS)
            .fit(torch.from_numpy(x), torch.from_numpy(y))
            .predict(torch.from_numpy(x))
        ),
        lambda: BandedRidgeCV([20, 40], ALPHAS, n_iter=3, random_state=0).fit(x, y).predict(x),
    ] * 3
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda job: job(), jobs))
    for a, b in zip(alone, together, strict=True):
        assert type(a) is type(b)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_split_scores_need_no_centred_targets() -> None:
    """Float32 targets never have a mean of less than 1e-6."""
    x, y = (a.astype(np.float32) for a in draw(80))
    model = BandedRidgeCV([20, 40], ALPHAS, n_iter=5, random_state=0).fit(x[:50], y[:50] + 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = model.score(x[50:], y[50:] + 100, split=True)
    predicted = model.predict(x[50:]).astype(float)
    measured = y[50:].astype(float) + 100
    residual = ((measured - predicted) ** 2).sum(0)
    total = 1 - residual / ((measured - measured.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(parts.sum(0), total, atol=1e-4)
