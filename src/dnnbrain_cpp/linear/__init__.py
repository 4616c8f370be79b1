"""Linear models: estimators of scikit-learn's kind over native solvers."""

from __future__ import annotations

from dnnbrain_cpp.linear._banded import BandedRidgeCV, BandedSolution, solve_banded_ridge
from dnnbrain_cpp.linear._bands import draw_band_weights
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._frac_ridge import FracRidge, FracRidgeCV
from dnnbrain_cpp.linear._incremental_pca import IncrementalPCA
from dnnbrain_cpp.linear._kernel_ridge import KernelRidgeCV
from dnnbrain_cpp.linear._pca import PCA
from dnnbrain_cpp.linear._pcr import PCRegression
from dnnbrain_cpp.linear._plan import RidgePlan, plan
from dnnbrain_cpp.linear._pls import PLSRegression
from dnnbrain_cpp.linear._projection import CountSketch, SparseRandomProjection
from dnnbrain_cpp.linear._ridge import Ridge, RidgeCV
from dnnbrain_cpp.linear._sparse import ElasticNetCV, LassoCV
from dnnbrain_cpp.linear._time_series import (
    Delayer,
    delayed_kernel,
    detrend_basis,
    hrf_operator,
    zscore_runs,
)

__all__ = [
    "PCA",
    "BandedRidgeCV",
    "BandedSolution",
    "CountSketch",
    "Delayer",
    "ElasticNetCV",
    "FoldPlan",
    "FracRidge",
    "FracRidgeCV",
    "IncrementalPCA",
    "KernelRidgeCV",
    "LassoCV",
    "PCRegression",
    "PLSRegression",
    "Ridge",
    "RidgeCV",
    "RidgePlan",
    "SparseRandomProjection",
    "delayed_kernel",
    "detrend_basis",
    "draw_band_weights",
    "hrf_operator",
    "plan",
    "solve_banded_ridge",
    "zscore_runs",
]
