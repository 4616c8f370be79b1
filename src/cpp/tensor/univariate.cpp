#include "dnnbrain/tensor/univariate.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/median.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/univariate_tile.hpp"

namespace dnnbrain {

namespace {

/// Columns that are centred at a time: at most this many bytes in fp64, and so many of them.
constexpr Index kBlockBytes = Index{32} << 20;
constexpr Index kUnitBlock = 1024;
constexpr Index kTargetBlock = 4096;

/// Fixed, so that results do not depend on the number of threads; products of a tile stay in cache.
constexpr Index kTargetTile = 64;
constexpr Index kUnitTile = 256;

/// A GPU wants more at a time.
constexpr Index kDeviceTile = 1024;

Index block_width(Index n_row, Index most) {
  return std::clamp(kBlockBytes / (8 * n_row) / kUnitTile * kUnitTile, kUnitTile, most);
}

/// Row of `members` of the parts that are neither `fold` nor `part`.
at::Tensor others(Index n_part, Index fold, Index part) {
  at::Tensor row = at::full({n_part}, 1.0, at::kDouble);
  row[fold] = 0.0;
  row[part] = 0.0;
  return row;
}

LinePlan make_plan(const std::vector<Fold>& folds,
                   const at::Tensor& features,
                   FoldScore score,
                   UnitSelection selection) {
  const Index n_stim = features.size(0);
  LinePlan plan;
  plan.score = score;
  plan.selection = selection;
  plan.merged = is_partition(folds, n_stim);
  plan.n_fold = static_cast<Index>(folds.size());
  for (const Fold& fold : folds) plan.part_rows.push_back(fold.test);
  if (!plan.merged) {
    for (const Fold& fold : folds) plan.part_rows.push_back(fold.train);
    plan.part_rows.push_back(at::arange(n_stim, folds.front().test.options()));
  }
  for (at::Tensor& rows : plan.part_rows) {
    plan.part_size.push_back(static_cast<double>(rows.numel()));
    rows = rows.to(features.device());
  }
  const Index n_part = plan.n_part();
  std::vector<at::Tensor> sets;
  if (plan.merged) {
    for (Index f = 0; f < n_part; ++f) sets.push_back(others(n_part, f, f));
    sets.push_back(at::full({n_part}, 1.0, at::kDouble));
  } else {
    for (Index p = plan.n_fold; p < n_part; ++p) {
      sets.push_back(at::zeros({n_part}, at::kDouble));
      sets.back()[p] = 1.0;
    }
  }
  if (selection == UnitSelection::kInnerFolds) {
    DNNBRAIN_REQUIRE(plan.merged && n_part >= 3,
                     "a choice by inner folds needs at least 3 folds that hold out each stimulus "
                     "once and train on all others.");
    for (Index f = 0; f < n_part; ++f) {
      for (Index g = 0; g < n_part; ++g) sets.push_back(others(n_part, f, g));
    }
  }
  plan.members = at::stack(sets);
  const at::Tensor sizes = plan.members.mv(at::tensor(plan.part_size, at::kDouble));
  const double* const size = sizes.const_data_ptr<double>();
  plan.set_size.assign(size, size + sizes.numel());
  plan.members = plan.members.to(features.device());
  return plan;
}

void check_arguments(const at::Tensor& features,
                     const at::Tensor& responses,
                     const std::vector<Fold>& folds) {
  DNNBRAIN_REQUIRE(
      features.dim() == 2 && features.size(1) > 0 &&
          (features.scalar_type() == at::kFloat || features.scalar_type() == at::kDouble),
      "features must be a float32 or float64 matrix with at least one unit.");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == features.size(0) &&
                       responses.scalar_type() == features.scalar_type() &&
                       responses.device() == features.device(),
                   "responses must have shape (n_stim, n_vox) with n_stim == ",
                   features.size(0),
                   ", and the dtype and device of the features.");
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  for (std::size_t i = 0; i < folds.size(); ++i) {
    DNNBRAIN_REQUIRE(folds[i].train.numel() >= 2 && folds[i].test.numel() >= 2,
                     "each fold must train on and hold out at least 2 stimuli; fold ",
                     i,
                     " has ",
                     folds[i].train.numel(),
                     " and ",
                     folds[i].test.numel(),
                     ". Use fewer folds.");
  }
}

/// Co-moments of the targets and units of a tile, of each part.
at::Tensor tile_products(const LinePlan& plan,
                         const LineMoments& units,
                         const LineMoments& targets,
                         const TilePlace& place) {
  at::Tensor products =
      at::empty({plan.n_part(), place.n_target, place.n_unit}, units.rows.options());
  Index first = 0;
  for (Index p = 0; p < plan.n_part(); ++p) {
    const Index size = plan.part_rows[static_cast<std::size_t>(p)].numel();
    const at::Tensor x =
        units.rows.narrow(0, first, size).narrow(1, place.unit_in_block, place.n_unit);
    const at::Tensor y =
        targets.rows.narrow(0, first, size).narrow(1, place.target_in_block, place.n_target);
    at::Tensor out = products[p];
    at::mm_out(out, y.t(), x);
    first += size;
  }
  return products;
}

/// Columns whose moments one thread takes at a time.
constexpr Index kMomentColumns = 256;

/// Moments of all columns, some at a time: one parallel region rather than one for each operator.
LineMoments parallel_moments(const at::Tensor& columns, const LinePlan& plan) {
  const Index n_col = columns.size(1);
  const Index n_chunk = (n_col + kMomentColumns - 1) / kMomentColumns;
  if (!columns.is_cpu() || n_chunk == 1) return line_moments(columns, plan);
  std::vector<LineMoments> chunks(static_cast<std::size_t>(n_chunk));
  at::parallel_for(0, n_chunk, 1, [&](Index chunk, Index chunk_end) {
    const at::NoGradGuard no_grad;
    for (; chunk < chunk_end; ++chunk) {
      const Index first = chunk * kMomentColumns;
      chunks[static_cast<std::size_t>(chunk)] =
          line_moments(columns.narrow(1, first, std::min(kMomentColumns, n_col - first)), plan);
    }
  });
  const auto join = [&](at::Tensor LineMoments::* member) {
    std::vector<at::Tensor> parts;
    for (const LineMoments& chunk : chunks) parts.push_back(chunk.*member);
    return at::cat(parts, 1);
  };
  return {join(&LineMoments::rows),
          join(&LineMoments::part_mean),
          join(&LineMoments::set_mean),
          join(&LineMoments::set_weight),
          join(&LineMoments::test_sq),
          join(&LineMoments::test_norm)};
}

}  // namespace

