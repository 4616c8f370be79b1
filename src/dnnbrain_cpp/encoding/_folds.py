"""Which stimuli train and which are held out: scikit-learn's rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Folds", "make_folds"]

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Training and held-out rows of each fold."""


def make_folds(cv: Any, *, n_stim: int, groups: ArrayLike | None) -> Folds:
    """Return the rows of each fold.

    Parameters
    ----------
    cv : int, splitter, or iterable of (train, test)
        An int is that many folds: `GroupKFold` when there are groups, else unshuffled `KFold`, as
        in scikit-learn. Any scikit-learn splitter; or the splits themselves.
    n_stim : int
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together.

    Returns
    -------
    list of (train, test)
        Rows as int64 arrays.

    Raises
    ------
    ValueError
        If a fold is empty, or a stimulus is in both parts of it.
    """
    from sklearn.model_selection import GroupKFold, check_cv

    labels = None if groups is None else np.asarray(groups)
    if labels is not None and labels.shape != (n_stim,):
        raise ValueError(f"groups must have shape ({n_stim},); got {labels.shape}.")
    if isinstance(cv, int) and not isinstance(cv, bool):
        _check_fold_count(cv, n_stim, labels)
        splitter = check_cv(cv) if labels is None else GroupKFold(cv)
    elif labels is not None and not hasattr(cv, "split"):
        raise ValueError(
            "groups must come with a number of folds or a splitter; cv is a list of splits already."
        )
    else:
        splitter = check_cv(cv)
    splits: Iterable[tuple[Sequence[int], Sequence[int]]] = splitter.split(
        np.zeros(n_stim), groups=labels
    )
    folds = [
        (np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64))
        for train, test in splits
    ]
    if not folds:
        raise ValueError("cv must give at least one fold; it gave none.")
    for place, (train, test) in enumerate(folds):
        _check_fold(place, train, test, n_stim)
    return folds


def _check_fold_count(n_fold: int, n_stim: int, labels: NDArray[Any] | None) -> None:
    what, most = ("stimuli", n_stim) if labels is None else ("groups", len(np.unique(labels)))
    if not 2 <= n_fold <= most:
        raise ValueError(f"cv must be from 2 to the number of {what}, {most}; got {n_fold}.")


def _check_fold(place: int, train: NDArray[np.int64], test: NDArray[np.int64], n_stim: int) -> None:
    if len(train) == 0 or len(test) == 0:
        raise ValueError(
            f"every fold must train on and hold out some stimuli; fold {place} has {len(train)} "
            f"and {len(test)}."
        )
    rows = np.concatenate([train, test])
    if rows.min() < 0 or rows.max() >= n_stim:
        raise ValueError(
            f"folds must index {n_stim} stimuli; fold {place} has rows from {rows.min()} to "
            f"{rows.max()}."
        )
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"no stimulus may train and be held out at once; fold {place} has row {shared[0]} in "
            "both parts."
        )
