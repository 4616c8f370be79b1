// The regression of an RDM on the units of a layer, without its design matrix.
//
// A pair (i, j) of n conditions has one predictor for each of p units,
//
//   d_k(ij) = (x_ik - x_jk)^2     squared differences
//   d_k(ij) = x_ik x_jk           products
//
// which makes a design D of m = n (n - 1) / 2 rows and p columns. All that least squares takes of
// it has a closed form. With centred columns of X for squared differences, Q = X o X and s the
// column sums of Q:
//
//                 squared differences                     products
//   D'D           n Q'Q + s s' + 2 (X'X) o (X'X)          [(X'X) o (X'X) - Q'Q] / 2
//   1'D           n s                                     [(1'X) o (1'X) - s] / 2
//   D'y           sum_i q_ik (Y 1)_i - x_k'Y x_k          x_k'Y x_k / 2
//   D w           g_ii + g_jj - 2 g_ij                    g_ij,    G = X diag(w) X'
//
// with Y the symmetric RDM of y, zero on the diagonal. D'D costs 2 n p^2 FLOP instead of n^2 p^2 /
// 2 and no memory but its own. Scaled designs Z = (D - 1 mean') / std follow from the same sums.
// Everything is fp64; works on any device.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

enum class PairKind { kSquaredDifference, kProduct };

/// Means over pairs of the predictors, and one over their standard deviations (of m, not m - 1);
/// 0 for a predictor that does not vary. O(n p).
struct PairScaling {
  at::Tensor mean;           // (p,)
  at::Tensor inverse_scale;  // (p,)
};

PairScaling pair_scaling(const at::Tensor& x,  // (n, p)
                         PairKind kind);

/// D'D.
at::Tensor pair_gram(const at::Tensor& x,  // (n, p)
                     PairKind kind);       // -> (p, p)

/// Z'Z.
at::Tensor scaled_pair_gram(const at::Tensor& x,         // (n, p)
                            const PairScaling& scaling,  // of x
                            PairKind kind);              // -> (p, p)

/// D'y. 2 T n^2 p FLOP.
at::Tensor pair_products(const at::Tensor& x,     // (n, p)
                         const at::Tensor& rdms,  // (T, n, n), Y
                         PairKind kind);          // -> (T, p)

/// Z Z', for designs with fewer pairs than units; the lower triangle alone. m^2 p FLOP and blocks
/// of the design.
at::Tensor pair_kernel(const at::Tensor& x,         // (n, p)
                       const PairScaling& scaling,  // of x
                       PairKind kind);              // -> (m, m)

/// D w, condensed. 2 b n^2 p FLOP.
at::Tensor pair_predictions(const at::Tensor& x,        // (n, p)
                            const at::Tensor& weights,  // (b, p)
                            PairKind kind);             // -> (b, m)

/// Condensed vectors as symmetric matrices with a zero diagonal.
at::Tensor square_of_pairs(const at::Tensor& condensed,  // (b, m)
                           Index n);                     // -> (b, n, n)

}  // namespace dnnbrain
