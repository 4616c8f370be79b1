// Sums of outer products of short rows, for Gram matrices too small for a BLAS to be quick.
//
//   out[i, j] += sum_v a[v, i] b[v, j]
//
// Rows come in chunks that stay in the first-level cache while every tile of `out` uses them; a
// tile stays in registers. Instructions are chosen at run time: AVX-512, AVX2 or the baseline.
// Cost: 2 n^2 FLOP a row; with `upper` a little over half of it.
#pragma once

#include <vector>

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

/// Instructions of the inner loop. Results differ in rounding alone.
enum class OuterForm { kBaseline, kAvx2, kAvx512 };

/// Whether this machine has them.
bool runs_here(OuterForm form);

/// The widest that runs here and that DNNBRAIN_SIMD allows (core/simd.hpp).
OuterForm best_outer_form();

/// out += a' b. With `upper`, entries below the diagonal are not defined.
void add_outer_products(const double* a,  // (n_row, width), columns from n on are zero
                        const double* b,  // (n_row, width) likewise
                        Index n_row,
                        Index n,
                        bool upper,
                        double* out,
                        OuterForm form = best_outer_form());  // (width, width)

}  // namespace dnnbrain
