#include "dnnbrain/tensor/grid_scores.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/square.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <utility>

namespace dnnbrain {

namespace {

/// Values that differ from a common one by this many units in the last place are that value.
constexpr double kSameUlp = 4;

/// (n_tile, n_member + 2, n_member + 2) fp64 on the CPU, of [ones, y, P_1..P_b].
at::Tensor tile_products(const TileScores& tile) {
  const Index n_tile = tile.predicted.size(0);
  const Index n_member = tile.predicted.size(1);
  const Index n_row = tile.predicted.size(2);
  if (!tile.predicted.is_cpu()) {
    const at::Tensor rows = at::cat(
        {tile.ones.expand({n_tile, 1, n_row}), tile.measured.unsqueeze(1), tile.predicted}, 1);
    return at::bmm(rows, rows.transpose(1, 2)).to(at::kDouble).cpu().contiguous();
  }
  const Index n_side = n_member + 2;
  at::Tensor products =
      at::zeros({n_tile, n_side, n_side}, tile.predicted.options().dtype(at::kDouble));
  double* const out = products.mutable_data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES(tile.predicted.scalar_type(), "tile_products", [&] {
    std::vector<const scalar_t*> vectors(static_cast<std::size_t>(n_side));
    for (Index t = 0; t < n_tile; ++t) {
      vectors[0] = tile.ones.const_data_ptr<scalar_t>();
      vectors[1] = tile.measured.const_data_ptr<scalar_t>() + t * n_row;
      for (Index j = 0; j < n_member; ++j) {
        vectors[static_cast<std::size_t>(j + 2)] =
            tile.predicted.const_data_ptr<scalar_t>() + (t * n_member + j) * n_row;
      }
      inner_products<scalar_t>(vectors.data(), n_side, n_row, out + t * n_side * n_side);
    }
  });
  return products;
}

}  // namespace

GridCollector::GridCollector(AlphaSkeleton skeleton,
                             Index n_alpha,
                             Index n_target,
                             Index n_fold,
                             RidgeScore score,
                             bool keep_folds)
    : skeleton_(std::move(skeleton)),
      combined_(skeleton_),
      n_alpha_(n_alpha),
      score_(score),
      sum_(at::zeros({n_alpha, n_target}, at::kDouble)),
      count_(at::zeros({n_target}, at::kDouble)) {
  if (keep_folds) folds_ = at::zeros({n_fold, n_alpha, n_target}, at::kDouble);
}

void GridCollector::add(Index fold, Index first, const TileScores& tile) {
  const at::Tensor products = tile_products(tile);
  const Index n_side = products.size(1);
  const Index n_target = count_.size(0);
  double* const sum = sum_.mutable_data_ptr<double>();
  double* const count = count_.mutable_data_ptr<double>();
  double* const kept =
      folds_.defined() ? folds_.mutable_data_ptr<double>() + fold * n_alpha_ * n_target : nullptr;
  std::vector<double> scores;
  for (Index t = 0; t < tile.predicted.size(0); ++t) {
    const HeldOut& held_out = tile.held_out[static_cast<std::size_t>(t)];
    combined_.score(
        products.const_data_ptr<double>() + t * n_side * n_side, held_out, score_, scores);
    const bool counts = score_ == RidgeScore::kMse || !held_out.constant;
    count[first + t] += counts ? 1.0 : 0.0;
    for (Index a = 0; a < n_alpha_; ++a) {
      const double value = scores[static_cast<std::size_t>(a)];
      if (counts) sum[a * n_target + first + t] += value;
      if (kept != nullptr) kept[a * n_target + first + t] = value;
    }
  }
}

GridScores GridCollector::finish() {
  const at::Tensor nan = at::full({}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  return {at::where(count_ > 0, sum_ / count_, nan), folds_};
}

std::vector<HeldOut> describe_held_out(const at::Tensor& measured,
                                       const at::Tensor& ones,
                                       const std::vector<double>& magnitudes) {
  const double weight = ones.to(at::kDouble).square().sum().item<double>();
  const at::Tensor y = measured.cpu();
  const at::Tensor one = ones.cpu().contiguous();
  const Index n_test = y.size(1);
  std::vector<HeldOut> held_out(magnitudes.size());
  AT_DISPATCH_FLOATING_TYPES(y.scalar_type(), "describe_held_out", [&] {
    const scalar_t* const sides = one.const_data_ptr<scalar_t>();
    const double ulp = std::numeric_limits<scalar_t>::epsilon();
    for (std::size_t t = 0; t < held_out.size(); ++t) {
      const scalar_t* const row =
          y.const_data_ptr<scalar_t>() + static_cast<Index>(t) * y.stride(0);
      HeldOut& target = held_out[t];
      target.weight = weight;
      for (Index i = 0; i < n_test; ++i) {
        const auto value = static_cast<double>(row[i]);
        target.sum += value * static_cast<double>(sides[i]);
        target.sq += value * value;
      }
      const double rounding = kSameUlp * ulp * magnitudes[t];
      target.constant =
          target.sq - target.sum * target.sum / weight <= weight * rounding * rounding;
    }
  });
  return held_out;
}

}  // namespace dnnbrain
