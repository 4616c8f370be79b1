// Products of the rows of a matrix with each other, weighted or not:
//
//   S_ij += sum_k w_k x_ik x_jk        on and below the diagonal
//
// A section of columns is packed once, in panels of rows whose values at one column lie side by
// side, and multiplied by a loop that keeps a tile of S in registers. A library's product packs
// both of its sides anew for each tile. Each S_ij is one chain of multiply-adds along k, wherever
// it lies: rows that are equal have equal products, to the last bit. Cost: n^2 FLOP a column;
// memory: one section.
#pragma once

#include <ATen/core/Tensor.h>

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

/// Value: double or float. Sums over a section are of this type, too.
template <class Value>
class RowPanels {
 public:
  /// Rows of a block: what one thread multiplies with those of another one.
  static constexpr Index kBlock = 96;

  /// Columns of a section.
  static constexpr Index kSection = Index{8192} / static_cast<Index>(sizeof(Value));

  explicit RowPanels(Index n_row);

  Index n_block() const { return (n_row_ + kBlock - 1) / kBlock; }

  /// Pack columns [first, first + n_col) of the rows of a block. Blocks may be packed side by side.
  template <class Given>
  void pack(Index block, const Rows<Given>& x, Index first, Index n_col);  // n_col <= kSection

  /// Rows of one block times those of another that does not come later.
  template <class Sum>
  void add_products(Index block,
                    Index other,
                    Index n_col,          // as packed
                    const Value* weight,  // (n_col,), or null
                    Sum* total,           // (n_row, n_row), rows contiguous; above the diagonal
                    Index stride) const;  // anything may be written

 private:
  Value* panel(Index row) const;

  Index n_row_;
  at::Tensor storage_;  // (panels, kSection, rows of a panel)
};

}  // namespace dnnbrain
