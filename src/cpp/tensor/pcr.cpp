#include "dnnbrain/tensor/pcr.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Targets per task: what is formed for a tile stays a few megabytes.
constexpr Index kTargetTile = 256;

/// A GPU wants more at a time.
constexpr Index kDeviceTargetTile = 8192;

/// Tiles that each thread does between two looks at the monitor.
constexpr Index kTilesPerStep = 16;

/// Up to this order, a decomposition on one thread per fold beats one on all threads; beyond, it
/// would take too much memory, and too long between two looks at the monitor.
constexpr Index kFoldsInParallel = 2048;

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

/// Rounding of a sum of squares over many units, in units of the last place.
constexpr double kOffsetRounding = 256;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The components of one fold's training rows, strongest first.
struct FoldComponents {
  at::Tensor values;     // (k,) eigenvalues, 0 for those that are rounding
  at::Tensor train;      // (n_train, k) scores
  at::Tensor test;       // (n_test, k) scores, about the mean of the held-out rows
  at::Tensor test_mean;  // (k, 1) that mean
  at::Tensor inner;      // (k, k) test' test below the diagonal
  at::Tensor inner_sq;   // (k, 1) its diagonal
};

struct TopEigenpairs {
  at::Tensor values;   // (k,) descending; 0 for those that are rounding
  at::Tensor vectors;  // (m, k)
};

/// `offset` is the size of what was taken off the matrix, which leaves its own rounding.
TopEigenpairs top_eigenpairs(const at::Tensor& matrix, Index k, double offset) {
  const Index m = matrix.size(0);
  const auto [all_values, all_vectors] = at::linalg_eigh(matrix);
  const at::Tensor values = all_values.narrow(0, m - k, k).flip(0);
  const double scale =
      std::max(0.0, values[0].item<double>()) + kOffsetRounding * std::max(0.0, offset);
  const double floor = static_cast<double>(m) * std::numeric_limits<double>::epsilon() * scale;
  return {at::where(values > floor, values, at::zeros_like(values)),
          all_vectors.narrow(1, m - k, k).flip(1)};
}

/// 1 / x, and 0 where x is.
at::Tensor inverse_or_zero(const at::Tensor& x) {
  return at::where(x > 0, x.reciprocal(), at::zeros_like(x));
}

FoldComponents describe(const at::Tensor& values, const at::Tensor& train, const at::Tensor& test) {
  FoldComponents out;
  out.values = values;
  out.train = train;
  const at::Tensor mean = test.mean(0, /*keepdim=*/true);
  out.test = test - mean;
  out.test_mean = mean.t();
  const at::Tensor inner = at::matmul(out.test.t(), out.test);
  out.inner = inner.tril(-1);
  out.inner_sq = inner.diagonal().unsqueeze(1);
  return out;
}

FoldComponents components_from_gram(const at::Tensor& gram, const Fold& fold, Index k) {
  const at::Tensor k_train = gram.index_select(0, fold.train).index_select(1, fold.train);
  const at::Tensor k_test = gram.index_select(0, fold.test).index_select(1, fold.train);
  const at::Tensor column_mean = k_train.mean(0, /*keepdim=*/true);
  const at::Tensor grand_mean = column_mean.mean();
  const at::Tensor centred = k_train - column_mean - column_mean.t() + grand_mean;
  const at::Tensor test = k_test - k_test.mean(1, /*keepdim=*/true) - column_mean + grand_mean;
  // What centring takes off is the same in all entries, and so n_train times as large in an
  // eigenvalue; the factor of the floor accounts for it.
  const auto [values, vectors] = top_eigenpairs(centred, k, grand_mean.item<double>());
  const at::Tensor root = values.sqrt();
  return describe(values, vectors * root, at::matmul(test, vectors) * inverse_or_zero(root));
}

FoldComponents components_from_units(const at::Tensor& units, const Fold& fold, Index k) {
  at::Tensor train = units.index_select(0, fold.train).to(at::kDouble);
  at::Tensor test = units.index_select(0, fold.test).to(at::kDouble);
  // About the first row before about the mean: a unit without variance leaves nothing.
  const at::Tensor first = train[0].clone();
  train -= first;
  const at::Tensor to_mean = train.mean(0);
  train -= to_mean;
  test -= first;
  test -= to_mean;
  const auto [values, vectors] = top_eigenpairs(symmetric_product(train.t()), k, /*offset=*/0);
  const at::Tensor kept = vectors * (values > 0);
  return describe(values, at::matmul(train, kept), at::matmul(test, kept));
}

