#include "dnnbrain/tensor/crossval.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

/// Targets per block: predictions of a block stay a few megabytes, and a block is soon done.
constexpr Index kTargetBlock = 4096;

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

/// Rounding of a sum of squares over many units, in units of the last place.
constexpr double kOffsetRounding = 256;

/// Maps training responses to held-out predictions, both about the training mean.
at::Tensor pcr_operator(const at::Tensor& gram, const Fold& fold, Index n_comp) {
  const at::Tensor rows = gram.index_select(0, fold.train);
  const at::Tensor k_train = rows.index_select(1, fold.train);
  const at::Tensor k_test = gram.index_select(0, fold.test).index_select(1, fold.train);
  const at::Tensor column_mean = k_train.mean(0, /*keepdim=*/true);
  const at::Tensor grand_mean = column_mean.mean();
  const at::Tensor centred = k_train - column_mean - column_mean.t() + grand_mean;
  const at::Tensor test = k_test - k_test.mean(1, /*keepdim=*/true) - column_mean + grand_mean;

  const auto [values, vectors] = at::linalg_eigh(centred);
  const Index n_train = fold.train.size(0);
  const at::Tensor top = values.narrow(0, n_train - n_comp, n_comp);
  const at::Tensor u = vectors.narrow(1, n_train - n_comp, n_comp);
  // A component without variance carries nothing: its weight is zero, never a division by rounding.
  // What centring takes off leaves its own rounding, the same in all entries and so n_train times
  // as large in an eigenvalue.
  const double scale = std::max(0.0, values[n_train - 1].item<double>()) +
                       kOffsetRounding * std::max(0.0, grand_mean.item<double>());
  const double floor =
      static_cast<double>(n_train) * std::numeric_limits<double>::epsilon() * scale;
  const at::Tensor inverse = at::where(top > floor, top.reciprocal(), at::zeros_like(top));
  return at::matmul(at::matmul(test, u) * inverse, u.t());
}

/// Pearson r or R2 of each column; NaN where the measured column is constant. Predictions that vary
/// by no more than `rounding` are constant.
at::Tensor score_columns(const at::Tensor& measured,
                         const at::Tensor& predicted,
                         const at::Tensor& rounding,
                         Score score) {
  const at::Tensor y = measured - measured.mean(0);
  const at::Tensor yy = (y * y).sum(0);
  const at::Tensor nan = at::full({}, std::numeric_limits<double>::quiet_NaN(), measured.options());
  // A constant column leaves the rounding of its mean.
  const at::Tensor varies = (measured != measured.select(0, 0)).any(0);
  if (score == Score::kR2) {
    const at::Tensor residual = measured - predicted;
    return at::where(varies, 1.0 - (residual * residual).sum(0) / yy, nan);
  }
  const at::Tensor p = predicted - predicted.mean(0);
  const at::Tensor pp = (p * p).sum(0);
  // A constant prediction does not covary with anything: r = 0.
  const at::Tensor r = at::where(
      p.abs().amax(0) > rounding, (p * y).sum(0) / (pp.sqrt() * yy.sqrt()), at::zeros_like(pp));
  return at::where(varies, r.clamp(-1.0, 1.0), nan);
}

void check_arguments(const at::Tensor& gram,
                     const at::Tensor& responses,
                     const std::vector<Fold>& folds,
                     Index n_comp) {
  DNNBRAIN_REQUIRE(
      gram.dim() == 2 && gram.size(0) == gram.size(1) && gram.scalar_type() == at::kDouble,
      "gram must be a square float64 matrix.");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == gram.size(0),
                   "responses must have shape (n_stim, n_vox) with n_stim == ",
                   gram.size(0),
                   ".");
  DNNBRAIN_REQUIRE(responses.is_floating_point(),
                   "responses must be floating point; got ",
                   responses.dtype().name(),
                   ".");
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  for (std::size_t i = 0; i < folds.size(); ++i) {
    const Index n_train = folds[i].train.numel();
    DNNBRAIN_REQUIRE(folds[i].test.numel() >= 2,
                     "each fold must hold out at least 2 stimuli; fold ",
                     i,
                     " holds out ",
                     folds[i].test.numel(),
                     ". Use fewer folds.");
    DNNBRAIN_REQUIRE(
        n_comp >= 1 && n_comp < n_train,
        "n_components must be at least 1 and less than the number of training stimuli; "
        "got ",
        n_comp,
        " with ",
        n_train,
        " training stimuli in fold ",
        i,
        ".");
  }
}

}  // namespace

at::Tensor cross_validate_pcr(const at::Tensor& gram,
                              const at::Tensor& responses,
                              const std::vector<Fold>& folds,
                              Index n_comp,
                              Score score,
                              Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_arguments(gram, responses, folds, n_comp);
  const Index n_vox = responses.size(1);
  const Index n_fold = static_cast<Index>(folds.size());
  at::Tensor scores = at::zeros({n_fold, n_vox}, gram.options());

  monitor.start(n_fold * n_vox);
  for (Index f = 0; f < n_fold; ++f) {
    const Fold& fold = folds[static_cast<std::size_t>(f)];
    const at::Tensor map = pcr_operator(gram, fold, n_comp);
    for (Index first = 0; first < n_vox; first += kTargetBlock) {
      const Index n_here = std::min(kTargetBlock, n_vox - first);
      const at::Tensor block = responses.narrow(1, first, n_here);
      const at::Tensor train = block.index_select(0, fold.train).to(at::kDouble);
      const at::Tensor mean = train.mean(0);
      const at::Tensor centred = train - mean;
      const at::Tensor test = block.index_select(0, fold.test).to(at::kDouble) - mean;
      const at::Tensor rounding = kRounding * centred.abs().amax(0);
      scores[f]
          .narrow(0, first, n_here)
          .copy_(score_columns(test, at::matmul(map, centred), rounding, score));
      monitor.step(n_here);
    }
  }
  return scores;
}

}  // namespace dnnbrain
