#include "dnnbrain/tensor/pls_held_out.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/pls.hpp"
#include "dnnbrain/tensor/pls_components.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

constexpr Index kTargetBlock = 256;

FoldScaling some_folds(const FoldScaling& scaling, Index first, Index count) {
  return {scaling.mean.narrow(0, first, count),
          scaling.std.narrow(0, first, count),
          scaling.weight.narrow(0, first, count)};
}

/// Scores, and predictions where wanted, of one fold's held-out rows.
void score_fold(const PlsComponents& found,
                const at::Tensor& counts,
                const at::Tensor& test,
                const at::Tensor& responses,
                const FoldScaling& scaling,
                Index fold,
                const PlsWanted& wanted,
                at::Tensor scores,       // (n_count, t)
                at::Tensor predictions)  // (n_test, t) or undefined
{
  const Index n_target = responses.size(1);
  const Index n_found = found.x_scores.size(0);
  const at::Tensor averaging = averaging_rows(found, counts);
  const at::Tensor test_scores = found.x_scores.index_select(1, test).t().contiguous();
  const at::Tensor trains = (counts > 0).to(at::kDouble).unsqueeze(1);
  const Index n_block = (n_target + kTargetBlock - 1) / kTargetBlock;
  for_each_task(n_block, responses.is_cpu(), [&](Index block) {
    const Index first = block * kTargetBlock;
    const Index width = std::min(kTargetBlock, n_target - first);
    const at::Tensor y = standardised_columns(responses, scaling, fold, first, width);
    const at::Tensor measured = y.index_select(0, test);
    const at::Tensor rounding = kRounding * (y * trains).abs().amax(0);
    const at::Tensor loadings = at::mm(averaging, y);
    at::Tensor predicted = at::zeros_like(measured);
    Index done = 0;
    for (std::size_t c = 0; c < wanted.counts.size(); ++c) {
      const Index upto = std::min(wanted.counts[c], n_found);
      predicted +=
          at::mm(test_scores.narrow(1, done, upto - done), loadings.narrow(0, done, upto - done));
      done = upto;
      scores[static_cast<Index>(c)]
          .narrow(0, first, width)
          .copy_(score_columns(measured, predicted, rounding, wanted.score));
    }
    if (predictions.defined()) {
      predictions.narrow(1, first, width)
          .copy_(predicted * scaling.std[fold].narrow(0, first, width) +
                 scaling.mean[fold].narrow(0, first, width));
    }
  });
}

void check_folds(const std::vector<Fold>& folds, Index n_comp, Index n_feat) {
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  for (std::size_t f = 0; f < folds.size(); ++f) {
    DNNBRAIN_REQUIRE(folds[f].test.numel() >= 1, "fold ", f, " holds out nothing.");
    const Index most = std::min(folds[f].train.numel() - 1, n_feat);
    DNNBRAIN_REQUIRE(n_comp >= 1 && n_comp <= most,
                     "n_components must be from 1 to ",
                     most,
                     ", the rank that the training set of fold ",
                     f,
                     " can have; got ",
                     n_comp,
                     ". Use fewer components.");
  }
}

void check_wanted(const PlsWanted& wanted, Index n_comp) {
  DNNBRAIN_REQUIRE(!wanted.counts.empty() && wanted.counts.front() >= 1 &&
                       wanted.counts.back() == n_comp &&
                       std::is_sorted(wanted.counts.begin(), wanted.counts.end()),
                   "component counts must ascend from 1 or more to ",
                   n_comp,
                   ".");
}

void check_arguments(const at::Tensor& rows,
                     const at::Tensor& responses,
                     const std::vector<Fold>& folds,
                     const PlsWanted& wanted,
                     Index n_comp,
                     Index n_feat) {
  check_pls_data(rows, responses);
  check_folds(folds, n_comp, n_feat);
  check_wanted(wanted, n_comp);
}

/// Bytes that the products of one fold keep for data of this width.
Index bytes_of_products(Index n, Index width, bool scale) {
  if (2 * width <= n) return 16 * n * width;
  return scale ? 8 * n * n : 0;
}

/// Makes the products of the features for some of the folds.
using ProductsOf = std::function<std::unique_ptr<FoldProducts>(const at::Tensor& counts)>;

