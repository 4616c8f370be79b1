"""Which stimuli train and which are held out: scikit-learn's rules."""

from __future__ import annotations

from collections.abc import Iterable
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
        If a part of a fold has fewer than two stimuli, or a stimulus is in both parts.
    """
    from sklearn.model_selection import GroupKFold, check_cv

    labels = None if groups is None else np.asarray(groups)
    if labels is not None and labels.shape != (n_stim,):
        raise ValueError(f"groups must have shape ({n_stim},); got {labels.shape}.")
    if isinstance(cv, bool):
        raise TypeError(f"cv must be a number of folds, a splitter or a list of splits; got {cv}.")
    if isinstance(cv, int | np.integer):
        _check_fold_count(int(cv), n_stim, labels)
        splitter = check_cv(int(cv)) if labels is None else GroupKFold(int(cv))
    elif labels is not None and not hasattr(cv, "split"):
        raise ValueError(
            "groups must come with a number of folds or a splitter; cv is a list of splits already."
        )
    else:
        splitter = check_cv(cv)
    splits: Iterable[tuple[ArrayLike, ArrayLike]] = splitter.split(np.zeros(n_stim), groups=labels)
    folds = [(_rows(train, n_stim), _rows(test, n_stim)) for train, test in splits]
    if not folds:
        raise ValueError("cv must give at least one fold; it gave none.")
    for place, (train, test) in enumerate(folds):
        _check_fold(place, train, test, n_stim)
    return folds


def _check_fold_count(n_fold: int, n_stim: int, labels: NDArray[Any] | None) -> None:
    what, most = ("stimuli", n_stim) if labels is None else ("groups", len(np.unique(labels)))
    if not 2 <= n_fold <= most:
        raise ValueError(f"cv must be from 2 to the number of {what}, {most}; got {n_fold}.")


def _rows(part: ArrayLike, n_stim: int) -> NDArray[np.int64]:
    """Return the rows that indices or a mask stand for."""
    chosen = np.asarray(part)
    if chosen.dtype == bool:
        if chosen.shape != (n_stim,):
            raise ValueError(f"masks of a split must have shape ({n_stim},); got {chosen.shape}.")
        return np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
        raise TypeError(
            "splits must be pairs of 1-D integer indices or masks; got shape "
            f"{chosen.shape} of {chosen.dtype}."
        )
    return chosen.astype(np.int64)


def _check_fold(place: int, train: NDArray[np.int64], test: NDArray[np.int64], n_stim: int) -> None:
    if len(train) < 2 or len(test) < 2:
        raise ValueError(
            "every fold must train on and hold out at least 2 stimuli, or a correlation has no "
            f"meaning; fold {place} has {len(train)} and {len(test)}. Use fewer folds."
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
