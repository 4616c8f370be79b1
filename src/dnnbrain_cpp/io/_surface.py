"""Responses of vertices and grayordinates: GIFTI and CIFTI-2 files, and their label files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray

__all__ = ["SURFACE_SUFFIXES", "SurfaceMaps", "is_surface", "read_labelled", "read_maps"]

_CIFTI_SUFFIXES = (".dscalar.nii", ".dtseries.nii", ".dlabel.nii")
SURFACE_SUFFIXES = (".gii", *_CIFTI_SUFFIXES)


@dataclass(frozen=True)
class SurfaceMaps:
    """Maps over vertices or grayordinates.

    Attributes
    ----------
    data : ndarray of shape (n_map, n_vertex)
    names : tuple of str or None
        Of the maps, where the file names each differently.
    labels : mapping of int to str
        What keys mean, in a file of labels; empty otherwise.
    brain_models : nibabel.cifti2.BrainModelAxis or None
        Where the grayordinates of a CIFTI file lie.
    """

    data: NDArray[Any]
    names: tuple[str, ...] | None
    labels: dict[int, str]
    brain_models: Any


def is_surface(path: Path) -> bool:
    """Whether the file's name says GIFTI or CIFTI-2."""
    return path.name.lower().endswith(SURFACE_SUFFIXES)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what nibabel and its parsers raise on a damaged file into one message with its path."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (
        AttributeError,
        EOFError,
        ExpatError,
        HeaderDataError,
        ImageFileError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{path} must be a readable GIFTI or CIFTI-2 file; reading it failed with: {error}. "
            "It may be truncated or damaged; copy or download it again."
        ) from error


def read_maps(path: Path) -> SurfaceMaps:
    """Read all maps of a file.

    GIFTI: a data array per map, or one of shape (n_vertex, n_map); surfaces, which are coordinates
    and triangles, are refused. CIFTI-2: dense scalars, time series or labels.
    """
    if not path.is_file():
        raise FileNotFoundError(f"a surface file must exist to be read; {path} does not.")
    with _readable(path):
        maps = _gifti(path) if path.name.lower().endswith(".gii") else _cifti(path)
    if maps is None:
        raise ValueError(
            f"{path} must hold maps, one value per vertex; it is a surface, or maps of unequal "
            "length. Give its .func.gii, .shape.gii or .label.gii file."
        )
    return maps


def _gifti(path: Path) -> SurfaceMaps | None:
    import nibabel as nib

    image: Any = nib.load(path)
    arrays = [np.asarray(array.data) for array in image.darrays]
    geometry = {"NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"}
    intents = {nib.nifti1.intent_codes.niistring[array.intent] for array in image.darrays}
    if not arrays or intents & geometry or len({array.shape[0] for array in arrays}) != 1:
        return None
    data = np.concatenate([np.atleast_2d(array.T) for array in arrays])
    names = [str(array.meta.get("Name", "")) for array in image.darrays]
    labels = {int(key): str(name) for key, name in image.labeltable.get_labels_as_dict().items()}
    return SurfaceMaps(data, _distinct(names, len(data)), labels, None)


def _cifti(path: Path) -> SurfaceMaps:
    import nibabel as nib

    image: Any = nib.load(path)
    maps, brain_models = (image.header.get_axis(i) for i in (0, 1))
    names = [str(name) for name in getattr(maps, "name", ())]
    labels: dict[int, str] = {}
    for table in getattr(maps, "label", ()):
        labels.update({int(key): str(name) for key, (name, _) in table.items()})
    data = np.asanyarray(image.dataobj)
    return SurfaceMaps(data, _distinct(names, len(data)), labels, brain_models)


def _distinct(names: list[str], n_map: int) -> tuple[str, ...] | None:
    good = len(names) == n_map and all(names) and len(set(names)) == n_map
    return tuple(names) if good else None


def read_labelled(
    path: Path, on: SurfaceMaps, on_path: Path
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Read which vertices are looked at, and the region of each of those.

    Parameters
    ----------
    path : Path
        The first map: 0 (or NaN) outside, positive integers inside, named by the file's table of
        labels.
    on : SurfaceMaps
        What it is for; vertices must be the same.
    on_path : Path
        Of those maps, for messages.
    """
    if not is_surface(path):
        raise ValueError(
            f"the mask of {on_path.name} must be a {', '.join(SURFACE_SUFFIXES)} file; got "
            f"{path.name!r}."
        )
    mask = read_maps(path)
    n_vertex = on.data.shape[1]
    if mask.data.shape[1] != n_vertex:
        raise ValueError(
            f"mask and responses must have the same vertices; {path} has {mask.data.shape[1]}, "
            f"{on_path} has {n_vertex}. Resample the mask to the responses."
        )
    both = mask.brain_models is not None and on.brain_models is not None
    if both and mask.brain_models != on.brain_models:
        raise ValueError(
            f"mask and responses must have the same grayordinates; {path} and {on_path} list other "
            "structures or vertices. Resample the mask to the responses."
        )
    keys = np.nan_to_num(np.asarray(mask.data[0], dtype=np.float64))
    if (keys < 0).any() or (keys != np.rint(keys)).any():
        raise ValueError(
            f"a mask must hold 0 outside and positive integers inside; {path} does not. Threshold "
            "or relabel it."
        )
    inside = keys > 0
    if not inside.any():
        raise ValueError(f"a mask must have a vertex inside; all of {path} is 0 or NaN.")
    present = [int(key) for key in np.unique(keys[inside])]
    default = {1: "mask"} if present == [1] else {key: f"roi-{key}" for key in present}
    names = {key: mask.labels.get(key, default[key]) for key in present}
    return inside, tuple(names[int(key)] for key in keys[inside])
