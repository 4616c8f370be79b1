"""Convex combinations of layers, against a general solver and a nested loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import KFold

from dnnbrain_cpp.encoding import encode, simplex_weights, stack
from dnnbrain_cpp.io import Responses
from oracle.encoding import refit, score
from tolerances import TOLERANCES


def slsqp(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise w'Pw on the simplex with a general solver, at a scale where it is accurate."""
    scaled = p / np.trace(p)
    start = np.full(len(p), 1 / len(p))
    found = minimize(
        lambda w: w @ scaled @ w,
        start,
        jac=lambda w: 2 * scaled @ w,
        bounds=[(0, 1)] * len(p),
        constraints={
            "type": "eq",
            "fun": lambda w: w.sum() - 1,
            "jac": lambda w: np.ones_like(w),
        },
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return np.asarray(found.x)


def products(n: int, rank: int, seed: int, count: int = 1) -> NDArray[np.float64]:
    """Residuals with a common part, as those of layers have."""
    rng = np.random.default_rng(seed)
    residuals = rng.standard_normal((count, n, rank)) + 2 * rng.standard_normal((count, 1, rank))
    residuals *= rng.uniform(0.5, 2, (count, n, 1))
    return residuals @ residuals.transpose(0, 2, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_equal_to_a_general_solver(n: int) -> None:
    p = products(n, 30, seed=n, count=20)
    weights = simplex_weights(p)
    for ours, problem in zip(weights, p, strict=True):
        expected = slsqp(problem)
        np.testing.assert_allclose(ours @ problem @ ours, expected @ problem @ expected, rtol=1e-8)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)  # SLSQP's own accuracy


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 12), rank=st.integers(1, 15), seed=st.integers(0, 2**16))
def test_conditions_of_the_minimum(n: int, rank: int, seed: int) -> None:
    """Not negative, sum one; and no model's slope is below that of the combination.

    These are necessary and sufficient, also where ranks are lower than the number of models.
    """
    p = products(n, rank, seed)
    (w,) = simplex_weights(p)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(1, abs=1e-12)
    slope = p[0] @ w
    scale = p[0].diagonal().max()
    assert slope.min() >= w @ slope - TOLERANCES["fp64_score"] * scale
    np.testing.assert_allclose(
        slope[w > 1e-9], w @ slope, rtol=0, atol=TOLERANCES["fp64_score"] * scale
    )


def test_known_answers() -> None:
    np.testing.assert_allclose(
        simplex_weights(
            [np.diag([1.0, 4.0]), [[1, 2], [2, 5]], [[2, 2], [2, 2]], [[0, 0], [0, 1]]]
        ),
        [[0.8, 0.2], [1, 0], [1, 0], [1, 0]],
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(scale: float) -> None:
    p = products(5, 9, seed=1, count=10)
    np.testing.assert_allclose(simplex_weights(p * scale), simplex_weights(p), atol=1e-12)


def test_many_problems_have_the_same_bits_for_any_number_of_threads() -> None:
    p = products(4, 20, seed=0, count=5000)
    one, two = simplex_weights(p, n_threads=1), simplex_weights(p, n_threads=2)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[4999:], simplex_weights(p[4999:]))


def test_what_is_not_finite_has_no_weights() -> None:
    p = products(3, 9, seed=0, count=3)
    p[1, 0, 0] = np.nan
    weights = simplex_weights(p)
    assert np.isnan(weights[1]).all()
    assert np.isfinite(weights[[0, 2]]).all()
    with pytest.raises(ValueError, match=r"shape \(n_vox, n_layer, n_layer\); got \(3, 9\)"):
        simplex_weights(p.reshape(3, 9))


