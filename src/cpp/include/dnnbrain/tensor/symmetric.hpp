// What a symmetric matrix needs only half of: X X', and its product with a vector.
//
// Cost of X X': n^2 m FLOP and n m / 2 tile for the diagonal. Tiles on and below the diagonal are
// formed, the others mirrored. Cost of a product with a vector: n^2 / 2 values read, which is what
// such a product waits for. Both on the CPU; on a GPU the full product. Tiles do not depend on the
// number of threads, and neither do bits.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

/// total += X X'. `total` must be symmetric and stays so.
void add_symmetric_product(const at::Tensor& total,  // (n, n) of the dtype of X
                           const at::Tensor& x);     // (n, m), any strides

/// X X'.
at::Tensor symmetric_product(const at::Tensor& x);  // (n, m) -> (n, n)

/// A x for a symmetric A, of which what lies above the diagonal is not read.
at::Tensor symmetric_times(const at::Tensor& a,   // (n, n) fp64, rows contiguous
                           const at::Tensor& x);  // (n,) fp64 -> (n,)

}  // namespace dnnbrain
