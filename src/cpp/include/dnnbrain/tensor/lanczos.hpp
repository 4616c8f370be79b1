// Power iteration inside a Krylov space.
//
// With A self-adjoint in some inner product, d Lanczos steps from q_1 give an orthonormal basis Q
// and a tridiagonal T (d x d) with
//
//   A Q = Q T + beta_d q_(d+1) e_d'
//   A^m q_1  ~  Q T^m e_1          exact for m < d, and beyond that off by at most the part that
//                                  leaks past the last basis vector, which is known
//
// so that the iterates x_m = A^m q_1 / |A^m q_1| are followed in d dimensions: 5 d FLOP each in
// place of a product with A. Cost besides: one eigendecomposition of T.
#pragma once

#include <optional>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/tridiagonal.hpp"

namespace dnnbrain {

/// A vector in the coordinates of the basis.
struct KrylovVector {
  std::vector<double> coefs;  // (d,)
  Index n_iter = 0;           // power iterations, or Lanczos steps
};

/// x_m of the first m >= 2 with |x_m - x_(m-1)|^2 < tol, or of max_iter; nothing if the basis is
/// too small to tell it from rounding.
std::optional<KrylovVector> stopped_iterate(const Tridiagonal& t, Index max_iter, double tol);

/// The dominant eigenvector, which the iterates converge to; nothing if the basis does not hold it
/// to rounding.
std::optional<KrylovVector> converged_vector(const Tridiagonal& t);

}  // namespace dnnbrain
