"""What is known about each stimulus: one table, joined by identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

__all__ = ["Labels", "as_labels"]

Labels = Mapping[str, Sequence[Any]] | pd.DataFrame | None
"""What the ``labels`` argument accepts."""


def as_labels(labels: Labels, ids: tuple[str, ...]) -> pd.DataFrame:
    """Return `labels` as a table of its own with one row per id, in the order of `ids`.

    Parameters
    ----------
    labels : mapping of str to sequence, DataFrame, or None
        A mapping gives columns in the order of `ids`; a Series in it counts by order, not by its
        index. A table is joined by its index, or by its
        column ``id``; rows of other stimuli are left out.
    ids : tuple of str
        Identifiers of the stimuli.

    Returns
    -------
    DataFrame
        Indexed by id; without columns for None.
    """
    index = pd.Index(ids, name="id")
    if labels is None:
        return pd.DataFrame(index=index)
    if isinstance(labels, pd.DataFrame):
        return _join(labels, index)
    if not isinstance(labels, Mapping):
        raise TypeError(
            "labels must be a mapping from column name to values, or a DataFrame indexed by id; "
            f"got {type(labels).__name__}."
        )
    for name, values in labels.items():
        if isinstance(values, str) or len(values) != len(ids):
            came = "one string" if isinstance(values, str) else f"{len(values)} values"
            raise ValueError(
                f"labels[{name!r}] must hold one value for each of {len(ids)} stimuli; got {came}."
            )
    return pd.DataFrame({str(k): list(v) for k, v in labels.items()}, index=index)


def _join(table: pd.DataFrame, index: pd.Index[Any]) -> pd.DataFrame:
    if "id" in table.columns:
        table = table.set_index("id")
    table = table.set_axis(table.index.map(str), axis=0)
    missing = index[~index.isin(table.index)]
    if len(missing):
        raise ValueError(
            f"labels must have a row for every id; {len(missing)} of {len(index)} have none, "
            f"{missing[0]!r} for example; its index starts with {list(table.index[:3])}. Index "
            "the table by id, or give it a column 'id'."
        )
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise ValueError(f"labels must have one row per id; {twice!r} comes more than once.")
    joined = table.loc[index].set_axis(index, axis=0)
    return joined.set_axis([str(name) for name in joined.columns], axis=1)
