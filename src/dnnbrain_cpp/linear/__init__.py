"""Linear models: estimators of scikit-learn's kind over native solvers."""

from __future__ import annotations

from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._frac_ridge import FracRidge, FracRidgeCV

__all__ = ["FoldPlan", "FracRidge", "FracRidgeCV"]
