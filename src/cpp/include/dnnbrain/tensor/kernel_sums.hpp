// Banded ridge: held-out scores of weighted sums of kernels, a factorisation in every fold.
//
// In a fold, with K = sum_b w_b K_b about what is fitted without a penalty on the training rows,
// K_train = V diag(l) V' and q = V'y,
//
//   p(alpha) = K_test,train V diag(1 / (l + alpha)) q
//
// is what is predicted. p(alpha) combines k products for each stretch of the spectrum
// (filter_stretches.hpp) rather than having one per penalty. `kernel_ridge` factorises once for all
// folds instead: better for many folds, few targets or few penalties.
//
// Cost per sum and fold: eigh(n_train); 2 n_test n_train^2 FLOP; for each target 2 n_train^2 for q,
// 2 k n_test n_train for the products and 2 n_alpha n_test for each product's part in the grid.
// Memory: a few factors per thread, (n_sum, n_fold, n_alpha, n_target) scores.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/fold_score.hpp"
#include "dnnbrain/tensor/kernel_ridge.hpp"

namespace dnnbrain {

/// Held-out scores of every sum, fold, penalty and target, (n_sum, n_fold, n_alpha, n_target) fp64;
/// NaN where there is nothing to explain. Sample weights enter as sqrt(w) on both sides of the
/// kernels, on the responses, the nuisance and in `ones`.
at::Tensor score_kernel_sums(const at::Tensor& kernels,    // (n_band, n, n) fp64, about any point
                             const at::Tensor& weights,    // (n_sum, n_band) fp64 on the CPU, >= 0
                             const at::Tensor& alphas,     // (n_sum, n_alpha) fp64 on the CPU, > 0
                             const at::Tensor& responses,  // (n, n_target) fp32 or fp64
                             const at::Tensor& nuisance,   // (n, z) fp64
                             const at::Tensor& ones,       // (n,) fp64: sqrt(w), or 1
                             const std::vector<Fold>& folds,
                             RidgeScore score,
                             Monitor& monitor,
                             KernelFactor* whole = nullptr);  // of a single sum and all rows, made
                                                              // beside those of the folds

/// Every sum decomposed over all rows, side by side with one thread each.
std::vector<KernelFactor> factor_kernel_sums(const at::Tensor& kernels,    // (n_band, n, n) fp64
                                             const at::Tensor& weights,    // (n_sum, n_band) fp64
                                             const at::Tensor& nuisance);  // (n, z) fp64

/// Dual coefficients (K + alpha)^-1 Y beyond Z; each target has a sum and a penalty of its own.
at::Tensor solve_kernel_sums(const at::Tensor& kernels,    // (n_band, n, n) fp64
                             const at::Tensor& weights,    // (n_sum, n_band) fp64 on the CPU
                             const at::Tensor& chosen,     // (n_target,) int64: which sum
                             const at::Tensor& alphas,     // (n_target,) fp64, > 0
                             const at::Tensor& responses,  // (n, n_target)
                             const at::Tensor& nuisance);  // (n, z) fp64
                                                           // -> (n, n_target) of responses' dtype

}  // namespace dnnbrain
