"""Rows in the order of time, cut into runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["run_starts"]


def run_starts(runs: ArrayLike | None, n_row: int, *, name: str = "runs") -> NDArray[np.int64]:
    """Return the first row of each row's run, shape (n_row,), dtype int64.

    Parameters
    ----------
    runs : array_like of shape (n_row,), optional
        A label per row; without it all rows are one run.
    n_row : int
    name : str
        What the caller's user knows the labels as.

    Raises
    ------
    ValueError
        For a wrong shape, or a run whose rows are not next to each other.
    """
    if runs is None:
        return np.zeros(n_row, dtype=np.int64)
    labels = np.asarray(runs)
    if labels.shape != (n_row,):
        raise ValueError(f"{name} must have shape ({n_row},); got {labels.shape}.")
    begins = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]]) if n_row else np.empty(0, int)
    first_of: dict[object, int] = {}
    for row in begins.tolist():
        label = labels[row].item() if isinstance(labels[row], np.generic) else labels[row]
        if label in first_of:
            raise ValueError(
                f"the rows of a run must be next to each other, in the order of time; run {label!r}"
                f" of {name} begins at row {first_of[label]} and again at row {row}."
            )
        first_of[label] = row
    return np.repeat(begins, np.diff(np.r_[begins, n_row])).astype(np.int64)
