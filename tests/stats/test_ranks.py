"""Wilcoxon's and Kruskal-Wallis' tests against SciPy and enumeration."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from dnnbrain_cpp import stats
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}
ALTERNATIVES = ("two-sided", "greater", "less")


def by_enumeration(x: NDArray[np.float64], alternative: str, zero_method: str) -> float:
    """Give the ranks of absolute differences all signs there are."""
    if zero_method == "wilcox":
        x = x[x != 0]
    ranks = scipy.stats.rankdata(abs(x))[x != 0]
    signs = x[x != 0] > 0
    observed = ranks[signs].sum()
    sums = np.array(
        [ranks[list(chosen)].sum() for chosen in product([False, True], repeat=len(ranks))]
    )
    greater, less = (sums >= observed).mean(), (sums <= observed).mean()
    return {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[
        alternative
    ]


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("zero_method", ["wilcox", "pratt"])
def test_exact_with_ties_and_zeros_by_enumeration(alternative: str, zero_method: str) -> None:
    x = np.random.default_rng(0).integers(-3, 5, (9, 20)).astype(float)
    assert (x == 0).any()
    result = stats.wilcoxon(x, alternative=alternative, zero_method=zero_method)
    assert result.exact.all()
    expected = [by_enumeration(column, alternative, zero_method) for column in x.T]
    np.testing.assert_allclose(result.p, expected, **CLOSE)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [1, 2, 15, 25, 40])
def test_equal_to_scipy_without_ties(n: int, alternative: Any) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.3, 1, (n, 6)), rng.normal(0, 1, (n, 6))
    for method in ("exact", "approx"):
        ours = stats.wilcoxon(a, b, alternative=alternative, method=method)
        theirs = scipy.stats.wilcoxon(a, b, alternative=alternative, method=method)
        np.testing.assert_allclose(ours.statistic, theirs.statistic, **CLOSE)
        np.testing.assert_allclose(ours.p, theirs.pvalue, **CLOSE)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("continuity", [False, True])
@pytest.mark.parametrize("zero_method", ["wilcox", "pratt"])
def test_approximation_is_that_of_scipy_with_ties(
    alternative: Any, continuity: bool, zero_method: Any
) -> None:
    x = np.random.default_rng(1).integers(-4, 7, (60, 5)).astype(float)
    ours = stats.wilcoxon(
        x, alternative=alternative, zero_method=zero_method, continuity=continuity
    )
    assert not ours.exact.any()
    for column, p in zip(x.T, ours.p, strict=True):
        theirs = scipy.stats.wilcoxon(
            column,
            alternative=alternative,
            zero_method=zero_method,
            correction=continuity,
            method="approx",
        )
        np.testing.assert_allclose(p, theirs.pvalue, **CLOSE)


def test_effect_size_is_that_of_pingouin() -> None:
    pingouin = pytest.importorskip("pingouin")
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.5, 1, 15), rng.normal(0, 1, 15)
    table = pingouin.wilcoxon(a, b)
    result = stats.wilcoxon(a, b)
    np.testing.assert_allclose(result.r, table["RBC"].iloc[0], **CLOSE)
    np.testing.assert_allclose(result.p, table["p_val"].iloc[0], **CLOSE)


def test_columns_of_unequal_counts_are_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(0.2, 1, (12, 4, 5)), 1)
    x[:4, 0] = 0
    x[:, 3, 4] = 0
    result = stats.wilcoxon(x)
    for place in np.ndindex(4, 5):
        alone = stats.wilcoxon(x[(slice(None), *place)])
        for name in ("p", "w_plus", "w_minus", "n", "r"):
            np.testing.assert_array_equal(getattr(result, name)[place], getattr(alone, name))
    assert np.isnan(result.p[3, 4])
    assert result.n[3, 4] == 0


def test_statistic_and_axis() -> None:
    x = np.random.default_rng(4).normal(0.5, 1, (3, 15))
    result = stats.wilcoxon(x, axis=1)
    np.testing.assert_array_equal(result.w_plus + result.w_minus, 15 * 16 / 2)
    np.testing.assert_array_equal(result.statistic, np.minimum(result.w_plus, result.w_minus))
    one_sided = stats.wilcoxon(x, axis=1, alternative="greater")
    np.testing.assert_array_equal(one_sided.statistic, result.w_plus)
    assert repr(stats.wilcoxon([1.0, 2.0, 3.0, 4.0, -0.5])) == (
        "WilcoxonResult: two-sided, n = 5, W+ = 14, W- = 1, p = 0.125 (exact), r = 0.8667"
    )
    assert repr(result) == "WilcoxonResult: two-sided, 3 tests"
    assert list(result.to_frame()["n"]) == [15, 15, 15]


@pytest.mark.parametrize("sizes", [(5, 5), (3, 7, 4)])
@pytest.mark.parametrize("tied", [False, True])
def test_kruskal_is_that_of_scipy(sizes: tuple[int, ...], tied: bool) -> None:
    rng = np.random.default_rng(5)
    groups = [rng.normal(i / 2, 1, (n, 4, 2)) for i, n in enumerate(sizes)]
    if tied:
        groups = [np.round(x) for x in groups]
    ours = stats.kruskal(*groups)
    theirs = scipy.stats.kruskal(*groups)
    np.testing.assert_allclose(ours.h, theirs.statistic, **CLOSE)
    np.testing.assert_allclose(ours.p, theirs.pvalue, **CLOSE)
    assert ours.df == len(sizes) - 1
    np.testing.assert_allclose(ours.epsilon2, ours.h / (sum(sizes) - 1), **CLOSE)
    turned = stats.kruskal(*[x.transpose(1, 2, 0) for x in groups], axis=-1)
    np.testing.assert_array_equal(turned.h, ours.h)
    assert len(ours.to_frame()) == 8


def test_kruskal_of_equal_values_is_nan() -> None:
    result = stats.kruskal([1.0, 1.0], [1.0, 1.0])
    assert np.isnan(result.h)
    assert np.isnan(result.p)
    assert repr(stats.kruskal([1.0, 2.0], [3.0, 4.0])).startswith("KruskalResult: H(1) = 2.4")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.wilcoxon([1.0, np.nan]), "a must be finite"),
        (lambda: stats.wilcoxon([1.0, 2.0], [1.0]), "equally many; got 2 and 1"),
        (lambda: stats.wilcoxon([]), "at least 1 samples"),
        (lambda: stats.wilcoxon(np.ones(60), method="exact"), "at most 52 differences; got 60"),
        (lambda: stats.wilcoxon([1.0], method="mc"), "method must be one of"),
        (lambda: stats.wilcoxon([1.0], zero_method="zsplit"), "zero_method must be one of"),
        (lambda: stats.kruskal([1.0]), "groups must be at least 2; got 1"),
        (lambda: stats.kruskal([1.0], []), "group 1 must hold at least 1"),
        (lambda: stats.kruskal(np.ones((2, 3)), np.ones((2, 4))), "agree in all axes"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
