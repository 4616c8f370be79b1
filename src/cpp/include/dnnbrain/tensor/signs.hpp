// The sign of a component is arbitrary; this is scikit-learn's choice of it.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

/// Make the entry of largest size, the first of equals, positive in each row, in place.
void flip_signs(const at::Tensor& components);  // (k, n_feat) floating point

}  // namespace dnnbrain
