#include "dnnbrain/tensor/symmetric.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>
#include <vector>

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

}  // namespace dnnbrain
