"""Tables with one row per subject and combination of levels, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._validate import as_array

__all__ = ["cells_of_frame", "check_within"]

_MOST_FACTORS = 6  # 63 effects; more is a mistake


def check_within(within: Sequence[str]) -> tuple[str, ...]:
    """Return the factors' names as a tuple of different strings."""
    names = (within,) if isinstance(within, str) else tuple(within)
    if not 1 <= len(names) <= _MOST_FACTORS or not all(isinstance(name, str) for name in names):
        raise ValueError(f"within must name one to {_MOST_FACTORS} factors; got {within!r}.")
    if len(set(names)) != len(names):
        raise ValueError(f"within must name different factors; got {', '.join(names)}.")
    return names


def cells_of_frame(
    frame: pd.DataFrame, within: Sequence[str], subject: str, value: str | Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Return y (n_subject, n_level, ...), and a last axis with its names for several values.

    Levels keep the order in which they first appear.
    """
    values = [value] if isinstance(value, str) else list(value)
    missing = [name for name in (subject, *within, *values) if name not in frame.columns]
    if missing or not values:
        wanted = ", ".join(map(repr, missing)) or "a column of values"
        raise ValueError(
            f"the table must have {wanted}; its columns are {', '.join(map(str, frame.columns))}. "
            "Name them by subject=, within= and value=."
        )
    codes = []
    levels = []
    for column in (subject, *within):
        code, level = pd.factorize(frame[column])
        if (code < 0).any():
            raise ValueError(
                f"column {column!r} must be known in every row; it is missing in some."
            )
        codes.append(code)
        levels.append(level)
    shape = tuple(map(len, levels))
    cell = np.ravel_multi_index(codes, shape) if len(frame) else np.empty(0, np.intp)
    count = np.bincount(cell, minlength=int(np.prod(shape)))
    if (count != 1).any():
        wrong = int(np.flatnonzero(count != 1)[0])
        place = [
            level[int(i)] for level, i in zip(levels, np.unravel_index(wrong, shape), strict=True)
        ]
        said = ", ".join(
            f"{column} {name!r}" for column, name in zip((subject, *within), place, strict=True)
        )
        raise ValueError(
            "each subject must have one row for each combination of levels; there are "
            f"{count[wrong]} for {said}. Average repeats, and leave incomplete subjects out."
        )
    y = np.empty((len(cell), len(values)))
    for place_of_value, name in enumerate(values):
        y[cell, place_of_value] = as_array(
            frame[name].to_numpy(), f"column {name!r}", dtype=np.float64, ndim=1
        )
    if isinstance(value, str):
        return y.reshape(shape), None
    return y.reshape(*shape, len(values)), tuple(values)
