// The n x n moments of a layer: everything that PCA, ridge, RDMs and CKA need to know of its units.
//
//   K = sum over units u of (x_u - mu_u)(x_u - mu_u)'     x_u in R^n_stim, mu_u its mean
//
// Units arrive in chunks of columns, each with all stimuli, so that the mean of a unit is exact and
// is taken off before anything is squared. Accumulation in fp64. Cost: n_stim^2 n_feat FLOP.
//
// Row-wise quantities (correlation, cosine) need the mean pattern too. It enters as sums about a
// pilot value g, so that a large common offset of all units cannot cancel digits.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct GramMoments {
  at::Tensor centred;   // (n_stim, n_stim) fp64, K above
  at::Tensor row_sum;   // (n_stim,) fp64, sum_u (x_iu - mu_u)
  at::Tensor mean_dot;  // (n_stim,) fp64, sum_u (x_iu - mu_u)(mu_u - g)
  double mean_sum = 0;  // sum_u (mu_u - g)
  double mean_sq = 0;   // sum_u (mu_u - g)^2
  double pilot = 0;     // g
  Index n_feat = 0;
};

/// Sums moments over chunks of units. The order of chunks matters only to rounding.
class GramAccumulator {
 public:
  explicit GramAccumulator(Index n_stim);

  /// Add the units of a chunk; it is not kept and not changed.
  void add(const at::Tensor& chunk);  // (n_stim, any number of units), floating point

  const GramMoments& moments();

 private:
  Index n_stim_;
  GramMoments moments_;
  bool mirrored_ = true;  // whether what lies above the diagonal is that of all chunks
};

/// Moments of a whole array, in chunks of units of at most `chunk_bytes` in fp64.
GramMoments gram_moments(const at::Tensor& features,  // (n_stim, n_feat)
                         Index chunk_bytes = Index{16} << 20);

}  // namespace dnnbrain
