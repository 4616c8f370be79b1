// Covariance of noise over channels, shrunk so that it has an inverse.
//
//   S = X'X / N                    X (N, p), residuals less their means; w = tr(S) / p
//   ledoit-wolf       (1 - s) S + s w I,  s = b2 / d2,  d2 = |S - w I|^2,
//                     b2 = min(d2, (sum_t |x_t|^4 / N - |S|^2) / N)          (Ledoit & Wolf 2004)
//   shrunk-diagonal   (1 - s) S off the diagonal,  s = sum var(r_ij) / sum r_ij^2 over i != j,
//                     clipped to [0, 1]                                   (Schaefer & Strimmer
//                     2005)
//
// and all of it times N / dof. Both sums of squares over samples and pairs of channels need only
// the rows' norms,
//   sum_ij x_ti^2 x_tj^2 = |x_t|^4,      over i != j: less sum_i x_ti^4,
// so that the estimate costs one symmetric product, N p^2 FLOP, and O(N p). fp64.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

enum class Shrinkage { kNone, kDiagonal, kLedoitWolf, kShrunkDiagonal };

struct NoiseCovariance {
  at::Tensor covariance;  // (p, p) fp64
  double shrinkage = 0;   // s; 0 for kNone, 1 for kDiagonal
};

NoiseCovariance noise_covariance(const at::Tensor& residuals,  // (N, p) fp32 or fp64
                                 Shrinkage method,
                                 double dof);  // > 0

}  // namespace dnnbrain
