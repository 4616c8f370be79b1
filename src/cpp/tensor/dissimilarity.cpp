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
#include <cmath>
#include <limits>
#include <utility>

#include "dnnbrain/core/clones.hpp"
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

Index chunk_width(Index n_stim, Index n_feat) {
  const Index width =
      std::min(kChunkBytes / (8 * n_stim), std::max<Index>(64, kChunkProducts / (n_stim * n_stim)));
  return std::clamp<Index>(width, 1, n_feat);
}

/// What sums of products may be wrong by, relative to the products. Two equal patterns come out
/// this close; a distance that small is zero, so that equal patterns tie.
constexpr double kRounding = 1e-14;

/// What a sum of moments that cancel may be wrong by, relative to them.
constexpr double kRoundingOfMoments = 1e-12;

/// Rows of a matrix of distances that are formed together, in cache.
constexpr Index kRowBlock = 64;

/// Condensed distances. rows(first, n_row) gives those of rows [first, first + n_row) with all from
/// `first` on.
template <class Rows>
at::Tensor condensed(const at::Tensor& gram, const Rows& rows) {
  const Index n = gram.size(0);
  if (!gram.is_cpu()) return upper_triangle(rows(0, n));
  const at::Tensor out = at::empty({n * (n - 1) / 2}, gram.options());
  for_each_task((n + kRowBlock - 1) / kRowBlock, /*parallel=*/true, [&](Index block) {
    const Index first = block * kRowBlock;
    const Index end = std::min(first + kRowBlock, n);
    const at::Tensor block_rows = rows(first, end - first);
    for (Index row = first; row < end; ++row) {
      const Index n_later = n - 1 - row;
      out.narrow(0, row * n - row * (row + 1) / 2, n_later)
          .copy_(block_rows[row - first].narrow(0, row + 1 - first, n_later));
    }
  });
  return out;
}

/// out[j] = 1 - gram[j] / (length length_of[j]), for patterns behind one. In one loop: as
/// operations on tensors it takes several times as long.
DNNBRAIN_CLONES void one_minus_cosines(const double* __restrict gram,
                                       double length,
                                       const double* __restrict length_of,
                                       Index n,
                                       double* __restrict out) {
  for (Index j = 0; j < n; ++j) {
    const double distance = 1.0 - gram[j] / (length * length_of[j]);  // NaN stays NaN
    out[j] = distance < kRounding ? 0.0 : distance > 2.0 ? 2.0 : distance;
  }
}

/// 1 - cosine of the angle, from the Gram matrix of the patterns. `defined` marks those with
/// length.
at::Tensor one_minus_cosine(const at::Tensor& gram, const at::Tensor& defined) {
  const Index n = gram.size(0);
  const at::Tensor length = at::where(defined, gram.diagonal().clamp_min(0).sqrt(), kNaN);
  if (!gram.is_cpu()) {
    const at::Tensor distance =
        (1.0 - upper_triangle(gram / (length.unsqueeze(1) * length))).clamp_max_(2.0);
    return distance.masked_fill(distance < kRounding, 0.0);
  }
  const at::Tensor out = at::empty({n * (n - 1) / 2}, gram.options());
  const double* const lengths = length.const_data_ptr<double>();
  for_each_task((n + kRowBlock - 1) / kRowBlock, /*parallel=*/true, [&](Index block) {
    for (Index row = block * kRowBlock; row < std::min((block + 1) * kRowBlock, n); ++row) {
      one_minus_cosines(gram.const_data_ptr<double>() + row * gram.stride(0) + row + 1,
                        lengths[row],
                        lengths + row + 1,
                        n - 1 - row,
                        out.mutable_data_ptr<double>() + row * n - row * (row + 1) / 2);
    }
  });
  return out;
}

at::Tensor distance_from_centred(const at::Tensor& gram, Dissimilarity metric) {
  const Index n = gram.size(0);
  const at::Tensor sq = gram.diagonal();
  return condensed(gram, [&](Index first, Index n_row) {
    const at::Tensor later = sq.narrow(0, first, n - first);
    const at::Tensor both = later.narrow(0, 0, n_row).unsqueeze(1) + later;
    const at::Tensor distance =
        both - 2.0 * gram.narrow(0, first, n_row).narrow(1, first, n - first);
    const at::Tensor squared = at::where(distance <= kRounding * both, 0.0, distance);
    return metric == Dissimilarity::kSqEuclidean ? squared : squared.sqrt();
  });
}

