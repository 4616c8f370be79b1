"""Variance partitioning against regressions written out, and sums by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.metrics import explained_variance_score, r2_score

from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import core
from tolerances import TOLERANCES

N_COND = 20
N_PAIR = N_COND * (N_COND - 1) // 2


def draw(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Three predictors, two of which share a part; targets of other scales."""
    rng = np.random.default_rng(seed)
    base = rng.exponential(size=(4, N_PAIR))
    x = np.vstack([base[0] + base[1], 10 * (base[0] + base[2]), base[3] + 100])
    y = np.vstack([base[0], base[1] + base[3], 1e4 * base[2]])
    return x, y + y.std(1, keepdims=True) * rng.standard_normal(y.shape)


def every(names: str) -> list[tuple[str, ...]]:
    return [s for size in range(1, len(names) + 1) for s in itertools.combinations(names, size)]


def named(x: NDArray[Any]) -> rsa.RDMs:
    return rsa.RDMs(x, names=list("abcdefghij")[: len(x)])


@pytest.mark.parametrize("kind", ["plain", "adjusted"])
def test_r2_is_that_of_least_squares(kind: str) -> None:
    x, y = draw()
    result = rsa.variance_partition(named(x), y, kind=kind)
    assert result.r2.shape == (8, 3)
    assert not result.r2[0].any()
    for some in every("abc"):
        columns = x[["abc".index(name) for name in some]].T
        for t, target in enumerate(y):
            r2 = r2_score(target, LinearRegression().fit(columns, target).predict(columns))
            if kind == "adjusted":
                r2 = 1 - (1 - r2) * (N_PAIR - 1) / (N_PAIR - 1 - len(some))
            assert result.of(*some)[t] == pytest.approx(r2, abs=TOLERANCES["fp64_score"])


def test_crossvalidation_fits_and_measures_pairs_within_each_side() -> None:
    x, y = draw(1)
    cv, n_repeat, seed = 4, 3, 5
    result = rsa.variance_partition(named(x), y, cv=cv, n_repeat=n_repeat, random_state=seed)
    rows, columns = np.triu_indices(N_COND, 1)
    expected = {some: np.zeros(len(y)) for some in every("abc")}
    for order in core.random_permutations(seed, 0, n_repeat, N_COND):
        fold_of = np.empty(N_COND, dtype=int)
        fold_of[order] = np.arange(N_COND) % cv
        for fold in range(cv):
            train = (fold_of[rows] != fold) & (fold_of[columns] != fold)
            test = (fold_of[rows] == fold) & (fold_of[columns] == fold)
            assert train.sum() + test.sum() < N_PAIR
            for some, total in expected.items():
                design = x[["abc".index(name) for name in some]].T
                for t, target in enumerate(y):
                    model = LinearRegression().fit(design[train], target[train])
                    predicted = model.predict(design[test])
                    total[t] += explained_variance_score(target[test], predicted) / cv / n_repeat
    for some, r2 in expected.items():
        np.testing.assert_allclose(result.of(*some), r2, atol=TOLERANCES["fp64_factor"])
    assert result.kind == "crossvalidated"


def test_parts_by_inclusion_and_exclusion() -> None:
    x, y = draw(2)
    result = rsa.variance_partition(named(x), y)
    r = result.of
    np.testing.assert_allclose(result.unique("a"), r("a", "b", "c") - r("b", "c"))
    np.testing.assert_allclose(result.common("a"), result.unique("a"))
    shared = r("a", "c") + r("b", "c") - r("c") - r("a", "b", "c")
    np.testing.assert_allclose(result.common("a", "b"), shared, atol=TOLERANCES["fp64_reduction"])
    all_three = (
        r("a") + r("b") + r("c") - r("a", "b") - r("a", "c") - r("b", "c") + r("a", "b", "c")
    )
    np.testing.assert_allclose(
        result.common("a", "b", "c"), all_three, atol=TOLERANCES["fp64_reduction"]
    )
    parts = sum(result.common(*some) for some in every("abc"))
    np.testing.assert_allclose(parts, result.total(), atol=TOLERANCES["fp64_reduction"])
    two = rsa.variance_partition(named(x[:2]), y)
    np.testing.assert_allclose(
        two.common("a", "b"),
        two.of("a") + two.of("b") - two.of("a", "b"),
        atol=TOLERANCES["fp64_reduction"],
    )


