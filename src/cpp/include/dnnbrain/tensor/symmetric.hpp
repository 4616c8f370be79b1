// X X' at half the work: tiles on and below the diagonal are formed, the others mirrored.
//
// Cost: n^2 m FLOP and n m / 2 tile for the diagonal, on the CPU; on a GPU a full product. Tiles do
// not depend on the number of threads, and neither do bits.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

/// total += X X'. `total` must be symmetric and stays so.
void add_symmetric_product(const at::Tensor& total,  // (n, n) of the dtype of X
                           const at::Tensor& x);     // (n, m), any strides

/// X X'.
at::Tensor symmetric_product(const at::Tensor& x);  // (n, m) -> (n, n)

}  // namespace dnnbrain
