"""How often tests find what is not there, and intervals miss what is: 2,000 simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp import stats

N_STUDY, N_SUBJECT = 2000, 15


def rate(p: NDArray[np.float64]) -> float:
    assert p.shape == (N_STUDY,)
    return float((p <= 0.05).mean())


def draw(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(5).standard_normal((N_SUBJECT, *shape, N_STUDY))


def layers_that_resemble_their_neighbours() -> NDArray[np.float64]:
    """Seven layers of growing variance whose correlation falls with their distance."""
    place = np.arange(7)
    correlation = np.exp(-np.abs(np.subtract.outer(place, place)) / 3)
    mix = np.linalg.cholesky(correlation) * np.linspace(0.3, 2, 7)[:, None]
    return np.einsum("ij,sajn->sain", mix, draw(2, 7))


def test_anova_under_sphericity() -> None:
    """Greenhouse and Geisser's correction is known to ask too much here; Huynh and Feldt's not."""
    result = stats.rm_anova(draw(2, 7) + 3 * draw(1, 1))
    for effect in result.values():
        assert 0.04 <= rate(effect.p) <= 0.06
        assert 0.04 <= rate(effect.p_hf) <= 0.06
        assert rate(effect.p_gg) <= 0.06
        if effect.df > 1:
            assert 0.04 <= rate(effect.mauchly_p) <= 0.06


def test_anova_without_sphericity() -> None:
    result = stats.rm_anova(layers_that_resemble_their_neighbours())
    assert 0.04 <= rate(result["network"].p) <= 0.06
    for name in ("layer", "network:layer"):
        assert rate(result[name].p) > 0.08
        assert 0.04 <= rate(result[name].p_gg) <= 0.06
        assert rate(result[name].mauchly_p) > 0.99


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_tests_of_means_and_ranks(alternative: str) -> None:
    a, b = draw(2).swapaxes(0, 1)
    same = {"alternative": alternative}
    for p in (
        stats.ttest(a, **same).p,  # type: ignore[arg-type]
        stats.ttest(a, b, paired=True, **same).p,  # type: ignore[arg-type]
        stats.ttest(a, b, **same).p,  # type: ignore[arg-type]
        stats.ttest(a, 2 * b, equal_var=False, **same).p,  # type: ignore[arg-type]
        stats.wilcoxon(a, **same).p,  # type: ignore[arg-type]
    ):
        assert 0.04 <= rate(p) <= 0.06


def test_groups_by_ranks() -> None:
    a, b, c = draw(3).swapaxes(0, 1)
    assert 0.04 <= rate(stats.kruskal(a, b, c).p) <= 0.06


def test_intervals_cover_the_difference() -> None:
    a, b = draw(2).swapaxes(0, 1)
    for result in (stats.ttest(a + 1, b), stats.ttest(a + 1, b, paired=True)):
        covered = (result.ci_low <= 1) & (result.ci_high >= 1)
        assert 0.93 <= covered.mean() <= 0.97
