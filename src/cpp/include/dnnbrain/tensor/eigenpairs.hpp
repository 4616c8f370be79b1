// Eigenvalues and eigenvectors of a symmetric matrix of moderate size, many of which are decomposed
// side by side. The matrix is reduced to a tridiagonal T (tridiagonal.hpp).
//
// All pairs of T: divide_and_conquer.hpp. For the largest few, eigenvalues come from bisection on
// Sturm counts, and eigenvectors from inverse iteration from random starts,
//
//   (T - l_j) x_j = start_j,   X = qr(x_1 .. x_k),   X' T X = S diag(l) S',   vectors Q X S
//
// where the last step (Rayleigh-Ritz) parts those that lie too close for inverse iteration.
//
// Results are checked: residuals, that vectors are orthogonal, values against those of bisection.
// Where a check fails, and for large matrices, which want all threads, ATen decomposes the whole.
// Cost: 4/3 n^3 FLOP to T, 4/3 n^3 for all pairs of it, 2 n^2 k for k vectors of the matrix.
//
// Sources: Parlett (1998), The symmetric eigenvalue problem, chapters 3, 4, 7 and 11.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct Eigenpairs {
  at::Tensor values;   // (k,)
  at::Tensor vectors;  // (n, k) orthonormal columns, of any sign
};

// `matrix` (n, n) fp64, symmetric. On the CPU the same bits for any number of threads if called
// from a task.

/// In ascending order.
Eigenpairs all_eigenpairs(const at::Tensor& matrix);

/// The k <= n largest, in descending order.
Eigenpairs top_eigenpairs(const at::Tensor& matrix, Index k);

}  // namespace dnnbrain
