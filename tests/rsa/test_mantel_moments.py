"""Moments over all relabellings: equal to those of all relabellings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import skew

from dnnbrain_cpp import rsa
from tolerances import TOLERANCES


@pytest.mark.parametrize("method", ["corr", "cosine", "spearman"])
@pytest.mark.parametrize("n_cond", [6, 7])
@pytest.mark.parametrize("levels", [None, 3])
def test_moments_are_those_of_all_relabellings(
    method: str, n_cond: int, levels: int | None
) -> None:
    rng = np.random.default_rng(n_cond)
    n_pair = n_cond * (n_cond - 1) // 2
    x, y = rng.random((2, n_pair)) if levels is None else rng.integers(1, levels + 1, (2, n_pair))
    null = rsa.mantel(x, y, method).null
    found = rsa.mantel_moments(x, y, method)
    rounding = TOLERANCES["fp64_score"]
    assert found.statistic == pytest.approx(null[0], abs=rounding)
    assert found.mean == pytest.approx(null.mean(), abs=rounding)
    assert found.sd == pytest.approx(null.std(), abs=rounding)
    assert found.skewness == pytest.approx(skew(null), abs=1e-8)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("noise", [1.5, 3.0])
def test_p_is_near_that_of_many_permutations(alternative: str, noise: float) -> None:
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((20, 3))
    x, y = (pdist(shared + noise * rng.standard_normal((20, 3))) for _ in range(2))
    drawn = rsa.mantel(x, y, "corr", 20_000, alternative, random_state=0)
    found = rsa.mantel_moments(x, y, "corr", alternative)
    assert 0.0005 < drawn.p_value < 0.9995
    error = 4 * np.sqrt(drawn.p_value * (1 - drawn.p_value) / 20_000)
    assert abs(found.p_value - drawn.p_value) < error + 0.01 + 0.05 * drawn.p_value


def test_p_may_be_far_below_one_over_the_permutations() -> None:
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((40, 5))
    x, y = (pdist(shared + 0.3 * rng.standard_normal((40, 5))) for _ in range(2))
    assert rsa.mantel_moments(x, y).p_value < 1e-8


def test_the_scale_does_not_matter() -> None:
    x, y = np.random.default_rng(3).random((2, 45))
    small = rsa.mantel_moments(1e-200 * x, 1e200 * y)
    plain = rsa.mantel_moments(x, y)
    assert small.p_value == pytest.approx(plain.p_value, rel=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "tau-b"}, "method must be one of 'corr', 'cosine', 'spearman'"),
        ({"alternative": "both"}, "alternative must be one of"),
        ({"x": np.arange(1.0, 11), "y": np.arange(1.0, 11)}, "at least 6 conditions; got 5"),
        ({"x": np.ones((2, 45))}, "one RDM each; got 2 and 1"),
        ({"x": np.ones(45)}, "not all equal"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": np.arange(45.0), "y": np.arange(45.0) ** 2}
    with pytest.raises(ValueError, match=message):
        rsa.mantel_moments(**(arguments | change))
