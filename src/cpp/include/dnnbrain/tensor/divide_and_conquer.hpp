// All eigenpairs of a symmetric tridiagonal matrix, by dividing it in two.
//
//   T = diag(T_1, T_2) + rho v v',   T_i = Q_i D_i Q_i'
//   T = Q (D + rho z z') Q',         z = Q'v: the last row of Q_1 and the first of Q_2
//
// D + rho z z' has as eigenvalues the roots of  1 / rho + sum_j z_j^2 / (d_j - l),  one between
// each two d_j, and as eigenvectors  z_j / (d_j - l_i).  Where z_j is nothing, or two d_j are all
// but equal, an eigenpair is known without that (deflation). Roots are found as distances from the
// nearest d_j, and vectors from the z of which they are the exact roots, so that they are
// orthogonal to rounding however close they lie. Cost: 4/3 n^3 FLOP at most, nearly all of it in
// matrix products. On one thread, on the CPU.
//
// Sources: Cuppen (1981); Gu & Eisenstat (1995); Li (1993) for the iteration.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/tensor/tridiagonal.hpp"

namespace dnnbrain {

struct TridiagonalEigenpairs {
  at::Tensor values;   // (n,) fp64 ascending
  at::Tensor vectors;  // (n, n) fp64, a column each
};

TridiagonalEigenpairs divide_and_conquer(const Tridiagonal& t);

}  // namespace dnnbrain
