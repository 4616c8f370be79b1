// Convex combinations of least square: many small problems, one per target.
//
//   minimise  w'P w   subject to   w >= 0,  sum w = 1        P (n, n) positive semidefinite
//
// With P the inner products of the residuals of n models, w is the convex combination of the models
// whose residual is shortest: the point of least norm in the hull of the residuals. Wolfe's
// algorithm (1976): go to the point of least norm of the affine hull of the chosen models; drop a
// model when its weight reaches zero; add the model whose residual has the least product with the
// combination, until none is less than the combination's own square. Ends after finitely many
// steps, exact to rounding. Of models that are the same, one gets the weight.
//
// Cost per problem: a few systems of the size of the number of models that get weight.
#pragma once

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// Weights of each problem; NaN where its products are not finite.
Matrix simplex_weights(const MatrixView& products,  // (n_problem, n * n), P row by row
                       Index n,
                       int n_threads,
                       Monitor& monitor);  // -> (n_problem, n)

}  // namespace dnnbrain
