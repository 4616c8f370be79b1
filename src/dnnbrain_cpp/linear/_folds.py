"""Which stimuli train and which are held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)

from dnnbrain_cpp._validate import check_choice, check_finite, check_integer
from dnnbrain_cpp.linear._runs import run_starts

__all__ = ["Fold", "FoldPlan"]

Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]
"""Training and held-out rows."""

_MIN_TRAIN = 2
_DEFAULT_COUNT = 5
_NAMED = ("run", "loo")
_STRATIFIED = (
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)


@dataclass(frozen=True, repr=False, eq=False)
class FoldPlan(Sequence[Fold]):
    """The folds of a cross-validation, settled before any work is done.

    A sequence of ``(train, test)``, read-only int64 rows. It is a scikit-learn ``cv`` too. Make one
    with `make`.

    Attributes
    ----------
    folds : tuple of (train, test)
    n_stim : int
        Rows that the folds are of.
    scheme : str
        How they were made, in words.
    """

    folds: tuple[Fold, ...]
    n_stim: int
    scheme: str

    @classmethod
    def make(
        cls,
        cv: Any,
        *,
        n_stim: int,
        groups: ArrayLike | None = None,
        y: ArrayLike | None = None,
        purge: int = 0,
        runs: ArrayLike | None = None,
        min_test: int = 2,
    ) -> FoldPlan:
        """Return the folds that `cv` stands for.

        Parameters
        ----------
        cv : int, "run", "loo", splitter, FoldPlan, or iterable of (train, test)
            An int is that many folds: `GroupKFold` when there are groups, else unshuffled `KFold`,
            as in scikit-learn; None is 5. ``"run"`` leaves out one group at a time, ``"loo"`` one
            stimulus. Any scikit-learn splitter; or the splits themselves, as indices or masks.
        n_stim : int
        groups : array_like of shape (n_stim,), optional
            Stimuli of one group, such as a run, are held out together.
        y : array_like of shape (n_stim,), optional
            Classes, for splitters that stratify.
        purge : int
            For time series: training rows that lie within so many rows of a held-out one, in the
            same run, are left out of the fold; see `gap`.
        runs : array_like of shape (n_stim,), optional
            For `purge`: the run of each row, rows of a run side by side in the order of time.
            Nothing is purged across runs. By default `groups`; without these, all is one run. Where
            groups are blocks within one run, give ``runs=numpy.zeros(n_stim)``.
        min_test : int
            Fewest rows that a fold may hold out: 2 where each fold is scored, since one row has no
            variance; 1 where predictions are pooled over folds first.

        Returns
        -------
        FoldPlan

        Raises
        ------
        TypeError
            For a `cv` that is none of these, or rows that are not integers.
        ValueError
            For impossible numbers of folds, too few rows in a part of a fold, a row out of range,
            in both parts or held out twice in a fold, groups that `cv` cannot use, or a purge that
            leaves nothing to train on.
        """
        n_stim = check_integer(n_stim, "n_stim", minimum=1)
        purge = check_integer(purge, "purge", minimum=0)
        min_test = check_integer(min_test, "min_test", minimum=1)
        labels = _check_groups(groups, n_stim)
        splits, scheme = _split(cv, n_stim, labels, y)
        folds = [(_rows(train, n_stim), _rows(test, n_stim)) for train, test in splits]
        if not folds:
            raise ValueError("cv must give at least one fold; it gave none.")
        for place, (train, test) in enumerate(folds):
            _check_fold(place, train, test, n_stim, min_test)
        if purge:
            start = _purge_runs(runs, labels, n_stim)
            folds = [(_purged(train, test, start, purge), test) for train, test in folds]
            scheme = f"{scheme}, purge {purge}"
            _check_purged(folds, purge)
        for fold in folds:
            for rows in fold:
                rows.setflags(write=False)
        return cls(tuple(folds), n_stim, scheme)

    def __len__(self) -> int:
        return len(self.folds)

    @overload
    def __getitem__(self, place: int) -> Fold: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Fold, ...]: ...
    def __getitem__(self, place: int | slice) -> Fold | tuple[Fold, ...]:
        return self.folds[place]

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    def gap(self, place: int) -> Rows:
        """Return the rows that fold `place` neither trains on nor holds out, in order."""
        used = np.zeros(self.n_stim, dtype=bool)
        for rows in self.folds[place]:
            used[rows] = True
        return np.flatnonzero(~used)

    @property
    def has_gaps(self) -> bool:
        """Whether some fold leaves rows unused."""
        return any(len(self.gap(place)) for place in range(len(self)))

    @property
    def has_repeats(self) -> bool:
        """Whether some fold trains on a row more than once, as a bootstrap does."""
        return any(len(np.unique(train)) < len(train) for train, _ in self.folds)

    @property
    def is_partition(self) -> bool:
        """Whether each row is held out exactly once."""
        held_out = np.concatenate([test for _, test in self.folds])
        return len(held_out) == self.n_stim and bool((np.bincount(held_out) == 1).all())

    @property
    def n_train(self) -> tuple[int, ...]:
        """Training rows of each fold."""
        return tuple(len(train) for train, _ in self.folds)

    @property
    def n_test(self) -> tuple[int, ...]:
        """Held-out rows of each fold."""
        return tuple(len(test) for _, test in self.folds)

    def tensors(
        self, device: torch.device | str | None = None
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return (train, test) of each fold as int64 tensors, as the compiled core takes them."""
        return [
            (torch.tensor(train, device=device), torch.tensor(test, device=device))
            for train, test in self.folds
        ]

    def __repr__(self) -> str:
        gaps = [len(self.gap(place)) for place in range(len(self))]
        sizes = f"{_span(self.n_train)} train, {_span(self.n_test)} held out"
        if any(gaps):
            sizes += f", {_span(gaps)} in neither"
        count = "1 fold" if len(self) == 1 else f"{len(self)} folds"
        return f"FoldPlan({self.scheme}: {count} of {self.n_stim} stimuli, {sizes})"


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}-{high}"


