"""The binding of permutation tests without what most tests of the boundary leave alone."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dnnbrain_cpp._native import core

__all__ = ["mantel_tests"]


def mantel_tests(
    models: Any,
    subjects: Any,
    n_cond: Any,
    comparator: Any,
    alternative: Any,
    n_perm: Any,
    seed: int,
    n_threads: int,
    progress: Any,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return scores, and counts of relabellings as extreme: of each pair, of the group's mean."""
    found = core.mantel_tests(
        models=models,
        subjects=subjects,
        controls=None,
        removal=core.Removal.partial,
        n_cond=n_cond,
        comparator=comparator,
        alternative=alternative,
        n_perm=n_perm,
        exhaustive=False,
        keep_null=False,
        stop_after=0,
        seed=seed,
        n_threads=n_threads,
        progress=progress,
    )
    return found.scores, found.exceed, found.group_exceed
