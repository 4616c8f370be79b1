"""Folds within a training set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp.linear import FoldPlan

__all__ = ["check_inner_folds", "inner_folds"]


def inner_folds(
    cv: Any, train: NDArray[Any], groups: ArrayLike | None, *, min_test: int = 1
) -> FoldPlan:
    """Return the folds that `cv` makes of the training rows, counted within these.

    `groups` are those of all rows.
    """
    inside = None if groups is None else np.asarray(groups)[train]
    return FoldPlan.make(cv, n_stim=len(train), groups=inside, min_test=min_test)


def check_inner_folds(
    cv: Any, folds: FoldPlan, groups: ArrayLike | None, *, name: str, min_test: int = 1
) -> None:
    """Raise where `cv`, known to the user as `name`, cannot divide some training set."""
    for place, (train, _) in enumerate(folds):
        try:
            inner_folds(cv, train, groups, min_test=min_test)
        except ValueError as error:
            raise ValueError(
                f"{name} must divide the training set of each fold; in fold {place}, {error}"
            ) from error
