#include "dnnbrain/tensor/fold_components.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/eigenpairs.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Bytes of a chunk of columns in fp64.
constexpr Index kChunkBytes = Index{64} << 20;

/// A fold up to this size is decomposed on one thread, beside others; a larger one on all.
constexpr Index kFoldBytes = Index{192} << 20;

/// Folds side by side take no more than this.
constexpr Index kSideBySideBytes = 4 * kFoldBytes;

/// Matrices of the order of the decomposition that it holds at its peak.
constexpr Index kWorkMatrices = 5;

/// Rounding of a sum of squares over many units, in units of the last place.
constexpr double kOffsetRounding = 256;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// A column without variance but for rounding keeps its scale, as in scikit-learn.
at::Tensor standard_deviation(const at::Tensor& centred, const at::Tensor& mean) {
  const double n = static_cast<double>(centred.size(0));
  const at::Tensor variance = (centred * centred).mean(0);
  const at::Tensor rounding = n * kEpsilon * mean;
  const at::Tensor varies = variance > n * kEpsilon * variance + rounding * rounding;
  return at::where(varies, variance.sqrt(), at::ones_like(variance));
}

FoldKernels centred_gram(const at::Tensor& gram, const Fold& fold) {
  const at::Tensor train = gram.index_select(0, fold.train).index_select(1, fold.train);
  const at::Tensor test = gram.index_select(0, fold.test).index_select(1, fold.train);
  const at::Tensor column_mean = train.mean(0, /*keepdim=*/true);
  const at::Tensor grand_mean = column_mean.mean();
  test.sub_(test.mean(1, /*keepdim=*/true)).sub_(column_mean).add_(grand_mean);
  train.sub_(column_mean).sub_(column_mean.t()).add_(grand_mean);
  return {train, test, std::max(0.0, grand_mean.item<double>())};
}

FoldKernels kernels_of_columns(const at::Tensor& features, const Fold& fold, bool standardize) {
  const Index n_train = fold.train.size(0);
  const Index n_test = fold.test.size(0);
  const Index step = std::max<Index>(1, kChunkBytes / (8 * (n_train + n_test)));
  const auto options = features.options().dtype(at::kDouble);
  FoldKernels kernels{at::zeros({n_train, n_train}, options),
                      at::zeros({n_test, n_train}, options)};
  for (Index first = 0; first < features.size(1); first += step) {
    const Index n = std::min(step, features.size(1) - first);
    const FoldColumns chunk = fold_columns(features.narrow(1, first, n), fold, standardize);
    add_symmetric_product(kernels.train, chunk.train);
    kernels.test += rows_times(chunk.test, chunk.train);
  }
  return kernels;
}

/// Those of a matrix that is positive but for rounding: values that are rounding are 0. `offset` is
/// what was taken off the matrix: the same in all entries, and so m times as large in an
/// eigenvalue, with its own rounding.
Eigenpairs positive_eigenpairs(const at::Tensor& matrix, Index k, Index n_term, double offset) {
  Eigenpairs pairs = top_eigenpairs(matrix, k);
  const double scale = std::max(0.0, pairs.values[0].item<double>()) + kOffsetRounding * offset;
  const double floor = static_cast<double>(n_term) * kEpsilon * scale;
  pairs.values = at::where(pairs.values > floor, pairs.values, at::zeros_like(pairs.values));
  return pairs;
}

/// What the decomposition of a fold takes at its peak.
Index peak_bytes(const FoldSource& source, const Fold& fold) {
  const bool primal = is_primal(source, fold);
  const Index order = primal ? source.data.size(1) : fold.train.size(0);
  return 8 * (kWorkMatrices * order * order + (primal ? source.data.numel() : 0));
}

FoldComponents dual_components(const FoldKernels& kernels, Index n_comp) {
  const Index n_train = kernels.train.size(0);
  const auto [values, vectors] =
      positive_eigenpairs(kernels.train, n_comp, n_train, kernels.offset);
  const at::Tensor length = values.sqrt();
  const at::Tensor inverse = at::where(values > 0, length.reciprocal(), at::zeros_like(length));
  return {values, vectors * length, rows_times(kernels.test, vectors.t()) * inverse};
}

