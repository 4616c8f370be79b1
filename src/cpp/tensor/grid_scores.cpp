#include "dnnbrain/tensor/grid_scores.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
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
  std::vector<double> scores(static_cast<std::size_t>(n_alpha_));
  for (Index t = 0; t < tile.predicted.size(0); ++t) {
    const HeldOut& held_out = tile.held_out[static_cast<std::size_t>(t)];
    score_alphas(skeleton_,
                 products.const_data_ptr<double>() + t * n_side * n_side,
                 held_out,
                 score_,
                 scores.data());
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
                                       const at::Tensor& raw) {
  const at::Tensor y = measured.to(at::kDouble);
  const at::Tensor one = ones.to(at::kDouble);
  const double weight = (one * one).sum().item<double>();
  const at::Tensor sums = y.mv(one).cpu();
  const at::Tensor squares = (y * y).sum(1).cpu();
  const at::Tensor most = raw.abs().amax(1).to(at::kDouble).cpu();
  const double ulp = measured.scalar_type() == at::kFloat ? std::numeric_limits<float>::epsilon()
                                                          : std::numeric_limits<double>::epsilon();
  std::vector<HeldOut> held_out(static_cast<std::size_t>(y.size(0)));
  for (std::size_t t = 0; t < held_out.size(); ++t) {
    HeldOut& target = held_out[t];
    target.weight = weight;
    target.sum = sums.const_data_ptr<double>()[t];
    target.sq = squares.const_data_ptr<double>()[t];
    const double rounding = kSameUlp * ulp * most.const_data_ptr<double>()[t];
    target.constant = target.sq - target.sum * target.sum / weight <= weight * rounding * rounding;
  }
  return held_out;
}

}  // namespace dnnbrain
