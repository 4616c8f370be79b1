// Products of two RDMs of small integers, one of them under many relabellings of its conditions:
//
//   out[p, s] = sum_{i < j} a[order_p[i], order_p[j]] b_s[i, j]                    exact integers
//
// A row of a, at 16 bits a value, lies in a few registers, and one instruction of AVX-512 fetches
// 32 of its values in any order: memory is not gathered. Centred ranks, doubled so that those of
// ties are integers too, stay below n^2 / 2: up to 160 conditions, sums over a row fit 32 bits.
// Cost per relabelling: n^2 / 64 fetches from ceil(n / 64) pairs of registers, and as many products
// of 32 values with each b.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Rows of one RDM, 32 values to a register, zeros behind the last.
struct ShortRows {
  struct alignas(64) Register {
    std::int16_t of[32];
  };
  std::vector<Register> registers;  // (n_cond, registers of a row)
  std::int64_t largest = 0;         // absolute value
};

class ShortProducts {
 public:
  static constexpr Index kMostConditions = 160;

  /// Whether this machine has the instructions.
  static bool available();

  /// 2 <= n_cond <= kMostConditions.
  explicit ShortProducts(Index n_cond);

  /// The symmetric table of a condensed RDM: the side that is relabelled. Values must not be larger
  /// than pair_count(n_cond) in size.
  ShortRows table(std::span<const std::int16_t> values) const;  // (n_pair,)

  /// Its upper triangle: the side that stays in place.
  ShortRows triangle(std::span<const std::int16_t> values) const;  // (n_pair,)

  void run(const ShortRows& a,                    // from table()
           std::span<const ShortRows> b,          // each from triangle()
           std::span<const std::int32_t> orders,  // (n_order, n_cond)
           std::span<std::int64_t> out) const;    // (n_order, b.size())

 private:
  ShortRows empty_rows() const;

  Index n_cond_;
  Index n_register_;  // of a row
};

}  // namespace dnnbrain
