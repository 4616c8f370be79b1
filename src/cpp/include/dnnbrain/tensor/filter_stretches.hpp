// Filters of a grid of penalties as combinations of few functions of the spectrum.
//
// Over a stretch of the eigenvalues l, the filters of a whole grid, l / (l + alpha) or
// alpha / (l + alpha), are combinations of a few functions that are orthogonal there, however fine
// the grid is:
//
//   h_alpha(l) = sum_i c_i(alpha) f_i(l)  to rounding,   k = 5 or so for half a decade of l
//
// What is linear in the filters is then formed for k functions of each stretch, on the eigenvectors
// of that stretch alone, rather than for every penalty on all of them. Functions and combinations
// come from a singular value decomposition. Cost: n_alpha^2 m FLOP for m eigenvalues.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Eigenvalues [first, first + size) and the functions that stand for all filters there.
struct FilterStretch {
  Index first = 0;
  Index size = 0;
  at::Tensor functions;  // (n_function, size) fp64
};

struct FilterStretches {
  std::vector<FilterStretch> stretches;
  at::Tensor combine;   // (n_alpha, n_function of all) fp64; undefined: functions are the filters
  Index n_product = 0;  // functions of all stretches
};

/// Stretches of about half a decade, or all filters as they are where that is less work.
FilterStretches factor_filters(const at::Tensor& values,   // (m,) fp64 ascending, >= 0
                               const at::Tensor& filters,  // (n_alpha, m) fp64
                               at::ScalarType dtype);      // of the products: what rounding is

}  // namespace dnnbrain
