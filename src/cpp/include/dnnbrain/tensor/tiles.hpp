// Matrix products in tiles that do not depend on the number of threads: the same bits for any.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// matrix @ vectors', by tiles of rows. 2 n m b FLOP.
at::Tensor rows_times(const at::Tensor& matrix,    // (n, m)
                      const at::Tensor& vectors);  // (b, m) -> (n, b)

/// vectors @ matrix, by tiles of columns. 2 b n m FLOP.
at::Tensor times_columns(const at::Tensor& vectors,  // (b, n)
                         const at::Tensor& matrix);  // (n, m) -> (b, m)

}  // namespace dnnbrain
