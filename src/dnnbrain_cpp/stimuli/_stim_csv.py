"""DNNBrain's stimulus table: a few ``key=value`` lines, then rows of comma-separated cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import check_choice

__all__ = ["StimCsv", "read_stim_csv", "write_stim_csv"]

_KINDS = ("image", "video", "video_clip")
_NUMBERS = ("onset", "duration")
_TEXT = ("stimID", "condition")


@dataclass(frozen=True)
class StimCsv:
    """Content of a ``.stim.csv`` file.

    Attributes
    ----------
    kind : str
        ``"image"``, ``"video"`` or ``"video_clip"``.
    path : str
        Folder of the images or clips, or the video file, as it stands in the file.
    columns : mapping of str to sequence
        In file order, among them ``"stimID"``. ``label`` holds ints, ``condition`` and ``stimID``
        text, ``onset`` and ``duration`` seconds; others hold floats if every cell is a number or
        empty (NaN), else text.
    header : mapping of str to str
        Header lines other than type and path.
    """

    kind: str
    path: str
    columns: Mapping[str, Sequence[Any]]
    header: Mapping[str, str] = field(default_factory=dict)


def read_stim_csv(path: str | os.PathLike[str]) -> StimCsv:
    """Read a ``.stim.csv`` file.

    Parameters
    ----------
    path : path_like

    Returns
    -------
    StimCsv

    Raises
    ------
    ValueError
        If the file is not of this format, naming the file, the line and what should stand there.

    Notes
    -----
    More lenient than DNNBrain: a value may hold ``=``, and other columns may hold text.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be UTF-8 text; it is not: {error}.") from error
    numbered = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]

    header: dict[str, str] = {}
    names: list[str] | None = None
    rows: list[tuple[int, list[str]]] = []
    for number, line in numbered:
        if names is not None:
            rows.append((number, [cell.strip() for cell in line.split(",")]))
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ValueError(
                f"{file}, line {number}: lines before data= must be key=value; got {line!r}."
            )
        if key == "data":
            names = [name.strip() for name in value.split(",")]
        elif key in header:
            raise ValueError(f"{file}, line {number}: {key}= comes a second time. Remove one.")
        else:
            header[key] = value

    for key in ("type", "path"):
        if key not in header:
            raise ValueError(f"{file} must have a line {key}=... before its data; it has none.")
    kind, place = header.pop("type"), header.pop("path")
    if kind not in _KINDS:
        raise ValueError(f"{file}: type must be one of {', '.join(_KINDS)}; got {kind!r}.")
    if names is None or "stimID" not in names or len(set(names)) != len(names) or "" in names:
        came = "no such line" if names is None else f"data={','.join(names)}"
        raise ValueError(
            f"{file} must have a line data= that names each column once, stimID among them; "
            f"got {came}."
        )
    if not rows:
        raise ValueError(f"{file} must list at least one stimulus after data=; got none.")
    for number, cells in rows:
        if len(cells) != len(names):
            raise ValueError(
                f"{file}, line {number}: must have {len(names)} cells ({','.join(names)}); "
                f"got {len(cells)}. The format has no quotes, so values cannot hold commas."
            )
    numbers = [number for number, _ in rows]
    columns = {
        name: _typed(file, name, numbers, [cells[i] for _, cells in rows])
        for i, name in enumerate(names)
    }
    return StimCsv(kind, place, columns, header)


def write_stim_csv(path: str | os.PathLike[str], content: StimCsv) -> None:
    """Write a ``.stim.csv`` file that DNNBrain can read too.

    Parameters
    ----------
    path : path_like
        Must end with ``.stim.csv``, by which DNNBrain knows the format.
    content : StimCsv
        Columns of equal length, ``"stimID"`` among them.

    Raises
    ------
    ValueError
        For another suffix, for text that the format cannot hold (commas, line breaks), for a
        ``label`` that is not a whole number, and for columns of unequal lengths.

    Notes
    -----
    DNNBrain itself reads no text in columns of other names than ``condition``, no empty cell, and
    no header value with ``=`` in it; this package reads them all.
    """
    if not os.fspath(path).endswith(".stim.csv"):
        raise ValueError(f"path must end with '.stim.csv'; got {os.fspath(path)!r}.")
    check_choice(content.kind, "kind", _KINDS)
    if "stimID" not in content.columns:
        raise ValueError(f"columns must hold 'stimID'; got {', '.join(content.columns)}.")
    lengths = {name: len(values) for name, values in content.columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns must be of equal length; got {lengths}.")
    header = {"type": content.kind, "path": content.path, **content.header}
    lines = [f"{_plain(key, ',=')}={_plain(value, '')}" for key, value in header.items()]
    lines.append("data=" + ",".join(_plain(name, ",") for name in content.columns))
    cells = [[_cell(name, value) for value in values] for name, values in content.columns.items()]
    lines += [",".join(row) for row in zip(*cells, strict=True)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _typed(file: Path, name: str, numbers: list[int], cells: list[str]) -> Sequence[Any]:
    if name in _TEXT:
        return cells
    values: list[float] = []
    for number, cell in zip(numbers, cells, strict=True):
        value = _number(cell)
        if value is None and name in (*_NUMBERS, "label"):
            raise ValueError(f"{file}, line {number}: {name} must be a number; got {cell!r}.")
        if name == "label" and (value is None or not value.is_integer()):
            raise ValueError(
                f"{file}, line {number}: label must be a whole number; got {cell!r}. Text goes "
                "into a column of another name, such as condition."
            )
        if value is None:
            return cells
        values.append(value)
    return [int(value) for value in values] if name == "label" else values


def _number(cell: str) -> float | None:
    try:
        return float(cell) if cell else float("nan")
    except ValueError:
        return None


def _cell(name: str, value: Any) -> str:
    if name == "label":
        whole = isinstance(value, int | float | np.number) and float(value).is_integer()
        if not whole:
            raise ValueError(
                f"label must hold whole numbers in a .stim.csv; got {value!r}. Name the column "
                "'condition' to store text."
            )
        return str(int(value))
    if isinstance(value, float | np.floating) and np.isnan(value):
        return ""
    return _plain(str(value), ",")


def _plain(text: str, forbidden: str) -> str:
    """Return `text` if the format, which has no quotes, can hold it."""
    for character in ("\n", "\r", *forbidden):
        if character in text:
            raise ValueError(
                f"text in a .stim.csv must be without {character!r}; got {text!r}. Rename it."
            )
    if text != text.strip():
        raise ValueError(f"text in a .stim.csv must not start or end with a blank; got {text!r}.")
    return text
