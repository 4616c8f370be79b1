"""Import torchvision, also beside a torch that its compiled operators were not built for.

torchvision's networks and transforms are plain torch; only a few detection operators are compiled.
When that library does not load (a CUDA wheel beside a CPU torch, for example), the import of the
whole package still stops at two operators whose schemas nobody declared. Declaring them is enough
for everything but the operators themselves, and those then say that they are missing.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any, NoReturn

import torch

__all__ = ["import_torchvision"]

# The operators that torchvision's own import asks for.
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

_lock = threading.Lock()
# torch withdraws a declaration when the library object that made it dies.
_declared: list[Any] = []


def import_torchvision() -> ModuleType:
    """Return the torchvision package, imported in full.

    Where a plain ``import torchvision`` works, this is it. Where it fails because an operator of
    its compiled library does not exist, the missing schemas are declared and the import is done
    again; calling such an operator then raises a `RuntimeError` that names it.

    Returns
    -------
    module
        The package; ``import torchvision`` gives the same one from now on.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    RuntimeError
        If torchvision refuses to load for another reason.
    """
    with _lock:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if not any(f"operator torchvision::{name} " in str(error) for name in _SCHEMAS):
                raise
        _declare_missing_operators()
        package = importlib.import_module("torchvision")
        _name_missing_operators()
        return package


def _declare_missing_operators() -> None:
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
            library.impl(name, _missing_operator(name), "CompositeExplicitAutograd")
    _declared.append(library)


def _missing_operator(name: str) -> Any:
    def call(*args: Any) -> NoReturn:
        _raise_missing(name)

    return call


def _name_missing_operators() -> None:
    # torchvision's functions ask this guard first; its own message names no operator.
    def guard() -> NoReturn:
        _raise_missing(sys._getframe(1).f_code.co_name)

    for name, module in sys.modules.items():
        if name.startswith("torchvision.ops.") and hasattr(module, "_assert_has_ops"):
            vars(module)["_assert_has_ops"] = guard


def _raise_missing(name: str) -> NoReturn:
    version = importlib.import_module("torchvision").__version__
    raise RuntimeError(
        f"operator torchvision::{name} is missing: the compiled library of torchvision {version} "
        f"does not load beside torch {torch.__version__}. Install a torchvision built for this "
        "torch; networks and transforms work without it."
    )