def _check_groups(groups: ArrayLike | None, n_stim: int) -> NDArray[Any] | None:
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (n_stim,):
        raise ValueError(f"groups must have shape ({n_stim},); got {labels.shape}.")
    if labels.dtype.kind == "f":
        check_finite(labels, "groups")
    return labels


def _split(
    cv: Any, n_stim: int, labels: NDArray[Any] | None, y: ArrayLike | None
) -> tuple[Iterable[tuple[ArrayLike, ArrayLike]], str]:
    """Return the splits as they come, and how they were made."""
    if isinstance(cv, bool):
        raise TypeError(f"cv must be a number of folds, a splitter or a list of splits; got {cv}.")
    cv = _DEFAULT_COUNT if cv is None else cv
    if isinstance(cv, FoldPlan) and cv.n_stim != n_stim:
        raise ValueError(f"cv must be folds of {n_stim} stimuli; got {cv!r}.")
    if isinstance(cv, int | np.integer):
        _check_fold_count(int(cv), n_stim, labels)
        splitter: Any = KFold(int(cv)) if labels is None else GroupKFold(int(cv))
        scheme = f"{type(splitter).__name__}({cv})"
    elif isinstance(cv, str):
        check_choice(cv, "cv", _NAMED)
        if cv == "run" and labels is None:
            raise ValueError("groups must say the run of each stimulus when cv is 'run'; got None.")
        if cv == "loo" and labels is not None:
            raise ValueError("groups cannot be kept together when cv is 'loo'. Use cv='run'.")
        if cv == "run" and labels is not None and len(np.unique(labels)) < 2:
            raise ValueError("groups must be 2 at least when cv is 'run'; all stimuli are of one.")
        splitter = LeaveOneGroupOut() if cv == "run" else LeaveOneOut()
        scheme = f"leave one {'run' if cv == 'run' else 'stimulus'} out"
    elif hasattr(cv, "split"):
        splitter, scheme = cv, type(cv).__name__
    elif not isinstance(cv, Iterable):
        raise TypeError(
            "cv must be a number of folds, 'run', 'loo', a splitter or a list of splits; got "
            f"{cv!r}."
        )
    elif labels is not None:
        raise ValueError(
            "groups must come with a number of folds or a splitter; cv is a list of splits already."
        )
    else:
        return check_cv(cv).split(), cv.scheme if isinstance(cv, FoldPlan) else "given splits"
    if isinstance(splitter, _STRATIFIED) and y is None:
        raise ValueError(f"y must give the classes that {scheme} stratifies; got None.")
    targets = None if y is None else np.asarray(y)
    return splitter.split(np.zeros(n_stim), targets, groups=labels), scheme


def _check_fold_count(n_fold: int, n_stim: int, labels: NDArray[Any] | None) -> None:
    what, most = ("stimuli", n_stim) if labels is None else ("groups", len(np.unique(labels)))
    if not 2 <= n_fold <= most:
        raise ValueError(f"cv must be from 2 to the number of {what}, {most}; got {n_fold}.")


def _rows(part: ArrayLike, n_stim: int) -> Rows:
    """Return the rows that indices or a mask stand for, in memory of their own."""
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


def _check_fold(place: int, train: Rows, test: Rows, n_stim: int, min_test: int) -> None:
    if len(train) < _MIN_TRAIN or len(test) < min_test:
        why = ", or a correlation has no meaning" if min_test >= 2 else ""
        raise ValueError(
            f"every fold must train on at least {_MIN_TRAIN} stimuli and hold out at least "
            f"{min_test} stimuli{why}; fold {place} has {len(train)} and {len(test)}. Use fewer "
            "folds."
        )
    rows = np.concatenate([train, test])
    if rows.min() < 0 or rows.max() >= n_stim:
        raise ValueError(
            f"folds must index {n_stim} stimuli; fold {place} has rows from {rows.min()} to "
            f"{rows.max()}."
        )
    times = np.bincount(test)
    if times.max() > 1:
        raise ValueError(
            f"no stimulus may be held out twice in a fold; fold {place} holds out row "
            f"{times.argmax()} {times.max()} times."
        )
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"no stimulus may train and be held out at once; fold {place} has row {shared[0]} in "
            "both parts."
        )


def _purge_runs(runs: ArrayLike | None, labels: NDArray[Any] | None, n_stim: int) -> Rows:
    if runs is not None:
        return run_starts(runs, n_stim)
    try:
        return run_starts(labels, n_stim, name="groups")
    except ValueError as error:
        raise ValueError(f"{error} Say with runs= where runs begin, or do not purge.") from error


def _purged(train: Rows, test: Rows, start: Rows, purge: int) -> Rows:
    """Return the training rows further than `purge` rows from all held-out ones of their run."""
    n_stim = len(start)
    near = np.zeros(n_stim, dtype=bool)
    for shift in range(1, min(purge, n_stim - 1) + 1):
        for rows in (test - shift, test + shift):
            inside = (rows >= 0) & (rows < n_stim)
            near[rows[inside & (start[np.clip(rows, 0, n_stim - 1)] == start[test])]] = True
    return train[~near[train]]


def _check_purged(folds: Sequence[Fold], purge: int) -> None:
    for place, (train, _) in enumerate(folds):
        if len(train) < _MIN_TRAIN:
            raise ValueError(
                f"a purge must leave at least {_MIN_TRAIN} stimuli to train on; a purge of {purge} "
                f"rows leaves {len(train)} in fold {place}. Purge less, or hold out whole runs."
            )
