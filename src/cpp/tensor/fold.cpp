#include "dnnbrain/tensor/fold.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>

namespace dnnbrain {

bool is_partition(const std::vector<Fold>& folds, Index n) {
  std::vector<at::Tensor> tests;
  for (const Fold& fold : folds) {
    const at::Tensor rows = at::cat({fold.train, fold.test}).cpu();
    if (!(at::bincount(rows, {}, n) == 1).all().item<bool>()) return false;
    tests.push_back(fold.test);
  }
  return (at::bincount(at::cat(tests).cpu(), {}, n) == 1).all().item<bool>();
}

}  // namespace dnnbrain
