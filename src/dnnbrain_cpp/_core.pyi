"""The compiled core. Import it through `dnnbrain_cpp._native`.

Arrays and tensors must have exactly the dtype, layout and rank that is named here: Python converts,
the core refuses. Long calls release the GIL, call ``progress(done, total)`` at most ten times a
second, and stop on Ctrl-C or when it returns False.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray

_Progress: TypeAlias = Callable[[int, int], bool | None] | None
_F64Matrix: TypeAlias = NDArray[np.float64]  # C-contiguous, 2-D
_Real = TypeVar("_Real", np.float32, np.float64)

# What crosses the boundary itself.

def build_facts() -> dict[str, str | int | bool]: ...
def view_as_tensor(
    array: NDArray[np.float32] | NDArray[np.float64],  # C-contiguous, any rank; may be read-only
) -> torch.Tensor: ...

# Random numbers: pure functions of (seed, stream, draw).

RANDOM_VERSION: int

def random_draws(seed: int, stream: int, count: int) -> NDArray[np.uint32]: ...
def random_permutations(
    seed: int,
    first: int,
    count: int,
    n: int,
) -> NDArray[np.int32]: ...  # (count, n), numbers first .. first + count - 1

# Sinks: take activations inside forward hooks.

class Pooling(Enum):
    mean = 0
    max = 1
    min = 2
    l1 = 3
    l2 = 4

class Sink:
    def consume(self, activation: torch.Tensor) -> None: ...
    def rewind(self, n_stim: int) -> None: ...
    @property
    def n_stim(self) -> int: ...

class KeepSink(Sink):
    def __init__(
        self,
        out: torch.Tensor,  # (n_stim, n_feat), CPU
        batch_axis: int,
    ) -> None: ...

class PoolSink(Sink):
    def __init__(
        self,
        out: torch.Tensor,  # (n_stim, n_chn), CPU
        batch_axis: int,
        channel_axis: int,  # counted with the batch axis moved to the front
        pooling: Pooling,
    ) -> None: ...

class GramSink(Sink):
    def __init__(
        self,
        spool: torch.Tensor,  # (n_stim, n_feat), CPU
        batch_axis: int,
    ) -> None: ...
    def moments(self) -> GramMoments: ...

# Moments and dissimilarities.

class Dissimilarity(Enum):
    correlation = 0
    cosine = 1
    euclidean = 2
    sqeuclidean = 3

class GramMoments:
    @property
    def centred(self) -> torch.Tensor: ...  # (n_stim, n_stim) float64
    @property
    def n_feat(self) -> int: ...
    def __getstate__(self) -> tuple[object, ...]: ...
    def __setstate__(self, state: tuple[object, ...], /) -> None: ...

def gram_moments(
    features: torch.Tensor,  # (n_stim, n_feat)
    chunk_bytes: int = ...,
) -> GramMoments: ...
def top_eigenpairs(
    matrix: torch.Tensor,  # (n, n) float64, symmetric
    k: int,
) -> tuple[torch.Tensor, torch.Tensor]: ...  # (k,) descending, (n, k)

class GramAccumulator:
    def __init__(self, n_stim: int) -> None: ...
    def add(self, chunk: torch.Tensor) -> None: ...  # (n_stim, any number of units)
    def moments(self) -> GramMoments: ...

@overload
def dissimilarities(
    features: torch.Tensor,  # (n_stim, n_feat)
    metric: Dissimilarity,
    progress: _Progress = None,
) -> torch.Tensor: ...  # (n_pair,) float64
@overload
def dissimilarities(
    moments: GramMoments,
    metric: Dissimilarity,
) -> torch.Tensor: ...  # (n_pair,) float64
def product_distances(
    first: torch.Tensor,  # (n_cond, n_channel) float64
    second: torch.Tensor | None,
) -> torch.Tensor: ...  # (n_pair,) float64
def crossvalidated_distances(
    first: torch.Tensor,  # (n_run, n_cond, n_channel) float64
    second: torch.Tensor | None,
    present: torch.Tensor | None,  # (n_run, n_cond) bool
    progress: _Progress,
) -> torch.Tensor: ...  # (n_pair,) float64
def discriminant_t(
    patterns: torch.Tensor,  # (n_run, n_cond, n_channel) float64
    counts: torch.Tensor,  # (n_run, n_cond) float64
    progress: _Progress,
) -> torch.Tensor: ...  # (n_pair,) float64

# Covariance of noise.

class Shrinkage(Enum):
    none = 0
    diagonal = 1
    ledoit_wolf = 2
    shrunk_diagonal = 3

def noise_covariance(
    residuals: torch.Tensor,  # (n_sample, n_channel) float32 or float64
    method: Shrinkage,
    dof: float,
) -> tuple[torch.Tensor, float]: ...  # (n_channel, n_channel) float64, shrinkage
def rows_times(
    matrix: torch.Tensor,  # (n, m)
    vectors: torch.Tensor,  # (b, m)
) -> torch.Tensor: ...  # (n, b)

# Comparison of RDMs.

class Comparator(Enum):
    corr = 0
    cosine = 1
    spearman = 2
    rho_a = 3
    tau_a = 4
    tau_b = 5
    cosine_cov = 6
    corr_cov = 7
    cka_unbiased = 8

class Alternative(Enum):
    greater = 0
    less = 1
    two_sided = 2

class Removal(Enum):
    partial = 0
    semi_partial = 1

class MantelTests:
    @property
    def scores(self) -> NDArray[np.float64]: ...  # (n_model, n_subject)
    @property
    def exceed(self) -> NDArray[np.int64]: ...  # (n_model, n_subject)
    @property
    def group_exceed(self) -> NDArray[np.int64]: ...  # (n_model, 1)
    @property
    def exceed_of_most(self) -> NDArray[np.int64]: ...  # (n_model, n_subject)
    @property
    def group_exceed_of_most(self) -> NDArray[np.int64]: ...  # (n_model, 1)
    @property
    def null(self) -> NDArray[np.float64]: ...  # (n_relabelling, n_model * n_subject) or empty
    @property
    def n_relabelling(self) -> int: ...

def mantel_tests(
    models: _F64Matrix,  # (n_model, n_pair)
    subjects: _F64Matrix,  # (n_subject, n_pair)
    controls: _F64Matrix | None,  # (n_control, n_pair)
    removal: Removal,
    n_cond: int,
    comparator: Comparator,
    alternative: Alternative,
    n_perm: int,
    exhaustive: bool,
    keep_null: bool,
    stop_after: int,
    seed: int,
    n_threads: int,
    progress: _Progress,
) -> MantelTests: ...

# Bootstraps of RDMs: rows of counts say how often a sample holds each condition or subject.

class InnerProduct(Enum):
    plain = 0
    whitened = 1

class PooledAs(Enum):
    values = 0
    ranks = 1

def resampled_moments(
    counts: torch.Tensor,  # (n_boot, n_cond) float64
    models: torch.Tensor,  # (n_model, n_pair) float64
    subjects: torch.Tensor,  # (n_subject, n_pair) float64
    product: InnerProduct,
    progress: _Progress,
) -> tuple[
    torch.Tensor,  # (n_boot, n_model, n_subject)
    torch.Tensor,  # (n_boot, n_model) of models with themselves
    torch.Tensor,  # (n_boot, n_subject, n_subject)
]: ...
def resampled_scores(
    models: _F64Matrix,  # (n_model, n_pair)
    subjects: _F64Matrix,  # (n_subject, n_pair)
    counts: _F64Matrix,  # (n_boot, n_cond)
    comparator: Comparator,  # one of ranks
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_boot, n_model * n_subject)
def resampled_own_scores(
    models: _F64Matrix,  # (n_boot * n_model, n_pair)
    subjects: _F64Matrix,  # (n_subject, n_pair)
    counts: _F64Matrix,  # (n_boot, n_cond)
    comparator: Comparator,  # one of ranks
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_boot, n_model * n_subject)
def resampled_ceilings(
    subjects: _F64Matrix,  # (n_subject, n_pair)
    counts: _F64Matrix,  # (n_boot, n_cond) or (1, n_cond)
    subject_counts: _F64Matrix,  # (n_boot, n_subject)
    comparator: Comparator,  # one of ranks
    pooling: PooledAs,
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_boot, 2), lower and upper

# RSA in many places.

class LocalMetric(Enum):
    correlation = 0
    cosine = 1
    euclidean = 2
    sqeuclidean = 3
    crossnobis = 4

def ball_neighbourhoods(
    mask: NDArray[np.bool_],  # (n_x, n_y, n_z) C-contiguous
    to_mm: Sequence[float],  # (9,) of the affine, row by row
    radius: float,
) -> tuple[
    NDArray[np.int64],  # (n_vox + 1,) where each voxel's members begin
    NDArray[np.int32],  # members, voxels in C order
]: ...
def searchlight(
    data: _F64Matrix,  # (n_chn, n_run * n_cond)
    n_cond: int,
    n_run: int,
    metric: LocalMetric,
    starts: NDArray[np.int64],  # (n_centre + 1,)
    members: NDArray[np.int32],
    models: _F64Matrix,  # (n_model, n_pair)
    comparator: Comparator,
    keep_rdms: bool,
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (n_centre, n_model) scores
    NDArray[np.float64],  # (n_centre, n_pair) RDMs, or none
]: ...
def generalisation(
    data: _F64Matrix,  # (n_chn, n_run * n_cond)
    n_cond: int,
    n_run: int,
    metric: LocalMetric,
    starts: NDArray[np.int64],  # (n_time + 1,)
    members: NDArray[np.int32],
    models: _F64Matrix,  # (n_model, n_pair)
    comparator: Comparator,
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_model, n_time * n_time)

# Tests over subjects by sign flips.

def sign_flip_test(
    maps: _F64Matrix,  # (n_subject, n_point)
    n_flip: int,
    enumerate: bool,
    seed: int,
    alternative: Alternative,
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (1, n_point) t
    NDArray[np.int64],  # (1, n_point) flips at least as extreme
    NDArray[np.int64],  # (1, n_point) flips whose most extreme point is
    NDArray[np.float64],  # (1, n_flip) the most extreme t of each
]: ...
def cluster_test(
    maps: _F64Matrix,  # (n_subject, n_point)
    starts: NDArray[np.int64],  # (n_point + 1,)
    neighbours: NDArray[np.int32],
    threshold: float,
    n_flip: int,
    enumerate: bool,
    seed: int,
    alternative: Alternative,
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (1, n_point) t
    NDArray[np.int64],  # (1, n_point) cluster, 0 for none
    NDArray[np.float64],  # (1, n_cluster) masses
    NDArray[np.int64],  # (1, n_cluster) flips with a cluster at least as large
    NDArray[np.float64],  # (1, n_flip) the largest mass of each
]: ...
def enhanced_cluster_test(
    maps: _F64Matrix,  # (n_subject, n_point)
    starts: NDArray[np.int64],  # (n_point + 1,)
    neighbours: NDArray[np.int32],
    extent: float,
    height: float,
    step: float,
    n_flip: int,
    enumerate: bool,
    seed: int,
    alternative: Alternative,
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (1, n_point) t
    NDArray[np.float64],  # (1, n_point) enhanced
    NDArray[np.int64],  # (1, n_point) flips whose most extreme point is as extreme
    NDArray[np.float64],  # (1, n_flip) the most extreme of each
]: ...

# Permutation tests of held-out predictions.

class Exchange(Enum):
    permute = 0
    circular = 1
    sign = 2

class Agreement(Enum):
    r = 0
    r2 = 1

@overload
def held_out_test(
    measured: NDArray[np.float32],  # (n_stim, n_vox)
    predicted: NDArray[np.float32],  # (n_stim, n_vox)
    rows: Sequence[int],  # (n_row,) fold after fold, block after block
    block_starts: Sequence[int],  # (n_block + 1,) positions in rows
    fold_starts: Sequence[int],  # (n_fold + 1,) blocks
    exchange: Exchange,
    agreement: Agreement,
    alternative: Alternative,
    min_shift: int,
    n_perm: int,
    seed: int,
    quantiles: Sequence[float],
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (1, n_vox) scores
    NDArray[np.int64],  # (1, n_vox) permutations at least as extreme
    NDArray[np.int64],  # (1, n_vox) permutations whose most extreme voxel is
    NDArray[np.float64],  # (1, n_perm) the most extreme score over voxels
    NDArray[np.float64],  # (n_quantile, n_vox) of the permuted scores
]: ...
@overload
def held_out_test(
    measured: NDArray[np.float64],
    predicted: NDArray[np.float64],
    rows: Sequence[int],
    block_starts: Sequence[int],
    fold_starts: Sequence[int],
    exchange: Exchange,
    agreement: Agreement,
    alternative: Alternative,
    min_shift: int,
    n_perm: int,
    seed: int,
    quantiles: Sequence[float],
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
]: ...

# Least squares with weights that are not negative.

def nnls(
    grams: _F64Matrix,  # (1 or n_problem, n * n)
    products: _F64Matrix,  # (n_problem, n)
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_problem, n)

# Weighted sums of RDMs, crossvalidated in samples.

class SplitPlan:
    def __init__(
        self,
        n_cond: int,
        n_subject: int,
        n_split: int,
        n_test_cond: int,
        n_test_subject: int,
        resample_conditions: bool,
        resample_subjects: bool,
        seed: int,
    ) -> None: ...
    def draw(
        self,
        sample: int,
        split: int,
    ) -> tuple[list[int], list[int], list[int], list[int]]: ...  # counts, conditions first

def reweight_rdms(
    models: _F64Matrix,  # (n_model, n_pair)
    subjects: _F64Matrix,  # (n_subject, n_pair)
    plan: SplitPlan,
    n_boot: int,
    comparator: Comparator,
    n_threads: int,
    progress: _Progress,
) -> tuple[
    NDArray[np.float64],  # (n_boot + 1, n_model + 1) scores
    NDArray[np.float64],  # (n_boot + 1, 2) ceilings
    NDArray[np.float64],  # (n_boot + 1, n_model) weights
]: ...

# Convex combinations of models.

def simplex_weights(
    products: _F64Matrix,  # (n_problem, n * n)
    n: int,
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_problem, n)

# Cross-validated principal-component regression.

class Score(Enum):
    r = 0
    r2 = 1
    mse = 2

def cross_validate_pcr(
    data: torch.Tensor,  # (n_stim, n_stim) float64 Gram matrix, or (n_stim, n_feat) units
    responses: torch.Tensor,  # (n_stim, n_vox) float32 or float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    n_comps: Sequence[int],
    alphas: Sequence[float],
    score: Score,
    is_gram: bool,
    progress: _Progress,
) -> torch.Tensor: ...  # (n_fold, n_alpha, n_count, n_vox) float64

# Principal components.

def flip_signs(components: torch.Tensor) -> None: ...  # (k, n_feat) floating point, in place
def add_symmetric_product(
    total: torch.Tensor,  # (n, n), X X' is added
    x: torch.Tensor,  # (n, m) of the same dtype
) -> None: ...

class IncrementalPcaState:
    def __init__(
        self,
        n_seen: int,
        mean: torch.Tensor,  # (n_feat,) float64
        variance: torch.Tensor,  # (n_feat,) float64
        values: torch.Tensor,  # (r,) float64
        components: torch.Tensor,  # (r, n_feat) float64
    ) -> None: ...
    @property
    def n_seen(self) -> int: ...
    @property
    def mean(self) -> torch.Tensor: ...
    @property
    def variance(self) -> torch.Tensor: ...
    @property
    def values(self) -> torch.Tensor: ...
    @property
    def components(self) -> torch.Tensor: ...

def incremental_pca_step(
    state: IncrementalPcaState | None,
    batch: torch.Tensor,  # (m, n_feat) float32 or float64
    n_comp: int,
) -> IncrementalPcaState: ...

# Random projections.

def project_rows(
    x: NDArray[_Real],  # (n, n_feat) C-contiguous
    seed: int,
    n_comp: int,
    density: float,  # 0 for a count sketch
    n_threads: int,
    progress: _Progress,
) -> NDArray[_Real]: ...  # (n, n_comp)
def projection_entries(
    seed: int,
    n_comp: int,
    density: float,
    first: int,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]: ...

# Fractional ridge regression.

def fraction_alphas(
    eigenvalues: _F64Matrix,  # (1, n_eig), positive
    squares: _F64Matrix,  # (n_vox, n_eig) of the coefficients of least squares along eigenvectors
    fractions: _F64Matrix,  # (n_fraction, n_vox) in [0, 1]
    n_threads: int,
    progress: _Progress,
) -> NDArray[np.float64]: ...  # (n_fraction, n_vox)

# Ridge from a kernel.

class RidgeScore(Enum):
    r = 0
    r2 = 1
    mse = 2

def score_kernel_sums(
    kernels: torch.Tensor,  # (n_band, n, n) float64
    weights: torch.Tensor,  # (n_sum, n_band) float64 on the CPU
    alphas: torch.Tensor,  # (n_sum, n_alpha) float64 on the CPU
    responses: torch.Tensor,  # (n, n_target) float32 or float64
    nuisance: torch.Tensor,  # (n, z) float64
    ones: torch.Tensor,  # (n,) float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    score: RidgeScore,
    progress: _Progress,
) -> torch.Tensor: ...  # (n_sum, n_fold, n_alpha, n_target) float64 on the CPU
def score_kernel_folds(
    kernel: torch.Tensor,  # (n, n) float64
    alphas: torch.Tensor,  # (n_alpha,) float64 on the CPU
    responses: torch.Tensor,  # (n, n_target) float32 or float64
    nuisance: torch.Tensor,  # (n, z) float64
    ones: torch.Tensor,  # (n,) float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    score: RidgeScore,
    progress: _Progress,
) -> tuple[torch.Tensor, KernelFactor]: ...  # (n_fold, n_alpha, n_target) float64, of all rows
def factor_kernel_sums(
    kernels: torch.Tensor,  # (n_band, n, n) float64
    weights: torch.Tensor,  # (n_sum, n_band) float64 on the CPU
    nuisance: torch.Tensor,  # (n, z) float64
) -> list[KernelFactor]: ...
def solve_kernel_sums(
    kernels: torch.Tensor,  # (n_band, n, n) float64
    weights: torch.Tensor,  # (n_sum, n_band) float64 on the CPU
    chosen: torch.Tensor,  # (n_target,) int64: which sum
    alphas: torch.Tensor,  # (n_target,) float64
    responses: torch.Tensor,  # (n, n_target)
    nuisance: torch.Tensor,  # (n, z) float64
) -> torch.Tensor: ...  # (n, n_target) of the dtype of the responses

class KernelFactor:
    def __init__(
        self,
        kernel: torch.Tensor,  # (n, n) float64
        nuisance: torch.Tensor,  # (n, z) float64: ones for an intercept; z may be 0
    ) -> None: ...
    @property
    def vectors(self) -> torch.Tensor: ...  # (n, n - z) float64
    @property
    def values(self) -> torch.Tensor: ...  # (n - z,) float64
    @property
    def nuisance(self) -> torch.Tensor: ...
    def cross_validate(
        self,
        responses: torch.Tensor,  # (n, n_target) float32 or float64
        ones: torch.Tensor,  # (n,) float64: square roots of the weights
        folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
        alphas: Sequence[float],
        score: RidgeScore,
        keep_folds: bool,
        progress: _Progress,
    ) -> tuple[torch.Tensor, torch.Tensor | None]: ...  # (n_alpha, n_target); (n_fold, ...)
    def leave_one_out(
        self,
        responses: torch.Tensor,
        ones: torch.Tensor,
        alphas: Sequence[float],
        score: RidgeScore,
        progress: _Progress,
    ) -> torch.Tensor: ...  # (n_alpha, n_target)
    def solve(
        self,
        responses: torch.Tensor,
        alphas: torch.Tensor,  # (n_target,) float64
    ) -> torch.Tensor: ...  # (n, n_target) dual coefficients

# Held-out predictions that are one linear map of the training responses.

_FoldMap: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]  # (n_test, rank), (rank, n_train)

class FoldScore(Enum):
    r = 0
    r2 = 1
    mse = 2
    ev = 3

def make_fold_maps(
    data: torch.Tensor,  # (n_stim, n_feat) float32 or float64, or a Gram, (n_stim, n_stim) float64
    is_gram: bool,
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    n_comp: int,  # 0: no components
    alpha: float,  # 0: least squares
    whiten: bool,
    standardize: bool,
    progress: _Progress,
) -> list[_FoldMap]: ...
def fold_components(
    data: torch.Tensor,
    is_gram: bool,
    fold: tuple[torch.Tensor, torch.Tensor],
    n_comp: int,  # 0: all
    whiten: bool,
    standardize: bool,
) -> tuple[torch.Tensor, torch.Tensor]: ...  # (n_train, n_comp), (n_test, n_comp) float64
def fold_kernels(
    data: torch.Tensor,
    is_gram: bool,
    fold: tuple[torch.Tensor, torch.Tensor],
    standardize: bool,
) -> tuple[torch.Tensor, torch.Tensor]: ...  # (n_train, n_train), (n_test, n_train) float64
def score_fold_maps(
    maps: Sequence[_FoldMap],
    responses: torch.Tensor,  # (n_stim, n_vox) float32 or float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    score: FoldScore,
    pooled: bool,
    progress: _Progress,
) -> torch.Tensor: ...  # (n_fold or 1, n_vox) float64
def predict_fold_maps(
    maps: Sequence[_FoldMap],
    responses: torch.Tensor,  # (n_stim, n_vox) float32 or float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    progress: _Progress,
) -> torch.Tensor: ...  # (sum of n_test, n_vox), dtype of responses

# Ridge from features.

def cross_validate_feature_ridge(
    features: torch.Tensor,  # (n, p) float32 or float64
    responses: torch.Tensor,  # (n, n_target) same dtype
    nuisance: torch.Tensor,  # (n, z) float64
    ones: torch.Tensor,  # (n,) float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    alphas: Sequence[float],
    standardize: bool,
    score: RidgeScore,
    keep_folds: bool,
    progress: _Progress,
    products: torch.Tensor | None = None,  # (n_target, p) takes X'Y; folds must be a partition
) -> tuple[torch.Tensor, torch.Tensor | None]: ...  # (n_alpha, n_target); (n_fold, ...)
def is_partition(
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],
    n: int,
) -> bool: ...
def row_kernel(
    features: torch.Tensor,  # (n, p) float32 or float64
    centre: torch.Tensor | None,  # (n,) float64
    scale: torch.Tensor | None,  # (p,) float64
    progress: _Progress,
) -> torch.Tensor: ...  # (n, n) float64
def solve_feature_ridge(
    features: torch.Tensor,
    responses: torch.Tensor,
    nuisance: torch.Tensor,
    ones: torch.Tensor,
    alphas: torch.Tensor,  # (n_target,) float64
    standardize: bool,
    products: torch.Tensor | None = None,
) -> torch.Tensor: ...  # (p, n_target)

# Regression of RDMs on units.

class PairKind(Enum):
    squared_difference = 0
    product = 1

def pair_scaling(
    x: torch.Tensor,  # (n, p) float64, as in all that follows
    kind: PairKind,
) -> tuple[torch.Tensor, torch.Tensor]: ...  # (p,) means, (p,) one over standard deviations
def pair_gram(x: torch.Tensor, kind: PairKind) -> torch.Tensor: ...  # (p, p)
def scaled_pair_gram(x: torch.Tensor, kind: PairKind) -> torch.Tensor: ...  # (p, p)
def pair_products(
    x: torch.Tensor,
    rdms: torch.Tensor,  # (T, n, n) float64
    kind: PairKind,
) -> torch.Tensor: ...  # (T, p)
def pair_predictions(
    x: torch.Tensor,
    weights: torch.Tensor,  # (b, p) float64
    kind: PairKind,
) -> torch.Tensor: ...  # (b, n_pair)

class PairRidge:
    @property
    def eigenvalues(self) -> torch.Tensor: ...  # (r,)
    @property
    def coefs(self) -> torch.Tensor: ...  # (T, r)
    def solve(
        self,
        alphas: torch.Tensor,  # (F, T) float64
    ) -> tuple[torch.Tensor, torch.Tensor]: ...  # (F T, p) weights, (F T,) intercepts

def factor_pair_ridges(
    x: torch.Tensor,
    rdms: torch.Tensor,  # (T, n, n) float64
    training: Sequence[torch.Tensor],  # rows, int64
    kind: PairKind,
) -> list[PairRidge]: ...
def predict_pair_ridges(
    ridges: Sequence[PairRidge],
    alphas: Sequence[torch.Tensor],  # (F, T) float64
    x: torch.Tensor,
    test: Sequence[torch.Tensor],  # rows, int64
    kind: PairKind,
) -> list[torch.Tensor]: ...  # (F, T, n_pair of the test rows)

# Univariate mapping.

class UnitSelection(Enum):
    non_nested = 0
    training_score = 1
    inner_folds = 2

def cross_validate_units(
    features: torch.Tensor,  # (n_stim, n_feat) float32 or float64
    responses: torch.Tensor,  # (n_stim, n_vox), dtype and device of the features
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows on the CPU
    score: FoldScore,  # not mse
    selection: UnitSelection,
    keep_means: bool,
    fused: bool,
    progress: _Progress,
) -> tuple[
    torch.Tensor,  # (n_vox,) int64 best unit; -1 where nothing has a score
    torch.Tensor,  # (n_fold, n_vox) int64 units of each fold
    torch.Tensor,  # (n_fold, n_vox) float64 their scores
    torch.Tensor | None,  # (n_feat, n_vox) every unit's mean score
]: ...

# Partial least squares.

class PlsAlgorithm(Enum):
    nipals = 0
    exact = 1

class PlsOptions:
    def __init__(
        self,
        n_comp: int,
        scale: bool,
        algorithm: PlsAlgorithm,
        max_iter: int,
        tol: float,
    ) -> None: ...

class PlsModel:
    @property
    def x_mean(self) -> torch.Tensor: ...  # (p,) float64, as are the others
    @property
    def x_std(self) -> torch.Tensor: ...  # (p,)
    @property
    def y_mean(self) -> torch.Tensor: ...  # (t,)
    @property
    def y_std(self) -> torch.Tensor: ...  # (t,)
    @property
    def x_weights(self) -> torch.Tensor: ...  # (p, n_found)
    @property
    def x_loadings(self) -> torch.Tensor: ...  # (p, n_found)
    @property
    def y_loadings(self) -> torch.Tensor: ...  # (t, n_found)
    @property
    def x_scores(self) -> torch.Tensor: ...  # (n, n_found)
    @property
    def y_scores(self) -> torch.Tensor: ...  # (n, n_found)
    @property
    def n_iter(self) -> list[int]: ...  # n_found of them

class PlsHeldOut:
    @property
    def scores(self) -> torch.Tensor: ...  # (n_count, n_fold, t) float64
    @property
    def predictions(self) -> list[torch.Tensor]: ...  # each (n_test, t), dtype of the responses
    @property
    def n_found(self) -> torch.Tensor: ...  # (n_fold,) int64
    @property
    def n_iter(self) -> torch.Tensor: ...  # (n_fold, n_comp) int64

def fit_pls(
    features: torch.Tensor,  # (n, p) float32 or float64
    responses: torch.Tensor,  # (n, t) float32 or float64
    options: PlsOptions,
    progress: _Progress,
) -> PlsModel: ...
def cross_validate_pls(
    data: torch.Tensor,  # (n, p) float32 or float64; (n, n) float64 where is_gram
    is_gram: bool,
    responses: torch.Tensor,  # (n, t) float32 or float64
    folds: Sequence[tuple[torch.Tensor, torch.Tensor]],  # (train, test) int64 rows
    options: PlsOptions,
    counts: Sequence[int],  # ascending, the last is options.n_comp
    score: Score,
    predictions: bool,
    max_bytes: int,
    progress: _Progress,
) -> PlsHeldOut: ...
