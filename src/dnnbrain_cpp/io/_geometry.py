"""Where voxels lie: which of a volume's are inside, and the header that says where it is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_array
from dnnbrain_cpp.io._nifti import is_nifti, open_nifti, read_volume
from dnnbrain_cpp.io._sidecars import read_labels, sidecar_path

__all__ = ["VolumeGeometry", "as_geometry", "read_mask", "whole_volume"]

_MAX_SHIFT = 0.01  # of the smallest voxel side: float32 affines of one grid differ by far less


@dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """The voxels of a volume that are looked at, and the header of the volume.

    Parameters
    ----------
    labels : ndarray of shape (n_x, n_y, n_z), int32
        0 outside, a positive label inside. Voxels count in C order (the last axis runs fastest).
    names : mapping of int to str
        What each label is called.
    affine : ndarray of shape (4, 4), float64
        From voxel indices to millimetres.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Of the source; zooms, units, qform and sform codes and description go into every map.
    """

    labels: NDArray[np.int32]
    names: Mapping[int, str]
    affine: NDArray[np.float64]
    header: Any

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Voxels that are looked at, of shape (n_x, n_y, n_z)."""
        return self.labels > 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume, (n_x, n_y, n_z)."""
        return self.labels.shape

    @property
    def n_vox(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.labels))

    @property
    def rois(self) -> tuple[str, ...]:
        """Name of each voxel's label, in voxel order."""
        return tuple(self.names[int(label)] for label in self.labels[self.inside])

    def to_img(self, values: ArrayLike, *, outside: float = np.nan) -> Any:
        """Return `values` as a NIfTI image on this volume.

        Parameters
        ----------
        values : array_like of shape (n_vox,) or (k, n_vox)
            One map, or k of them as the fourth axis.
        outside : float
            Value of the voxels that are not looked at.

        Returns
        -------
        nibabel.Nifti1Image or nibabel.Nifti2Image
            float32, with affine, zooms, units, codes and description of the source. Its display
            range and extensions described other values and are left out; the fourth axis of a
            stack is no time, so it has step 1 and no unit.

        Raises
        ------
        ValueError
            If the number of values is not the number of voxels.
        """
        import nibabel as nib

        array = as_array(values, "values", dtype=np.float32, ndim=(1, 2))
        if array.shape[-1] != self.n_vox:
            raise ValueError(
                f"values must have one entry per voxel on the last axis, {self.n_vox}; "
                f"got shape {array.shape}."
            )
        volume = np.full(self.shape + array.shape[:-1], outside, np.float32)
        volume[self.inside] = array.T
        return self._image(volume, nib)

    def mask_img(self) -> Any:
        """Return the labels as an int32 NIfTI image."""
        import nibabel as nib

        return self._image(self.labels, nib)

    def _image(self, volume: NDArray[Any], nib: Any) -> Any:
        kind = nib.Nifti2Image if isinstance(self.header, nib.Nifti2Header) else nib.Nifti1Image
        header = self.header.copy()
        header.set_data_dtype(volume.dtype)
        header.set_data_shape(volume.shape)
        header.set_slope_inter(1, 0)
        header.extensions.clear()
        header["cal_min"] = header["cal_max"] = 0
        header.set_zooms((*self.header.get_zooms()[:3], 1.0)[: volume.ndim])
        if volume.ndim == 4:
            header.set_xyzt_units(xyz=self.header.get_xyzt_units()[0], t="unknown")
        return kind(volume, self.affine, header)


def whole_volume(img: Any) -> VolumeGeometry:
    """Geometry with every voxel of `img` inside."""
    labels = np.ones(img.shape[:3], np.int32)
    return VolumeGeometry(labels, {1: "volume"}, img.affine.copy(), img.header.copy())


def read_mask(path: Path, *, on: Any = None, on_path: object = None) -> VolumeGeometry:
    """Read a mask image and the names of its labels.

    Parameters
    ----------
    path : Path
        NIfTI image: 0 or NaN outside, non-negative integers inside. ``<stem>.labels.csv`` beside
        it names them.
    on : nibabel image, optional
        The image that the mask is for; shape and affine must agree, and the header is taken from
        it instead of from the mask.
    on_path : object, optional
        What that image is called in messages.

    Raises
    ------
    ValueError
        If the mask is empty, not of integers, or lies on another grid.
    """
    if not is_nifti(path):
        raise ValueError(f"a mask must be a .nii or .nii.gz file; got {path.name!r}.")
    with open_nifti(path) as img:
        labels = _labels_on_grid(img, lambda: read_volume(img, path), path, on, on_path)
    source = img if on is None else on
    return VolumeGeometry(
        labels, _label_names(labels, path), source.affine.copy(), source.header.copy()
    )