FoldComponents primal_components(const FoldColumns& x, Index n_comp) {
  const Index n_term = std::max(x.train.size(0), x.train.size(1));
  const auto [values, vectors] =
      positive_eigenpairs(symmetric_product(x.train.t()), n_comp, n_term, /*offset=*/0);
  const at::Tensor kept = (vectors * (values > 0)).t();
  return {values, rows_times(x.train, kept), rows_times(x.test, kept)};
}

}  // namespace

void check_source(const FoldSource& source) {
  const at::Tensor& data = source.data;
  if (source.is_gram) {
    DNNBRAIN_REQUIRE(
        data.dim() == 2 && data.size(0) == data.size(1) && data.scalar_type() == at::kDouble,
        "gram must be a square float64 matrix.");
    DNNBRAIN_REQUIRE(!source.standardize, "standardising needs the features, not their Gram.");
  } else {
    DNNBRAIN_REQUIRE(data.dim() == 2 && data.size(1) > 0 && data.is_floating_point(),
                     "features must be a floating-point matrix of shape (n_stim, n_feat).");
  }
}

FoldColumns fold_columns(const at::Tensor& features, const Fold& fold, bool standardize) {
  const at::Tensor train = features.index_select(0, fold.train).to(at::kDouble);
  // About the first row before about the mean, so that a constant column becomes exactly zero.
  const at::Tensor first = train[0].clone();
  const FoldColumns out{train.sub_(first),
                        features.index_select(0, fold.test).to(at::kDouble).sub_(first)};
  const at::Tensor to_mean = out.train.mean(0);
  out.train.sub_(to_mean);
  out.test.sub_(to_mean);
  if (standardize) {
    const at::Tensor scale = standard_deviation(out.train, first + to_mean);
    out.train.div_(scale);
    out.test.div_(scale);
  }
  return out;
}

FoldKernels fold_kernels(const FoldSource& source, const Fold& fold) {
  const at::NoGradGuard no_grad;
  check_source(source);
  if (source.is_gram) return centred_gram(source.data, fold);
  return kernels_of_columns(source.data, fold, source.standardize);
}

FoldComponents fold_components(const FoldSource& source, const Fold& fold, Index n_comp) {
  const at::NoGradGuard no_grad;
  check_source(source);
  const Index n_train = fold.train.size(0);
  const bool primal = is_primal(source, fold);
  const Index order = primal ? source.data.size(1) : n_train;
  DNNBRAIN_REQUIRE(n_comp >= 0 && n_comp <= order,
                   "n_components must be at most ",
                   order,
                   "; got ",
                   n_comp,
                   ".");
  const Index kept = n_comp == 0 ? order : n_comp;
  FoldComponents out;
  const auto decompose = [&](const auto& rows, const auto& components) {
    const bool on_one_thread = source.data.is_cpu() && peak_bytes(source, fold) <= kFoldBytes;
    for_each_task(1, on_one_thread, [&](Index) { out = components(rows, kept); });
  };
  if (primal) {
    decompose(fold_columns(source.data, fold, source.standardize), primal_components);
  } else {
    decompose(fold_kernels(source, fold), dual_components);
  }
  return out;
}

FoldComponents whitened(const FoldComponents& components) {
  const auto freedom = static_cast<double>(components.train.size(0) - 1);
  const at::Tensor& values = components.values;
  const at::Tensor scale = at::where(values > 0, (freedom / values).sqrt(), at::zeros_like(values));
  return {at::where(values > 0, at::full_like(values, freedom), values),
          components.train * scale,
          components.test * scale};
}

FoldSchedule schedule_folds(const FoldSource& source, const std::vector<Fold>& folds) {
  Index n_bytes = 1;
  bool from_chunks = false;
  for (const Fold& fold : folds) {
    n_bytes = std::max(n_bytes, peak_bytes(source, fold));
    from_chunks = from_chunks || !(source.is_gram || is_primal(source, fold));
  }
  // Products of many columns want all threads.
  if (!source.data.is_cpu() || n_bytes > kFoldBytes || from_chunks) return {};
  const Index n_thread = at::get_num_threads();
  return {true, std::clamp<Index>(kSideBySideBytes / n_bytes, 1, n_thread)};
}

}  // namespace dnnbrain
