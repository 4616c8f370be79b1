// Products of rows with rows, of one matrix or of two, weighted or not:
//
//   S_ij += sum_k w_k x_ik y_jk
//
// Rows are packed once, in panels of rows whose values at one column lie side by side, and
// multiplied by a loop that keeps a tile of S in registers. A library's product packs both of its
// sides anew for each tile. The products of each S_ij are added up in the same order, strip by
// strip along k, wherever it lies: rows that are equal have equal products, to the last bit. Cost:
// 2 FLOP a product, half of that for the lower triangle of a matrix with itself; memory: what is
// packed.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// What is packed: (x_ik - row_shift_i - column_shift_k) column_scale_k, worked out in fp64.
template <class Given>
struct Rows {
  const Given* values;  // (n_row, m), of these strides
  Index row_stride;
  Index column_stride;
  const double* row_shift = nullptr;     // (n_row,); null for none
  const double* column_shift = nullptr;  // (m,); null for none
  const double* column_scale = nullptr;  // (m,); null for none
};

/// Value: double or float. Sums over a strip of columns are of this type, too.
template <class Value>
class RowPanels {
 public:
  /// Rows of a block: what one thread multiplies with those of another one.
  static constexpr Index kBlock = 96;

  /// Room for so many rows and columns.
  RowPanels(Index n_row, Index n_col);

  Index n_row() const { return n_row_; }
  Index n_block() const { return (n_row_ + kBlock - 1) / kBlock; }

  /// Pack columns [first, first + n_col) of the rows of a block, in place of what was packed.
  /// Blocks may be packed side by side.
  template <class Given>
  void pack(Index block, const Rows<Given>& x, Index first, Index n_col);

  /// The rows of a panel, from `row` on: (n_col, rows of a panel).
  Value* panel(Index row) const;

 private:
  Index n_row_;
  Index capacity_;      // columns
  at::Tensor storage_;  // (panels, capacity, rows of a panel)
};

/// total += rows of a block of `left` times those of a block of `right`.
template <class Value, class Sum>
void add_products(const RowPanels<Value>& left,
                  Index block,
                  const RowPanels<Value>& right,
                  Index other,
                  Index n_col,          // as packed
                  const Value* weight,  // (n_col,), or null
                  bool lower,           // leave out what lies above the diagonal; anything may be
                                        // written there
                  Sum* total,           // (left.n_row, right.n_row), rows contiguous
                  Index stride,
                  bool fresh = false);  // total = in place of +=

/// A matrix that is multiplied with the rows of others, packed once. On a GPU it stays as it is.
class PackedRows {
 public:
  PackedRows() = default;
  explicit PackedRows(const at::Tensor& x);  // (n, m) fp32 or fp64, any strides

  Index n_row() const;

  /// out = Y X', on one thread.
  void multiply(const at::Tensor& y,           // (b, m), any strides
                const at::Tensor& out) const;  // (b, n) contiguous

  /// out = X Y', on one thread.
  void times(const at::Tensor& y,           // (b, m), any strides
             const at::Tensor& out) const;  // (n, b) contiguous

 private:
  at::Tensor plain_;  // on a GPU
  std::shared_ptr<const RowPanels<float>> floats_;
  std::shared_ptr<const RowPanels<double>> doubles_;
  Index n_col_ = 0;
};

}  // namespace dnnbrain
