// Penalties that shorten the coefficients of ridge regression to a given fraction.
//
// With h_i = (v_i'b)^2 the squared coefficients b of least squares along the eigenvectors of X'X,
//
//   |b(alpha)|^2 = S(alpha) = sum_i h_i (lambda_i / (lambda_i + alpha))^2
//
// falls from |b|^2 to 0, and the penalty of fraction g is the root of
//
//   S(alpha)^-1/2 = 1 / (g |b|),
//
// whose left side rises and is concave: Newton's steps from the left never pass the root, and the
// last ones double the digits (the secular equation of More and Sorensen 1983; fractions: Rokem and
// Kay 2020). Cost per target and fraction: some 6 to 15 steps of 5 n_eig FLOP and a division each.
#pragma once

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// alpha of each fraction and target: 0 where the fraction is 1 or all h are 0, infinity where it
/// is 0. Eigenvalues must be positive: leave out those of the null space.
Matrix fraction_alphas(const MatrixView& eigenvalues,  // (1, n_eig) > 0
                       const MatrixView& squares,      // (n_vox, n_eig) h
                       const MatrixView& fractions,    // (n_fraction, n_vox) in [0, 1]
                       int n_threads,
                       Monitor& monitor);  // -> (n_fraction, n_vox)

}  // namespace dnnbrain
