// Partial least squares of one set of rows: NIPALS without the units.
//
// The components come from Gram matrices (pls_fold.hpp). With Z the standardised features or
// responses, s_a the scores and d_a the dual weights of component a,
//
//   w_a = Z_x' d_a       p_a = Z_x' s_a / s_a's_a       q_a = Z_y' s_a / s_a's_a
//
// Cost: n^2 (p + t) FLOP for the Gram matrices, 4 n p per component for weights and loadings, and a
// product with each matrix per Lanczos step.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/pls_fold.hpp"

namespace dnnbrain {

/// Shapes with A count the components that were found.
struct PlsModel {
  at::Tensor x_mean;      // (p,)
  at::Tensor x_std;       // (p,)
  at::Tensor y_mean;      // (t,)
  at::Tensor y_std;       // (t,)
  at::Tensor x_weights;   // (p, A); the largest entry of each column is positive
  at::Tensor x_loadings;  // (p, A)
  at::Tensor y_loadings;  // (t, A)
  at::Tensor x_scores;    // (n, A)
  at::Tensor y_scores;    // (n, A)
  std::vector<Index> n_iter;
};

PlsModel fit_pls(const at::Tensor& features,   // (n, p) fp32 or fp64
                 const at::Tensor& responses,  // (n, t)
                 const PlsOptions& options,
                 Monitor& monitor);

/// Refuse data that are not two floating-point matrices of as many rows.
void check_pls_data(const at::Tensor& features, const at::Tensor& responses);

}  // namespace dnnbrain
