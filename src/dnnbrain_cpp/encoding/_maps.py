"""Scores as maps: volumes, surfaces and grayordinates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import as_array
from dnnbrain_cpp.io import Responses, VolumeGeometry, read_mask

__all__ = ["Mask", "geometry_of", "to_cifti", "to_gifti"]

Mask = VolumeGeometry | Responses | str | os.PathLike[str]
"""What says where targets lie in a volume."""


def geometry_of(mask: Mask) -> VolumeGeometry | None:
    """Return the places of the targets, as a mask says."""
    if isinstance(mask, VolumeGeometry):
        return mask
    if isinstance(mask, Responses):
        return mask.geometry
    return read_mask(Path(mask))


def to_gifti(
    values: NDArray[np.float64],
    names: Sequence[str],
    path: str | os.PathLike[str] | None,
    *,
    vertices: ArrayLike | None,
    n_vertices: int | None,
    structure: str | None,
) -> Any:
    """Return maps of shape (n_map, n_vox) as a GIFTI image; see `Scores.to_gifti`."""
    nib = _nibabel()
    whole = values.astype(np.float32)
    if vertices is not None:
        whole = _scatter(whole, vertices, n_vertices)
    elif n_vertices is not None and n_vertices != values.shape[1]:
        raise ValueError(
            f"vertices must say where the {values.shape[1]} targets lie among {n_vertices}."
        )
    meta = {} if structure is None else {"AnatomicalStructurePrimary": structure}
    img = nib.gifti.GiftiImage(meta=nib.gifti.GiftiMetaData(meta))
    for name, data in zip(names, whole, strict=True):
        img.add_gifti_data_array(
            nib.gifti.GiftiDataArray(
                data,
                intent="NIFTI_INTENT_NONE",
                datatype="NIFTI_TYPE_FLOAT32",
                meta=nib.gifti.GiftiMetaData({"Name": name}),
            )
        )
    _save(img, path, (".gii",))
    return img


def to_cifti(
    values: NDArray[np.float64],
    names: Sequence[str],
    template: Any,
    path: str | os.PathLike[str] | None,
) -> Any:
    """Return maps of shape (n_map, n_vox) as a CIFTI-2 image; see `Scores.to_cifti`."""
    nib = _nibabel()
    source = nib.load(template) if isinstance(template, str | os.PathLike) else template
    if not isinstance(source, nib.Cifti2Image):
        raise TypeError(f"template must be a CIFTI-2 image or its path; got {template!r}.")
    brain = source.header.get_axis(source.ndim - 1)
    if not isinstance(brain, nib.cifti2.BrainModelAxis) or len(brain) != values.shape[1]:
        raise ValueError(
            f"template must have the {values.shape[1]} targets as grayordinates; it has "
            f"{len(brain)} entries on a {type(brain).__name__}."
        )
    header = nib.Cifti2Header.from_axes((nib.cifti2.ScalarAxis(list(names)), brain))
    img = nib.Cifti2Image(values.astype(np.float32), header)
    img.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
    _save(img, path, (".dscalar.nii",))
    return img


def _nibabel() -> Any:
    """Return nibabel, whose classes are mostly untyped, on first use."""
    import nibabel

    return nibabel


def _scatter(
    values: NDArray[np.float32], vertices: ArrayLike, n_vertices: int | None
) -> NDArray[np.float32]:
    if n_vertices is None:
        raise ValueError("n_vertices must come with vertices: how many the surface has.")
    places = as_array(vertices, "vertices", dtype=np.int64, ndim=1)
    if len(places) != values.shape[1] or len(np.unique(places)) != len(places):
        raise ValueError(
            f"vertices must name a vertex of its own for each of {values.shape[1]} targets; got "
            f"{len(places)}, {len(np.unique(places))} of them different."
        )
    if places.min() < 0 or places.max() >= n_vertices:
        raise ValueError(
            f"vertices must be from 0 to {n_vertices - 1}; got {places.min()} to {places.max()}."
        )
    whole = np.full((len(values), n_vertices), np.nan, np.float32)
    whole[:, places] = values
    return whole


def _save(img: Any, path: str | os.PathLike[str] | None, suffixes: tuple[str, ...]) -> None:
    if path is None:
        return
    nib = _nibabel()
    target = Path(path)
    if not target.name.endswith(suffixes):
        raise ValueError(f"path must end in {' or '.join(suffixes)}; got {target.name!r}.")
    with atomic_path(target) as temporary:
        nib.save(img, temporary)
