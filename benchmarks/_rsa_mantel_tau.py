"""Rows of the RSA table: Mantel tests of Kendall's tau."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from _problem import Job, Problem
from dnnbrain_cpp import rsa

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from skbio.stats.distance import DistanceMatrix
    from skbio.stats.distance import mantel as skbio_mantel

__all__ = ["PROBLEMS"]

N_PERM = 10_000


def _related(n_cond: int, n_rdm: int) -> NDArray[np.float64]:
    """RDMs of noisy copies of the same patterns."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n_cond, 20))
    return np.array([pdist(shared + 3 * rng.standard_normal(shared.shape)) for _ in range(n_rdm)])


def _job(n_cond: int, n_model: int, n_subject: int, peer_perm: int) -> Job:
    """All models with all subjects; the peer one of them with one, over `peer_perm` permutations.

    Each permutation costs the peer the same, and so does the score itself.
    """
    rdms = _related(n_cond, n_model + n_subject)
    models, subjects = rsa.RDMs(rdms[:n_model]), rsa.RDMs(rdms[n_model:])
    peer_x, peer_y = (DistanceMatrix(squareform(rdms[i])) for i in (0, n_model))

    def ours() -> Any:
        return rsa.compare(models, subjects, method="tau-b", n_perm=N_PERM, random_state=0)

    def peer() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return skbio_mantel(peer_x, peer_y, "kendalltau", permutations=peer_perm, seed=0)

    def difference(ours: Any, theirs: Any) -> str:
        p = np.clip(ours.p_values[0, 0], 1 / peer_perm, 1 - 1 / peer_perm)
        error = abs(ours.p_values[0, 0] - theirs[1]) / np.sqrt(p * (1 - p) / peer_perm)
        return f"tau {abs(ours.scores[0, 0] - theirs[0]):.1e}, p {error:.1f} standard errors"

    pairs = n_model * n_subject
    return Job(
        ours={"compare": ours},
        peers={"mantel" if pairs == 1 else "loop over pairs": peer},
        difference=difference,
        share=(peer_perm + 1) / ((N_PERM + 1) * pairs),
    )


PROBLEMS = [
    Problem(
        name="mantel-tau-92",
        title="Mantel, tau-b, 10,000 permutations, n 92",
        peer="scikit-bio",
        goal=100.0,
        make=partial(_job, 92, 1, 1, N_PERM),
    ),
    Problem(
        name="mantel-tau-1000",
        title="Mantel, tau-b, 10,000 permutations, n 1000",
        peer="scikit-bio",
        goal=80.0,
        make=partial(_job, 1000, 1, 1, 20),
    ),
    Problem(
        name="mantel-tau-630",
        title="42 models x 15 subjects, tau-b, 10,000 permutations, n 92",
        peer="scikit-bio",
        goal=100.0,
        make=partial(_job, 92, 42, 15, 2_000),
    ),
]
