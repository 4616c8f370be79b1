#include "dnnbrain/tensor/noise_covariance.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sqrt.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Sums, and factorisations, depend in their last bits on how many threads share them.
template <class Body>
void on_one_thread(const Body& body) {
  for_each_task(1, /*parallel=*/true, [&](Index) { body(); });
}

double total(const at::Tensor& values) { return values.sum().item<double>(); }

/// Weight of the identity.
double ledoit_wolf(const at::Tensor& rows, const at::Tensor& sample) {
  const double n = static_cast<double>(rows.size(0));
  const double p = static_cast<double>(rows.size(1));
  const double scale = total(sample.diagonal()) / p;
  const double length = total(sample * sample);
  const double distance = length - p * scale * scale;
  if (distance <= 0) return 1;
  const at::Tensor norms = (rows * rows).sum(1);
  const double error = (total(norms * norms) / n - length) / n;
  return std::clamp(error, 0.0, distance) / distance;
}

/// Weight of the diagonal.
double schaefer_strimmer(const at::Tensor& rows, const at::Tensor& sample) {
  const double n = static_cast<double>(rows.size(0));
  const at::Tensor scores = rows / sample.diagonal().sqrt();
  const at::Tensor squares = scores * scores;
  const at::Tensor norms = squares.sum(1);
  // Sums over i != j, of the squares of z_ti z_tj and of their means over t.
  const double of_squares = total(norms * norms) - total(squares * squares);
  const at::Tensor deviation = sample.diagonal().sqrt();
  const at::Tensor r = sample / (deviation.unsqueeze(1) * deviation.unsqueeze(0));
  const double of_means = total(r * r) - total(r.diagonal() * r.diagonal());
  if (of_means <= 0) return 1;
  // var(r_ij) = N / (N - 1)^3 (sum_t w_t^2 - N mean(w)^2) with w_t = z_ti z_tj; r_ij = N / (N - 1)
  // mean(w), where z is scaled by the same N - 1.
  const double variance = (of_squares - n * of_means) / (n * (n - 1));
  return std::clamp(variance / of_means, 0.0, 1.0);
}

}  // namespace

NoiseCovariance noise_covariance(const at::Tensor& residuals, Shrinkage method, double dof) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(residuals.dim() == 2 && residuals.size(0) >= 2 && residuals.size(1) >= 1 &&
                       residuals.is_floating_point(),
                   "residuals must be floating point of shape (n_sample, n_channel) with two "
                   "samples or more.");
  DNNBRAIN_REQUIRE(dof > 0, "degrees of freedom must be positive; got ", dof, ".");
  at::Tensor rows;
  on_one_thread([&] {
    const at::Tensor x = residuals.to(at::kDouble);
    rows = x - x.mean(0, /*keepdim=*/true);
  });
  const double n = static_cast<double>(rows.size(0));
  const at::Tensor covariance = symmetric_product(rows.t());
  double weight = 0;
  on_one_thread([&] {
    covariance.div_(n);
    const at::Tensor variances = covariance.diagonal().clone();
    switch (method) {
      case Shrinkage::kNone:
        break;
      case Shrinkage::kDiagonal:
        weight = 1;
        covariance.zero_().diagonal().copy_(variances);
        break;
      case Shrinkage::kLedoitWolf:
        weight = ledoit_wolf(rows, covariance);
        covariance.mul_(1 - weight).diagonal().add_(variances.mean(), weight);
        break;
      case Shrinkage::kShrunkDiagonal:
        weight = schaefer_strimmer(rows, covariance);
        covariance.mul_(1 - weight).diagonal().copy_(variances);
        break;
    }
    covariance.mul_(n / dof);
  });
  return {covariance, weight};
}

}  // namespace dnnbrain
