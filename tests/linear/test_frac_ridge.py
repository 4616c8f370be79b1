"""Fractional ridge: against a root finder over scikit-learn's ridge, and by what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp._native import core
from dnnbrain_cpp.linear import FracRidge, FracRidgeCV
from tolerances import TOLERANCES


@parametrize_with_checks([FracRidge(), FracRidge(fractions=0.9), FracRidgeCV(cv=3)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, t: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.7 + 3
    y = x @ rng.standard_normal((p, t)) + rng.standard_normal((n, t)) - 2
    return x, y


def twin(
    x: NDArray[Any], y: NDArray[Any], fraction: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return (alphas, coefs, intercepts) by bisecting scikit-learn's ridge, target by target."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    coefs, alphas = [], []
    for column in (y - y_mean).T:
        u, s, vt = np.linalg.svd(x - x_mean, full_matrices=False)
        u, s, vt = u[:, s > 1e-10 * s[0]], s[s > 1e-10 * s[0]], vt[s > 1e-10 * s[0]]

        def coef(alpha: float, u: Any = u, s: Any = s, vt: Any = vt, y: Any = column) -> Any:
            return vt.T @ (s * (u.T @ y) / (s**2 + alpha))

        goal = fraction * np.linalg.norm(coef(0))
        log_alpha = brentq(
            lambda a, c=coef, g=goal: np.linalg.norm(c(np.exp(a))) / g - 1, -60, 60, xtol=1e-14
        )
        alphas.append(np.exp(log_alpha))
        coefs.append(coef(np.exp(log_alpha)))
    coef_ = np.array(coefs)
    return np.array(alphas), coef_, y_mean - coef_ @ x_mean


@pytest.mark.parametrize("shape", [(40, 8), (20, 50), (15, 15), (12, 1)], ids=str)
@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.95])
def test_against_a_root_finder(shape: tuple[int, int], fraction: float) -> None:
    x, y = draw(*shape, t=3)
    model = FracRidge(fraction).fit(x, y)
    alphas, coefs, intercepts = twin(x, y, fraction)
    tolerance = TOLERANCES["fp64_factor"]
    np.testing.assert_allclose(model.alpha_, alphas, rtol=tolerance)
    np.testing.assert_allclose(model.coef_, coefs, rtol=0, atol=tolerance * np.abs(coefs).max())
    np.testing.assert_allclose(model.intercept_, intercepts, rtol=tolerance)
    for place, alpha in enumerate(alphas):
        peer = Ridge(alpha).fit(x, y[:, place])
        np.testing.assert_allclose(model.predict(x)[:, place], peer.predict(x), rtol=1e-7)


def test_the_length_is_the_fraction() -> None:
    x, y = draw(60, 20, 5)
    y[:, 4] *= 1e6
    fractions = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.999, 0.9, 1e-4, 0.7, 0.6]])
    model = FracRidge(fractions).fit(x, y)
    full = np.linalg.norm(LinearRegression().fit(x, y).coef_, axis=1)
    lengths = np.linalg.norm(model.coef_, axis=2)
    np.testing.assert_allclose(lengths / full, fractions, rtol=TOLERANCES["fp64_factor"])


def test_both_ends() -> None:
    x, y = draw(30, 5, 3)
    model = FracRidge([0.0, 1.0]).fit(x, y)
    assert np.isinf(model.alpha_[0]).all()
    assert (model.alpha_[1] == 0).all()
    assert (model.coef_[0] == 0).all()
    mean, least_squares = model.predict(x)
    np.testing.assert_allclose(mean, np.broadcast_to(y.mean(0), y.shape))
    np.testing.assert_allclose(least_squares, LinearRegression().fit(x, y).predict(x))
    scores = model.score(x, y)
    assert scores.shape == (2,)
    assert scores[0] == pytest.approx(0)
    assert scores[1] == pytest.approx(LinearRegression().fit(x, y).score(x, y))


def test_shapes() -> None:
    x, y = draw(30, 5, 3)
    for fractions, target, first in (
        (0.5, y, ()),
        ([0.5], y, (1,)),
        ([0.5, 0.2], y, (2,)),
        (np.full((4, 3), 0.5), y, (4,)),
        (0.5, y[:, 0], ()),
        ([0.5, 0.2], y[:, 0], (2,)),
    ):
        model = FracRidge(fractions).fit(x, target)
        last = target.shape[1:]
        assert np.shape(model.alpha_) == (*first, *last)
        assert np.shape(model.intercept_) == (*first, *last)
        assert model.coef_.shape == (*first, *last, 5)
        assert model.predict(x).shape == (*first, 30, *last)


def test_degenerate_data() -> None:
    x, y = draw(30, 4, 3)
    x = np.column_stack([x, x[:, 0], np.full(30, 7.0)])  # a duplicate and a constant
    y[:, 1] = 5.0
    model = FracRidge(0.3).fit(x, y)
    assert model.alpha_[1] == 0
    np.testing.assert_allclose(model.predict(x)[:, 1], 5.0)
    np.testing.assert_allclose(model.coef_[:, 0], model.coef_[:, 4], rtol=1e-7)
    assert np.abs(model.coef_[:, 5]).max() < 1e-10
    constant = FracRidge(0.3).fit(np.ones((10, 2)), y[:10])
    np.testing.assert_allclose(constant.predict(np.ones((1, 2)))[0], y[:10].mean(0))


def test_without_intercept() -> None:
    x, y = draw(30, 4, 2)
    model = FracRidge(0.4, fit_intercept=False).fit(x, y)
    assert (np.asarray(model.intercept_) == 0).all()
    for place, alpha in enumerate(model.alpha_):
        peer = Ridge(alpha, fit_intercept=False).fit(x, y[:, place])
        np.testing.assert_allclose(model.coef_[place], peer.coef_, rtol=1e-7)


@pytest.mark.parametrize("shape", [(50, 12), (20, 60)], ids=str)
def test_float32_and_tensors(shape: tuple[int, int]) -> None:
    x, y = draw(*shape, t=4)
    exact = FracRidge([0.2, 0.8]).fit(x, y)
    x32, y32 = (a.astype(np.float32) for a in (x + 1e3, y))
    model = FracRidge([0.2, 0.8]).fit(x32, y32)
    assert model.predict(x32).dtype == model.coef_.dtype == np.float32
    assert model.alpha_.dtype == np.float64
    np.testing.assert_allclose(model.alpha_, exact.alpha_, rtol=2e-2)
    np.testing.assert_allclose(model.predict(x32), exact.predict(x), atol=2e-2)
    tensors = FracRidge([0.2, 0.8]).fit(torch.from_numpy(x32), torch.from_numpy(y32))
    predicted = tensors.predict(torch.from_numpy(x32))
    assert isinstance(predicted, torch.Tensor)
    assert predicted.dtype == torch.float32
    np.testing.assert_array_equal(predicted.numpy(), model.predict(x32))
    assert tensors.score(torch.from_numpy(x32), torch.from_numpy(y32)) == pytest.approx(
        model.score(x32, y32)
    )


def test_same_bits_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(1e-3, 1e3, (1, 30))
    squares = rng.standard_normal((1100, 30)) ** 2
    fractions = rng.uniform(0, 1, (2, 1100))
    one, two = (core.fraction_alphas(values, squares, fractions, n, None) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def naive_cv(
    x: NDArray[Any], y: NDArray[Any], fractions: list[float], folds: list[Any], scoring: str
) -> NDArray[Any]:
    scores = np.zeros((len(fractions), y.shape[1]))
    for train, test in folds:
        for place, fraction in enumerate(fractions):
            _, coefs, intercepts = twin(x[train], y[train], fraction)
            predicted = x[test] @ coefs.T + intercepts
            for target in range(y.shape[1]):
                a, b = y[test, target], predicted[:, target]
                if scoring == "mse":
                    score = -((a - b) ** 2).mean()
                elif scoring == "r2":
                    score = 1 - ((a - b) ** 2).sum() / ((a - a.mean()) ** 2).sum()
                else:
                    score = np.corrcoef(a, b)[0, 1]
                scores[place, target] += score / len(folds)
    return scores


@pytest.mark.parametrize("scoring", ["mse", "r2", "r"])
@pytest.mark.parametrize("shape", [(43, 6), (23, 40)], ids=str)
def test_cross_validation(scoring: str, shape: tuple[int, int]) -> None:
    x, y = draw(*shape, t=4)
    y += 2 * np.random.default_rng(1).standard_normal(y.shape)
    fractions = [0.2, 0.5, 0.9]
    model = FracRidgeCV(fractions, cv=4, scoring=scoring).fit(x, y)
    expected = naive_cv(x, y, fractions, list(KFold(4).split(x)), scoring)
    np.testing.assert_allclose(model.cv_scores_, expected, atol=TOLERANCES["fp64_factor"])
    np.testing.assert_array_equal(model.fraction_, np.array(fractions)[expected.argmax(0)])
    np.testing.assert_allclose(model.best_score_, expected.max(0), atol=TOLERANCES["fp64_factor"])
    refit = FracRidge(np.atleast_2d(model.fraction_)).fit(x, y)
    np.testing.assert_array_equal(refit.coef_[0], model.coef_)
    shared = FracRidgeCV(fractions, cv=4, scoring=scoring, fraction_per_target=False).fit(x, y)
    assert (shared.fraction_ == fractions[expected.mean(1).argmax()]).all()


def test_cross_validation_of_groups() -> None:
    x, y = draw(24, 5, 2)
    groups = np.arange(24) // 6
    model = FracRidgeCV([0.3, 0.7], cv=4).fit(x, y, groups=groups)
    folds = list(GroupKFold(4).split(x, groups=groups))
    expected = naive_cv(x, y, [0.3, 0.7], folds, "mse")
    np.testing.assert_allclose(model.cv_scores_, expected, atol=TOLERANCES["fp64_factor"])


def test_constant_target_in_cross_validation() -> None:
    x, y = draw(30, 4, 2)
    y[:, 0] = 3.0
    model = FracRidgeCV([0.5, 0.2], cv=3, scoring="r").fit(x, y)
    assert np.isnan(model.best_score_[0])
    assert model.fraction_[0] == 0.2
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (FracRidge(1.5), "fractions must be from 0 to 1; got 1.5"),
        (FracRidge([0.5, np.nan]), "fractions must be from 0 to 1; got nan"),
        (FracRidge([]), r"at most 2 axes; got shape \(0,\)"),
        (FracRidge(np.full((2, 2), 0.5)), "a column for each of the 3 targets"),
        (FracRidgeCV([[0.5]]), "at most 1 axes"),
        (FracRidgeCV(scoring="pearson"), "scoring must be one of"),
        (FracRidgeCV(cv=99), "cv must be"),
    ],
    ids=str,
)
def test_wrong_arguments(estimator: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimator.fit(*draw(20, 4, 3))
