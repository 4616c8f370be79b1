// A fold: which rows train and which are held out. Rows in neither are a gap.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

struct Fold {
  at::Tensor train;  // (n_train,) int64 rows
  at::Tensor test;   // (n_test,) int64 rows
};

}  // namespace dnnbrain
