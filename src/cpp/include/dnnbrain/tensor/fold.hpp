// A fold: which rows train and which are held out. Rows in neither are a gap.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct Fold {
  at::Tensor train;  // (n_train,) int64 rows
  at::Tensor test;   // (n_test,) int64 rows
};

/// Whether each of n rows is held out once, and trains all other folds once: sums over training
/// rows are then sums over the other folds.
bool is_partition(const std::vector<Fold>& folds, Index n);

}  // namespace dnnbrain
