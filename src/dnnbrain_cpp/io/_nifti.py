"""NIfTI files: opened with clear refusals, read in blocks, written atomically."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._files import atomic_path

__all__ = ["NIFTI_SUFFIXES", "is_nifti", "open_nifti", "read_series", "read_volume", "save_nifti"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")

_BLOCK_BYTES = 32 * 2**20  # of one decoded block; large enough that seeking costs nothing


def is_nifti(path: Path) -> bool:
    """Whether the file's name says NIfTI."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what nibabel, gzip and zlib raise on a damaged file into one message with its path."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (ImageFileError, HeaderDataError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(
            f"{path} must be a readable NIfTI file; reading it failed with: {error}. "
            "It may be truncated or damaged; copy or download it again."
        ) from error


@contextmanager
def open_nifti(path: Path) -> Iterator[Any]:
    """Open a NIfTI-1 or NIfTI-2 file whose voxels stay on disk until they are sliced.

    A compressed file is decompressed once from front to back, and to its end, where its checksum
    is: readers that stop at the last voxel let damage through.
    """
    if not path.is_file():
        raise FileNotFoundError(f"a NIfTI file must exist to be read; {path} does not.")
    compressed = path.name.lower().endswith(".gz")
    with gzip.open(path) if compressed else path.open("rb") as stream:
        with _readable(path):
            img = _image(stream)
        dtype = img.get_data_dtype()
        if dtype.kind not in "biuf":
            raise ValueError(
                f"{path} must hold real numbers; its voxels are {dtype}. Convert the image first."
            )
        yield img
        if compressed:
            with _readable(path):
                while stream.read(2**20):
                    pass


def _image(stream: Any) -> Any:
    import nibabel as nib

    head = stream.read(348)
    stream.seek(0)
    # Any: nibabel's own annotations do not cover its streams.
    kinds: dict[bytes, Any] = {head[344:348]: nib.Nifti1Image, head[4:8]: nib.Nifti2Image}
    for magic in (b"n+1\0", b"n+2\0"):
        if magic in kinds:
            return kinds[magic].from_stream(stream)
    raise ValueError("its header is not that of NIfTI-1 or NIfTI-2 in one file")


def read_volume(img: Any, path: Path) -> NDArray[Any]:
    """Read all voxels of a small image, such as a mask."""
    with _readable(path):
        return np.asarray(img.dataobj[...])


def read_series(img: Any, path: Path, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Read the voxels `inside` of each volume, a block of volumes at a time.

    Parameters
    ----------
    img : nibabel image of shape (n_x, n_y, n_z, n_stim)
    path : Path
        For messages.
    inside : ndarray of shape (n_x, n_y, n_z), bool

    Returns
    -------
    ndarray of shape (n_stim, n_vox), float32
        Voxels in C order of `inside` (the last axis runs fastest).

    Notes
    -----
    Memory beyond the result: one block of at most 32 MiB, or one volume if that is larger.
    """
    n_stim = img.shape[3]
    n_volume = max(1, _BLOCK_BYTES // (8 * inside.size))
    out = np.empty((n_stim, int(np.count_nonzero(inside))), np.float32)
    for start in range(0, n_stim, n_volume):
        stop = min(start + n_volume, n_stim)
        with _readable(path):
            block = np.asarray(img.dataobj[..., start:stop])
        try:
            with np.errstate(over="raise"):
                out[start:stop] = block[inside].T
        except FloatingPointError:
            raise ValueError(
                f"responses must fit into float32, up to {np.finfo(np.float32).max:.3g}; "
                f"{path} holds larger ones. Rescale them."
            ) from None
    return out


def save_nifti(img: Any, path: Path) -> None:
    """Write `img` under a temporary name and rename it."""
    import nibabel as nib

    if not is_nifti(path):
        raise ValueError(f"a map must be written to .nii or .nii.gz; got {path.name!r}.")
    with atomic_path(path) as temporary:
        nib.save(img, temporary)
