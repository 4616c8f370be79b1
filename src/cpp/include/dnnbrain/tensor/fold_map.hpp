// Held-out predictions that are one linear map of the training responses, the same for all targets.
//
//   Y_te = M (Y_tr - m) + m,    m the mean of the training rows
//
// With X the features about their training means, and optionally over their training standard
// deviations, and  X_tr = U S V',  L = S^2  of which n_comp components are kept,
//
//   M = X_te X_tr' U diag(w) U'  =  X_te V diag(w) V' X_tr'
//
//   PCA(n_comp), least squares          w = 1 / L          0 where L is rounding, as a
//   pseudoinverse PCA(n_comp), ridge                  w = 1 / (L + alpha) PCA(n_comp, whiten),
//   ridge          w = (n_train - 1) / (n_train - 1 + alpha) / L least squares, ridge the same with
//   all components
//
// which is what a pipeline gives that is refitted in every fold. The first form needs X only
// through the Gram matrix, once for all folds; the second is cheaper where there are fewer features
// than training rows. Ridge without components takes a Cholesky factor in place of the
// eigenvectors.
//
// Cost per fold: one eigendecomposition of min(n_train, n_feat), then 2 k (n_train + n_test) n_vox
// FLOP for a map of rank k, or 2 n_train n_test n_vox where that is less. Standardised features in
// the first form: 2 n_train (n_train + n_test) n_feat more, since their Gram differs by fold.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"

namespace dnnbrain {

/// M = left * right, or left alone.
struct FoldMap {
  at::Tensor left;   // (n_test, rank) fp64
  at::Tensor right;  // (rank, n_train) fp64, or undefined
};

struct MapOptions {
  Index n_comp = 0;          // 0: no components, the regression itself
  double alpha = 0;          // 0: least squares
  bool whiten = false;       // components scaled to a variance of one
  bool standardize = false;  // columns over their training standard deviation
};

/// From the Gram matrix, centred about any point. Standardising needs the features.
FoldMap gram_fold_map(const at::Tensor& gram,  // (n_stim, n_stim) fp64
                      const Fold& fold,
                      const MapOptions& options);

/// From the features themselves, in chunks of columns where they outnumber the training rows.
FoldMap feature_fold_map(const at::Tensor& features,  // (n_stim, n_feat) fp32 or fp64
                         const Fold& fold,
                         const MapOptions& options);

/// What PCA(n_comp) makes of the rows of a fold: U S and X_te V, largest component first. Signs are
/// those of the eigenvectors. Components of rounding are zero.
struct FoldComponents {
  at::Tensor train;  // (n_train, n_comp) fp64
  at::Tensor test;   // (n_test, n_comp) fp64
};

/// `alpha` is not used. `whiten` scales training components to a variance of one.
FoldComponents gram_fold_components(const at::Tensor& gram,  // (n_stim, n_stim) fp64
                                    const Fold& fold,
                                    const MapOptions& options);

FoldComponents feature_fold_components(const at::Tensor& features,  // (n_stim, n_feat)
                                       const Fold& fold,
                                       const MapOptions& options);

/// Inner products of a fold's rows about the training mean.
struct FoldKernels {
  at::Tensor train;  // (n_train, n_train) fp64
  at::Tensor test;   // (n_test, n_train) fp64
};

FoldKernels gram_fold_kernels(const at::Tensor& gram,  // (n_stim, n_stim) fp64, about any point
                              const Fold& fold);

FoldKernels feature_fold_kernels(const at::Tensor& features,  // (n_stim, n_feat) fp32 or fp64
                                 const Fold& fold,
                                 bool standardize);

/// Of one target in the held-out rows. A target that does not vary there has no r, R2 or explained
/// variance: NaN. A prediction that does not vary has r = 0.
enum class FoldScore {
  kPearson,            // r
  kR2,                 // 1 - sum (y - p)^2 / sum (y - mean y)^2
  kMse,                // mean (y - p)^2
  kExplainedVariance,  // 1 - var(y - p) / var(y)
};

/// Scores by fold, or of all held-out rows together. Predictions live for a tile of targets.
at::Tensor score_fold_maps(const std::vector<FoldMap>& maps,
                           const at::Tensor& responses,  // (n_stim, n_vox) fp32 or fp64
                           const std::vector<Fold>& folds,
                           FoldScore score,
                           bool pooled,
                           Monitor& monitor);  // -> (n_fold or 1, n_vox) fp64

/// The held-out predictions, the rows of the folds one behind the other.
at::Tensor predict_fold_maps(const std::vector<FoldMap>& maps,
                             const at::Tensor& responses,  // (n_stim, n_vox) fp32 or fp64
                             const std::vector<Fold>& folds,
                             Monitor& monitor);  // -> (sum of n_test, n_vox), as responses

}  // namespace dnnbrain
