"""How often sign flips find something where there is nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dnnbrain_cpp import stats

pytestmark = pytest.mark.slow

N_NULL, N_PERM, LEVEL = 2000, 199, 0.05

TESTS: dict[str, Callable[[NDArray[np.float64], int], float]] = {
    "one place": lambda maps, seed: float(
        stats.sign_flip_test(maps, n_perm=N_PERM, random_state=seed, n_threads=1).p[7]
    ),
    "largest t": lambda maps, seed: float(
        stats.sign_flip_test(maps, n_perm=N_PERM, random_state=seed, n_threads=1).p_fwe.min()
    ),
    "cluster mass": lambda maps, seed: float(
        stats.cluster_test(maps, n_perm=N_PERM, random_state=seed, n_threads=1).p_map.min()
    ),
    "cluster mass, one-sided": lambda maps, seed: float(
        stats.cluster_test(
            maps, n_perm=N_PERM, random_state=seed, n_threads=1, alternative="greater"
        ).p_map.min()
    ),
    "tfce": lambda maps, seed: float(
        stats.cluster_test(
            maps, threshold="tfce", n_perm=N_PERM, random_state=seed, n_threads=1
        ).p_map.min()
    ),
}


@pytest.mark.parametrize("name", list(TESTS))
def test_false_positives(name: str) -> None:
    """Smooth maps of 16 subjects whose scales differ."""
    rng = np.random.default_rng(11)
    found = 0
    for seed in range(N_NULL):
        noise = ndimage.gaussian_filter1d(rng.standard_normal((16, 60)), 2.0, axis=1)
        found += TESTS[name](noise * rng.uniform(0.5, 2.0, (16, 1)), seed) <= LEVEL
    rate = found / N_NULL
    print(f"{name}: {rate:.4f}")
    assert 0.04 <= rate <= 0.06
