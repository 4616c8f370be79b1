"""Results over many cells as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["long_table"]


def long_table(
    columns: Mapping[str, ArrayLike], shape: tuple[int, ...], names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row per cell of `shape`: where it is, and its value in every column.

    The place is told by a column per axis, ``axis_0`` and so on, or by ``target`` where the cells
    have `names`. What has no cells, such as the number of subjects, is repeated.
    """
    places: dict[str, ArrayLike] = {}
    if names is not None:
        places["target"] = list(names)
    else:
        places = {f"axis_{axis}": grid.ravel() for axis, grid in enumerate(np.indices(shape))}
    cells = {name: np.broadcast_to(value, shape).ravel() for name, value in columns.items()}
    return pd.DataFrame({**places, **cells})
