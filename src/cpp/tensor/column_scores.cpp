#include "dnnbrain/tensor/column_scores.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

namespace dnnbrain {

at::Tensor score_columns(const at::Tensor& measured,
                         const at::Tensor& predicted,
                         const at::Tensor& rounding,
                         Score score) {
  if (score == Score::kMse) {
    const at::Tensor residual = measured - predicted;
    return -(residual * residual).mean(0);
  }
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
  const at::Tensor r = at::where(
      p.abs().amax(0) > rounding, (p * y).sum(0) / (pp.sqrt() * yy.sqrt()), at::zeros_like(pp));
  return at::where(varies, r.clamp(-1.0, 1.0), nan);
}

}  // namespace dnnbrain
