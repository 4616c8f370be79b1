// Targets by the tile: what every solver over many targets goes through.
//
// Responses come as (n, n_target); a tile is their transpose for a few targets, (n_tile, n), which
// products read best, less the regression on what is fitted without a penalty. Any such shift
// leaves ridge alone, and a large offset then cannot cancel digits. Tiles have a fixed size, so
// that results do not depend on the number of threads.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Targets of a tile: what is made of them stays in cache.
inline constexpr Index kTargetTile = 256;

/// A GPU wants more at a time, and one thread to feed it.
inline constexpr Index kDeviceTargetTile = 4096;

/// Tiles that each thread does between two looks at the monitor.
inline constexpr Index kTilesPerStep = 2;

/// Rows of a few targets.
struct TargetTile {
  at::Tensor rows;                 // (n_tile, n) contiguous, less Z
  std::vector<double> magnitudes;  // (n_tile,) largest absolute response as given
};

class TargetTiles {
 public:
  /// `order` may rearrange the rows; empty leaves them.
  TargetTiles(at::Tensor responses,        // (n, n_target) fp32 or fp64
              const at::Tensor& nuisance,  // (n, z) fp64, full rank
              at::Tensor order = {});      // (n,) int64 or undefined

  /// Targets [first, first + n_tile).
  TargetTile read(Index first, Index n_tile) const;

  /// Call body(first, n_tile) for all targets, tiles in parallel; products inside run on one thread
  /// each. Steps the monitor by targets.
  template <class Body>
  void for_each(Monitor& monitor, const Body& body) const {
    const bool on_cpu = responses_.is_cpu();
    const Index size = on_cpu ? kTargetTile : kDeviceTargetTile;
    const int n_threads = on_cpu ? at::get_num_threads() : 1;
    const Index n_target = responses_.size(1);
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

 private:
  at::Tensor responses_;
  at::Tensor nuisance_;  // (n, z)
  at::Tensor fit_;       // (z, n) pseudoinverse of Z
  at::Tensor order_;
};

}  // namespace dnnbrain
