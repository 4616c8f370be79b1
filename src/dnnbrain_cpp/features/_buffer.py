"""Where a sink writes: memory, or a file that is mapped into it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffer", "file_name"]


def file_name(layer: str) -> str:
    """Return the name of the file that holds `layer`, another one for every layer."""
    return f"{quote(layer, safe='[]#')}.npy"


class Buffer:
    """Rows of features, one per stimulus, filled from the top.

    Parameters
    ----------
    shape : (n_stim, n_feat)
    file : Path, optional
        A ``.npy`` file to map instead of taking memory. It carries a temporary name until `finish`.
    kept : bool
        False for units that only wait for their Gram matrix: their file is removed at the end.
    """

    def __init__(self, shape: tuple[int, int], *, file: Path | None, kept: bool) -> None:
        self._file = file
        self._kept = kept
        self._parts: list[Path] = []
        if file is None:
            self.array: NDArray[np.float32] = np.empty(shape, dtype=np.float32)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        self.array = self._create(file, "part", shape)

    def _create(self, file: Path, suffix: str, shape: tuple[int, int]) -> NDArray[np.float32]:
        part = file.with_name(f"{file.name}.{suffix}")
        self._parts.append(part)
        return np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)

    def finish(self, n_stim: int) -> NDArray[np.float32] | None:
        """Return the first `n_stim` rows under their final name, or None if they are not kept."""
        try:
            if not self._kept:
                return None
            if self._file is None:
                return self.array[:n_stim]
            if n_stim < len(self.array):
                # Stimuli were skipped: the file must not end in rows that nobody wrote.
                rows = self.array[:n_stim]
                self.array = self._create(self._file, "shorter", rows.shape)
                self.array[:] = rows
            self.array.flush()  # type: ignore[attr-defined]
            self._parts.pop().replace(self._file)
            mapped: NDArray[np.float32] = np.load(self._file, mmap_mode="r+")
            return mapped
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what has not come to its final name."""
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._parts.clear()