struct RowSize {
  double mean;
  double largest;  // in size
};

/// Differences from the first value are added up: those of a constant row are zero.
template <class Value>
[[gnu::always_inline]] inline RowSize row_size_of(const Value* values, Index n) {
  const auto first = static_cast<double>(values[0]);
  double sum = 0;
  double largest = 0;
#pragma omp simd reduction(+ : sum) reduction(max : largest)
  for (Index j = 0; j < n; ++j) {
    const auto value = static_cast<double>(values[j]);
    sum += value - first;
    largest = std::max(largest, std::abs(value));
  }
  return {first + sum / static_cast<double>(n), largest};
}

DNNBRAIN_CLONES RowSize row_size(const double* values, Index n) { return row_size_of(values, n); }
DNNBRAIN_CLONES RowSize row_size(const float* values, Index n) { return row_size_of(values, n); }

/// Mean of each row, and its largest absolute value: (n_stim,) fp64.
std::pair<at::Tensor, at::Tensor> row_sizes(const at::Tensor& features) {
  if (!features.is_cpu()) {
    return {features.mean(1, /*keepdim=*/false, at::kDouble),
            at::linalg_vector_norm(features, kMaxNorm, 1).to(at::kDouble)};
  }
  const Index n_stim = features.size(0);
  const Index n_feat = features.size(1);
  const at::Tensor means = at::empty({n_stim}, features.options().dtype(at::kDouble));
  const at::Tensor largest = at::empty({n_stim}, means.options());
  const bool is_double = features.scalar_type() == at::kDouble;
  for_each_task(n_stim, /*parallel=*/true, [&](Index row) {
    const at::Tensor values = features[row].to(is_double ? at::kDouble : at::kFloat).contiguous();
    const RowSize size = is_double ? row_size(values.const_data_ptr<double>(), n_feat)
                                   : row_size(values.const_data_ptr<float>(), n_feat);
    means.mutable_data_ptr<double>()[row] = size.mean;
    largest.mutable_data_ptr<double>()[row] = size.largest;
  });
  return {means, largest};
}

/// Gram matrix of rows from which `shift` (n_stim,), if defined, has been taken.
at::Tensor row_gram(const at::Tensor& features, const at::Tensor& shift, Monitor& monitor) {
  const Index n_stim = features.size(0);
  const Index n_feat = features.size(1);
  const at::Tensor gram = at::zeros({n_stim, n_stim}, features.options().dtype(at::kDouble));
  const Index step = chunk_width(n_stim, n_feat);
  const bool is_short =
      features.scalar_type() != at::kDouble && features.scalar_type() != at::kFloat;
  monitor.start(n_feat);
  for (Index first = 0; first < n_feat; first += step) {
    const Index width = std::min(step, n_feat - first);
    const at::Tensor chunk = features.narrow(1, first, width);
    add_lower_product(gram, {is_short ? chunk.to(at::kFloat) : chunk, shift});
    monitor.step(width);
  }
  mirror_lower(gram);
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
  const auto [means, largest] = row_sizes(features);
  const at::Tensor gram = row_gram(features, means, monitor);
  // A constant row leaves the rounding of its mean; that is not variance.
  const at::Tensor rounding = 1e-14 * largest;
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
    const at::Tensor scale = moments.centred.diagonal() + mean_sq;
    return one_minus_cosine(gram, gram.diagonal() > kRoundingOfMoments * scale);
  }
  // With a_i = x_i - mu less its own mean and b = mu less its own mean: a_i'a_j + a_i'b + b'a_j +
  // b'b
  const at::Tensor& t = moments.row_sum;
  const at::Tensor own = moments.centred - t.unsqueeze(1) * t.unsqueeze(0) / n_feat;
  const at::Tensor with_mean = moments.mean_dot - t * (moments.mean_sum / n_feat);
  const double mean_sq = moments.mean_sq - moments.mean_sum * moments.mean_sum / n_feat;
  const at::Tensor gram = own + with_mean.unsqueeze(1) + with_mean.unsqueeze(0) + mean_sq;
  const at::Tensor scale = moments.centred.diagonal() + moments.mean_sq;
  return one_minus_cosine(gram, gram.diagonal() > kRoundingOfMoments * scale);
}

}  // namespace dnnbrain
