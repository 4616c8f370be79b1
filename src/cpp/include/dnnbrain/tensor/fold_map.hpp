// Held-out predictions that are one linear map of the training responses, the same for all targets.
//
//   Y_te = M (Y_tr - m) + m,    m the mean of the training rows
//
// With X_te V and X_tr V = U S the components of the fold (fold_components.hpp) and L = S^2,
//
//   M = X_te V diag(w) V' X_tr'
//
//   PCA(n_comp), least squares          w = 1 / L      0 where L is rounding, as a pseudoinverse
//   PCA(n_comp), ridge                  w = 1 / (L + alpha)
//   PCA(n_comp, whiten), ridge          w = (n_train - 1) / (n_train - 1 + alpha) / L
//   least squares, ridge                the same with all components
//
// which is what a pipeline gives that is refitted in every fold. Ridge without components takes a
// Cholesky factor in place of the eigenvectors; least squares on few features their singular
// vectors.
//
// Cost per fold: one decomposition of min(n_train, n_feat), then 2 k (n_train + n_test) n_vox FLOP
// for a map of rank k, or 2 n_train n_test n_vox where that is less.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/fold_components.hpp"

namespace dnnbrain {

/// M = left * right, or left alone.
struct FoldMap {
  at::Tensor left;   // (n_test, rank) fp64
  at::Tensor right;  // (rank, n_train) fp64, or undefined
};

struct MapOptions {
  Index n_comp = 0;     // 0: no components, the regression itself
  double alpha = 0;     // 0: least squares
  bool whiten = false;  // components scaled to a variance of one
};

/// The map of each fold. Small folds are decomposed side by side. Steps the monitor by folds.
std::vector<FoldMap> make_fold_maps(const FoldSource& source,
                                    const std::vector<Fold>& folds,
                                    const MapOptions& options,
                                    Monitor& monitor);

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
