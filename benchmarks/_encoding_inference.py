"""Rows of the encoding table: permutation tests of held-out predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from _problem import Job, Problem
from dnnbrain_cpp.encoding import permutation_test

__all__ = ["PROBLEMS"]

N_STIM, N_VOX, N_PERM = 500, 5000, 10_000
SHARE = 0.01


def _numpy_loop(y: NDArray[np.float64], p: NDArray[np.float64], n_perm: int) -> NDArray[np.float64]:
    """Shuffle rows, correlate, count: the obvious way, for all voxels at once."""
    rng = np.random.default_rng(0)
    y = (y - y.mean(0)) / y.std(0)
    p = (p - p.mean(0)) / p.std(0)
    observed = (y * p).mean(0)
    exceed = np.zeros(y.shape[1])
    extremes = np.empty(n_perm)
    for i in range(n_perm):
        r = (y[rng.permutation(len(y))] * p).mean(0)
        exceed += r >= observed
        extremes[i] = r.max()
    return np.asarray((1 + exceed) / (1 + n_perm))


def _permutation() -> Job:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((N_STIM, N_VOX))
    p = 0.4 * rng.random(N_VOX) * y + rng.standard_normal((N_STIM, N_VOX))
    n_part = int(N_PERM * SHARE)

    def difference(ours: Any, theirs: Any) -> str:
        # The peer has drawn fewer permutations: its p differ by what chance leaves.
        error = np.abs(ours.p - theirs) / np.sqrt(ours.p * (1 - ours.p) / n_part + n_part**-2)
        return f"p within {error.max():.1f} standard errors of {n_part} permutations"

    return Job(
        ours={"held-out kernel": lambda: permutation_test(y, p, n_perm=N_PERM, random_state=0)},
        peers={"NumPy loop": lambda: _numpy_loop(y, p, n_part)},
        difference=difference,
        share=SHARE,
    )


PROBLEMS = [
    Problem(
        name="permutation",
        title=f"permutation p, {N_PERM} permutations, n {N_STIM}, t {N_VOX}",
        peer="NumPy loop over permutations",
        goal=25.0,
        make=_permutation,
    )
]
