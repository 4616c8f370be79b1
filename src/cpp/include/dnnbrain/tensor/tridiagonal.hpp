// A symmetric matrix as a tridiagonal one:  A = Q T Q',  Q a product of Householder reflections.
//
// Rows are reduced from the last to the first, so that row i of the lower triangle, which lies in
// one piece, is what reflection H_i = I - tau_i v_i v_i' acts on:
//
//   T = H_1 .. H_(n-1) A H_(n-1) .. H_1,   v_i in the first i coordinates, its last entry 1
//
// Reflections are gathered in blocks; what they do to the rest of A is one product of rank 2 b a
// block (Dongarra, Sorensen & Hammarling 1989), and what they do to vectors is
// I - V' M V with M triangular (Schreiber & Van Loan 1989).
//
// Cost: 4/3 n^3 FLOP, half of them products of A with one vector, for which half of A is read each
// time. On one thread, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// T: diagonal, and off-diagonal. That of a Lanczos process leads out of the basis at its end.
struct Tridiagonal {
  std::vector<double> diagonal;  // (d,)
  std::vector<double> off;       // (d,) or (d - 1,)

  Index size() const { return static_cast<Index>(diagonal.size()); }
};

class Tridiagonalisation {
 public:
  /// `matrix`: (n, n) fp64 contiguous on the CPU, n >= 1; its lower triangle is read, and it is
  /// overwritten.
  explicit Tridiagonalisation(at::Tensor matrix);

  const Tridiagonal& tridiagonal() const { return t_; }

  /// Q times the columns of `vectors`, in place: from vectors of T to vectors of A. 4 n^2 k FLOP.
  void rotate(const at::Tensor& vectors) const;  // (n, k) fp64 contiguous

 private:
  Index n_;
  at::Tensor reflections_;    // (n, n): v_i in row i, its first i entries
  std::vector<double> taus_;  // (n,)
  Tridiagonal t_;
};

}  // namespace dnnbrain
