"""Variance partitioning against sums by hand, and against ridge refitted on stacked columns."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics import explained_variance_score
from sklearn.model_selection import KFold

from dnnbrain_cpp.encoding import variance_partition
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.io import Responses
from tolerances import TOLERANCES


def simulate(n_stim: int = 90) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Bands of unequal widths and scales; "a" and "b" share two columns."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n_stim, 2))
    a = np.hstack([shared, rng.standard_normal((n_stim, 3))])
    b = np.hstack([shared, rng.standard_normal((n_stim, 1))])
    c = rng.standard_normal((n_stim, 20))
    y = np.column_stack([a[:, 2], shared.sum(1), b[:, 2] + a[:, 3], rng.standard_normal(n_stim)])
    bands = {"a": 10 * a + 5, "b": 0.1 * b, "c": c}
    return bands, y + 0.3 * rng.standard_normal(y.shape)


def scaled(x: NDArray[Any], train: NDArray[Any]) -> NDArray[Any]:
    centred = x - x[train].mean(0)
    return np.asarray(centred / np.sqrt((centred[train] ** 2).sum() / len(train)))


def test_equal_to_ridge_on_columns_side_by_side() -> None:
    bands, y = simulate()
    alpha = 2.0
    result = variance_partition(bands, y, alphas=[alpha], cv=4)
    assert len(result.r2) == 7
    for place, (train, test) in enumerate(KFold(4).split(y)):
        for subset, r2 in result.r2.items():
            x = np.hstack([scaled(bands[name], train) for name in subset])
            predicted = Ridge(alpha).fit(x[train], y[train]).predict(x[test])
            expected = explained_variance_score(y[test], predicted, multioutput="raw_values")
            np.testing.assert_allclose(r2[place], expected, atol=TOLERANCES["fp64_score"])


def test_penalties_are_chosen_inside_the_fold_for_each_target() -> None:
    bands, y = simulate()
    alphas = [1e-2, 1.0, 1e2, 1e4]
    result = variance_partition(bands, y, alphas=alphas, cv=3, inner_cv=4)
    chosen = set()
    for place, (train, test) in enumerate(KFold(3).split(y)):
        x = np.hstack([scaled(band, train) for band in bands.values()])
        errors = np.zeros((len(alphas), y.shape[1]))
        for i, alpha in enumerate(alphas):
            for a, b in KFold(4).split(train):
                model = Ridge(alpha).fit(x[train[a]], y[train[a]])
                errors[i] += ((y[train[b]] - model.predict(x[train[b]])) ** 2).mean(0)
        best = errors.argmin(0)
        chosen.update(best.tolist())
        for v, i in enumerate(best):
            predicted = Ridge(alphas[i]).fit(x[train], y[train, v]).predict(x[test])
            expected = explained_variance_score(y[test, v], predicted)
            assert result.r2["a", "b", "c"][place, v] == pytest.approx(expected, abs=1e-9)
    assert len(chosen) > 1


def test_parts_add_up() -> None:
    bands, y = simulate()
    result = variance_partition(bands, y)
    every = [s for size in (1, 2, 3) for s in itertools.combinations("abc", size)]
    parts = sum(result.common(*some) for some in every)
    np.testing.assert_allclose(parts, result.total(), atol=TOLERANCES["fp64_score"])
    products = sum(result.product(band) for band in "abc")
    np.testing.assert_allclose(products, result.total(), atol=TOLERANCES["fp64_score"])
    for band in "abc":
        others = tuple(other for other in "abc" if other != band)
        expected = result.total() - result.r2[others].mean(0)
        np.testing.assert_allclose(result.unique(band), expected, atol=TOLERANCES["fp64_score"])
    both = result.r2["a", "c"] + result.r2["b", "c"] - result.r2["a", "b", "c"] - result.r2[("c",)]
    np.testing.assert_allclose(result.common("b", "a"), both.mean(0), atol=TOLERANCES["fp64_score"])


def test_what_was_planted() -> None:
    bands, y = simulate()
    result = variance_partition(bands, Responses(y, rois=list("uvwx")))
    assert result.unique("a")[0] > 0.6
    assert result.common("a", "b")[1] > 0.6
    assert result.unique("a")[2] > 0.2
    assert result.unique("b")[2] > 0.2
    assert abs(result.total()[3]) < 0.15
    assert (np.abs(result.unique("c")) < 0.15).all()
    frame = result.to_frame().set_index(["bands", "roi"])
    assert list(frame.columns) == ["n_band", "target", "r2", "common", "product"]
    assert frame.loc[("a+b", "v"), "common"] == pytest.approx(result.common("a", "b")[1])
    assert np.isnan(frame.loc[("a+b", "v"), "product"])
    assert frame.loc[("b", "w"), "product"] == pytest.approx(result.product("b")[2])
    assert "3 bands, 4 targets" in repr(result)


def test_gram_matrices_and_groups() -> None:
    bands, y = simulate()
    groups = np.arange(90) % 10
    grams = {name: Gram.from_features(x) for name, x in bands.items()}
    ours = variance_partition(grams, y, groups=groups, cv=5, inner_cv=4, alphas=[1.0, 10.0])
    expected = variance_partition(bands, y, groups=groups, cv=5, inner_cv=4, alphas=[1.0, 10.0])
    np.testing.assert_allclose(ours.total(), expected.total(), atol=TOLERANCES["fp64_score"])


def test_a_band_that_does_not_vary_explains_nothing() -> None:
    bands, y = simulate()
    bands["c"] = np.full((90, 3), 0.1)
    result = variance_partition(bands, y, alphas=[1.0])
    np.testing.assert_allclose(result.unique("c"), 0, atol=TOLERANCES["fp64_score"])
    np.testing.assert_allclose(result.product("c"), 0, atol=TOLERANCES["fp64_score"])


def test_wrong_arguments() -> None:
    bands, y = simulate()
    for changed, message in (
        ({"bands": {"a": bands["a"]}}, "from 2 to 6; got 1"),
        ({"alphas": [0.0, 1.0]}, "alphas must be finite and positive"),
        ({"alphas": []}, "alphas must be finite and positive"),
        ({"responses": y[:-1]}, "has 90, the responses 89"),
        ({"inner_cv": 100}, "from 2 to the number of stimuli"),
    ):
        arguments: dict[str, Any] = {"bands": bands, "responses": y, **changed}
        with pytest.raises(ValueError, match=message):
            variance_partition(**arguments)
    with pytest.raises(ValueError, match="bands must be of a, b, c; got"):
        variance_partition(bands, y, alphas=[1.0]).unique("d")
