"""Permutation tests of models with data: from checked RDMs to p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._methods import ALTERNATIVES, METHODS
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["MOST_EXHAUSTED", "REMOVALS", "Tested", "permute"]

MOST_EXHAUSTED = 8
"""With so many conditions or fewer, a test goes through all relabellings: 8! are 40,320."""

REMOVALS = {"partial": core.Removal.partial, "semi-partial": core.Removal.semi_partial}


@dataclass(frozen=True)
class Tested:
    """Scores, and the p-values of the four families of `kernels/tally.hpp`; None without tests."""

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None
    group_p_values: NDArray[np.float64] | None
    fwe_p_values: NDArray[np.float64] | None
    group_fwe_p_values: NDArray[np.float64] | None
    null: NDArray[np.float64]
    n_perm: int
    exact: bool
    seed: int | None


def permute(
    models: RDMs,
    data: RDMs,
    *,
    method: str,
    n_perm: int,
    alternative: str,
    random_state: RandomState,
    n_threads: int | None,
    progress: Progress,
    controls: RDMs | None = None,
    removal: str = "partial",
    keep_null: bool = False,
    stop_after: int = 0,
) -> Tested:
    """Score every model with every RDM of the data, relabelling conditions `n_perm` times."""
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    check_choice(removal, "removal", tuple(REMOVALS))
    n_perm = check_integer(n_perm, "n_perm", minimum=0)
    exact = n_perm > 0 and models.n_cond <= MOST_EXHAUSTED
    seed = as_seed(random_state) if n_perm and not exact else None
    with progress_callback(progress, f"RSA, {n_perm} permutations") as report:
        tests = core.mantel_tests(
            models.dissimilarities,
            data.dissimilarities,
            None if controls is None else controls.dissimilarities,
            REMOVALS[removal],
            models.n_cond,
            METHODS[method],
            ALTERNATIVES[alternative],
            n_perm,
            exact,
            keep_null,
            0 if exact else stop_after,
            seed or 0,
            resolve_n_threads(n_threads),
            report,
        )

    def p(exceed: NDArray[np.int64]) -> NDArray[np.float64] | None:
        if not n_perm:
            return None
        stopped = tests.n_relabelling < n_perm and not exact
        # Of all relabellings the identity is one; of drawn ones, one more, unless it is known which
        # exceedance came last (Besag & Clifford 1991).
        drawn = 0 if exact or stopped else 1
        return np.asarray((drawn + exceed) / (drawn + tests.n_relabelling))

    return Tested(
        scores=tests.scores,
        p_values=p(tests.exceed),
        group_p_values=p(tests.group_exceed[:, 0]),
        fwe_p_values=p(tests.exceed_of_most),
        group_fwe_p_values=p(tests.group_exceed_of_most[:, 0]),
        null=tests.null,
        n_perm=tests.n_relabelling if n_perm else 0,
        exact=exact,
        seed=seed,
    )
