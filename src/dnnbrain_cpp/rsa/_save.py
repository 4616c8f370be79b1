"""RDMs to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms
from dnnbrain_cpp.rsa._hdf5 import KINDS, write_dnnbrain, write_rsatoolbox
from dnnbrain_cpp.rsa._matlab import MATLAB_WRITERS
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["save_rdms"]

_SUFFIXES = (".npz", ".mat", ".rdm.h5", ".h5", ".hdf5")


def save_rdms(
    rdms: RDMsLike,
    path: str | os.PathLike[str],
    *,
    kind: str = "dRDM",
    matlab: str = "5",
) -> None:
    """Write RDMs so that `load_rdms` gives the same again.

    Parameters
    ----------
    rdms : RDMs, RDM, or array_like
    path : path_like
        The suffix says how: ``.npz``: condensed, with ids, names and metric. ``.mat``: MATLAB's, a
        struct array ``RDMs`` with the fields ``RDM`` (n_cond, n_cond) and ``name``, as the MATLAB
        toolbox of RSA has them, and a cell array ``ids``. ``.rdm.h5``: DNNBrain's. ``.h5`` or
        ``.hdf5``: rsatoolbox's.
    kind : {"dRDM", "bRDM"}
        What DNNBrain calls them: of a network's layers, or of regions of a brain.
    matlab : {"5", "7.3"}
        Version of a ``.mat`` file. Version 5 holds up to 2 GiB; 7.3 is HDF5.

    Raises
    ------
    ValueError
        For another suffix, or a version of MATLAB's files that is not written.

    Notes
    -----
    The file appears complete or not at all.
    """
    rdms = as_rdms(rdms, "rdms")
    check_choice(kind, "kind", KINDS)
    check_choice(matlab, "matlab", tuple(MATLAB_WRITERS))
    target = Path(path)
    name = target.name.lower()
    if not name.endswith(_SUFFIXES):
        raise ValueError(f"RDMs are written to {', '.join(_SUFFIXES)} files; got {target.name!r}.")
    with atomic_path(target) as temporary:
        if name.endswith(".npz"):
            _write_npz(rdms, temporary)
        elif name.endswith(".mat"):
            MATLAB_WRITERS[matlab](rdms, temporary)
        elif name.endswith(".rdm.h5"):
            write_dnnbrain(rdms, temporary, kind)
        else:
            write_rsatoolbox(rdms, temporary)


def _write_npz(rdms: RDMs, path: Path) -> None:
    arrays: dict[str, Any] = {
        "dissimilarities": rdms.dissimilarities,
        "names": np.array(rdms.names),
    }
    if rdms.ids is not None:
        arrays["ids"] = np.array(rdms.ids)
    if rdms.metric is not None:
        arrays["metric"] = np.array(rdms.metric)
    with path.open("wb") as file:
        np.savez(file, **arrays)
