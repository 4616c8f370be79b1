#include "dnnbrain/tensor/tiles.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>

#include <algorithm>

#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

constexpr Index kRowTile = 128;
constexpr Index kColumnTile = 256;

}  // namespace

at::Tensor rows_times(const at::Tensor& matrix, const at::Tensor& vectors) {
  const Index n = matrix.size(0);
  at::Tensor out = at::empty({n, vectors.size(0)}, vectors.options());
  if (!matrix.is_cpu()) return at::mm_out(out, matrix, vectors.t());
  for_each_task((n + kRowTile - 1) / kRowTile, /*parallel=*/true, [&](Index tile) {
    const Index first = tile * kRowTile;
    const Index count = std::min(kRowTile, n - first);
    at::Tensor part = out.narrow(0, first, count);
    if (vectors.size(0) == 1) {
      at::Tensor column = part.select(1, 0);
      at::mv_out(column, matrix.narrow(0, first, count), vectors[0]);
    } else {
      at::mm_out(part, matrix.narrow(0, first, count), vectors.t());
    }
  });
  return out;
}

at::Tensor times_columns(const at::Tensor& vectors, const at::Tensor& matrix) {
  const Index p = matrix.size(1);
  at::Tensor out = at::empty({vectors.size(0), p}, vectors.options());
  if (!matrix.is_cpu()) return at::mm_out(out, vectors, matrix);
  for_each_task((p + kColumnTile - 1) / kColumnTile, /*parallel=*/true, [&](Index tile) {
    const Index first = tile * kColumnTile;
    const Index count = std::min(kColumnTile, p - first);
    at::Tensor part = out.narrow(1, first, count);
    at::mm_out(part, vectors, matrix.narrow(1, first, count));
  });
  return out;
}

}  // namespace dnnbrain
