#include "dnnbrain/tensor/symmetric.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Large enough for a product at full speed.
constexpr Index kTile = 192;

/// On the diagonal, where half of a product is for nothing.
constexpr Index kDiagonalTile = 64;

/// Rows [row, row + n_row) with rows [column, column + n_column), none of which comes later, and
/// the same mirrored.
void add_tile(const at::Tensor& total,
              const at::Tensor& x,
              Index row,
              Index n_row,
              Index column,
              Index n_column) {
  const at::Tensor tile = total.narrow(0, row, n_row).narrow(1, column, n_column);
  tile.addmm_(x.narrow(0, row, n_row), x.narrow(0, column, n_column).t());
  const Index n_before = row - column;
  total.narrow(0, column, std::min(n_before, n_column))
      .narrow(1, row, n_row)
      .copy_(tile.narrow(1, 0, std::min(n_before, n_column)).t());
}

/// Rows of a product with a vector that are read by one thread.
constexpr Index kStrip = 128;

/// Rows that share one pass over what they add to.
constexpr Index kTogether = 4;

/// out += what rows [first, first + n_row) and their mirror images add to A x.
DNNBRAIN_CLONES void add_strip(
    const double* a, Index stride, Index first, Index n_row, const double* x, double* out) {
  Index row = first;
  for (; row + kTogether <= first + n_row; row += kTogether) {
    const double* const r0 = a + row * stride;
    const double* const r1 = r0 + stride;
    const double* const r2 = r1 + stride;
    const double* const r3 = r2 + stride;
    const double x0 = x[row];
    const double x1 = x[row + 1];
    const double x2 = x[row + 2];
    const double x3 = x[row + 3];
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (Index j = 0; j < row; ++j) {
      s0 += r0[j] * x[j];
      s1 += r1[j] * x[j];
      s2 += r2[j] * x[j];
      s3 += r3[j] * x[j];
      out[j] += (r0[j] * x0 + r1[j] * x1) + (r2[j] * x2 + r3[j] * x3);
    }
    // The small triangle on the diagonal.
    const double* const c = x + row;
    double* const o = out + row;
    o[0] += s0 + r0[row] * c[0] + r1[row] * c[1] + r2[row] * c[2] + r3[row] * c[3];
    o[1] += s1 + r1[row] * c[0] + r1[row + 1] * c[1] + r2[row + 1] * c[2] + r3[row + 1] * c[3];
    o[2] += s2 + r2[row] * c[0] + r2[row + 1] * c[1] + r2[row + 2] * c[2] + r3[row + 2] * c[3];
    o[3] += s3 + r3[row] * c[0] + r3[row + 1] * c[1] + r3[row + 2] * c[2] + r3[row + 3] * c[3];
  }
  for (; row < first + n_row; ++row) {
    const double* const r = a + row * stride;
    double sum = r[row] * x[row];
    for (Index j = 0; j < row; ++j) {
      sum += r[j] * x[j];
      out[j] += r[j] * x[row];
    }
    out[row] += sum;
  }
}

}  // namespace

void add_symmetric_product(const at::Tensor& total, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(x.dim() == 2 && total.dim() == 2 && total.size(0) == x.size(0) &&
                       total.size(1) == x.size(0) && total.scalar_type() == x.scalar_type(),
                   "the sum of X X' must be square, with as many rows as X and of its dtype.");
  if (!x.is_cpu()) {
    total.addmm_(x, x.t());
    return;
  }
  const Index n = x.size(0);
  std::vector<std::pair<Index, Index>> tiles;
  for (Index row = 0; row < n; row += kTile) {
    for (Index column = 0; column <= row; column += kTile) tiles.emplace_back(row, column);
  }
  for_each_task(static_cast<Index>(tiles.size()), /*parallel=*/true, [&](Index task) {
    const auto [row, column] = tiles[static_cast<std::size_t>(task)];
    const Index n_row = std::min(kTile, n - row);
    const Index n_column = std::min(kTile, n - column);
    if (row != column) {
      add_tile(total, x, row, n_row, column, n_column);
      return;
    }
    for (Index first = row; first < row + n_row; first += kDiagonalTile) {
      const Index n_here = std::min(kDiagonalTile, row + n_row - first);
      add_tile(total, x, first, n_here, row, first + n_here - row);
    }
  });
}

at::Tensor symmetric_product(const at::Tensor& x) {
  const at::Tensor total = at::zeros({x.size(0), x.size(0)}, x.options());
  add_symmetric_product(total, x);
  return total;
}

at::Tensor symmetric_times(const at::Tensor& a, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  const Index n = x.size(0);
  DNNBRAIN_REQUIRE(a.dim() == 2 && a.size(0) == n && a.size(1) == n && a.stride(1) == 1 &&
                       a.scalar_type() == at::kDouble && x.scalar_type() == at::kDouble,
                   "a must be a square float64 matrix with contiguous rows, as long as x.");
  if (!a.is_cpu()) return a.mv(x);
  const Index n_strip = (n + kStrip - 1) / kStrip;
  const at::Tensor parts = at::zeros({n_strip, n}, x.options());
  const at::Tensor vector = x.contiguous();
  for_each_task(n_strip, /*parallel=*/true, [&](Index task) {
    const Index strip = n_strip - 1 - task;  // from the longest
    const Index first = strip * kStrip;
    add_strip(a.const_data_ptr<double>(),
              a.stride(0),
              first,
              std::min(kStrip, n - first),
              vector.const_data_ptr<double>(),
              parts[strip].mutable_data_ptr<double>());
  });
  return parts.sum(0);
}

}  // namespace dnnbrain
