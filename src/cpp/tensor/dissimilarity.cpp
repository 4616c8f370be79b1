#include "dnnbrain/tensor/dissimilarity.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/triu_indices.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

constexpr double kMaxNorm = std::numeric_limits<double>::infinity();

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Bytes of the features that are multiplied at a time, in fp64.
constexpr Index kChunkBytes = Index{64} << 20;

/// Multiplications between two looks for Ctrl-C, some 0.1 s of them.
constexpr Index kChunkProducts = Index{5'000'000'000};

/// Rows that are centred together.
constexpr Index kRowBlock = 16;

Index chunk_width(Index n_stim, Index n_feat) {
  const Index width =
      std::min(kChunkBytes / (8 * n_stim), std::max<Index>(64, kChunkProducts / (n_stim * n_stim)));
  return std::clamp<Index>(width, 1, n_feat);
}

/// What sums of products may be wrong by, relative to the products. Two equal patterns come out
/// this close; a distance that small is zero, so that equal patterns tie.
constexpr double kRounding = 1e-14;

/// 1 - cosine of the angle, from the Gram matrix of the patterns. `defined` marks those with
/// length.
at::Tensor one_minus_cosine(const at::Tensor& gram, const at::Tensor& defined) {
  const at::Tensor length = at::where(defined, gram.diagonal().clamp_min(0).sqrt(), kNaN);
  const at::Tensor distance =
      upper_triangle(1.0 - gram / (length.unsqueeze(1) * length.unsqueeze(0)));
  return at::where(distance < kRounding, 0.0, distance.clamp_max(2.0));
}

at::Tensor distance_from_centred(const at::Tensor& gram, Dissimilarity metric) {
  const at::Tensor sq = gram.diagonal();
  const at::Tensor both = sq.unsqueeze(1) + sq.unsqueeze(0);
  const at::Tensor distance = both - 2.0 * gram;
  const at::Tensor squared = upper_triangle(at::where(distance <= kRounding * both, 0.0, distance));
  return metric == Dissimilarity::kSqEuclidean ? squared : squared.sqrt();
}

/// Mean of each row, (n_stim, 1) fp64. Row by row: fp32 features are summed as a copy in fp64.
at::Tensor row_means(const at::Tensor& features) {
  if (!features.is_cpu()) return features.mean(1, /*keepdim=*/true, at::kDouble);
  const Index n_stim = features.size(0);
  const at::Tensor means = at::empty({n_stim, 1}, features.options().dtype(at::kDouble));
  for_each_task(n_stim, /*parallel=*/true, [&](Index row) {
    means[row].copy_(features.narrow(0, row, 1).mean(1, /*keepdim=*/false, at::kDouble));
  });
  return means;
}

/// Gram matrix of rows from which `shift` (n_stim, 1), if defined, has been taken.
at::Tensor row_gram(const at::Tensor& features, const at::Tensor& shift, Monitor& monitor) {
  const Index n_stim = features.size(0);
  const Index n_feat = features.size(1);
  const at::TensorOptions options = features.options().dtype(at::kDouble);
  const at::Tensor gram = at::zeros({n_stim, n_stim}, options);
  const Index step = chunk_width(n_stim, n_feat);
  const at::Tensor buffer = at::empty({n_stim, step}, options);
  monitor.start(n_feat);
  for (Index first = 0; first < n_feat; first += step) {
    const Index width = std::min(step, n_feat - first);
    const at::Tensor chunk = buffer.narrow(1, 0, width);
    for_each_task((n_stim + kRowBlock - 1) / kRowBlock, features.is_cpu(), [&](Index block) {
      const Index row = block * kRowBlock;
      const Index n_row = std::min(kRowBlock, n_stim - row);
      const at::Tensor rows = chunk.narrow(0, row, n_row);
      rows.copy_(features.narrow(0, row, n_row).narrow(1, first, width));
      if (shift.defined()) rows.sub_(shift.narrow(0, row, n_row));
    });
    add_symmetric_product(gram, chunk);
    monitor.step(width);
  }
  return gram;
}

GramMoments monitored_moments(const at::Tensor& features, Monitor& monitor) {
  const Index n_feat = features.size(1);
  const Index step = chunk_width(features.size(0), n_feat);
  GramAccumulator accumulator(features.size(0));
  monitor.start(n_feat);
  for (Index first = 0; first < n_feat; first += step) {
    const Index width = std::min(step, n_feat - first);
    accumulator.add(features.narrow(1, first, width));
    monitor.step(width);
  }
  return accumulator.moments();
}

}  // namespace

