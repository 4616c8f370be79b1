// Principal-component regression, cross-validated with the PCA inside the fold: any number of
// component counts and penalties from one eigendecomposition per fold.
//
// With Z = X_tr V and S = X_te V the components of a fold (fold_components.hpp) and L their
// squares, PCA(c) followed by ridge(alpha), least squares for alpha = 0, predicts
//
//   Y_te = S_c (L_c + alpha)^-1 Z_c' (Y_tr - mean) + mean          (first c components)
//
// the same as refitting in every fold. Components whose eigenvalue is rounding weigh nothing, as in
// a pseudoinverse.
//
// Scores of all counts are running sums: with P = (L + alpha)^-1 Z'Y, A = S'S, B = S'Y_te about
// the means of the held-out rows,
//
//   sum py = cumsum(P o B),   sum pp = cumsum(P o (2 tril(A, -1) P + diag(A) P))
//
// so predictions are never formed. Cost per fold: one eigendecomposition of n_train (or n_feat),
// then 2 k (n_train + n_test + k n_alpha) n_vox FLOP, with k the largest count.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/column_scores.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/fold_components.hpp"

namespace dnnbrain {

/// Every count with every penalty.
struct PcrGrid {
  std::vector<Index> n_comps;  // in any order
  std::vector<double> alphas;  // not negative; 0 is least squares
};

/// Scores of each fold, penalty, count and target. A target that is constant in a fold scores NaN
/// there but for kMse, a prediction that is constant has r = 0.
at::Tensor cross_validate_pcr(const FoldSource& source,     // features as they are, or a Gram
                              const at::Tensor& responses,  // (n_stim, n_vox) fp32 or fp64
                              const std::vector<Fold>& folds,
                              const PcrGrid& grid,
                              Score score,
                              Monitor& monitor);  // -> (n_fold, n_alpha, n_count, n_vox) fp64

}  // namespace dnnbrain
