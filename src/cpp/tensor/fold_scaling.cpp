#include "dnnbrain/tensor/fold_scaling.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Bytes of a chunk in fp64.
constexpr Index kChunkBytes = Index{4} << 20;

/// A mean this many standard deviations from the pilot leaves too few digits in a sum of squares.
constexpr double kFarMean = 10.0;

/// Training mean about the pilot, and sum of squares about the mean, of a chunk's columns; zero
/// exactly where a column does not vary.
std::pair<at::Tensor, at::Tensor> chunk_moments(const Chunk& chunk, const at::Tensor& counts) {
  const at::Tensor& x = chunk.centred;
  const at::Tensor n_train = counts.sum(1, /*keepdim=*/true);
  at::Tensor mean = times_columns(counts, x) / n_train;
  at::Tensor sq = times_columns(counts, x * x) - n_train * mean * mean;
  // Where the pilot is far from the training rows, as when the others are of another scale, and
  // where nothing varies: again, about a training row.
  const at::Tensor far = (n_train * mean * mean >= kFarMean * kFarMean * sq).logical_or(sq <= 0);
  if (far.any().item<bool>()) {
    for (Index f = 0; f < counts.size(0); ++f) {
      const at::Tensor columns = at::nonzero(far[f]).flatten();
      if (columns.numel() == 0) continue;
      const at::Tensor rows = at::nonzero(counts[f]).flatten();
      const at::Tensor weight = counts[f].index_select(0, rows).unsqueeze(1);
      const at::Tensor part = x.index_select(0, rows).index_select(1, columns);
      const at::Tensor about = part - part[0];
      const at::Tensor offset = (weight * about).sum(0) / n_train[f];
      const at::Tensor rest = about - offset;
      mean[f].index_copy_(0, columns, part[0] + offset);
      sq[f].index_copy_(0, columns, (weight * rest * rest).sum(0));
    }
  }
  return {mean, sq};
}

}  // namespace

Index chunk_width(Index n) {
  return std::clamp<Index>(kChunkBytes / (8 * std::max<Index>(n, 1)), 64, 1024);
}

Chunk centred_chunk(const at::Tensor& data, Index first, Index count) {
  const at::Tensor x = data.narrow(1, first, count).to(at::kDouble);
  // About the first row before about the mean, so that a constant column leaves nothing at all.
  at::Tensor centred = x - x[0];
  const at::Tensor to_mean = centred.mean(0);
  centred -= to_mean;
  return {centred, x[0] + to_mean};
}

at::Tensor training_counts(const std::vector<Fold>& folds, Index n) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  at::Tensor counts =
      at::zeros({static_cast<Index>(folds.size()), n}, folds[0].train.options().dtype(at::kDouble));
  for (std::size_t f = 0; f < folds.size(); ++f) {
    const at::Tensor& rows = folds[f].train;
    counts[static_cast<Index>(f)].index_add_(0, rows, at::ones({rows.size(0)}, counts.options()));
  }
  return counts;
}

FoldScaling fold_scaling(const at::Tensor& data, const at::Tensor& counts, bool scale) {
  const at::NoGradGuard no_grad;
  const Index p = data.size(1);
  const at::Tensor n_train = counts.sum(1, /*keepdim=*/true);
  const at::Tensor first_row = (counts > 0).to(at::kLong).argmax(1);
  FoldScaling out{at::empty({counts.size(0), p}, counts.options()),
                  at::ones({counts.size(0), p}, counts.options()),
                  at::empty({counts.size(0), p}, counts.options())};
  const Index width = chunk_width(data.size(0));
  for (Index first = 0; first < p; first += width) {
    const Index count = std::min(width, p - first);
    const Chunk chunk = centred_chunk(data, first, count);
    const auto [mean, sq] = chunk_moments(chunk, counts);
    const at::Tensor varies = sq > 0;
    const at::Tensor value = data.narrow(1, first, count).index_select(0, first_row);
    const at::Tensor variance = at::where(varies, sq / (n_train - 1.0), at::ones_like(sq));
    out.mean.narrow(1, first, count)
        .copy_(at::where(varies, mean + chunk.pilot, value.to(at::kDouble)));
    if (scale) out.std.narrow(1, first, count).copy_(variance.sqrt());
    out.weight.narrow(1, first, count)
        .copy_(varies.to(at::kDouble) / (scale ? variance : at::ones_like(variance)));
  }
  return out;
}

at::Tensor standardised_columns(
    const at::Tensor& data, const FoldScaling& scaling, Index fold, Index first, Index count) {
  const at::NoGradGuard no_grad;
  at::Tensor z =
      data.narrow(1, first, count).to(at::kDouble) - scaling.mean[fold].narrow(0, first, count);
  z /= scaling.std[fold].narrow(0, first, count);
  return z;
}

}  // namespace dnnbrain