def test_suppression_is_shown_as_it_is() -> None:
    rng = np.random.default_rng(3)
    noise, signal = rng.standard_normal((2, N_PAIR))
    result = rsa.variance_partition(named(np.vstack([signal + noise, noise])), signal[None])
    assert result.common("a", "b")[0] < -0.2


def test_a_predictor_may_be_several_rdms() -> None:
    x, y = draw(4)
    groups = {"pair": x[:2], "one": x[2]}
    result = rsa.variance_partition(groups, y, kind="plain")
    single = rsa.variance_partition(named(x), y, kind="plain")
    np.testing.assert_allclose(result.of("pair"), single.of("a", "b"))
    np.testing.assert_allclose(result.unique("one"), single.unique("c"))


def test_predictors_that_repeat_others_add_nothing() -> None:
    x, y = draw(5)
    twice = np.vstack([x, 3 * x[0] + x[1]])
    result = rsa.variance_partition(named(twice), y, kind="plain")
    three = rsa.variance_partition(named(x), y, kind="plain")
    np.testing.assert_allclose(result.total(), three.total(), atol=TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(result.unique("d"), 0, atol=TOLERANCES["fp64_factor"])


def test_ten_predictors() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((10, N_PAIR))
    result = rsa.variance_partition(named(x), x.sum(0)[None], kind="plain")
    assert result.r2.shape == (1024, 1)
    assert result.total()[0] == pytest.approx(1, abs=TOLERANCES["fp64_reduction"])
    frame = result.to_frame()
    assert len(frame) == 1023
    assert frame["part"].sum() == pytest.approx(1, abs=TOLERANCES["fp64_score"])
    assert frame.iloc[0].to_dict() == {
        "target": "rdm-01",
        "predictors": "a",
        "size": 1,
        "r2": result.of("a")[0],
        "part": result.unique("a")[0],
    }


def test_scales_do_not_matter() -> None:
    x, y = draw(7)
    before = rsa.variance_partition(named(x), y).r2
    after = rsa.variance_partition(named(x * [[1e-150], [1e9], [1e150]]), y * 1e-200).r2
    np.testing.assert_allclose(after, before, atol=TOLERANCES["fp64_score"])


def test_noise_explains_nothing_when_crossvalidated_or_adjusted() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((6, N_PAIR))
    y = rng.standard_normal((200, N_PAIR))
    plain = rsa.variance_partition(named(x), y, kind="plain").total().mean()
    adjusted = rsa.variance_partition(named(x), y).total().mean()
    crossvalidated = rsa.variance_partition(named(x), y, cv=4, random_state=0).total().mean()
    assert plain == pytest.approx(6 / (N_PAIR - 1), rel=0.15)
    assert abs(adjusted) < 0.005
    assert crossvalidated < 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictors": draw()[0][:1]}, "from 2 to 10; got 1"),
        ({"predictors": np.ones((2, 1)) * draw()[0][0]}, None),
        ({"predictors": np.vstack([draw()[0], np.ones(N_PAIR)])}, "'rdm-04' is constant"),
        ({"data": np.ones(N_PAIR)}, "'rdm-01' is constant"),
        ({"cv": 7}, "at least 3 conditions"),
        ({"cv": 1}, "cv must be at least 2"),
        ({"kind": "best"}, "kind must be one of"),
        ({"predictors": {}}, "got none"),
    ],
)
def test_errors(change: dict[str, Any], message: str | None) -> None:
    x, y = draw()
    arguments = {"predictors": x, "data": y} | change
    if message is None:
        rsa.variance_partition(**arguments)
        return
    with pytest.raises(ValueError, match=message):
        rsa.variance_partition(**arguments)


def test_names_that_are_none() -> None:
    x, y = draw()
    result = rsa.variance_partition(named(x), y)
    with pytest.raises(ValueError, match="some of a, b, c, each once; got 'a', 'd'"):
        result.of("a", "d")
    with pytest.raises(ValueError, match="got 'a', 'a'"):
        result.common("a", "a")
    assert "3 predictors, 3 targets, adjusted R2" in repr(result)
