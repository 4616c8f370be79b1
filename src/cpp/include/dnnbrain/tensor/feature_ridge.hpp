// Ridge from features, for fewer features than stimuli: everything from sums over folds.
//
// With X (n, p), Y (n, n_target), Z (n, z) what is fitted without a penalty (the intercept,
// nuisance regressors), and sums over the training rows of a fold
//
//   G = X'X - X'Z (Z'Z)^-1 Z'X = D V L V' D,   C = X'Y - X'Z (Z'Z)^-1 Z'Y,   Q = V' D^-1 C
//
// the held-out predictions beyond Z are T diag(1 / (l + alpha)) Q with T the held-out rows, less Z,
// times D^-1 V. D is 1, or the training standard deviations. T = U R (a QR), so that inner products
// of predictions are those of R diag(.) Q: fewer rows than the held-out ones, and a triangle.
// Training sums add up the other folds: a fold of another scale cannot cancel digits.
//
// Cost: n p^2 FLOP and eigh(p) per fold; 4 n p n_target + 2 n_fold p^2 n_target for Q and y, and
// at most n_fold p^2 n_target per penalty of the skeleton. No term has n_train x n x n_target.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/grid_scores.hpp"

namespace dnnbrain {

/// Mean held-out score of every penalty and target. Rows of all come times sqrt(w), `ones` is
/// sqrt(w), or 1. `products` (n_target, p), where given, takes X'Y less Z on the way, as the final
/// fit needs it; folds must then hold out every row once.
GridScores cross_validate_feature_ridge(const at::Tensor& features,   // (n, p) fp32 or fp64
                                        const at::Tensor& responses,  // (n, n_target) same dtype
                                        const at::Tensor& nuisance,   // (n, z) fp64, full rank
                                        const at::Tensor& ones,       // (n,) fp64
                                        const std::vector<Fold>& folds,
                                        const std::vector<double>& alphas,  // > 0
                                        bool standardize,
                                        RidgeScore score,
                                        bool keep_folds,
                                        const at::Tensor& products,  // or undefined
                                        Monitor& monitor);

/// Weights (G + alpha)^-1 C from all rows, one penalty per target.
at::Tensor solve_feature_ridge(const at::Tensor& features,   // (n, p)
                               const at::Tensor& responses,  // (n, n_target)
                               const at::Tensor& nuisance,   // (n, z) fp64
                               const at::Tensor& ones,       // (n,) fp64
                               const at::Tensor& alphas,     // (n_target,) fp64, >= 0
                               const at::Tensor& products,   // (n_target, p) as above, or undefined
                               bool standardize);            // -> (p, n_target) of X's dtype

}  // namespace dnnbrain