/// Scores of every penalty and count for a tile of targets, (n_alpha, n_count, n_tile).
void score_tile(const FoldComponents& components,
                const at::Tensor& train,  // (n_train, n_tile) fp64
                const at::Tensor& test,   // (n_test, n_tile) fp64
                const std::vector<double>& alphas,
                const at::Tensor& counts,  // (n_count,) less one: rows of running sums
                Score score,
                const at::Tensor& out) {
  const at::Tensor mean = train.mean(0);
  const at::Tensor y_train = train - mean;
  const at::Tensor about = test - mean;
  const at::Tensor y_mean = about.mean(0);
  const at::Tensor y = about - y_mean;
  const at::Tensor yy = (y * y).sum(0);
  const auto n_test = static_cast<double>(test.size(0));
  // A constant column leaves the rounding of its mean.
  const at::Tensor varies = (test != test.select(0, 0)).any(0);
  const at::Tensor still = kRounding * y_train.abs().amax(0);

  const at::Tensor cross = at::matmul(components.train.t(), y_train);  // (k, n_tile)
  const at::Tensor with_y = at::matmul(components.test.t(), y);        // (k, n_tile)
  for (std::size_t a = 0; a < alphas.size(); ++a) {
    const at::Tensor weight = at::where(components.values > 0,
                                        (components.values + alphas[a]).reciprocal(),
                                        at::zeros_like(components.values));
    const at::Tensor p = cross * weight.unsqueeze(1);
    const at::Tensor py = (p * with_y).cumsum(0).index_select(0, counts);
    const at::Tensor before = at::matmul(components.inner, p);
    const at::Tensor pp = (p * (2.0 * before + components.inner_sq * p))
                              .cumsum(0)
                              .index_select(0, counts)
                              .clamp_min(0.0);
    const at::Tensor nan = at::full({}, kNaN, yy.options());
    at::Tensor scores;
    if (score == Score::kPearson) {
      // A constant prediction does not covary with anything: r = 0.
      const at::Tensor r = at::where(pp > n_test * still * still,
                                     (py / (pp.sqrt() * yy.sqrt())).clamp(-1.0, 1.0),
                                     at::zeros_like(pp));
      scores = at::where(varies, r, nan);
    } else {
      const at::Tensor p_mean = (p * components.test_mean).cumsum(0).index_select(0, counts);
      const at::Tensor offset = y_mean - p_mean;
      const at::Tensor sse = yy - 2.0 * py + pp + n_test * offset * offset;
      scores = score == Score::kR2 ? at::where(varies, 1.0 - sse / yy, nan) : -sse / n_test;
    }
    out[static_cast<Index>(a)].copy_(scores);
  }
}

void check_arguments(const at::Tensor& rows,
                     const at::Tensor& responses,
                     const std::vector<Fold>& folds,
                     const PcrGrid& grid,
                     Index n_feat) {
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == rows.size(0),
                   "responses must have shape (n_stim, n_vox) with n_stim == ",
                   rows.size(0),
                   ".");
  DNNBRAIN_REQUIRE(responses.is_floating_point(),
                   "responses must be floating point; got ",
                   responses.dtype().name(),
                   ".");
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  DNNBRAIN_REQUIRE(!grid.n_comps.empty() && !grid.alphas.empty(),
                   "there must be at least one component count and one penalty.");
  for (const double alpha : grid.alphas) {
    DNNBRAIN_REQUIRE(std::isfinite(alpha) && alpha >= 0,
                     "penalties must be finite and not negative; got ",
                     alpha,
                     ".");
  }
  const auto [fewest, most] = std::minmax_element(grid.n_comps.begin(), grid.n_comps.end());
  for (std::size_t i = 0; i < folds.size(); ++i) {
    const Index n_train = folds[i].train.numel();
    DNNBRAIN_REQUIRE(folds[i].test.numel() >= 2,
                     "each fold must hold out at least 2 stimuli; fold ",
                     i,
                     " holds out ",
                     folds[i].test.numel(),
                     ". Use fewer folds.");
    DNNBRAIN_REQUIRE(
        *fewest >= 1 && *most < n_train && *most <= n_feat,
        "n_components must be at least 1, less than the number of training stimuli and at most the "
        "number of features; got ",
        *fewest < 1 ? *fewest : *most,
        " with ",
        n_train,
        " training stimuli in fold ",
        i,
        ".");
  }
}

