// One step of incremental PCA (Ross, Lim, Lin & Yang 2008), through a Gram matrix.
//
// The step takes the singular value decomposition of the stack
//
//   A = [ S V ; X - m_b ; sqrt(N m / (N + m)) (mean - m_b) ]         (r + m + 1, n_feat)
//
// of the old components V with their singular values S, the batch X about its mean m_b, and the
// shift of the mean, N rows having been seen. V is orthonormal, so that only two blocks of A A'
// are new,
//
//   A A' = [ S^2    .        ]
//          [ D V'S  D D'     ]       D the last m + 1 rows
//
// and with A A' = E L E' the new components are L^-1/2 E' A. All in fp64, but for the products of
// D where the batch is fp32: its entries about the first row are as exact as the data, and sums run
// over 1024 columns before they are added in fp64.
//
// Cost: n_feat ((m + 1)^2 + 2 (m + 1) r + 2 (r + m + 1) k) FLOP and an eigendecomposition of
// r + m + 1, where a singular value decomposition takes some 6 n_feat (r + m + 1)^2. Memory beside
// the result: 16 Gram matrices and a chunk of columns per thread. Squaring costs digits: a singular
// value comes out to eps s_1 (s_1 / s).
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct IncrementalPcaState {
  Index n_seen = 0;       // rows so far; 0 at the start, when the tensors are not read
  at::Tensor mean;        // (n_feat,) fp64
  at::Tensor variance;    // (n_feat,) fp64, about the mean, over n_seen
  at::Tensor values;      // (r,) fp64 singular values, descending
  at::Tensor components;  // (r, n_feat) fp64, orthonormal rows; 0 where the value is 0
};

/// The state after another batch, with all r + m + 1 singular values (m at the start) and up to
/// `n_comp` components. A component whose singular value is rounding is zero, and so is the value.
IncrementalPcaState incremental_pca_step(const IncrementalPcaState& state,
                                         const at::Tensor& batch,  // (m, n_feat) fp32 or fp64
                                         Index n_comp);

}  // namespace dnnbrain
