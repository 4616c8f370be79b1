"""Rows of the RSA table: Mantel tests whose statistic is a product of vectors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from _problem import Job, Problem
from dnnbrain_cpp import rsa

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from skbio.stats.distance import DistanceMatrix
    from skbio.stats.distance import mantel as skbio_mantel

__all__ = ["PROBLEMS"]

N_PERM = 10_000
NAMES = {"spearman": "spearman", "corr": "pearson"}


def _related(n_cond: int, n_rdm: int) -> list[NDArray[np.float64]]:
    """RDMs of noisy copies of the same patterns."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n_cond, 20))
    return [pdist(shared + 3 * rng.standard_normal(shared.shape)) for _ in range(n_rdm)]


def _mantel(method: str, n_cond: int) -> Job:
    x, y = _related(n_cond, 2)
    square_x, square_y = rsa.RDM(x).square(), rsa.RDM(y).square()
    peer_x, peer_y = DistanceMatrix(square_x), DistanceMatrix(square_y)
    ours_x, ours_y = rsa.RDM(x), rsa.RDM(y)

    def peer() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return skbio_mantel(peer_x, peer_y, method=NAMES[method], permutations=N_PERM, seed=0)

    def difference(ours: Any, theirs: Any) -> str:
        p = max(float(theirs[1]), 1 / N_PERM)
        error = abs(ours.p_value - p) / np.sqrt(2 * p * (1 - p) / N_PERM)
        return f"r {abs(ours.statistic - theirs[0]):.1e}, p {error:.1f} standard errors"

    return Job(
        ours={"mantel": lambda: rsa.mantel(ours_x, ours_y, method, N_PERM, random_state=0)},
        peers={"mantel": peer},
        difference=difference,
    )


def _many(method: str, n_cond: int, n_model: int, n_subject: int) -> Job:
    rdms = np.array(_related(n_cond, n_model + n_subject))
    models, subjects = rsa.RDMs(rdms[:n_model]), rsa.RDMs(rdms[n_model:])
    peers = [DistanceMatrix(square) for square in models[:2].square()]
    subject = DistanceMatrix(subjects[0].square())

    def peer() -> list[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                skbio_mantel(model, subject, method=NAMES[method], permutations=N_PERM, seed=0)
                for model in peers
            ]

    def difference(ours: Any, theirs: Any) -> str:
        scores = np.array([statistic for statistic, _, _ in theirs])
        return f"r {np.abs(ours.scores[:2, 0] - scores).max():.1e}"

    return Job(
        ours={
            "compare": lambda: rsa.compare(
                models, subjects, method=method, n_perm=N_PERM, random_state=0
            )
        },
        peers={"loop over pairs": peer},
        difference=difference,
        share=2 / (n_model * n_subject),
    )


PROBLEMS = [
    Problem(
        name="mantel-rho-92",
        title="Mantel, Spearman, 10,000 permutations, n 92",
        peer="scikit-bio",
        goal=15.0,
        make=lambda: _mantel("spearman", 92),
    ),
    Problem(
        name="mantel-rho-1000",
        title="Mantel, Spearman, 10,000 permutations, n 1000",
        peer="scikit-bio",
        goal=3.0,
        make=lambda: _mantel("spearman", 1000),
    ),
    Problem(
        name="mantel-r-92",
        title="Mantel, Pearson, 10,000 permutations, n 92",
        peer="scikit-bio",
        goal=1.0,
        make=lambda: _mantel("corr", 92),
    ),
    Problem(
        name="mantel-r-1000",
        title="Mantel, Pearson, 10,000 permutations, n 1000",
        peer="scikit-bio",
        goal=1.0,
        make=lambda: _mantel("corr", 1000),
    ),
    Problem(
        name="mantel-rho-630",
        title="42 models x 15 subjects, Spearman, 10,000 permutations, n 92",
        peer="scikit-bio",
        goal=15.0,
        make=lambda: _many("spearman", 92, 42, 15),
    ),
]