at::Tensor upper_triangle(const at::Tensor& square) {
  const Index n = square.size(0);
  const at::Tensor pairs = at::triu_indices(n, n, 1, square.options().dtype(at::kLong));
  return square.index({pairs[0], pairs[1]});
}

at::Tensor dissimilarities(const at::Tensor& features, Dissimilarity metric, Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.size(0) >= 2 && features.size(1) >= 1,
                   "features must have shape (n_stim, n_feat) with at least two stimuli and one "
                   "feature; got ",
                   features.dim(),
                   " axes and ",
                   features.numel(),
                   " values.");
  DNNBRAIN_REQUIRE(features.is_floating_point(),
                   "features must be floating point; got ",
                   features.dtype().name(),
                   ".");
  if (metric == Dissimilarity::kEuclidean || metric == Dissimilarity::kSqEuclidean) {
    return distance_from_centred(monitored_moments(features, monitor).centred, metric);
  }
  if (metric == Dissimilarity::kCosine) {
    const at::Tensor gram = row_gram(features, at::Tensor(), monitor);
    return one_minus_cosine(gram, gram.diagonal() > 0);
  }
  const at::Tensor gram = row_gram(features, row_means(features), monitor);
  // A constant row leaves the rounding of its mean; that is not variance.
  const at::Tensor rounding = 1e-14 * at::linalg_vector_norm(features, kMaxNorm, 1).to(at::kDouble);
  const double n_feat = static_cast<double>(features.size(1));
  return one_minus_cosine(gram, gram.diagonal() > n_feat * rounding * rounding);
}

at::Tensor dissimilarities(const GramMoments& moments, Dissimilarity metric) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(moments.n_feat > 0 && moments.centred.size(0) >= 2,
                   "moments must come from at least two stimuli and one unit; got ",
                   moments.n_feat,
                   " units.");
  if (metric == Dissimilarity::kEuclidean || metric == Dissimilarity::kSqEuclidean) {
    return distance_from_centred(moments.centred, metric);
  }
  const double n_feat = static_cast<double>(moments.n_feat);
  const double g = moments.pilot;
  if (metric == Dissimilarity::kCosine) {
    // x_i' x_j = K_ij + (x_i - mu)' mu + (x_j - mu)' mu + mu' mu
    const at::Tensor to_mean = moments.mean_dot + g * moments.row_sum;
    const double mean_sq = moments.mean_sq + 2 * g * moments.mean_sum + g * g * n_feat;
    const at::Tensor gram = moments.centred + to_mean.unsqueeze(1) + to_mean.unsqueeze(0) + mean_sq;
    return one_minus_cosine(gram, gram.diagonal() > 0);
  }
  // With a_i = x_i - mu less its own mean and b = mu less its own mean: a_i'a_j + a_i'b + b'a_j +
  // b'b
  const at::Tensor& t = moments.row_sum;
  const at::Tensor own = moments.centred - t.unsqueeze(1) * t.unsqueeze(0) / n_feat;
  const at::Tensor with_mean = moments.mean_dot - t * (moments.mean_sum / n_feat);
  const double mean_sq = moments.mean_sq - moments.mean_sum * moments.mean_sum / n_feat;
  const at::Tensor gram = own + with_mean.unsqueeze(1) + with_mean.unsqueeze(0) + mean_sq;
  const at::Tensor scale = moments.centred.diagonal() + moments.mean_sq;
  return one_minus_cosine(gram, gram.diagonal() > 1e-12 * scale);
}

}  // namespace dnnbrain
