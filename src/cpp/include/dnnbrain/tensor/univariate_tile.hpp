// The arithmetic of univariate.hpp on one tile of targets and units, twice: fused loops for the
// CPU, and ATen operators for any device.
//
// Rows come in parts. Part f holds what fold f holds out. In a partition a training set is merged
// from parts; otherwise part n_fold + f is the training set of fold f, and the last part all rows.
//
// Sets are what lines are fitted on: the training set of each fold, all rows, and, where the
// selection wants them, the training set of fold f without part g.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/univariate.hpp"

namespace dnnbrain {

struct LinePlan {
  FoldScore score = FoldScore::kPearson;
  UnitSelection selection = UnitSelection::kNonNested;
  bool merged = false;  // the folds are a partition
  Index n_fold = 0;
  std::vector<at::Tensor> part_rows;  // (n_part) of (size,) int64
  std::vector<double> part_size;      // (n_part,)
  at::Tensor members;                 // (n_set, n_part) fp64, 1 where a part is in a set
  std::vector<double> set_size;       // (n_set,)

  Index n_part() const { return static_cast<Index>(part_size.size()); }
  Index n_set() const { return static_cast<Index>(set_size.size()); }
  Index all_set() const { return n_fold; }
  Index inner_set(Index fold, Index part) const { return n_fold * (fold + 1) + 1 + part; }
};

/// What is known of some columns, units or targets, alone. Fp64 unless said; means are about a
/// value of the column's own.
struct LineMoments {
  at::Tensor rows;        // (sum of part sizes, n_col) data's dtype; parts about their own means
  at::Tensor part_mean;   // (n_part, n_col)
  at::Tensor set_mean;    // (n_set, n_col)
  at::Tensor set_weight;  // (n_set, n_col) 1 / C_xx; 0 where constant
  at::Tensor test_sq;     // (n_fold, n_col) c_xx; 0 where constant
  at::Tensor test_norm;   // (n_fold, n_col) 1 / sqrt(c_xx); 0 where constant
};

LineMoments line_moments(const at::Tensor& columns,  // (n_stim, n_col)
                         const LinePlan& plan);

/// The best units so far. Rule f < n_fold chooses for fold f, rule n_fold for all.
struct BestUnits {
  at::Tensor value;   // (n_fold + 1, n_vox) fp64, what was chosen by
  at::Tensor unit;    // (n_fold + 1, n_vox) int64
  at::Tensor scores;  // (n_fold, n_vox) fp64
  at::Tensor means;   // (n_vox, n_feat) data's dtype, if asked for
};

/// Where a tile lies.
struct TilePlace {
  Index target_in_block = 0;  // in LineMoments of targets
  Index target = 0;           // in BestUnits
  Index n_target = 0;
  Index unit_in_block = 0;
  Index unit = 0;
  Index n_unit = 0;
};

/// Take the units of a tile into account. Different targets may come from different threads.
void score_tile_fused(const LinePlan& plan,
                      const at::Tensor& products,  // (n_part, n_target, n_unit) c_xy of each part
                      const LineMoments& units,
                      const LineMoments& targets,
                      const TilePlace& place,
                      BestUnits& best);

void score_tile_aten(const LinePlan& plan,
                     const at::Tensor& products,
                     const LineMoments& units,
                     const LineMoments& targets,
                     const TilePlace& place,
                     BestUnits& best);

}  // namespace dnnbrain
