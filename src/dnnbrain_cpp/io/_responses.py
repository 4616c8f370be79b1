"""Responses: what each voxel did at each stimulus, and where the voxel is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import as_array, check_ids
from dnnbrain_cpp.io._geometry import VolumeGeometry, as_geometry, read_mask, whole_volume
from dnnbrain_cpp.io._nifti import NIFTI_SUFFIXES, is_nifti, open_nifti, read_series, save_nifti
from dnnbrain_cpp.io._numpy import read_table
from dnnbrain_cpp.io._sidecars import read_ids, sidecar_path, write_ids, write_labels
from dnnbrain_cpp.io._surface import SURFACE_SUFFIXES, is_surface, read_labelled, read_maps

__all__ = ["Responses", "image_responses", "read_responses", "write_responses"]

PathLike = str | os.PathLike[str]

# So that a memory-mapped file larger than memory can be summarised.
_BLOCK_ENTRIES = 2**22

_SUFFIXES = (*NIFTI_SUFFIXES, ".npy", ".npz", *SURFACE_SUFFIXES)


@dataclass(frozen=True, eq=False, repr=False)
class Responses:
    """Responses of voxels, electrodes or other targets to stimuli.

    Parameters
    ----------
    data : array_like of shape (n_stim, n_vox)
        Converted to float32; no copy is made of a C-ordered float32 array, also a read-only or
        memory-mapped one. NaN and constant voxels are kept; `summary` counts them.
    ids : sequence of str, optional
        The stimulus of each row, unique.
    rois : sequence of str, optional
        The region of each voxel.
    geometry : VolumeGeometry, optional
        Where the voxels lie; needed to write maps.

    Raises
    ------
    TypeError
        If `data` does not hold real numbers.
    ValueError
        If the lengths do not agree, or `data` has no entry.
    """

    data: NDArray[np.float32]
    ids: tuple[str, ...] | None = None
    rois: tuple[str, ...] | None = None
    geometry: VolumeGeometry | None = None

    def __post_init__(self) -> None:
        try:
            with np.errstate(over="raise"):
                data = as_array(self.data, "responses", dtype=np.float32, ndim=2)
        except FloatingPointError:
            raise ValueError(
                f"responses must fit into float32, up to {np.finfo(np.float32).max:.3g}; "
                "some are larger. Rescale them."
            ) from None
        if not data.size:
            raise ValueError(
                f"responses must have a stimulus and a voxel at least; got shape {data.shape}."
            )
        object.__setattr__(self, "data", data)
        if self.ids is not None:
            object.__setattr__(self, "ids", check_ids(self.ids, "ids", n=self.n_stim))
        for name, count in (
            ("rois", None if self.rois is None else len(self.rois)),
            ("geometry", None if self.geometry is None else self.geometry.n_vox),
        ):
            if count is not None and count != self.n_vox:
                raise ValueError(f"{name} must have {self.n_vox} voxels, as data; got {count}.")
        if self.rois is not None:
            object.__setattr__(self, "rois", tuple(str(roi) for roi in self.rois))

    @property
    def n_stim(self) -> int:
        """Number of stimuli."""
        return len(self.data)

    @property
    def n_vox(self) -> int:
        """Number of voxels."""
        return int(self.data.shape[1])

    @property
    def roi_names(self) -> tuple[str, ...]:
        """Names of the regions in order of first appearance; empty without regions."""
        return tuple(dict.fromkeys(self.rois or ()))

    def select(self, ids: Sequence[str]) -> Responses:
        """Return the responses to the stimuli named by `ids`, in that order."""
        if self.ids is None:
            raise ValueError(
                "these responses have no ids to select by; give them with ids= or a sidecar table."
            )
        row = {name: i for i, name in enumerate(self.ids)}
        wanted = check_ids(ids, "ids")
        missing = [name for name in wanted if name not in row]
        if missing:
            raise ValueError(
                f"ids must be among the {self.n_stim} stimuli of the responses; {missing[0]!r} "
                f"({len(missing)} in all) is not."
            )
        rows = [row[name] for name in wanted]
        return Responses(self.data[rows], ids=wanted, rois=self.rois, geometry=self.geometry)

    def summary(self) -> dict[str, Any]:
        """Return counts worth a look before any analysis.

        Returns
        -------
        dict
            ``n_stim``, ``n_vox``, ``n_nan`` (voxels with a NaN or infinity), ``n_constant``
            (voxels that never change, so that no correlation with them exists) and ``rois``
            (voxels per region).
        """
        n_bad = n_constant = 0
        step = max(1, _BLOCK_ENTRIES // self.n_stim)
        for start in range(0, self.n_vox, step):
            block = self.data[:, start : start + step]
            n_bad += int(np.count_nonzero(~np.isfinite(block).all(axis=0)))
            n_constant += int(np.count_nonzero((block == block[0]).all(axis=0)))
        rois = self.rois or ()
        return {
            "n_stim": self.n_stim,
            "n_vox": self.n_vox,
            "n_nan": n_bad,
            "n_constant": n_constant,
            "rois": {name: rois.count(name) for name in self.roi_names},
        }

    def to_img(self, values: ArrayLike) -> Any:
        """Return one value per voxel, or k of them, as a NIfTI image.

        Parameters
        ----------
        values : array_like of shape (n_vox,) or (k, n_vox)

        Returns
        -------
        nibabel.Nifti1Image or nibabel.Nifti2Image
            float32, NaN outside the mask, with affine, zooms, units, qform and sform codes and
            description of the responses' file.

        Raises
        ------
        ValueError
            If the voxels' places are not known, or the number of values is not theirs.
        """
        return self._placed().to_img(values)

    def save_map(self, values: ArrayLike, path: PathLike) -> None:
        """Write `to_img` to a ``.nii`` or ``.nii.gz`` file; it appears complete or not at all."""
        save_nifti(self.to_img(values), Path(path))

    def _placed(self) -> VolumeGeometry:
        if self.geometry is None:
            raise ValueError(
                "maps need the places of the voxels, which these responses lack; "
                "read them from NIfTI, or with mask=."
            )
        return self.geometry

    def __repr__(self) -> str:
        regions = ", ".join(f"{name} {n}" for name, n in self.summary()["rois"].items())
        parts = [
            f"{self.n_stim} stimuli {'with' if self.ids else 'without'} ids",
            f"{self.n_vox} voxels" + (f" ({regions})" if regions else ""),
        ]
        if self.geometry is not None:
            parts.append("volume " + " x ".join(map(str, self.geometry.shape)))
        return f"Responses({'; '.join(parts)})"


def read_responses(
    path: PathLike,
    *,
    mask: PathLike | None = None,
    ids: Sequence[str] | None = None,
    key: str | None = None,
) -> Responses:
    """Read responses from NIfTI, GIFTI, CIFTI-2 or NumPy files.

    Parameters
    ----------
    path : path_like
        ``.nii`` or ``.nii.gz``: 4-D, one volume per stimulus. ``.npy`` or ``.npz``: an array of
        shape (n_stim, n_vox); a float32 ``.npy`` stays on disk, memory-mapped. ``.gii``,
        ``.dscalar.nii``, ``.dtseries.nii``: one map per stimulus, over vertices or grayordinates.
    mask : path_like, optional
        NIfTI image on the same grid: 0 (or NaN) outside, positive integers inside, one per region.
        ``<stem>.labels.csv`` beside it, with the columns ``value`` and ``name``, names them; a mask
        of one label 1 is the region "mask", others are "roi-<label>". Without a mask, every voxel
        of the volume is read. For NumPy files, its voxels in C order are the columns. For GIFTI and
        CIFTI-2, a ``.label.gii`` or ``.dlabel.nii`` file with the same vertices, which names its
        labels itself.
    ids : sequence of str, optional
        The stimulus of each row. Otherwise column ``id`` of ``<stem>.ids.csv`` beside `path`, if
        there is one, or else the names of the maps of a GIFTI or CIFTI-2 file.
    key : str, optional
        Which array of an ``.npz`` file; needed if it holds several.

    Returns
    -------
    Responses

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If a file cannot be read, or mask, ids and responses do not fit together.

    Notes
    -----
    A compressed series is decompressed once, block by block; memory is that of the voxels inside.
    """
    source = Path(path)
    mask_path = None if mask is None else Path(mask)
    if key is not None and source.suffix.lower() != ".npz":
        raise ValueError(
            f"key is for .npz files; got key={key!r} with {source.name}. Leave it out."
        )
    geometry: VolumeGeometry | None
    if is_surface(source):
        return _read_surface(source, mask_path, ids)
    if is_nifti(source):
        data, geometry = _read_nifti(source, mask_path)
    elif source.suffix.lower() in (".npy", ".npz"):
        data = read_table(source, key=key)
        geometry = None if mask_path is None else read_mask(mask_path)
        if geometry is not None and geometry.n_vox != data.shape[1]:
            raise ValueError(
                f"the columns of {source} must be the voxels of {mask_path}; there are "
                f"{data.shape[1]} columns and {geometry.n_vox} voxels."
            )
    else:
        raise ValueError(
            f"responses must be a file of type {', '.join(_SUFFIXES)}; got {source.name!r}."
        )
    return Responses(
        data,
        ids=_row_ids(source, ids, len(data)),
        rois=geometry.rois if geometry is not None and mask_path is not None else None,
        geometry=geometry,
    )


def image_responses(
    img: Any, *, mask: Any | None = None, ids: Sequence[str] | None = None
) -> Responses:
    """Return the responses that an image in memory holds.

    Parameters
    ----------
    img : nibabel image of shape (n_x, n_y, n_z, n_stim)
    mask : VolumeGeometry, nibabel image or path, optional
        On the same grid; see `read_responses`. Without one, every voxel of the volume is taken.
    ids : sequence of str, optional
        The stimulus of each volume.

    Returns
    -------
    Responses

    Raises
    ------
    ValueError
        If the image is not 4-D, or the mask lies on another grid.
    """
    if len(img.shape) != 4:
        raise ValueError(
            "responses must be 4-D, one volume per stimulus on the last axis; the image has shape "
            f"{img.shape}. Merge the volumes first."
        )
    geometry = whole_volume(img) if mask is None else as_geometry(mask, on=img)
    data = np.asarray(img.dataobj)[geometry.inside].T
    return Responses(
        data,
        ids=None if ids is None else check_ids(ids, "ids", n=img.shape[3]),
        rois=geometry.rois if mask is not None else None,
        geometry=geometry,
    )


def write_responses(responses: Responses, path: PathLike, *, mask: PathLike | None = None) -> None:
    """Write responses so that `read_responses` gives the same again, bit for bit.

    Parameters
    ----------
    responses : Responses
    path : path_like
        ``.nii`` or ``.nii.gz`` (0 outside the mask), or ``.npy``. Ids go to ``<stem>.ids.csv``.
    mask : path_like, optional
        Where to write the mask, with the names of its regions in ``<stem>.labels.csv``.

    Raises
    ------
    ValueError
        If a volume is asked for and the voxels' places are not known.
    """
    target = Path(path)
    if target.suffix.lower() == ".npy":
        with atomic_path(target) as temporary:
            np.save(temporary, responses.data, allow_pickle=False)
    elif is_nifti(target):
        save_nifti(responses._placed().to_img(responses.data, outside=0.0), target)
    else:
        raise ValueError(
            f"responses must be written to .nii, .nii.gz or .npy; got {target.name!r}."
        )
    if responses.ids is not None:
        write_ids(sidecar_path(target, "ids"), responses.ids)
    if mask is not None:
        geometry = responses._placed()
        save_nifti(geometry.mask_img(), Path(mask))
        write_labels(sidecar_path(Path(mask), "labels"), geometry.names)


def _read_nifti(path: Path, mask: Path | None) -> tuple[NDArray[np.float32], VolumeGeometry]:
    with open_nifti(path) as img:
        if len(img.shape) != 4:
            raise ValueError(
                "responses must be 4-D, one volume per stimulus on the last axis; "
                f"{path} has shape {img.shape}. Merge the volumes first."
            )
        geometry = whole_volume(img) if mask is None else read_mask(mask, on=img, on_path=path)
        return read_series(img, path, geometry.inside), geometry


def _read_surface(path: Path, mask: Path | None, ids: Sequence[str] | None) -> Responses:
    maps = read_maps(path)
    data, rois = maps.data, None
    if mask is not None:
        inside, rois = read_labelled(mask, maps, path)
        data = data[:, inside]
    return Responses(data, ids=_row_ids(path, ids, len(data)) or maps.names, rois=rois)


def _row_ids(path: Path, ids: Sequence[str] | None, n_stim: int) -> tuple[str, ...] | None:
    if ids is not None:
        return check_ids(ids, "ids", n=n_stim)
    table = sidecar_path(path, "ids")
    if not table.is_file():
        return None
    found = read_ids(table)
    if len(found) != n_stim:
        raise ValueError(
            f"{table} must name the {n_stim} stimuli of {path}; it names {len(found)}. "
            "Correct it, or give ids=."
        )
    return found
