// The components of partial least squares in all folds of a cross-validation.
//
// Where the products of the folds come from one pass over a matrix, folds advance together, each a
// Lanczos step at a time; else one by one, so that the matrices of a fold stay in cache. Every fold
// asks for the same products either way.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/tensor/fold_products.hpp"
#include "dnnbrain/tensor/fold_scaling.hpp"
#include "dnnbrain/tensor/pls_fold.hpp"

namespace dnnbrain {

/// Components of each fold. Products are with the standardised features and responses.
std::vector<PlsComponents> pls_components(const FoldProducts& x,
                                          const FoldProducts& y,
                                          const at::Tensor& counts,     // (n_fold, n) fp64
                                          const at::Tensor& responses,  // (n, t)
                                          const FoldScaling& y_scaling,
                                          const PlsOptions& options,
                                          Monitor& monitor);

/// Products with each matrix that a fold may be expected to ask for.
Index expected_products(const PlsOptions& options, Index n_target);

/// Rows that turn standardised columns z into loadings z's_a / s_a's_a.
at::Tensor averaging_rows(const PlsComponents& found,  // of a fold
                          const at::Tensor& counts);   // (n,) -> (n_found, n)

}  // namespace dnnbrain