/// `decompose(fold, k)` gives the components of a fold; `order` is that of its eigenproblem.
template <class Decompose>
at::Tensor cross_validate(const at::Tensor& responses,
                          const std::vector<Fold>& folds,
                          const PcrGrid& grid,
                          Score score,
                          Index order,
                          Monitor& monitor,
                          const Decompose& decompose) {
  const bool on_cpu = responses.is_cpu();
  const Index n_vox = responses.size(1);
  const auto n_fold = static_cast<Index>(folds.size());
  const Index k = *std::max_element(grid.n_comps.begin(), grid.n_comps.end());
  const Index tile = on_cpu ? kTargetTile : kDeviceTargetTile;
  const Index n_tile = (n_vox + tile - 1) / tile;
  const Index n_worker = on_cpu ? at::get_num_threads() : 1;
  const bool together = on_cpu && order <= kFoldsInParallel;
  const Index n_group = together ? std::max<Index>(n_worker, 1) : 1;
  at::Tensor counts = at::tensor(grid.n_comps, at::kLong) - 1;
  counts = counts.to(responses.device());
  at::Tensor scores = at::zeros({n_fold,
                                 static_cast<Index>(grid.alphas.size()),
                                 static_cast<Index>(grid.n_comps.size()),
                                 n_vox},
                                responses.options().dtype(at::kDouble));

  monitor.start(n_fold * n_vox);
  for (Index first_fold = 0; first_fold < n_fold; first_fold += n_group) {
    const Index n_here = std::min(n_group, n_fold - first_fold);
    std::vector<FoldComponents> components(static_cast<std::size_t>(n_here));
    const auto decompose_one = [&](Index i) {
      components[static_cast<std::size_t>(i)] =
          decompose(folds[static_cast<std::size_t>(first_fold + i)], k);
    };
    if (together) {
      for_each_task(n_here, /*parallel=*/true, decompose_one);
    } else {
      decompose_one(0);
    }
    const Index n_task = n_here * n_tile;
    for (Index first_task = 0; first_task < n_task; first_task += n_worker * kTilesPerStep) {
      const Index n_step = std::min(n_worker * kTilesPerStep, n_task - first_task);
      for_each_task(n_step, on_cpu, [&](Index i) {
        const Index local = (first_task + i) / n_tile;
        const Index first = (first_task + i) % n_tile * tile;
        const Index width = std::min(tile, n_vox - first);
        const Fold& fold = folds[static_cast<std::size_t>(first_fold + local)];
        const at::Tensor block = responses.narrow(1, first, width);
        score_tile(components[static_cast<std::size_t>(local)],
                   block.index_select(0, fold.train).to(at::kDouble),
                   block.index_select(0, fold.test).to(at::kDouble),
                   grid.alphas,
                   counts,
                   score,
                   scores[first_fold + local].narrow(2, first, width));
      });
      monitor.step(std::min(n_step * tile, n_here * n_vox));
    }
  }
  return scores;
}

}  // namespace

at::Tensor cross_validate_pcr(const at::Tensor& gram,
                              const at::Tensor& responses,
                              const std::vector<Fold>& folds,
                              const PcrGrid& grid,
                              Score score,
                              Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(
      gram.dim() == 2 && gram.size(0) == gram.size(1) && gram.scalar_type() == at::kDouble,
      "gram must be a square float64 matrix.");
  check_arguments(gram, responses, folds, grid, gram.size(0));
  return cross_validate(
      responses, folds, grid, score, gram.size(0), monitor, [&](const Fold& fold, Index k) {
        return components_from_gram(gram, fold, k);
      });
}

at::Tensor cross_validate_pcr_units(const at::Tensor& units,
                                    const at::Tensor& responses,
                                    const std::vector<Fold>& folds,
                                    const PcrGrid& grid,
                                    Score score,
                                    Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(units.dim() == 2 && units.is_floating_point(),
                   "units must be a floating point matrix.");
  check_arguments(units, responses, folds, grid, units.size(1));
  return cross_validate(
      responses, folds, grid, score, units.size(1), monitor, [&](const Fold& fold, Index k) {
        return components_from_units(units, fold, k);
      });
}

}  // namespace dnnbrain
