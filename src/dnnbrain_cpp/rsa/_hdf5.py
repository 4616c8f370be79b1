"""RDMs in HDF5, as DNNBrain and as rsatoolbox lay them out.

DNNBrain's ``.rdm.h5``: a root attribute ``type``, ``bRDM`` or ``dRDM``; a compressed float64
dataset for each region, of shape (n_pair,), or for each layer, (n_iter, n_pair). It has no place
for ids and metric; here they are further root attributes, which DNNBrain does not look at.

rsatoolbox's: datasets ``dissimilarities`` of shape (n_rdm, n_pair) and groups of descriptors of
patterns and RDMs, one array each; the measure is a root attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["KINDS", "read_hdf5", "texts", "write_dnnbrain", "write_rsatoolbox"]

KINDS = ("dRDM", "bRDM")

_TYPE, _IDS, _NAMES, _METRIC = "type", "ids", "names", "metric"
_NAME = "name"  # what our own descriptors are called


def texts(array: Any) -> list[str]:
    """Return strings from an array of them, of bytes, or of MATLAB's cells."""
    cells: list[Any] = [np.asarray(cell).squeeze()[()] for cell in np.ravel(array)]
    return [cell.decode() if isinstance(cell, bytes) else str(cell) for cell in cells]


def read_hdf5(path: Path, key: str | None) -> RDMs:
    """Read either layout; `key` chooses a layer or region of DNNBrain's."""
    import h5py

    with h5py.File(path) as file:
        kind = file.attrs.get(_TYPE)
        kind = kind.decode() if isinstance(kind, bytes) else kind
        if kind in KINDS:
            return _read_dnnbrain(file, key)
        if "dissimilarities" in file and "pattern_descriptors" in file:
            return _read_rsatoolbox(file)
        raise ValueError(
            f"it is neither DNNBrain's (root attribute 'type' of {' or '.join(KINDS)}) nor "
            f"rsatoolbox's; it holds {', '.join(file) or 'nothing'}"
        )


def _read_dnnbrain(file: Any, key: str | None) -> RDMs:
    if key is not None and key not in file:
        raise ValueError(f"it has no {key!r}; it holds {', '.join(file)}")
    parts = {name: np.atleast_2d(file[name][()]) for name in ([key] if key else file)}
    lengths = {name: part.shape[1] for name, part in parts.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"its RDMs must have the same conditions; numbers of pairs are {lengths}. Choose one "
            "with key="
        )
    names = [
        name if len(part) == 1 else f"{name}[{i}]"
        for name, part in parts.items()
        for i in range(len(part))
    ]
    rdms = RDMs(
        np.concatenate(list(parts.values())),
        ids=texts(file.attrs[_IDS]) if _IDS in file.attrs else None,
        names=names,
        metric=str(file.attrs[_METRIC]) if _METRIC in file.attrs else None,
    )
    if key is not None or _NAMES not in file.attrs:
        return rdms
    return rdms[texts(file.attrs[_NAMES])]  # HDF5 sorts by name


def _read_rsatoolbox(file: Any) -> RDMs:
    measure = file.attrs.get("dissimilarity_measure")
    values = np.atleast_2d(file["dissimilarities"][()])
    return RDMs(
        values,
        ids=_labels(file["pattern_descriptors"]),
        names=_labels(file["rdm_descriptors"]) if "rdm_descriptors" in file else None,
        metric=None if measure is None else str(measure),
    )


def _labels(descriptors: Any) -> list[str] | None:
    """Return the first descriptor of distinct strings, ours before others; 'index' says nothing."""
    for name in sorted(descriptors, key=lambda name: name != _NAME):
        values = descriptors[name][()] if descriptors[name].shape is not None else None
        if values is None or values.dtype.kind not in "SOU":
            continue
        labels = texts(values)
        if len(set(labels)) == len(labels):
            return labels
    return None


def write_dnnbrain(rdms: RDMs, path: Path, kind: str) -> None:
    """Write a dataset per RDM. Names must be names of datasets, so without a slash."""
    import h5py

    bad = [name for name in rdms.names if "/" in name or name in ("", ".")]
    if bad:
        raise ValueError(
            f"names of RDMs in .rdm.h5 files must not hold a slash or be empty; got {bad[0]!r}. "
            "Use RDMs.rename."
        )
    # So that ids of many conditions fit: attributes of the first HDF5 end at 64 KB.
    with h5py.File(path, "w", libver=("v108", "latest")) as file:
        file.attrs[_TYPE] = kind
        for name, values in zip(rdms.names, rdms.dissimilarities, strict=True):
            file.create_dataset(
                name, data=values if kind == "bRDM" else values[None], compression="gzip"
            )
        file.attrs[_NAMES] = _strings(rdms.names)
        if rdms.ids is not None:
            file.attrs[_IDS] = _strings(rdms.ids)
        if rdms.metric is not None:
            file.attrs[_METRIC] = rdms.metric


def write_rsatoolbox(rdms: RDMs, path: Path) -> None:
    """Write what ``rsatoolbox.rdm.load_rdm`` reads; descriptors are called ``name``."""
    import h5py

    with h5py.File(path, "w") as file:
        file["dissimilarities"] = rdms.dissimilarities
        file.create_group("descriptors")
        for group, n, labels in (
            ("rdm_descriptors", len(rdms), rdms.names),
            ("pattern_descriptors", rdms.n_cond, rdms.ids),
        ):
            descriptors = file.create_group(group)
            descriptors["index"] = np.arange(n)
            if labels is not None:
                descriptors[_NAME] = _strings(labels)
        if rdms.metric is None:
            file["dissimilarity_measure"] = h5py.Empty("f")
        else:
            file.attrs["dissimilarity_measure"] = rdms.metric


def _strings(labels: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([label.encode() for label in labels])
