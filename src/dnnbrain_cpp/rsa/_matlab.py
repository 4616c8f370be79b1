"""RDMs to MATLAB's files, versions 5 and 7.3.

Both hold a struct array ``RDMs`` with the fields ``RDM`` and ``name``, as the MATLAB toolbox of RSA
has them, a cell array ``ids`` and a text ``metric``. Version 7.3 is HDF5 behind a header of 512
bytes: cells and fields are references to datasets of a group of their own, text is UTF-16.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["MATLAB_WRITERS"]

_HEADER_BYTES = 512
_HEADER_TEXT = b"MATLAB 7.3 MAT-file, HDF5 schema 1.00 ."
_HEADER_VERSION = b"\x00\x02IM"  # little-endian

_CLASS = "MATLAB_class"


def _write_5(rdms: RDMs, path: Path) -> None:
    from scipy.io import savemat

    struct = np.empty((1, len(rdms)), dtype=[("RDM", object), ("name", object)])
    for place, one in enumerate(rdms):
        struct[0, place] = (one.square(), one.name)
    contents: dict[str, Any] = {"RDMs": struct}
    if rdms.ids is not None:
        contents["ids"] = np.array(rdms.ids, dtype=object)
    if rdms.metric is not None:
        contents["metric"] = rdms.metric
    savemat(path, contents)


def _write_73(rdms: RDMs, path: Path) -> None:
    import h5py

    with h5py.File(path, "w", userblock_size=_HEADER_BYTES) as file:
        referenced = file.create_group("#refs#")

        def put(place: Any, name: str, values: NDArray[Any], kind: str) -> Any:
            # HDF5 has the last axis first to run, MATLAB the first.
            dataset = place.create_dataset(name, data=values.T)
            dataset.attrs[_CLASS] = np.bytes_(kind)
            return dataset

        def put_text(place: Any, name: str, text: str) -> Any:
            units = np.frombuffer(text.encode("utf-16-le"), dtype=np.uint16)
            dataset = put(place, name, units[None], "char")
            dataset.attrs["MATLAB_int_decode"] = np.int32(2)
            return dataset

        def references(datasets: Iterable[Any]) -> NDArray[Any]:
            return np.array([one.ref for one in datasets], dtype=h5py.ref_dtype)[:, None]

        struct = file.create_group("RDMs")
        struct.attrs[_CLASS] = np.bytes_("struct")
        struct.create_dataset(
            "RDM",
            data=references(
                put(referenced, f"rdm{i}", one.square(), "double") for i, one in enumerate(rdms)
            ),
        )
        struct.create_dataset(
            "name",
            data=references(
                put_text(referenced, f"name{i}", name) for i, name in enumerate(rdms.names)
            ),
        )
        if rdms.ids is not None:
            cells = references(
                put_text(referenced, f"id{i}", name) for i, name in enumerate(rdms.ids)
            )
            file.create_dataset("ids", data=cells).attrs[_CLASS] = np.bytes_("cell")
        if rdms.metric is not None:
            put_text(file, "metric", rdms.metric)
    with path.open("r+b") as file_bytes:
        file_bytes.write(_HEADER_TEXT.ljust(116) + bytes(8) + _HEADER_VERSION)


MATLAB_WRITERS = {"5": _write_5, "7.3": _write_73}
"""What writes RDMs to a path, by version."""
