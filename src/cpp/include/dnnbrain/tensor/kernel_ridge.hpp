// Ridge from a kernel: one factorisation serves every fold, penalty and target.
//
// K (n, n) is the kernel of the stimuli, Z (n, z) what is fitted without a penalty: the intercept
// (a column of ones) and nuisance regressors. On the complement of Z,
//
//   K -> W L W',   W'Z = 0,   H = W diag(l / (l + alpha)) W',   R = W diag(alpha / (l + alpha)) W'
//
// H Y is what is fitted, R Y what is left. For held-out rows S, train the others, and B0 the
// regression of S on train through Z alone, the operator from training to held-out responses beyond
// B0 is
//
//   B = R_SS^-1 (H_S,train + H_SS B0) = -R_SS^-1 (R_S,train + R_SS B0)
//
// (a Schur complement: Z is a penalised term of penalty zero). It equals refitting with X and Y
// centred on training means, to rounding, at any penalty: nothing is subtracted that nearly
// cancels. Sample weights w enter as sqrt(w) on both sides of K, on Y and on Z.
//
// Cost: eigh(n) once; per penalty of the skeleton n^3 FLOP for H or R of all rows, 2 n n_train
// n_test for the operators of all folds, and 2 n n_train n_target for the predictions, of which
// only inner products are kept. Operators of all folds that are asked for exist at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/grid_scores.hpp"

namespace dnnbrain {

struct KernelFactor {
  at::Tensor vectors;   // W (n, n - z) fp64, orthonormal columns
  at::Tensor values;    // l (n - z,) fp64, ascending; those of rounding are 0
  at::Tensor nuisance;  // Z (n, z) fp64; z may be 0
};

/// Eigendecomposition of a kernel on the complement of what is fitted without a penalty.
KernelFactor factor_kernel(const at::Tensor& kernel,     // (n, n) fp64, about any point
                           const at::Tensor& nuisance);  // (n, z) fp64, full rank

/// Refuse responses or weights that do not fit the factor.
void check_kernel_data(const KernelFactor& factor,
                       const at::Tensor& responses,  // (n, n_target)
                       const at::Tensor& ones);      // (n,)

/// Mean held-out score of every penalty and target. `ones` is sqrt(w), or 1.
GridScores cross_validate_kernel_ridge(const KernelFactor& factor,
                                       const at::Tensor& responses,  // (n, n_target) fp32 or fp64
                                       const at::Tensor& ones,       // (n,) fp64
                                       const std::vector<Fold>& folds,
                                       const std::vector<double>& alphas,  // > 0
                                       RidgeScore score,
                                       bool keep_folds,
                                       Monitor& monitor);

/// Dual coefficients (K + alpha)^-1 Y beyond Z, one penalty per target: X'dual are the weights.
/// 4 n^2 FLOP a target, half of that where many have one penalty.
at::Tensor solve_kernel_ridge(const KernelFactor& factor,
                              const at::Tensor& responses,  // (n, n_target)
                              const at::Tensor& alphas);    // (n_target,) fp64, >= 0
                                                            // -> (n, n_target) of responses' dtype

}  // namespace dnnbrain
