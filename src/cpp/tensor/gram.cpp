#include "dnnbrain/tensor/gram.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

GramAccumulator::GramAccumulator(Index n_stim) : n_stim_(n_stim) {
  DNNBRAIN_REQUIRE(n_stim >= 1, "a Gram matrix needs at least one stimulus; got ", n_stim, ".");
}

void GramAccumulator::add(const at::Tensor& chunk) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(chunk.dim() == 2 && chunk.size(0) == n_stim_,
                   "a chunk of units must have shape (",
                   n_stim_,
                   ", n_units); got ",
                   chunk.dim(),
                   " axes, the first of length ",
                   chunk.dim() > 0 ? chunk.size(0) : 0,
                   ".");
  DNNBRAIN_REQUIRE(
      chunk.is_floating_point(), "units must be floating point; got ", chunk.dtype().name(), ".");
  if (chunk.size(1) == 0) return;
  const at::Tensor x = chunk.to(at::kDouble);
  // About the first stimulus before about the mean, so that a unit without variance adds nothing,
  // not even the rounding of its mean.
  at::Tensor centred = x - x[0];
  const at::Tensor to_mean = centred.mean(0);
  const at::Tensor mean = x[0] + to_mean;
  centred -= to_mean;
  if (moments_.n_feat == 0) {
    moments_.centred = at::zeros({n_stim_, n_stim_}, x.options());
    moments_.row_sum = at::zeros({n_stim_}, x.options());
    moments_.mean_dot = at::zeros({n_stim_}, x.options());
    moments_.pilot = mean.mean().item<double>();
  }
  const at::Tensor about_pilot = mean - moments_.pilot;
  moments_.centred.addmm_(centred, centred.t());
  moments_.row_sum += centred.sum(1);
  moments_.mean_dot += centred.mv(about_pilot);
  moments_.mean_sum += about_pilot.sum().item<double>();
  moments_.mean_sq += (about_pilot * about_pilot).sum().item<double>();
  moments_.n_feat += chunk.size(1);
}

GramMoments gram_moments(const at::Tensor& features, Index chunk_bytes) {
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.size(1) > 0,
                   "features must have shape (n_stim, n_feat) with n_feat > 0; got ",
                   features.dim(),
                   " axes and ",
                   features.numel(),
                   " values.");
  const Index n_stim = features.size(0);
  const Index n_feat = features.size(1);
  const Index step = std::max<Index>(1, chunk_bytes / (8 * std::max<Index>(n_stim, 1)));
  GramAccumulator accumulator(n_stim);
  for (Index first = 0; first < n_feat; first += step) {
    accumulator.add(features.narrow(1, first, std::min(step, n_feat - first)));
  }
  return accumulator.moments();
}

}  // namespace dnnbrain
