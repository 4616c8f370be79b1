"""Where pixels come from: files, or an array in memory or on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dnnbrain_cpp._validate import as_array, check_choice
from dnnbrain_cpp.stimuli._decode import decode
from dnnbrain_cpp.transforms import Picture

__all__ = ["ArraySource", "FileSource", "Source", "as_image"]

_BLOCK_BYTES = 1 << 26


class Source(ABC):
    """Pictures by position; safe to read from several threads."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def picture(self, position: int) -> Picture:
        """Return one picture, 8-bit RGB."""

    @abstractmethod
    def name(self, position: int) -> str:
        """Return what a message calls the picture at `position`."""

    @abstractmethod
    def take(self, positions: NDArray[np.intp]) -> Source:
        """Return the pictures at `positions`, in that order, sharing their memory."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line for a repr."""


class FileSource(Source):
    """Pictures in files of their own."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, position: int) -> Picture:
        return decode(self.files[position])

    def name(self, position: int) -> str:
        return str(self.files[position])

    def take(self, positions: NDArray[np.intp]) -> FileSource:
        return FileSource(tuple(self.files[i] for i in positions))

    def describe(self) -> str:
        folders = {file.parent for file in self.files}
        place = str(next(iter(folders))) if len(folders) == 1 else f"{len(folders)} folders"
        suffixes = sorted({file.suffix.lower() for file in self.files})
        return f"files ({', '.join(suffixes)}) in {place}"


class ArraySource(Source):
    """Pictures in one array, which is not copied."""

    def __init__(
        self, pixels: NDArray[np.uint8] | NDArray[np.floating], rows: NDArray[np.intp]
    ) -> None:
        self._pixels = pixels  # (n_stim, n_row, n_col, n_chn), any strides
        self._rows = rows

    @classmethod
    def from_array(cls, array: ArrayLike, layout: str) -> ArraySource:
        """Check `array` and its axes; see `Stimuli.from_array`."""
        check_choice(layout, "layout", ("NCHW", "NHWC"))
        pixels = as_array(array, "array", dtype=_pixel_dtype(array), ndim=4)
        if layout == "NCHW":
            pixels = pixels.transpose(0, 2, 3, 1)
        if pixels.shape[3] not in (1, 3):
            raise ValueError(
                f"array must have 1 or 3 channels; layout {layout!r} finds {pixels.shape[3]} on "
                f"axis {layout.index('C')} of shape {np.shape(array)}. Name the axis order of the "
                "array by layout, and leave alpha out."
            )
        if 0 in pixels.shape:
            raise ValueError(
                f"array must hold at least one stimulus of one pixel; got {np.shape(array)}."
            )
        if pixels.dtype != np.uint8:
            _check_unit_range(pixels)
        return cls(pixels, np.arange(len(pixels)))

    def __len__(self) -> int:
        return len(self._rows)

    def picture(self, position: int) -> Picture:
        pixels = self._pixels[self._rows[position]]
        if pixels.dtype != np.uint8:
            pixels = np.rint(pixels.astype(np.float32) * 255)
        return np.broadcast_to(pixels.astype(np.uint8, copy=False), (*pixels.shape[:2], 3))

    def name(self, position: int) -> str:
        return f"row {self._rows[position]} of the array"

    def take(self, positions: NDArray[np.intp]) -> ArraySource:
        return ArraySource(self._pixels, self._rows[positions])

    def describe(self) -> str:
        _, n_row, n_col, n_chn = self._pixels.shape
        colour = "grey" if n_chn == 1 else "RGB"
        return f"array, {n_row} x {n_col} pixels, {colour}, {self._pixels.dtype}"


def as_image(picture: Picture) -> Image.Image:
    """Return `picture` as a Pillow image; pixels of an array are copied."""
    if isinstance(picture, Image.Image):
        return picture
    return Image.fromarray(np.ascontiguousarray(picture))


def _pixel_dtype(array: ArrayLike) -> np.dtype[np.generic]:
    """Return the dtype in which pixels are kept: their own where it has a known range."""
    dtype = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
    name = dtype.name if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")
    kept = {"uint8": "uint8", "bfloat16": "float32"}
    kept |= {wide: wide for wide in ("float16", "float32", "float64")}
    if name not in kept:
        raise TypeError(
            "array must hold pixels as uint8 in 0 to 255, or as floats in 0 to 1; "
            f"got dtype {name}. Convert it, for example with .astype('uint8')."
        )
    return np.dtype(kept[name])


def _check_unit_range(pixels: NDArray[np.floating]) -> None:
    n_block = max(1, _BLOCK_BYTES // pixels[0].nbytes)
    for start in range(0, len(pixels), n_block):
        block = pixels[start : start + n_block]
        low, high = float(block.min()), float(block.max())
        if low >= 0 and high <= 1:  # also false for NaN
            continue
        inside = ((block >= 0) & (block <= 1)).all(axis=(1, 2, 3))
        row = int(np.flatnonzero(~inside)[0])
        low, high = float(block[row].min()), float(block[row].max())
        raise ValueError(
            f"array of {pixels.dtype} must hold values in 0 to 1; row {start + row} goes from "
            f"{low:g} to {high:g}. Divide by 255, or pass uint8; normalisation is the transform's."
        )
