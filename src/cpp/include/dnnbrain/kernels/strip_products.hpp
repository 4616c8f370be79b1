// Products of two RDMs of whole numbers, one of them under many relabellings of its conditions:
//
//   out[p, s] = sum_{i < j} a[order_p[i], order_p[j]] b_s[i, j]     exact integers, then rounded
//
// Nothing is gathered value by value. Eight rows of the relabelled RDM are eight rows of a; turned,
// so that the eight values of a column lie side by side, column order_p[j] of that strip is one
// load, and meets eight values of b that were laid out like this beforehand.
//
//   strip[c, r] = a[order[i0 + r], c];   out += sum_{j > i0} strip[order[j], :] . b[i0 :, j]
//
// Values of up to 128 conditions have 16 bits. Those of more are two digits of base 2^k,
// v = 2^k h + l, whose three sums are put together at the end: products of 16 bits are exact, and
// their sums of 32 bits are emptied into 64 before they overflow; the last step takes 128.
// Cost per relabelling: n^2 values turned, in registers, and n^2 / 2 multiply-adds (four times as
// many of two digits) with each b. Chosen at run time: AVX2, or plain loops.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Digits of one RDM, in lines of a cache.
struct StripDigits {
  struct alignas(64) Line {
    std::int16_t of[32];
  };
  std::vector<Line> lines;  // a table's rows of digits; fixed: strips, (column, P, row of 8)
};

/// Where values of 16 bits lie.
struct StripLayout {
  Index n_cond;
  Index n_column;      // n_cond, in whole blocks of 16
  Index row_stride;    // from a row of a table to the next
  Index strip_size;    // from a strip to the next: (n_column, P, 8)
  Index n_digit;       // P
  int log_base;        // k
  Index most_columns;  // of a strip whose products a sum of 32 bits holds
};

class StripProducts {
 public:
  using Digits = StripDigits;
  using Sum = double;

  static constexpr Index kMostConditions = 8192;

  /// 2 <= n_cond <= kMostConditions.
  explicit StripProducts(Index n_cond, Simd simd = widest_simd());

  /// All of a condensed RDM, as the side that is relabelled. Values must not be larger than
  /// pair_count(n_cond) in size.
  StripDigits table(std::span<const std::int32_t> values) const;  // (n_pair,)

  /// Each pair once, as the side that stays in place; values as in a table.
  StripDigits fixed(std::span<const std::int32_t> values) const;  // (n_pair,)

  void run(const StripDigits& a,                  // from table()
           std::span<const StripDigits> b,        // each from fixed()
           std::span<const std::int32_t> orders,  // (n_order, n_cond)
           std::span<double> out) const;          // (n_order, b.size())

 private:
  StripLayout layout_;
  bool in_registers_;
};

}  // namespace dnnbrain
