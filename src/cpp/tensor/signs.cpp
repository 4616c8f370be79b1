#include "dnnbrain/tensor/signs.hpp"

#include <ATen/ops/abs.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/argmax.h>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

void flip_signs(const at::Tensor& components) {
  for_each_task(components.size(0), components.is_cpu(), [&](Index i) {
    const at::Tensor row = components[i];
    const auto [least, most] = at::aminmax(row);
    const auto low = least.item<double>();
    const auto high = most.item<double>();
    bool negative = -low > high;
    if (-low == high && high > 0) negative = row[row.abs().argmax()].item<double>() < 0;
    if (negative) row.neg_();
  });
}

}  // namespace dnnbrain