LineMoments line_moments(const at::Tensor& columns, const LinePlan& plan) {
  const Index n_col = columns.size(1);
  const at::Tensor about = columns.to(at::kDouble) - columns.mean(0, false, at::kDouble);
  Index n_row = 0;
  for (const at::Tensor& rows : plan.part_rows) n_row += rows.numel();

  LineMoments out;
  out.rows = at::empty({n_row, n_col}, columns.options());
  std::vector<at::Tensor> mean, sq, first_value, varies;
  Index first = 0;
  for (const at::Tensor& rows : plan.part_rows) {
    const at::Tensor part = about.index_select(0, rows);
    mean.push_back(part.mean(0));
    const at::Tensor centred = part - mean.back();
    sq.push_back((centred * centred).sum(0));
    out.rows.narrow(0, first, rows.numel()).copy_(centred);
    // What is constant is told from the values themselves: a mean leaves its own rounding.
    first_value.push_back(part[0]);
    varies.push_back((part != part[0]).any(0));
    first += rows.numel();
  }
  const at::Tensor part_mean = at::stack(mean);
  // Sums of squares are about the part in the middle, so that one far off costs the others nothing.
  out.part_mean = part_mean - std::get<0>(part_mean.median(0));
  const at::Tensor part_sq = at::stack(sq);
  const at::Tensor part_first = at::stack(first_value);
  const at::Tensor part_varies = at::stack(varies);

  const at::Tensor part_size = at::tensor(plan.part_size, at::kDouble).to(columns.device());
  const at::Tensor set_size = at::tensor(plan.set_size, at::kDouble).to(columns.device());
  const at::Tensor weighted = out.part_mean * part_size.unsqueeze(1);
  out.set_mean = at::matmul(plan.members, weighted) / set_size.unsqueeze(1);
  const at::Tensor set_sq = at::matmul(plan.members, part_sq + weighted * out.part_mean) -
                            set_size.unsqueeze(1) * out.set_mean * out.set_mean;
  std::vector<at::Tensor> set_varies;
  for (Index s = 0; s < plan.n_set(); ++s) {
    const at::Tensor parts = plan.members[s].nonzero().flatten();
    const at::Tensor values = part_first.index_select(0, parts);
    set_varies.push_back(part_varies.index_select(0, parts).any(0) | (values != values[0]).any(0));
  }
  const at::Tensor zero = at::zeros({}, part_sq.options());
  const at::Tensor has_line = at::stack(set_varies) & (set_sq > 0);
  out.set_weight = at::where(has_line, set_sq.reciprocal(), zero);
  const at::Tensor test_sq = part_sq.narrow(0, 0, plan.n_fold);
  const at::Tensor spread = part_varies.narrow(0, 0, plan.n_fold) & (test_sq > 0);
  out.test_sq = at::where(spread, test_sq, zero);
  out.test_norm = at::where(spread, test_sq.rsqrt(), zero);
  return out;
}

