#include "dnnbrain/tensor/fold_gram.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/any.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <span>

#include "dnnbrain/tensor/tasks.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Rows of a block of a Gram matrix; blocks above the diagonal are left out.
constexpr Index kRowBlock = 128;

/// Folds and columns from which it pays, in time and in digits, to form what folds have in common
/// once.
constexpr Index kFoldsForShared = 3;
constexpr Index kColumnsForShared = 32768;

/// A column whose weights differ more than this between folds is left in fp64.
constexpr double kSmallDeviation = 0.05;

/// body(f, row, n_row) for blocks of rows of all matrices, from the longest to the shortest.
template <class Body>
void for_each_block(Index n_gram, Index n, bool parallel, const Body& body) {
  const Index n_block = (n + kRowBlock - 1) / kRowBlock;
  for_each_task(n_gram * n_block, parallel, [&](Index task) {
    const Index row = (n_block - 1 - task / n_gram) * kRowBlock;
    body(task % n_gram, row, std::min(kRowBlock, n - row));
  });
}

/// grams[f] += X diag(weight_f) X' for all f at once, on and below the diagonal blocks. Scaled on
/// one side only, so that the copy is a block of rows and stays in cache. X in fp32 is multiplied
/// in fp32, and added up in fp64.
void add_lower(std::span<const at::Tensor> grams,  // each (n, n) fp64
               const at::Tensor& x,                // (n, c)
               const at::Tensor& weight)           // (n_gram, c)
{
  for_each_block(std::ssize(grams), x.size(0), x.is_cpu(), [&](Index f, Index row, Index n_row) {
    const at::Tensor scaled = x.narrow(0, row, n_row) * weight[f];
    const at::Tensor others = x.narrow(0, 0, row + n_row).t();
    at::Tensor sum =
        grams[static_cast<std::size_t>(f)].narrow(0, row, n_row).narrow(1, 0, row + n_row);
    if (x.scalar_type() == at::kDouble) {
      sum.addmm_(scaled, others);
    } else {
      sum.add_(at::mm(scaled, others));
    }
  });
}

/// common += X diag(w) X' with the mean weights w of all folds, and to the folds' own what their
/// weights have in excess of that.
void add_shared(const at::Tensor& common,
                std::span<const at::Tensor> grams,
                const at::Tensor& x,
                const at::Tensor& weight) {
  const at::Tensor base = weight.mean(0, /*keepdim=*/true);
  const at::Tensor excess = weight - base;
  const at::Tensor large = (excess.abs() > kSmallDeviation * base).any(0);
  // 0 / 0 where a column does not vary in any fold.
  const at::Tensor share =
      at::where(large.logical_or(base == 0), at::zeros_like(excess), excess / base);
  add_lower({&common, 1}, x, base);
  add_lower(grams, (x * base.sqrt()).to(at::kFloat), share.to(at::kFloat));
  const at::Tensor columns = at::nonzero(large).flatten();
  if (columns.numel() == 0) return;
  add_lower(grams, x.index_select(1, columns), excess.index_select(1, columns));
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

  const Index width = chunk_width(n);
  for (Index first = 0; first < p; first += width) {
    const Index count = std::min(width, p - first);
    const at::Tensor x = centred_chunk(data, first, count).centred;
    const at::Tensor weight = scaling.weight.narrow(1, first, count);
    if (shared) {
      add_shared(common, grams, x, weight);
    } else {
      add_lower(grams, x, weight);
    }
    monitor.step(0);
  }
  for (Index f = 0; f < n_fold; ++f) {
    at::Tensor& gram = grams[static_cast<std::size_t>(f)];
    if (shared) gram += common;
    gram = centred_whole(gram, counts[f]);
  }
  return grams;
}

}  // namespace dnnbrain
