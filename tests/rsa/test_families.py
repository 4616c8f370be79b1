"""Many models at once: the most extreme of them and adjusted p-values."""

from __future__ import annotations

import numpy as np
import pytest

from dnnbrain_cpp import rsa, stats
from oracle.rsa import null_scores, score_matrix
from tolerances import TOLERANCES

ROUNDING = TOLERANCES["fp64_reduction"]


def test_family_wise_p_compare_with_the_most_extreme_model() -> None:
    rng = np.random.default_rng(0)
    models, data = rng.standard_normal((4, 36)), rng.standard_normal((3, 36))
    null = null_scores("corr", models, data, n_perm=150, seed=2)
    observed = score_matrix("corr", models, data)
    extremes = {
        "two-sided": lambda score: np.abs(score),
        "greater": lambda score: score,
        "less": lambda score: -score,
    }
    for alternative, extreme in extremes.items():
        result = rsa.compare(
            models, data, method="corr", n_perm=150, alternative=alternative, random_state=2
        )
        most = extreme(null).max(1)  # over models: (n_perm, n_subject)
        count = (most[:, None] >= extreme(observed) - ROUNDING).sum(0)
        np.testing.assert_array_equal(result.fwe_p_values, (1 + count) / 151)
        most_of_group = extreme(null.mean(2)).max(1)
        count = (most_of_group[:, None] >= extreme(observed.mean(1)) - ROUNDING).sum(0)
        np.testing.assert_array_equal(result.group_fwe_p_values, (1 + count) / 151)
        assert (result.fwe_p_values >= result.p_values).all()


def test_of_one_model_the_family_is_itself() -> None:
    rng = np.random.default_rng(1)
    result = rsa.compare(
        rng.random((1, 45)), rng.random((3, 45)), n_perm=99, random_state=0, method="spearman"
    )
    np.testing.assert_array_equal(result.fwe_p_values, result.p_values)
    np.testing.assert_array_equal(result.group_fwe_p_values, result.group_p_values)


def test_a_model_that_comes_twice_costs_nothing() -> None:
    """Unlike Bonferroni's, the correction knows that two models are one."""
    rng = np.random.default_rng(2)
    x, y = rng.random((1, 45)), rng.random((2, 45))
    once = rsa.compare(x, y, n_perm=199, random_state=0)
    twice = rsa.compare(np.vstack([x, x]), y, n_perm=199, random_state=0)
    np.testing.assert_array_equal(twice.fwe_p_values[0], once.p_values[0])


def test_adjusted_p_values_are_of_the_models_of_a_subject() -> None:
    rng = np.random.default_rng(3)
    result = rsa.compare(rng.random((5, 45)), rng.random((3, 45)), n_perm=99, random_state=0)
    for method in stats.METHODS:
        adjusted = result.adjusted(method)
        for subject in range(3):
            np.testing.assert_array_equal(
                adjusted[:, subject], stats.adjust(result.p_values[:, subject], method=method)
            )
    summary = result.summary()
    np.testing.assert_array_equal(summary["p_fdr"], stats.adjust(result.group_p_values))
    np.testing.assert_array_equal(summary["p_fwe"], result.group_fwe_p_values)
    np.testing.assert_array_equal(result.to_frame()["p_fwe"], result.fwe_p_values.ravel())
    with pytest.raises(ValueError, match="no p-values to adjust"):
        rsa.compare(rng.random((2, 45)), rng.random((2, 45))).adjusted()
