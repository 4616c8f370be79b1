#include "dnnbrain/tensor/fold_gram.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/any.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <span>

#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Bytes of a chunk in fp64, and its most columns. Each chunk reads and writes the matrices of all
/// folds.
constexpr Index kChunkBytes = Index{16} << 20;
constexpr Index kMostColumns = 2048;

/// Folds and columns from which it pays, in time and in digits, to form what folds have in common
/// once.
constexpr Index kFoldsForShared = 3;
constexpr Index kColumnsForShared = 32768;

/// A column whose weights differ more than this between folds is left in fp64.
constexpr double kSmallDeviation = 0.05;

/// common += X diag(w) X' with the mean weights w of all folds, and to the folds' own what their
/// weights have in excess of that.
void add_shared(const at::Tensor& common,
                std::span<const at::Tensor> grams,
                const ShiftedMatrix& x,      // (n, c)
                const at::Tensor& weight) {  // (n_fold, c); more folds than there are grams
  const at::Tensor base = weight.mean(0, /*keepdim=*/true);
  const at::Tensor excess = weight - base;
  const at::Tensor large = (excess.abs() > kSmallDeviation * base).any(0);
  // 0 / 0 where a column does not vary in any fold.
  const at::Tensor share =
      at::where(large.logical_or(base == 0), at::zeros_like(excess), excess / base);
  add_lower_products({&common, 1}, x, base);
  const Index n_gram = std::ssize(grams);
  add_lower_products(
      grams, {x.x, {}, x.column_shift, base[0].sqrt()}, share.narrow(0, 0, n_gram).to(at::kFloat));
  const at::Tensor columns = at::nonzero(large).flatten();
  if (columns.numel() == 0) return;
  add_lower_products(grams,
                     {x.x.index_select(1, columns), {}, x.column_shift.index_select(0, columns)},
                     excess.narrow(0, 0, n_gram).index_select(1, columns));
}

/// The whole of a matrix from its lower triangle, about the mean of the training rows.
at::Tensor centred_whole(const at::Tensor& lower, const at::Tensor& counts) {
  at::Tensor gram = lower.tril() + lower.tril(-1).t();
  const at::Tensor n_train = counts.sum();
  const at::Tensor row_mean = rows_times(gram, counts.unsqueeze(0)).select(1, 0) / n_train;
  gram -= row_mean;
  gram -= row_mean.unsqueeze(1);
  gram += (counts * row_mean).sum() / n_train;
  return gram;
}

}  // namespace

std::vector<at::Tensor> fold_grams(const at::Tensor& data,
                                   const at::Tensor& counts,
                                   const FoldScaling& scaling,
                                   Monitor& monitor) {
  const at::NoGradGuard no_grad;
  const Index n = data.size(0);
  const Index p = data.size(1);
  const Index n_fold = counts.size(0);
  const bool shared = data.is_cpu() && data.scalar_type() == at::kFloat &&
                      n_fold >= kFoldsForShared && p >= kColumnsForShared;
  std::vector<at::Tensor> grams;
  for (Index f = 0; f < n_fold; ++f) grams.push_back(at::zeros({n, n}, counts.options()));
  const at::Tensor common = shared ? at::zeros({n, n}, counts.options()) : at::Tensor();
  // Excesses add up to nothing: the last fold's are what the others lack.
  const std::span<const at::Tensor> others = std::span(grams).first(grams.size() - 1);

  const at::Tensor pilot = scaling.mean.mean(0);
  const Index width = std::clamp<Index>(kChunkBytes / (8 * n), 64, kMostColumns);
  for (Index first = 0; first < p; first += width) {
    const Index count = std::min(width, p - first);
    const ShiftedMatrix x{data.narrow(1, first, count), {}, pilot.narrow(0, first, count)};
    const at::Tensor weight = scaling.weight.narrow(1, first, count);
    if (shared) {
      add_shared(common, others, x, weight);
    } else {
      add_lower_products(grams, x, weight);
    }
    monitor.step(0);
  }
  if (shared) {
    for (const at::Tensor& gram : others) grams.back() -= gram;
  }
  for (Index f = 0; f < n_fold; ++f) {
    at::Tensor& gram = grams[static_cast<std::size_t>(f)];
    if (shared) gram += common;
    gram = centred_whole(gram, counts[f]);
  }
  return grams;
}

}  // namespace dnnbrain
