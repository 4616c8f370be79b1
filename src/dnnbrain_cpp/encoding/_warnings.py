"""Warnings that point at the user's line, however deep the call."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.exceptions import ConstantTargetWarning

__all__ = ["warn_caller", "warn_of_constant_targets"]

_PACKAGE = __name__.split(".", maxsplit=1)[0]


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the first frame outside this package."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def warn_of_constant_targets(scores: NDArray[np.floating[Any]]) -> None:
    """Warn of targets without a score in some fold; `scores` has shape (n_fold, n_vox)."""
    undefined = np.isnan(scores)
    if undefined.any():
        warn_caller(
            f"{int(undefined.any(0).sum())} of {scores.shape[1]} targets are constant in the "
            f"held-out stimuli of some fold ({int(undefined.all(0).sum())} in all); their scores "
            "there are NaN.",
            ConstantTargetWarning,
        )


def _is_ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(_PACKAGE + ".")
