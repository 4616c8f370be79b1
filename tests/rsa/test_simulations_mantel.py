"""False-positive rates over simulated nulls: what a level of 0.05 is in truth.

Patterns of few dimensions, so that dissimilarities that share a condition depend on each other.
The rates found are in docs/rsa.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from dnnbrain_cpp import rsa

pytestmark = pytest.mark.slow

N_TEST, LEVEL, N_PERM, N_COND = 2000, 0.05, 199, 16

Values = NDArray[np.float64]


def rdms(rng: np.random.Generator, n_rdm: int, shared: Values | None = None) -> Values:
    """RDMs of patterns of their own, and of `shared` ones if there are."""
    base = 0.0 if shared is None else shared
    return np.array([pdist(base + rng.standard_normal((N_COND, 3))) for _ in range(n_rdm)])


MORE_TESTS = 8000
"""Where 2,000 left the rate in doubt: two standard errors are then 0.005."""


def rate(
    p_value: Callable[[np.random.Generator, int], float], stream: int, n_test: int = N_TEST
) -> float:
    """Part of the simulated studies that find what is not there."""
    found = [
        p_value(np.random.default_rng([stream, test]), test) <= LEVEL for test in range(n_test)
    ]
    return float(np.mean(found))


def check(name: str, found: float) -> None:
    print(f"{name}: {found:.4f}")
    assert 0.04 <= found <= 0.06


@pytest.mark.parametrize(
    "method", ["corr", "spearman", "tau-b", "cosine", "corr_cov", "cka-unbiased"]
)
def test_one_model_one_subject(method: str) -> None:
    """Entries of an RDM are no sample: shuffling them, as a peer does, rejects far too often."""

    def p_value(rng: np.random.Generator, test: int) -> float:
        x, y = rdms(rng, 2)
        return rsa.mantel(x, y, method, N_PERM, random_state=test, n_threads=1).p_value

    check(f"mantel, {method}", rate(p_value, 1))


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_one_sided(alternative: str) -> None:
    def p_value(rng: np.random.Generator, test: int) -> float:
        x, y = rdms(rng, 2)
        return rsa.mantel(
            x, y, "spearman", N_PERM, alternative, random_state=test, n_threads=1
        ).p_value

    check(f"mantel, spearman, {alternative}", rate(p_value, 2))


def test_all_relabellings() -> None:
    """Seven conditions: p is one of 5,040, none of them drawn."""

    def p_value(rng: np.random.Generator, test: int) -> float:
        x, y = (pdist(rng.standard_normal((7, 3))) for _ in range(2))
        return rsa.mantel(x, y, "spearman", n_threads=1).p_value

    check("mantel, spearman, all of 7!", rate(p_value, 3, MORE_TESTS))


def test_stopped_early() -> None:
    def p_value(rng: np.random.Generator, test: int) -> float:
        x, y = rdms(rng, 2)
        return rsa.mantel(
            x, y, "spearman", 999, random_state=test, stop_after=20, n_threads=1
        ).p_value

    check("mantel, spearman, stopped after 20", rate(p_value, 7))


def group(rng: np.random.Generator, n_model: int) -> tuple[Values, Values]:
    """Models that resemble each other, and subjects that do, of unrelated conditions."""
    models = rdms(rng, n_model, rng.standard_normal((N_COND, 3)))
    return models, rdms(rng, 6, rng.standard_normal((N_COND, 3)))


@pytest.mark.parametrize("which", ["group_p_values", "fwe_p_values", "group_fwe_p_values"])
def test_groups_and_families(which: str) -> None:
    """The family-wise rate: that any of 5 models is found."""

    def p_value(rng: np.random.Generator, test: int) -> float:
        models, data = group(rng, 1 if which == "group_p_values" else 5)
        result = rsa.compare(
            models, data, method="spearman", n_perm=N_PERM, random_state=test, n_threads=1
        )
        p: Any = getattr(result, which)
        return float(p[:, 0].min() if p.ndim == 2 else p.min())

    check(f"compare, spearman, {which}", rate(p_value, 4, MORE_TESTS))


@pytest.mark.parametrize("removal", ["partial", "semi-partial"])
def test_controls(removal: str) -> None:
    """Data and control share something; the model has nothing to do with either."""

    def p_value(rng: np.random.Generator, test: int) -> float:
        control, data = rdms(rng, 2, rng.standard_normal((N_COND, 3)))
        result = rsa.compare(
            rdms(rng, 1),
            data,
            method="spearman",
            controls=control,
            removal=removal,
            n_perm=N_PERM,
            random_state=test,
            n_threads=1,
        )
        assert result.p_values is not None
        return float(result.p_values[0, 0])

    check(f"compare, spearman, {removal}", rate(p_value, 5))


@pytest.mark.parametrize(
    ("test_name", "adjustment"),
    [("t", "holm"), ("wilcoxon", "holm"), ("sign-flip", "holm"), ("sign-flip", "max")],
)
def test_pairs_of_models(test_name: str, adjustment: str) -> None:
    """Two models that are equally good on average, 12 subjects."""

    def p_value(rng: np.random.Generator, test: int) -> float:
        scores = 0.3 + 0.1 * rng.standard_normal((2, 12)) + 0.1 * rng.standard_normal(12)
        result = rsa.compare_models(
            scores, test=test_name, adjustment=adjustment, random_state=test
        )
        return float(result.adjusted[0, 1])

    check(f"compare_models, {test_name}, {adjustment}", rate(p_value, 6))
