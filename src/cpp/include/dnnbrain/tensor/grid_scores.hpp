// Cross-validated scores of a grid of penalties: what primal and dual ridge have in common.
//
// Both go through the folds, and within a fold through tiles of targets, in parallel. Of a tile
// they hand over predictions of the skeleton's members on the held-out rows, targets first, and
// forget them: nothing of the size of (rows, targets, alphas) exists.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold_score.hpp"
#include "dnnbrain/tensor/skeleton.hpp"

namespace dnnbrain {

struct GridScores {
  at::Tensor mean;   // (n_alpha, n_target) fp64 over folds; NaN where no fold has a score
  at::Tensor folds;  // (n_fold, n_alpha, n_target) fp64, if asked for
};

/// What a tile hands over, about the training mean.
struct TileScores {
  at::Tensor predicted;           // (n_tile, n_member, n_row) contiguous
  at::Tensor measured;            // (n_tile, n_row) contiguous, of the same dtype
  at::Tensor ones;                // (n_row,) of the same dtype
  std::vector<HeldOut> held_out;  // (n_tile,)
};

/// Collects fold by fold. Tiles of one fold may come from several threads at once.
class GridCollector {
 public:
  GridCollector(AlphaSkeleton skeleton,
                Index n_alpha,
                Index n_target,
                Index n_fold,
                RidgeScore score,
                bool keep_folds);

  const AlphaSkeleton& skeleton() const { return skeleton_; }

  /// Score targets [first, first + n_tile) in a fold.
  void add(Index fold, Index first, const TileScores& tile);

  /// Means over the folds that have a score.
  GridScores finish();

 private:
  AlphaSkeleton skeleton_;
  AlphaScores combined_;
  Index n_alpha_;
  RidgeScore score_;
  at::Tensor sum_;    // (n_alpha, n_target)
  at::Tensor count_;  // (n_target,) folds that have a score
  at::Tensor folds_;
};

/// What is known of the measured rows of a tile.
std::vector<HeldOut> describe_held_out(const at::Tensor& measured,  // (n_tile, n_test) about train
                                       const at::Tensor& ones,      // (n_test,) same dtype
                                       const std::vector<double>& magnitudes);  // (n_tile,)

}  // namespace dnnbrain
