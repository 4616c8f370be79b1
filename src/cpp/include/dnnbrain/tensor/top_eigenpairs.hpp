// The largest eigenvalues of a symmetric matrix and their eigenvectors.
//
// For few of many, the matrix is reduced to a tridiagonal T (tridiagonal.hpp); its eigenvalues come
// from bisection on Sturm counts, and its eigenvectors from inverse iteration from random starts,
//
//   (T - l_j) x_j = start_j,   X = qr(x_1 .. x_k),   X' T X = S diag(l) S',   vectors Q X S
//
// where the last step (Rayleigh-Ritz) parts those that lie too close for inverse iteration. The
// result is checked: each pair's residual, and its value against the one of bisection. What does
// not hold, and what asks for many pairs, is decomposed whole. Cost: 4/3 n^3 FLOP, and 4 n^2 k for
// the vectors, in place of 9 n^3 or so; no more memory than the matrix again.
//
// Sources: Parlett (1998), The symmetric eigenvalue problem, chapters 3, 4, 7 and 11.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct TopEigenpairs {
  at::Tensor values;   // (k,) descending
  at::Tensor vectors;  // (n, k) orthonormal columns, of any sign
};

/// `matrix` (n, n) fp64, symmetric; k <= n. On the CPU the same bits for any number of threads if
/// called from a task.
TopEigenpairs top_eigenpairs(const at::Tensor& matrix, Index k);

}  // namespace dnnbrain
