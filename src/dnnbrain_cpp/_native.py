"""The only importer of the compiled core, and the diagnosis when it does not fit.

``core`` is the extension module. It is loaded after torch, so that torch's libraries, its OpenMP
runtime among them, are the ones in the process.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnnbrain_cpp.exceptions import NativeImportError

__all__ = ["as_tensor", "build_info", "core"]

_REMEDY = (
    "Build it again in this environment: "
    "pip install --no-build-isolation --force-reinstall --no-deps dnnbrain-cpp"
)

try:
    from dnnbrain_cpp import _core as core  # noqa: TID251 - this module is the one that may
except ImportError as error:
    raise NativeImportError(
        f"the compiled core of dnnbrain_cpp does not load beside torch {torch.__version__}: "
        f"{error}. {_REMEDY}"
    ) from error


def _minor(version: str) -> str:
    found = re.match(r"\d+\.\d+", version)
    return found.group() if found else version


def _check_torch(built: str, running: str) -> None:
    """Raise unless both versions agree in major and minor, which is how far torch's ABI holds."""
    if _minor(built) != _minor(running):
        raise NativeImportError(
            f"dnnbrain_cpp was built for torch {_minor(built)}; this environment has torch "
            f"{running}. {_REMEDY}"
        )


_check_torch(str(core.build_facts()["torch"]), torch.__version__)


def build_info() -> dict[str, Any]:
    """Return what the compiled core was built with, and what it runs beside.

    Returns
    -------
    dict
        ``version``, ``torch`` and ``cuda`` (at build), ``torch_running``, ``compiler``,
        ``build_type``, ``cxx_standard``, ``sanitized``, ``random_version`` (of the stream of
        random numbers), ``n_threads`` (torch's setting, which the kernels follow) and ``openmp``
        (the OpenMP runtimes loaded in this process; there should be one).
    """
    facts: dict[str, Any] = dict(core.build_facts())
    facts["torch_running"] = torch.__version__
    facts["random_version"] = core.RANDOM_VERSION
    facts["n_threads"] = torch.get_num_threads()
    facts["openmp"] = _loaded_openmp()
    return facts


def _loaded_openmp() -> list[str]:
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123 - not a real file
            paths = {
                line.split()[-1] for line in maps if re.search(r"lib(g|i)?omp[\w.-]*\.so", line)
            }
    except OSError:
        return []
    return sorted(paths)


def as_tensor(array: NDArray[np.floating[Any]]) -> torch.Tensor:
    """Return a tensor over the memory of a float32 or float64 array, read-only ones included."""
    return core.view_as_tensor(np.ascontiguousarray(array))
