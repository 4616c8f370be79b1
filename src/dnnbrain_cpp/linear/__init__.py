"""Linear models: estimators of scikit-learn's kind over native solvers."""

from __future__ import annotations

__all__: list[str] = []