def as_geometry(mask: Any, *, on: Any = None, on_name: object = "the image") -> VolumeGeometry:
    """Return the places that a mask in memory or in a file says.

    Parameters
    ----------
    mask : VolumeGeometry, path or nibabel image
        As for `read_mask`; an image in memory has no names for its labels.
    on : nibabel image, optional
        As for `read_mask`.
    on_name : object
        What `on` is called in messages.
    """
    if isinstance(mask, str | os.PathLike):
        return read_mask(Path(mask), on=on, on_path=on_name)
    if isinstance(mask, VolumeGeometry):
        if on is not None:
            _check_same_grid(mask.shape, mask.affine, "the mask", on, on_name)
        return mask
    if not hasattr(mask, "dataobj"):
        raise TypeError(
            f"mask must be a VolumeGeometry, a NIfTI image or its path; got {type(mask).__name__}."
        )
    labels = _labels_on_grid(mask, lambda: np.asarray(mask.dataobj), "the mask", on, on_name)
    source = mask if on is None else on
    return VolumeGeometry(
        labels, _default_names(labels), source.affine.copy(), source.header.copy()
    )


def _labels_on_grid(
    img: Any, read: Callable[[], NDArray[Any]], name: object, on: Any, on_name: object
) -> NDArray[np.int32]:
    shape = img.shape[:3] if img.shape[3:] == (1,) else img.shape
    if len(shape) != 3:
        raise ValueError(f"a mask must be 3-D; {name} has shape {img.shape}. Choose one volume.")
    if on is not None:
        _check_same_grid(shape, img.affine, name, on, on_name)
    return _integer_labels(read().reshape(shape), name)


def _check_same_grid(
    shape: tuple[int, ...], affine: NDArray[Any], path: object, on: Any, on_path: object
) -> None:
    if shape != on.shape[:3]:
        raise ValueError(
            f"mask and responses must have the same volume; {path} has shape {shape}, "
            f"{on_path} has {on.shape[:3]}. Resample the mask to the responses."
        )
    corners = np.array([(*c, 1) for c in itertools.product(*((0, n - 1) for n in shape))])
    shift = np.linalg.norm(corners @ (affine - on.affine).T, axis=1).max()
    side = np.linalg.norm(on.affine[:3, :3], axis=0).min()
    if not shift <= _MAX_SHIFT * side:
        raise ValueError(
            f"mask and responses must lie in the same place; the affines of {path} and {on_path} "
            f"put a corner of the volume {shift:.4g} mm apart. Resample the mask to the responses."
        )


def _integer_labels(values: NDArray[Any], path: object) -> NDArray[np.int32]:
    values = np.where(np.isnan(values), 0, values)
    bad = (values < 0) | (values != np.rint(values)) | (values > np.iinfo(np.int32).max)
    if bad.any():
        raise ValueError(
            f"a mask must hold 0 outside and positive integers inside; {path} holds "
            f"{values[bad][0]:g}. Threshold or relabel it."
        )
    labels = values.astype(np.int32)
    if not labels.any():
        raise ValueError(f"a mask must have a voxel inside; all of {path} is 0 or NaN.")
    return labels


def _label_names(labels: NDArray[np.int32], path: Path) -> dict[int, str]:
    present = [int(label) for label in np.unique(labels) if label]
    table = sidecar_path(path, "labels")
    if table.is_file():
        names = read_labels(table)
        missing = [label for label in present if label not in names]
        if missing:
            raise ValueError(
                f"{table} must name every label of {path}; {missing} are missing. Add them."
            )
        return {label: names[label] for label in present}
    return _default_names(labels)


def _default_names(labels: NDArray[np.int32]) -> dict[int, str]:
    present = [int(label) for label in np.unique(labels) if label]
    return {1: "mask"} if present == [1] else {label: f"roi-{label}" for label in present}
