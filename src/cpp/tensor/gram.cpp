#include "dnnbrain/tensor/gram.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Bytes of the units that are centred together: they stay in a core's cache.
constexpr Index kBlockBytes = Index{256} << 10;

}  // namespace

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
  const at::TensorOptions options = chunk.options().dtype(at::kDouble);
  const Index n_unit = chunk.size(1);
  const Index block_size = std::clamp<Index>(kBlockBytes / (8 * n_stim_), 16, 512);
  const Index n_block = (n_unit + block_size - 1) / block_size;
  if (moments_.n_feat == 0) {
    moments_.centred = at::zeros({n_stim_, n_stim_}, options);
    moments_.row_sum = at::zeros({n_stim_}, options);
    moments_.mean_dot = at::zeros({n_stim_}, options);
    moments_.pilot = chunk.mean(at::kDouble).item<double>();
  }
  const at::Tensor mean = at::empty({n_unit}, options);
  const at::Tensor about_pilot = at::empty({n_unit}, options);
  const at::Tensor row_sums = at::empty({n_block, n_stim_}, options);
  const at::Tensor mean_dots = at::empty({n_block, n_stim_}, options);
  for_each_task(n_block, chunk.is_cpu(), [&](Index block) {
    const Index first = block * block_size;
    const Index width = std::min(block_size, n_unit - first);
    // About the first stimulus before about the mean, so that a unit without variance adds nothing,
    // not even the rounding of its mean.
    const at::Tensor rows = chunk.narrow(1, first, width).to(at::kDouble, false, /*copy=*/true);
    const at::Tensor origin = rows[0].clone();
    rows.sub_(origin);
    const at::Tensor to_mean = rows.mean(0);
    rows.sub_(to_mean);
    const at::Tensor own = origin + to_mean;
    const at::Tensor about = own - moments_.pilot;
    mean.narrow(0, first, width).copy_(own);
    about_pilot.narrow(0, first, width).copy_(about);
    row_sums[block].copy_(rows.sum(1));
    mean_dots[block].copy_(rows.mv(about));
  });
  const bool as_it_is = chunk.scalar_type() == at::kDouble || chunk.scalar_type() == at::kFloat;
  add_lower_product(moments_.centred, {as_it_is ? chunk : chunk.to(at::kFloat), {}, mean});
  mirrored_ = false;
  moments_.row_sum += row_sums.sum(0);
  moments_.mean_dot += mean_dots.sum(0);
  moments_.mean_sum += about_pilot.sum().item<double>();
  moments_.mean_sq += (about_pilot * about_pilot).sum().item<double>();
  moments_.n_feat += n_unit;
}

const GramMoments& GramAccumulator::moments() {
  if (mirrored_) return moments_;
  mirrored_ = true;
  const at::Tensor& centred = moments_.centred;
  mirror_lower(centred);
  // Means of units with a large offset are rounded to its digits: what they are off by goes here.
  // Both means are added before they are taken off, so that what is symmetric stays so.
  const at::Tensor mean = centred.mean(1);
  centred.sub_((mean.unsqueeze(1) + mean).sub_(mean.mean()));
  return moments_;
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
