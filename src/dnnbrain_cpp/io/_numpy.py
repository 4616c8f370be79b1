"""Responses in .npy and .npz files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_table"]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} must be a readable NumPy file without pickled objects; reading it failed "
            f"with: {error}. It may be truncated; write it again with numpy.save or numpy.savez."
        ) from error


def read_table(path: Path, *, key: str | None) -> NDArray[Any]:
    """Return the 2-D array of an ``.npy`` (memory-mapped) or ``.npz`` file."""
    if not path.is_file():
        raise FileNotFoundError(f"a file of responses must exist to be read; {path} does not.")
    if path.suffix.lower() == ".npz":
        table = _member(path, key)
    else:
        with _readable(path):
            table = np.load(path, mmap_mode="r", allow_pickle=False)
    if table.ndim != 2:
        raise ValueError(
            f"responses must be 2-D, (n_stim, n_vox); {path} holds shape {table.shape}."
        )
    return table


def _member(path: Path, key: str | None) -> NDArray[Any]:
    # Opened here, because numpy.load leaves a damaged archive open.
    with path.open("rb") as file:
        with _readable(path):
            archive = np.load(file, allow_pickle=False)
        names = list(archive.files)
        if key is None and len(names) == 1:
            key = names[0]
        if key not in names:
            came = "it was not named" if key is None else f"got key={key!r}"
            raise ValueError(
                f"key must name one of the {len(names)} arrays of {path}, "
                f"{', '.join(map(repr, names))}; {came}."
            )
        with _readable(path):
            member: NDArray[Any] = archive[key]
    return member
