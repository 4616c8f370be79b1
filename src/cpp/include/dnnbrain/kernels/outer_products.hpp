// Sums of outer products of short rows, for Gram matrices too small for a BLAS to be quick.
//
//   out[i, j] += sum_v a[v, i] b[v, j]
//
// Rows come in chunks that stay in the first-level cache while every tile of `out` uses them; a
// tile stays in registers. Instructions are chosen at run time: AVX-512, AVX2 or the baseline.
// Cost: 2 n^2 FLOP a row; with `upper` a little over half of it.
#pragma once

#include <vector>

#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// A cache line of doubles: what vectors of them are aligned to.
struct alignas(64) Line {
  double of[8];
};

/// Columns of a panel and of a product: n, rounded up to whole tiles.
Index padded_width(Index n);

/// Room for `rows` rows of `width` columns, all zero.
class PaddedRows {
 public:
  PaddedRows() = default;
  PaddedRows(Index rows, Index width) : lines_(static_cast<std::size_t>(rows * width / kPerLine)) {}

  double* data() { return lines_.empty() ? nullptr : lines_.front().of; }
  const double* data() const { return lines_.empty() ? nullptr : lines_.front().of; }

 private:
  static constexpr Index kPerLine = 8;
  std::vector<Line> lines_;
};

/// out += a' b. With `upper`, entries below the diagonal are not defined. Instructions wider than
/// `simd` are not used; results differ in rounding alone.
void add_outer_products(const double* a,  // (n_row, width), columns from n on are zero
                        const double* b,  // (n_row, width) likewise
                        Index n_row,
                        Index n,
                        bool upper,
                        double* out,
                        Simd simd = widest_simd());  // (width, width)

}  // namespace dnnbrain
