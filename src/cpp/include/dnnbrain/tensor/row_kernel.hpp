// The kernel of the rows of a layer, for ridge in its dual form.
//
//   K = sum over columns u of c_u c_u' / s_u^2,     c_u = x_u - w (w'x_u) / (w'w)
//
// w is what an intercept looks like in these rows: ones, or square roots of weights. Columns come
// in chunks that are centred and summed in fp64. Cost: n^2 p FLOP.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

at::Tensor row_kernel(const at::Tensor& features,  // (n, p) fp32 or fp64
                      const at::Tensor& centre,    // w (n,) fp64, or undefined: as they are
                      const at::Tensor& scale,     // s (p,) fp64, or undefined: ones
                      Monitor& monitor);           // -> (n, n) fp64

}  // namespace dnnbrain
