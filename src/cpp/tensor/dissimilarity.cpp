#include "dnnbrain/tensor/dissimilarity.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/triu_indices.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

at::Tensor upper_triangle(const at::Tensor& square) {
  const Index n = square.size(0);
  const at::Tensor pairs = at::triu_indices(n, n, 1, square.options().dtype(at::kLong));
  return square.index({pairs[0], pairs[1]});
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

/// Gram matrix of rows from which `shift` (n_stim, 1) has been taken, in chunks of features.
at::Tensor row_gram(const at::Tensor& features, const at::Tensor& shift) {
  const Index n_stim = features.size(0);
  const Index n_feat = features.size(1);
  constexpr Index kChunkBytes = Index{64} << 20;
  const Index step = std::max<Index>(1, kChunkBytes / (8 * n_stim));
  at::Tensor gram = at::zeros({n_stim, n_stim}, features.options().dtype(at::kDouble));
  for (Index first = 0; first < n_feat; first += step) {
    const at::Tensor chunk =
        features.narrow(1, first, std::min(step, n_feat - first)).to(at::kDouble) - shift;
    gram.addmm_(chunk, chunk.t());
  }
  return gram;
}

}  // namespace

at::Tensor dissimilarities(const at::Tensor& features, Dissimilarity metric) {
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
    return distance_from_centred(gram_moments(features).centred, metric);
  }
  if (metric == Dissimilarity::kCosine) {
    const at::Tensor none = at::zeros({1, 1}, features.options().dtype(at::kDouble));
    const at::Tensor gram = row_gram(features, none);
    return one_minus_cosine(gram, gram.diagonal() > 0);
  }
  const at::Tensor mean = features.mean(1, /*keepdim=*/true, at::kDouble);
  const at::Tensor gram = row_gram(features, mean);
  // A constant row leaves the rounding of its mean; that is not variance.
  const at::Tensor rounding = 1e-14 * features.abs().amax(1).to(at::kDouble);
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
