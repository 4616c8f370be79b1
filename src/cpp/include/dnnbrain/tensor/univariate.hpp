// Each unit alone predicts each target by a line fitted in every training fold, from sums.
//
// With c_xy the co-moment of a held-out set about its own means, m its size, C_xy that of the
// training set, the line b = C_xy / C_xx through the training means scores
//
//   r    sign(b) c_xy / sqrt(c_xx c_yy)
//   ev   (2 b c_xy - b^2 c_xx) / c_yy
//   r2   ev - m (d_y - b d_x)^2 / c_yy        d: held-out mean minus training mean
//
// the same as fitting and scoring n_feat n_vox n_fold lines. Only c_xy needs a product of matrices.
// Where folds partition the stimuli, training sets are the other folds' co-moments merged in fp64,
// never a total minus the fold's own: one run of a thousand times the scale leaves the others their
// digits. Any other scheme has a product for each training set too.
//
// Cost: 2 n_stim n_feat n_vox FLOP for a partition, plus some 10 n_fold n_feat n_vox of arithmetic
// in cache. Products in the data's dtype, rows centred by the mean of their own set; all else fp64.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/fold_map.hpp"

namespace dnnbrain {

/// What a target's unit is chosen by.
enum class UnitSelection {
  kNonNested,      // the mean of the very scores that are reported: optimistic
  kTrainingScore,  // in each fold, the squared correlation over its training set
  kInnerFolds,     // in each fold, the mean score over the other folds, each held out in turn
};

/// A target that is constant in the held-out set of a fold scores NaN there, and the fold does not
/// count in a mean. A line without slope correlates 0 with anything. Of equals the first unit wins.
struct UnivariateScores {
  at::Tensor
      best_unit;  // (n_vox,) int64, chosen by all stimuli alike; -1 where nothing has a score
  at::Tensor fold_units;  // (n_fold, n_vox) int64, the unit that is scored; -1 likewise
  at::Tensor scores;      // (n_fold, n_vox) fp64 of these units
  at::Tensor means;  // (n_feat, n_vox), the data's dtype: every unit's mean score; if asked for
};

UnivariateScores cross_validate_units(const at::Tensor& features,   // (n_stim, n_feat) fp32 or fp64
                                      const at::Tensor& responses,  // (n_stim, n_vox) same dtype
                                      const std::vector<Fold>& folds,
                                      FoldScore score,  // not kMse
                                      UnitSelection selection,
                                      bool keep_means,
                                      bool fused,  // false: by ATen operators, as on a GPU
                                      Monitor& monitor);

}  // namespace dnnbrain
