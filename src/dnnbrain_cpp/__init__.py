"""Compare what a deep network computes with what a brain does.

Names resolve on first use, so that ``import dnnbrain_cpp`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnnbrain_cpp import (
        comparison,
        datasets,
        encoding,
        features,
        linear,
        networks,
        plot,
        rsa,
        stats,
        stimuli,
        transforms,
    )
    from dnnbrain_cpp._native import build_info
    from dnnbrain_cpp.features import Features, extract, plan
    from dnnbrain_cpp.networks import Network
    from dnnbrain_cpp.stimuli import Stimuli

__version__ = "0.1.0"

_MODULES = (
    "comparison",
    "datasets",
    "encoding",
    "features",
    "linear",
    "networks",
    "plot",
    "rsa",
    "stats",
    "stimuli",
    "transforms",
)
_HOMES = {
    "Features": "features",
    "Network": "networks",
    "Stimuli": "stimuli",
    "build_info": "_native",
    "extract": "features",
    "plan": "features",
}

__all__ = [
    "Features",
    "Network",
    "Stimuli",
    "__version__",
    "build_info",
    "comparison",
    "datasets",
    "encoding",
    "extract",
    "features",
    "linear",
    "networks",
    "plan",
    "plot",
    "rsa",
    "stats",
    "stimuli",
    "transforms",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
