"""RDMs from files: NumPy, MATLAB of any version, DNNBrain's and rsatoolbox's HDF5."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._validate import as_array
from dnnbrain_cpp.rsa._hdf5 import read_hdf5, texts
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["load_rdms"]

_IDS_KEY = "ids"
_NAMES_KEY = "names"
_METRIC_KEY = "metric"
_CONDENSED_KEY = "dissimilarities"


def load_rdms(
    path: str | Path,
    *,
    key: str | None = None,
    ids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> RDMs:
    """Read the RDMs of subjects, sessions or models.

    Parameters
    ----------
    path : path
        ``.npy``, ``.npz``, ``.mat`` (version 5 or 7.3), ``.rdm.h5`` of DNNBrain, ``.h5`` or
        ``.hdf5`` of rsatoolbox. Of rsatoolbox's descriptors, the first that holds distinct strings
        gives the ids, and the names.
    key : str, optional
        Name of the array inside; needed when several could be meant. A MATLAB struct array with a
        field ``RDM`` will do; its field ``name`` names the RDMs. Of ``.rdm.h5``, the one layer or
        region to read.
    ids : sequence of str, optional
        One per condition, where the file has none (a ``.npz`` may hold an array ``ids``).
    names : sequence of str, optional
        One per RDM; by default from the file (``names``), else ``subject-01`` and so on.

    Returns
    -------
    RDMs

    Raises
    ------
    ValueError
        If the file cannot be read or holds no RDMs, a matrix is not symmetric, or its diagonal is
        not zero; the message names the file.

    Notes
    -----
    Shapes understood: (n, n), (n_rdm, n, n), (n, n, n_rdm), condensed (n_pair,), (n_rdm, n_pair)
    and (n_pair, n_rdm). Where both of the last two would do, `ids` decide.
    """
    path = Path(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _load_hdf5(path, key, ids, names)
    arrays = _read_arrays(path)
    chosen = _choose(arrays, key, path)
    array, field_names = _from_struct(arrays[chosen], path)
    if ids is None and _IDS_KEY in arrays:
        ids = texts(arrays[_IDS_KEY])
    if names is None:
        names = field_names
    if names is None and _NAMES_KEY in arrays:
        names = texts(arrays[_NAMES_KEY])
    metric = texts(arrays[_METRIC_KEY])[0] if _METRIC_KEY in arrays else None
    try:
        array = as_array(array, "RDMs", dtype=np.float64, ndim=(1, 2, 3))
        # What save_rdms has written is condensed, also where it looks square.
        rdms = RDMs(array) if chosen == _CONDENSED_KEY else _to_rdms(array, ids)
        if names is None:
            names = [f"subject-{i + 1:02d}" for i in range(len(rdms))]
        return RDMs(rdms.dissimilarities, ids=ids, names=names, metric=metric)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} ({chosen}): {error}") from error


def _load_hdf5(
    path: Path, key: str | None, ids: Sequence[str] | None, names: Sequence[str] | None
) -> RDMs:
    if not path.is_file():
        raise FileNotFoundError(f"no such file of RDMs: {path}")
    try:
        rdms = read_hdf5(path, key)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    return RDMs(
        rdms.dissimilarities,
        ids=rdms.ids if ids is None else ids,
        names=rdms.names if names is None else names,
        metric=rdms.metric,
    )


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    readers = {".npy": _read_npy, ".npz": _read_npz, ".mat": _read_mat}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"RDMs are read from {', '.join(readers)}, .h5, .hdf5 files; got {path}.")
    if not path.is_file():
        raise FileNotFoundError(f"no such file of RDMs: {path}")
    try:
        return reader(path)
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _read_npy(path: Path) -> dict[str, NDArray[Any]]:
    return {path.stem: np.load(path, allow_pickle=False)}


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    # Opened here, because NumPy leaves a file open that turns out not to be an archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return dict(archive)


def _read_mat(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    if h5py.is_hdf5(path):  # version 7.3, of which h5py gives the axes in reverse
        with h5py.File(path) as file:
            return {
                name: value
                for name, item in file.items()
                if not name.startswith("#") and (value := _from_mat73(file, item)) is not None
            }
    from scipy.io import loadmat

    contents = loadmat(path)
    return {name: value for name, value in contents.items() if not name.startswith("__")}


def _from_mat73(file: Any, item: Any) -> NDArray[Any] | None:
    """Return a numeric array, a cell array of texts, or the fields RDM and name of a struct."""
    import h5py

    if isinstance(item, h5py.Group):
        fields = [name for name in ("RDM", "name") if name in item]
        if "RDM" not in fields:
            return None
        columns = {name: _cells(file, item[name], text=name == "name") for name in fields}
        struct = np.empty(len(columns["RDM"]), dtype=[(name, object) for name in fields])
        for name, cells in columns.items():
            for place, cell in enumerate(cells):
                struct[name][place] = cell
        return struct
    if item.dtype.kind == "O":  # a cell array, of which only texts mean anything here
        cells = [file[reference] for reference in item[()].ravel()]
        if not all(isinstance(cell, h5py.Dataset) and cell.dtype == np.uint16 for cell in cells):
            return None
        return np.array(_cells(file, item, text=True), dtype=object)
    if item.attrs.get("MATLAB_class") == b"char":
        return np.array([_text(item[()])], dtype=object)
    return item[()].T if item.dtype.kind in "iuf" else None


def _cells(file: Any, item: Any, *, text: bool) -> list[Any]:
    """Return what the references of a cell or struct array refer to; one struct has none."""
    values = [item[()]] if item.dtype.kind != "O" else [file[ref][()] for ref in item[()].T.ravel()]
    return [_text(value) if text else value.T for value in values]


def _text(units: NDArray[Any]) -> str:
    """Return the text of UTF-16 units."""
    return units.T.ravel().astype("<u2").tobytes().decode("utf-16-le")


def _is_candidate(array: NDArray[Any]) -> bool:
    if array.dtype.names is not None:
        return bool("RDM" in array.dtype.names)
    if array.dtype.kind not in "iuf" or array.size == 0:
        return False
    shape: tuple[int, ...] = array.shape
    if len(shape) == 3:
        return shape[1] == shape[2] or shape[0] == shape[1]
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        return True
    column = len(shape) == 2 and shape[1] == 1
    return len(shape) in (1, 2) and _is_pair_count(shape[0 if column else -1])


def _is_pair_count(n: int) -> bool:
    n_cond = (1 + math.isqrt(1 + 8 * n)) // 2
    return n_cond >= 3 and n_cond * (n_cond - 1) // 2 == n


def _choose(arrays: dict[str, NDArray[Any]], key: str | None, path: Path) -> str:
    listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    if key is not None:
        if key not in arrays:
            raise ValueError(f"{path} has no {key!r}; it holds {listed}.")
        return key
    candidates = [name for name, array in arrays.items() if _is_candidate(array)]
    if len(candidates) != 1:
        found = "several arrays that may be RDMs" if candidates else "no array of RDMs' shape"
        raise ValueError(f"{path} holds {found}: {listed}. Say which with key=.")
    return candidates[0]


def _from_struct(array: NDArray[Any], path: Path) -> tuple[NDArray[Any], list[str] | None]:
    """Unpack a MATLAB struct array with a field RDM."""
    if array.dtype.names is None or "RDM" not in array.dtype.names:
        return array, None
    fields = [np.squeeze(field) for field in array["RDM"].ravel()]
    shapes = {field.shape for field in fields}
    if len(shapes) != 1:
        raise ValueError(
            f"{path}: the RDMs of a struct array must be of one shape; got {sorted(shapes)}."
        )
    if "name" not in array.dtype.names:
        return np.stack(fields), None
    names = texts(array["name"])
    return np.stack(fields), names if len(set(names)) == len(names) else None


def _to_rdms(array: NDArray[np.float64], ids: Sequence[str] | None) -> RDMs:
    if array.ndim == 3:
        rdms_last = array.shape[0] == array.shape[1] != array.shape[2]
        if len(set(array.shape)) == 1:  # as many RDMs as conditions: only one way is symmetric
            rdms_last = not _symmetric(array)
        return RDMs.from_square(np.moveaxis(array, 2, 0) if rdms_last else array, ids=ids)
    if array.ndim == 2 and array.shape[0] == array.shape[1]:
        return RDMs.from_square(array, ids=ids)
    if array.ndim == 2 and _pairs_first(array.shape[0], array.shape[1], ids):
        array = array.T
    return RDMs(array, ids=ids)


def _pairs_first(n_row: int, n_column: int, ids: Sequence[str] | None) -> bool:
    """Say whether condensed RDMs lie in the columns."""
    if not (_is_pair_count(n_row) and _is_pair_count(n_column)):
        return _is_pair_count(n_row)
    if ids is not None:
        return len(ids) * (len(ids) - 1) // 2 == n_row
    if n_row > n_column:
        raise ValueError(
            f"an array of shape ({n_row}, {n_column}) may hold {n_row} RDMs or, in its columns, "
            f"{n_column}. Give ids=, whose number says which."
        )
    return False


def _symmetric(array: NDArray[np.float64]) -> bool:
    return bool(np.allclose(array, array.swapaxes(1, 2), rtol=1e-6, atol=1e-12))
