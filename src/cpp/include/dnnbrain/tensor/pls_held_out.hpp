// Partial least squares scored on held-out rows, as if it were fitted anew in every fold.
//
// Scores of any row follow from K v_a by the projection of pls_fold.hpp, so with s_a over all rows
// and q_a from the training rows a fold predicts, in standardised units,
//
//   Y_te ~ sum_(a <= A) s_a,te q_a'        one term more for each component count A
//
// and held-out rows and all component counts come from one set of components.
//
// Cost per fold: n^2 (p + t) FLOP for the Gram matrices, 2 n^2 per product with either, and
// 2 n_comp n t for the scores.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/column_scores.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/pls_fold.hpp"

namespace dnnbrain {

struct PlsHeldOut {
  at::Tensor scores;                    // (n_count, n_fold, t) fp64
  std::vector<at::Tensor> predictions;  // where asked for, each (n_test, t), of the last count
  at::Tensor n_found;                   // (n_fold,) int64 components
  at::Tensor n_iter;                    // (n_fold, n_comp) int64; 0 where there is no component
};

/// What of the held-out rows is wanted.
struct PlsWanted {
  std::vector<Index> counts;  // component counts, ascending, up to n_comp
  Score score = Score::kPearson;
  bool predictions = false;
};

/// Folds are taken together as far as `max_bytes` of Gram matrices allow.
PlsHeldOut cross_validate_pls(const at::Tensor& features,   // (n, p) fp32 or fp64
                              const at::Tensor& responses,  // (n, t) fp32 or fp64
                              const std::vector<Fold>& folds,
                              const PlsOptions& options,
                              const PlsWanted& wanted,
                              Index max_bytes,
                              Monitor& monitor);

/// The same from the Gram matrix of the features, about any centre; options.scale concerns the
/// responses alone.
PlsHeldOut cross_validate_pls_gram(const at::Tensor& gram,       // (n, n) fp64
                                   const at::Tensor& responses,  // (n, t)
                                   const std::vector<Fold>& folds,
                                   const PlsOptions& options,
                                   const PlsWanted& wanted,
                                   Index max_bytes,
                                   Monitor& monitor);

}  // namespace dnnbrain
