"""Small tables beside data files: which stimulus each row is, what each mask label is called."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import check_ids

__all__ = ["read_ids", "read_labels", "sidecar_path", "write_ids", "write_labels"]

_DATA_SUFFIXES = (".nii.gz", ".nii", ".npy", ".npz", ".gii")


def sidecar_path(path: Path, kind: str) -> Path:
    """Return ``<stem of path>.<kind>.csv`` in the same folder; ".nii.gz" counts as one suffix."""
    for suffix in _DATA_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.with_name(f"{path.name[: -len(suffix)]}.{kind}.csv")
    return path.with_name(f"{path.name}.{kind}.csv")


def _read_columns(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    # utf-8-sig: spreadsheet programs put a byte-order mark before the first column's name.
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path} must have the columns {', '.join(columns)}; it has "
                f"{', '.join(reader.fieldnames or ['none'])}. Name them in its first line."
            )
        rows = [tuple(row[column] or "" for column in columns) for row in reader]
    for number, row in enumerate(rows, start=1):
        if not all(row):
            raise ValueError(
                f"{path} must have a value in each of {', '.join(columns)}; row {number} has "
                f"{', '.join(map(repr, row))}. Fill it in."
            )
    return rows


def _write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_ids(path: Path) -> tuple[str, ...]:
    """Read column ``id`` as text, so that "001" and "NA" stay what they are."""
    return check_ids([row[0] for row in _read_columns(path, ["id"])], f"the ids in {path}")


def write_ids(path: Path, ids: Sequence[str]) -> None:
    """Write one id per row under the column ``id``."""
    _write_rows(path, ["id"], [[name] for name in ids])


def read_labels(path: Path) -> dict[int, str]:
    """Read the columns ``value`` and ``name``: what each integer of a mask is called."""
    names: dict[int, str] = {}
    for value, name in _read_columns(path, ["value", "name"]):
        try:
            label = int(value)
        except ValueError:
            raise ValueError(
                f"column value of {path} must hold integers; got {value!r} for {name!r}."
            ) from None
        if label in names:
            raise ValueError(
                f"column value of {path} must not repeat; {label} is both {names[label]!r} and "
                f"{name!r}. Remove one."
            )
        names[label] = name
    return names


def write_labels(path: Path, names: Mapping[int, str]) -> None:
    """Write the columns ``value`` and ``name``."""
    _write_rows(path, ["value", "name"], list(names.items()))