UnivariateScores cross_validate_units(const at::Tensor& features,
                                      const at::Tensor& responses,
                                      const std::vector<Fold>& folds,
                                      FoldScore score,
                                      UnitSelection selection,
                                      bool keep_means,
                                      bool fused,
                                      Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_arguments(features, responses, folds);
  DNNBRAIN_REQUIRE(score != FoldScore::kMse,
                   "units are chosen by a score of which more is better.");
  const LinePlan plan = make_plan(folds, features, score, selection);
  const Index n_feat = features.size(1);
  const Index n_vox = responses.size(1);
  const at::TensorOptions real = features.options().dtype(at::kDouble);
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  BestUnits best;
  best.value = at::full({plan.n_fold + 1, n_vox}, -std::numeric_limits<double>::infinity(), real);
  best.unit = at::full({plan.n_fold + 1, n_vox}, -1, real.dtype(at::kLong));
  best.scores = at::full({plan.n_fold, n_vox}, kNan, real);
  if (keep_means) best.means = at::empty({n_vox, n_feat}, features.options());

  const bool on_cpu = features.is_cpu();
  const bool loops = fused && on_cpu;
  const Index target_tile = on_cpu ? kTargetTile : kDeviceTile;
  const Index unit_tile = on_cpu ? kUnitTile : kDeviceTile;
  Index n_row = 0;
  for (const at::Tensor& rows : plan.part_rows) n_row += rows.numel();
  const Index target_block = block_width(n_row, kTargetBlock);
  const Index unit_block = block_width(n_row, kUnitBlock);

  monitor.start(n_feat * n_vox);
  for (Index target = 0; target < n_vox; target += target_block) {
    const Index n_target = std::min(target_block, n_vox - target);
    const LineMoments targets = parallel_moments(responses.narrow(1, target, n_target), plan);
    for (Index unit = 0; unit < n_feat; unit += unit_block) {
      const Index n_unit = std::min(unit_block, n_feat - unit);
      const LineMoments units = parallel_moments(features.narrow(1, unit, n_unit), plan);
      const Index n_tile = (n_target + target_tile - 1) / target_tile;
      at::parallel_for(0, n_tile, on_cpu ? 1 : n_tile, [&](Index tile, Index tile_end) {
        const at::NoGradGuard no_grad_here;
        for (; tile < tile_end; ++tile) {
          for (Index u = 0; u < n_unit; u += unit_tile) {
            TilePlace place;
            place.target_in_block = tile * target_tile;
            place.target = target + place.target_in_block;
            place.n_target = std::min(target_tile, n_target - place.target_in_block);
            place.unit_in_block = u;
            place.unit = unit + u;
            place.n_unit = std::min(unit_tile, n_unit - u);
            const at::Tensor products = tile_products(plan, units, targets, place);
            const auto score_tile = loops ? score_tile_fused : score_tile_aten;
            score_tile(plan, products, units, targets, place, best);
          }
        }
      });
      monitor.step(n_unit * n_target);
    }
  }

  UnivariateScores out;
  out.best_unit = best.unit[plan.n_fold];
  out.fold_units = selection == UnitSelection::kNonNested
                       ? out.best_unit.expand({plan.n_fold, n_vox}).contiguous()
                       : best.unit.narrow(0, 0, plan.n_fold);
  out.scores = best.scores;
  if (keep_means) out.means = best.means.t();
  return out;
}

}  // namespace dnnbrain
