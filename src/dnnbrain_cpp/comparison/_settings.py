"""What a run does, the same for every network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from dnnbrain_cpp._validate import check_integer

__all__ = ["Settings", "seeded_folds"]


@dataclass(frozen=True)
class Settings:
    """Arguments of `compare_networks`, checked; `extraction` holds those that `extract` takes."""

    layers: str | Sequence[str] | None
    reduce: str | Mapping[str, str]
    metric: str
    method: str
    n_perm: int
    alternative: str
    estimator: Any
    cv: Any
    groups: ArrayLike | None
    seed: int
    extraction: dict[str, Any]


def seeded_folds(cv: Any, groups: ArrayLike | None, seed: int) -> Any:
    """Return `cv`, with a number of folds as folds that are shuffled by `seed`.

    Stimuli are mostly sorted by category, and an unshuffled fold would hold out a whole one.
    """
    if groups is not None or isinstance(cv, bool) or not isinstance(cv, int):
        return cv
    from sklearn.model_selection import KFold

    # scikit-learn's own seeds have 32 bits.
    return KFold(check_integer(cv, "cv", minimum=2), shuffle=True, random_state=seed % 2**32)
