#include "dnnbrain/tensor/row_kernel.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Bytes of a chunk of columns in fp64.
constexpr Index kChunkBytes = Index{64} << 20;

/// Columns that are centred together, in cache.
constexpr Index kBlock = 128;

}  // namespace

at::Tensor row_kernel(const at::Tensor& features,
                      const at::Tensor& centre,
                      const at::Tensor& scale,
                      Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.size(0) > 0 && features.is_floating_point(),
                   "features must be floating point of shape (n, p) with n > 0.");
  const Index n = features.size(0);
  const Index p = features.size(1);
  DNNBRAIN_REQUIRE(!centre.defined() || (centre.dim() == 1 && centre.size(0) == n),
                   "centre must have shape (",
                   n,
                   ",).");
  DNNBRAIN_REQUIRE(!scale.defined() || (scale.dim() == 1 && scale.size(0) == p),
                   "scale must have shape (",
                   p,
                   ",).");
  const auto options = features.options().dtype(at::kDouble);
  const at::Tensor share = centre.defined() ? centre / centre.dot(centre) : at::Tensor();
  const at::Tensor kernel = at::zeros({n, n}, options);
  const Index step = std::clamp<Index>(kChunkBytes / (8 * n), 1, std::max<Index>(p, 1));
  const at::Tensor buffer = at::empty({n, step}, options);
  monitor.start(p);
  for (Index begin = 0; begin < p; begin += step) {
    const Index width = std::min(step, p - begin);
    const at::Tensor chunk = buffer.narrow(1, 0, width);
    for_each_task((width + kBlock - 1) / kBlock, features.is_cpu(), [&](Index block) {
      const Index first = block * kBlock;
      const Index n_col = std::min(kBlock, width - first);
      const at::Tensor columns = chunk.narrow(1, first, n_col);
      columns.copy_(features.narrow(1, begin + first, n_col));
      if (centre.defined()) columns.sub_(at::outer(centre, columns.t().mv(share)));
      if (scale.defined()) columns.div_(scale.narrow(0, begin + first, n_col));
    });
    add_symmetric_product(kernel, chunk);
    monitor.step(width);
  }
  return kernel;
}

}  // namespace dnnbrain
