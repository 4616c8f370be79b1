#include "dnnbrain/tensor/pcr.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/full.h>
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

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The components of a fold, and what scoring needs of the held-out ones.
struct ScoringComponents {
  at::Tensor values;     // (k,) eigenvalues, 0 for those that are rounding
  at::Tensor train;      // (n_train, k) scores
  at::Tensor test;       // (n_test, k) scores, about the mean of the held-out rows
  at::Tensor test_mean;  // (k, 1) that mean
  at::Tensor inner;      // (k, k) test' test below the diagonal
  at::Tensor inner_sq;   // (k, 1) its diagonal
};

ScoringComponents describe(const FoldComponents& components) {
  const at::Tensor mean = components.test.mean(0, /*keepdim=*/true);
  const at::Tensor about = components.test - mean;
  const at::Tensor inner = at::matmul(about.t(), about);
  return {components.values,
          components.train,
          about,
          mean.t(),
          inner.tril(-1),
          inner.diagonal().unsqueeze(1)};
}

/// Scores of every penalty and count for a tile of targets, (n_alpha, n_count, n_tile).
void score_tile(const ScoringComponents& components,
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

void check_arguments(const FoldSource& source,
                     const at::Tensor& responses,
                     const std::vector<Fold>& folds,
                     const PcrGrid& grid) {
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == source.data.size(0),
                   "responses must have shape (n_stim, n_vox) with n_stim == ",
                   source.data.size(0),
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
        *fewest >= 1 && *most < n_train && *most <= source.data.size(1),
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

}  // namespace

at::Tensor cross_validate_pcr(const FoldSource& source,
                              const at::Tensor& responses,
                              const std::vector<Fold>& folds,
                              const PcrGrid& grid,
                              Score score,
                              Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_source(source);
  check_arguments(source, responses, folds, grid);
  const bool on_cpu = responses.is_cpu();
  const Index n_vox = responses.size(1);
  const auto n_fold = static_cast<Index>(folds.size());
  const Index k = *std::max_element(grid.n_comps.begin(), grid.n_comps.end());
  const Index tile = on_cpu ? kTargetTile : kDeviceTargetTile;
  const Index n_tile = (n_vox + tile - 1) / tile;
  const Index n_worker = on_cpu ? at::get_num_threads() : 1;
  const FoldSchedule schedule = schedule_folds(source, folds);
  at::Tensor counts = at::tensor(grid.n_comps, at::kLong) - 1;
  counts = counts.to(responses.device());
  at::Tensor scores = at::zeros({n_fold,
                                 static_cast<Index>(grid.alphas.size()),
                                 static_cast<Index>(grid.n_comps.size()),
                                 n_vox},
                                responses.options().dtype(at::kDouble));

  monitor.start(n_fold * n_vox);
  for (Index first_fold = 0; first_fold < n_fold; first_fold += schedule.at_once) {
    const Index n_here = std::min(schedule.at_once, n_fold - first_fold);
    std::vector<ScoringComponents> components(static_cast<std::size_t>(n_here));
    for_each_fold(schedule, first_fold, first_fold + n_here, [&](Index fold) {
      components[static_cast<std::size_t>(fold - first_fold)] =
          describe(fold_components(source, folds[static_cast<std::size_t>(fold)], k));
    });
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

}  // namespace dnnbrain