def simulate(seed: int = 0) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Two layers that know a target each, and two that both see dimly; a third knows nothing."""
    rng = np.random.default_rng(seed)
    x = {name: rng.standard_normal((60, 6)) for name in ("early", "late", "noise")}
    seen = rng.standard_normal((60, 2))
    for name in ("early", "late"):
        x[name][:, 4:] = seen + rng.standard_normal((60, 2))
    own = [x[name][:, :4] @ rng.standard_normal((4, 1)) for name in ("early", "late")]
    y = np.hstack([*own, 2 * seen])
    return x, y + 0.3 * rng.standard_normal(y.shape)


@pytest.mark.parametrize("estimator", [Ridge(1.0), Lasso(0.01, random_state=0)])
def test_equal_to_a_nested_loop(estimator: Any) -> None:
    x, y = simulate()
    stacked = stack(x, y, estimator=estimator, cv=3, inner_cv=4)
    for place, (train, test) in enumerate(KFold(3).split(y)):
        residuals = np.empty((3, len(train), 4))
        for i, layer in enumerate(x.values()):
            for a, b in KFold(4).split(train):
                model = clone(estimator).fit(layer[train[a]], y[train[a]])
                residuals[i, b] = y[train[b]] - model.predict(layer[train[b]])
        outer = [
            clone(estimator).fit(layer[train], y[train]).predict(layer[test])
            for layer in x.values()
        ]
        for v in range(4):
            w = slsqp(residuals[:, :, v] @ residuals[:, :, v].T)
            np.testing.assert_allclose(stacked.fold_weights[place, :, v], w, atol=1e-6)
            combined = sum(a * p[:, v] for a, p in zip(w, outer, strict=True))
            assert stacked.scores.scores["stacked"][place, v] == pytest.approx(
                score(y[test][:, v], combined, "r2"), abs=1e-6
            )
    for name, layer in x.items():
        np.testing.assert_allclose(
            stacked.scores.scores[name],
            refit(estimator, layer, y, KFold(3).split(y), "r2"),
            atol=TOLERANCES["fp64_score"],
        )


def test_weights_follow_what_was_planted() -> None:
    x, y = simulate()
    stacked = stack(x, Responses(y, rois=["A", "B", "C", "C"]), estimator=Ridge(1.0))
    assert stacked.layers == ["early", "late", "noise"]
    early, late, noise = stacked.weights
    assert early[0] > 0.9
    assert late[1] > 0.9
    assert (early[2:] > 0.2).all()
    assert (late[2:] > 0.2).all()
    assert (noise < 0.25).all()
    alone = np.maximum(stacked.scores.mean("early"), stacked.scores.mean("late"))
    assert (stacked.scores.mean("stacked")[2:] > alone[2:] + 0.02).all()
    frame = stacked.to_frame()
    assert list(frame.columns) == ["layer", "target", "roi", "weight"]
    row = frame.query("layer == 'late' and target == 1")
    assert row["weight"].item() == late[1]
    assert row["roi"].item() == "B"
    assert "3 layers" in repr(stacked)


def test_noise_does_not_leak() -> None:
    """Layers that interpolate their training stimuli predict no better than chance, stacked too."""
    rng = np.random.default_rng(0)
    x = {name: rng.standard_normal((40, 60)) for name in "abcd"}
    y = rng.standard_normal((40, 200))
    stacked = stack(x, y, estimator=LinearRegression(), scoring="r")
    # 5 folds of 8: standard error of a mean r 1 / sqrt(7 * 5), of 200 of them 0.012.
    assert abs(stacked.scores.mean("stacked").mean()) < 0.06


def test_groups_stay_together_inside_and_out() -> None:
    x = simulate()[0]
    groups = np.arange(60) // 6
    rng = np.random.default_rng(0)
    twins = {
        name: layer[::6][groups] + 1e-3 * rng.standard_normal((60, 6)) for name, layer in x.items()
    }
    noise = rng.standard_normal((10, 50))[groups]  # the same within a group: easy if it is split
    scores = stack(twins, noise, estimator=Ridge(1e-3), groups=groups, scoring="r").scores
    split = stack(
        twins, noise, estimator=Ridge(1e-3), cv=KFold(5, shuffle=True, random_state=0), scoring="r"
    ).scores
    assert scores.means().mean() < 0.2
    assert split.means().mean() > 0.5


def test_from_predictions_that_were_kept() -> None:
    x, y = simulate()
    scores = encode(x, y, estimator=Ridge(1.0), return_predictions=True)
    stacked = stack(scores, y, cv=5)
    predictions = np.stack(list(scores.predictions.values()))
    for place, (train, _) in enumerate(KFold(5).split(y)):
        for v in range(4):
            residuals = y[train, v] - predictions[:, train, v]
            w = slsqp(residuals @ residuals.T)
            np.testing.assert_allclose(stacked.fold_weights[place, :, v], w, atol=1e-6)
    assert stacked.scores.mean("stacked")[3] > 0.2
    with pytest.raises(ValueError, match="estimator must not come with scores"):
        stack(scores, y, estimator=Ridge())
    with pytest.raises(ValueError, match=r"of shape \(60, 4\); got \(60, 3\)"):
        stack(scores, y[:, :3])
    part = encode(x, y, cv=[(np.arange(40), np.arange(40, 60))], return_predictions=True)
    with pytest.raises(ValueError, match="fold 0 holds out one that has not"):
        stack(part, y)
    with pytest.raises(AttributeError, match="return_predictions=True"):
        stack(encode(x, y), y)


def test_one_layer_is_not_a_stack() -> None:
    x, y = simulate()
    with pytest.raises(ValueError, match="at least two layers; got 1"):
        stack(x["early"], y)
