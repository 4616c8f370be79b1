"""Pairs of models over subjects: against SciPy, all flips, and chance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_rel, wilcoxon

from dnnbrain_cpp import rsa, stats
from tolerances import TOLERANCES

ROUNDING = TOLERANCES["fp64_reduction"]


def scores(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((4, 9)) + np.arange(4)[:, None] * 0.4


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
@pytest.mark.parametrize("adjustment", ["holm", "bh"])
def test_pairs_of_models_equal_scipy(test: str, adjustment: str) -> None:
    values = scores(4)
    result = rsa.compare_models(values, test=test, adjustment=adjustment)
    peer = {"t": ttest_rel, "wilcoxon": wilcoxon}[test]
    pairs = list(itertools.combinations(range(4), 2))
    expected = np.array([peer(values[i], values[j]).pvalue for i, j in pairs])
    adjusted = stats.adjust(expected, method=adjustment)
    for place, (i, j) in enumerate(pairs):
        assert result.p_values[i, j] == result.p_values[j, i]
        assert result.p_values[i, j] == pytest.approx(expected[place], abs=ROUNDING)
        assert result.adjusted[i, j] == pytest.approx(adjusted[place], abs=ROUNDING)
        assert result.difference[i, j] == pytest.approx((values[i] - values[j]).mean(), abs=1e-12)
    assert np.isnan(np.diagonal(result.adjusted)).all()
    np.testing.assert_array_equal(result.difference, -result.difference.T)


@pytest.mark.parametrize("adjustment", ["holm", "max"])
def test_sign_flips_are_all_flips_of_subjects(adjustment: str) -> None:
    values = scores(5)
    result = rsa.compare_models(values, test="sign-flip", adjustment=adjustment)
    pairs = list(itertools.combinations(range(4), 2))
    flips = np.array(list(itertools.product([1.0, -1.0], repeat=9)))
    differences = np.stack([values[i] - values[j] for i, j in pairs], axis=1)
    flipped = flips[:, :, None] * differences
    t = np.abs(flipped.mean(1) / flipped.std(1, ddof=1))
    p = (t >= t[0] - 1e-12).mean(0)
    expected = stats.adjust(p, method="holm")
    if adjustment == "max":
        expected = (t.max(1)[:, None] >= t[0] - 1e-12).mean(0)
    for place, (i, j) in enumerate(pairs):
        assert result.p_values[i, j] == pytest.approx(p[place], abs=1e-12)
        assert result.adjusted[i, j] == pytest.approx(expected[place], abs=1e-12)


def test_pairs_of_a_result_keep_its_names() -> None:
    rng = np.random.default_rng(6)
    models = rsa.RDMs(rng.random((3, 45)), names=["conv1", "conv5", "fc7"])
    result = rsa.compare_models(rsa.compare(models, rng.random((6, 45))))
    frame = result.to_frame()
    assert list(zip(frame["first"], frame["second"], strict=True)) == [
        ("conv1", "conv5"),
        ("conv1", "fc7"),
        ("conv5", "fc7"),
    ]
    for fact in ("3 models", "6 subjects", "holm", "conv5"):
        assert fact in repr(result)


def test_scores_are_not_squared() -> None:
    """A peer tests squared correlations, which are positive by construction: it finds any model."""
    rng = np.random.default_rng(7)
    chance = np.zeros(12)
    ours = squared = 0
    for _ in range(200):
        model = 0.3 * rng.standard_normal(12)
        ours += rsa.compare_models([model, chance]).p_values[0, 1] < 0.05
        squared += ttest_rel(model**2, chance).pvalue < 0.05
    assert ours < 25
    assert squared > 150


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((1, 5)), {}, "got 1 models and 5 subjects"),
        (np.zeros((3, 1)), {}, "got 3 models and 1 subjects"),
        (np.full((3, 4), np.nan), {}, "scores must be finite"),
        (np.zeros((3, 4)), {"test": "z"}, "test must be one of"),
        (np.zeros((3, 4)), {"adjustment": "tukey"}, "adjustment must be one of"),
        (np.zeros((3, 4)), {"adjustment": "max"}, "is for test='sign-flip'"),
    ],
)
def test_wrong_comparisons(
    values: NDArray[np.float64], options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.compare_models(values, **options)
