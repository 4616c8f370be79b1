// Cross-validated scores of a grid of penalties: what primal and dual ridge have in common.
//
// Both go through the folds, and within a fold through tiles of targets, in parallel. Of a tile
// they hand over predictions of the skeleton's members on the held-out rows, targets first, and
// forget them: nothing of the size of (rows, targets, alphas) exists.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold_score.hpp"
#include "dnnbrain/tensor/skeleton.hpp"

namespace dnnbrain {

/// Targets of a tile. Fixed, so that results do not depend on the number of threads; a tile's
/// predictions stay in cache between the product that makes them and the sums that use them.
inline constexpr Index kTargetTile = 128;

/// Tiles that each thread does between two looks at the monitor.
inline constexpr Index kTilesPerStep = 2;

/// A GPU wants more at a time, and one thread to feed it.
inline constexpr Index kDeviceTargetTile = 4096;

/// Call body(first, n_tile) for all targets, tiles in parallel; products inside run on one thread
/// each. Steps the monitor by targets.
template <class Body>
void for_each_tile(const at::Tensor& responses,  // (n, n_target)
                   Monitor& monitor,
                   const Body& body) {
  const bool on_cpu = responses.is_cpu();
  const Index size = on_cpu ? kTargetTile : kDeviceTargetTile;
  const int n_threads = on_cpu ? at::get_num_threads() : 1;
  const Index n_target = responses.size(1);
  const Index stride = size * n_threads * kTilesPerStep;
  for (Index begin = 0; begin < n_target; begin += stride) {
    const Index end = std::min(n_target, begin + stride);
    const Index n_tile = (end - begin + size - 1) / size;
    at::parallel_for(0, n_tile, n_threads > 1 ? 1 : n_tile, [&](Index tile, Index tile_end) {
      const at::NoGradGuard no_grad;
      for (; tile < tile_end; ++tile) {
        const Index first = begin + tile * size;
        body(first, std::min(size, end - first));
      }
    });
    monitor.step(end - begin);
  }
}

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
  Index n_alpha_;
  RidgeScore score_;
  at::Tensor sum_;    // (n_alpha, n_target)
  at::Tensor count_;  // (n_target,) folds that have a score
  at::Tensor folds_;
};

/// What is known of the measured rows of a tile.
std::vector<HeldOut> describe_held_out(const at::Tensor& measured,  // (n_tile, n_test) about train
                                       const at::Tensor& ones,      // (n_test,) same dtype
                                       const at::Tensor& raw);      // (n_tile, n_test) as given

}  // namespace dnnbrain
