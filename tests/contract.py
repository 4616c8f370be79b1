"""scikit-learn's checks of estimators, run so that they leave nothing behind."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["run_check"]


def run_check(estimator: Any, check: Any) -> None:
    """Run a check of `parametrize_with_checks`; some of them shuffle with the global state."""
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    try:
        check(estimator)
    finally:
        np.random.set_state(before)  # noqa: NPY002
