"""Where a sink writes: memory, or a file that is mapped into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffer"]


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
        if file is None:
            self.array: NDArray[np.float32] = np.empty(shape, dtype=np.float32)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        self._part = file.with_name(f"{file.name}.part")
        self.array = _create(self._part, shape)

    def finish(self, n_stim: int) -> NDArray[np.float32] | None:
        """Return the first `n_stim` rows under their final name, or None if they are not kept."""
        if self._file is None:
            return self.array[:n_stim] if self._kept else None
        if not self._kept:
            self._part.unlink()
            return None
        rows = self.array
        if n_stim < len(rows):
            # Stimuli were skipped: the file must not end in rows that nobody wrote.
            shorter = self._part.with_name(f"{self._part.name}.shorter")
            rows = _create(shorter, (n_stim, rows.shape[1]))
            rows[:] = self.array[:n_stim]
            self._part.unlink()
            self._part = shorter
        rows.flush()  # type: ignore[attr-defined]
        self._part.replace(self._file)
        return rows


def _create(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
