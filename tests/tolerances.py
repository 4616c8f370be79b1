"""The one table of tolerances: what may differ, by how much, and why."""

from __future__ import annotations

TOLERANCES: dict[str, float] = {
    # Same operations in the same order, or integers: no difference is allowed.
    "exact": 0.0,
    # One fp64 reduction in another order: a few hundred ulp.
    "fp64_reduction": 1e-12,
    # fp64 factorisations (eigh, solve) against another LAPACK path, relative to the result's norm.
    "fp64_factor": 1e-8,
    # fp64 scores (correlations) computed by two algebraically equal routes.
    "fp64_score": 1e-10,
    # rsatoolbox's whitening with a covariance of its own: conjugate gradients stop at 1e-5.
    "rsatoolbox_whitening": 1e-4,
    # PLS weights after a power iteration that stopped at a change of 1e-12: what is left of it is
    # larger by 1 / (1 - ratio of eigenvalues), and adds up over components.
    "pls_converged": 1e-8,
    # One fp32 reduction of up to 1e6 terms, relative to the result's norm.
    "fp32_reduction": 1e-5,
    # fp32 forward pass with another batch size or memory format: convolution kernels may differ.
    "fp32_forward": 1e-4,
    # Mean of 60 sample correlations over 2000 cases: standard error at most 1 / sqrt(60 * 2000),
    # and least squares with 5 predictors raises each by less than 0.005 when r is 0.3 or more.
    "mean_of_60_correlations": 0.015,
    # Mean over 40 targets of the mean of five null correlations over 12 cases: twice the standard
    # error 1 / sqrt(40 * 5 * 11) of targets that share no units.
    "mean_of_40_null_correlations": 0.045,
    # Adaptive quadrature of a smooth curve, which aims at 1.5e-8.
    "quadrature": 1e-8,
    # Convolution at 100 samples per second against the exact one: half a sample at each edge of an
    # event and of volume times, of a response that changes by 0.2 per second, and features of size
    # 2. At 1000 samples per second it is a tenth.
    "hrf_grid": 5e-3,
    # Kendall's tau of RDMs whose features were rounded to fp32 in two ways: some of the 38,000
    # pairs of dissimilarities lie closer than that and change places.
    "tau_of_fp32_features": 1e-4,
    # tau-b per layer of untrained networks against a published mean over seeds. Over ten seeds, the
    # standard deviation was 0.004 to 0.009: three of those for a single seed.
    "published_tau_mean": 0.005,
    "published_tau_one_seed": 0.027,
    # R2 and r of ridge in fp32 with fp64 factors: products of fp32, and a skeleton of 1e-5.
    "fp32_ridge_score": 2e-4,
    # Numbers that were printed with so many digits after the point: half of the last one, doubled.
    "published_3_digits": 1e-3,
    "published_4_digits": 1e-4,
    "published_5_digits": 1e-5,
    # Correlation distances of activations that were stored in half precision.
    "fp16_activations": 3e-5,
    # bfloat16 keeps 8 bits of a number; a few layers of rounding, relative to the layer's norm.
    "bf16_forward": 0.02,
    # 1 - r of features in bfloat16 and float32.
    "bf16_correlation": 0.01,
    # Predicted over measured peak memory: allocators and convolution libraries hold on to some
    # memory for reuse, and reorder activations or not as they see fit.
    "peak_too_low": 0.6,
    "peak_too_high": 1.6,
}