PlsHeldOut cross_validate(const ProductsOf& x_products,
                          const at::Tensor& responses,
                          const std::vector<Fold>& folds,
                          const PlsOptions& options,
                          const PlsWanted& wanted,
                          Index bytes_per_fold,
                          Index max_bytes,
                          Monitor& monitor) {
  const Index n_fold = static_cast<Index>(folds.size());
  const Index n_target = responses.size(1);
  const Index folds_at_once =
      std::clamp<Index>(max_bytes / std::max<Index>(bytes_per_fold, 1), 1, n_fold);
  const at::Tensor counts = training_counts(folds, responses.size(0));
  const FoldScaling y_scaling = fold_scaling(responses, counts, options.scale);

  PlsHeldOut out;
  out.scores =
      at::empty({static_cast<Index>(wanted.counts.size()), n_fold, n_target}, counts.options());
  out.n_found = at::zeros({n_fold}, at::kLong);
  out.n_iter = at::zeros({n_fold, options.n_comp}, at::kLong);
  monitor.start(n_fold);
  for (Index first = 0; first < n_fold; first += folds_at_once) {
    const Index count = std::min(folds_at_once, n_fold - first);
    const at::Tensor some_counts = counts.narrow(0, first, count);
    const FoldScaling some_y = some_folds(y_scaling, first, count);
    const auto x = x_products(some_counts);
    const auto y = fold_products(responses,
                                 some_counts,
                                 some_y,
                                 options.scale,
                                 expected_products(options, n_target),
                                 monitor);
    const auto found = pls_components(*x, *y, some_counts, responses, some_y, options, monitor);
    for (Index i = 0; i < count; ++i) {
      const Index f = first + i;
      const PlsComponents& components = found[static_cast<std::size_t>(i)];
      const at::Tensor& test = folds[static_cast<std::size_t>(f)].test;
      at::Tensor predictions;
      if (wanted.predictions) {
        predictions = at::empty({test.size(0), n_target}, responses.options());
        out.predictions.push_back(predictions);
      }
      score_fold(components,
                 some_counts[i],
                 test,
                 responses,
                 some_y,
                 i,
                 wanted,
                 out.scores.select(1, f),
                 predictions);
      const Index n_found = static_cast<Index>(components.n_iter.size());
      out.n_found[f] = n_found;
      out.n_iter[f].narrow(0, 0, n_found).copy_(at::tensor(components.n_iter, at::kLong));
      monitor.step();
    }
  }
  return out;
}

}  // namespace

PlsHeldOut cross_validate_pls(const at::Tensor& features,
                              const at::Tensor& responses,
                              const std::vector<Fold>& folds,
                              const PlsOptions& options,
                              const PlsWanted& wanted,
                              Index max_bytes,
                              Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_arguments(features, responses, folds, wanted, options.n_comp, features.size(1));
  const Index n = features.size(0);
  const Index n_product = expected_products(options, responses.size(1));
  const Index per_fold = bytes_of_products(n, features.size(1), options.scale) +
                         bytes_of_products(n, responses.size(1), options.scale) +
                         24 * features.size(1);
  const auto products = [&](const at::Tensor& counts) {
    const FoldScaling scaling = fold_scaling(features, counts, options.scale);
    return fold_products(features, counts, scaling, options.scale, n_product, monitor);
  };
  return cross_validate(products, responses, folds, options, wanted, per_fold, max_bytes, monitor);
}

PlsHeldOut cross_validate_pls_gram(const at::Tensor& gram,
                                   const at::Tensor& responses,
                                   const std::vector<Fold>& folds,
                                   const PlsOptions& options,
                                   const PlsWanted& wanted,
                                   Index max_bytes,
                                   Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(
      gram.dim() == 2 && gram.size(0) == gram.size(1) && gram.scalar_type() == at::kDouble,
      "gram must be a square float64 matrix.");
  check_arguments(
      gram, responses, folds, wanted, options.n_comp, std::numeric_limits<Index>::max());
  const Index per_fold = bytes_of_products(gram.size(0), responses.size(1), options.scale);
  const auto products = [&](const at::Tensor& counts) { return fold_products(gram, counts); };
  return cross_validate(products, responses, folds, options, wanted, per_fold, max_bytes, monitor);
}

}  // namespace dnnbrain
