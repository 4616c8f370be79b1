// Products of two RDMs of whole numbers, one of them under many relabellings of its conditions:
//
//   out[p, s] = sum_{i < j} a[order_p[i], order_p[j]] b_s[i, j]                    exact integers
//
// Values are split into P = 2 or 3 digits of 8 bits. The digits of a row of a lie in registers, of
// which one instruction of AVX-512 picks 64 bytes in any order, and another adds four products of
// bytes to a sum of 32 bits: memory is not gathered.
//
//   a + offset = sum_k 256^k x_k, 0 <= x_k < 256;   b = sum_l 256^l y_l, -128 <= y_l < 128
//   sum a b = sum_kl 256^(k+l) sum x_k y_l - offset sum b
//
// Up to 128 conditions, values have 16 bits, and their two bytes are put together again before they
// are multiplied: one sum, and no offset.
// Each pair is taken once, as condition i with the n / 2 that follow it around a ring: rows of
// equal length, where those of a triangle would leave half of their registers empty. Cost per
// relabelling: with Q = ceil(n / 128), n Q fetches of P digits, each from Q pairs of registers, and
// n Q P^2 products of 64 bytes with each b.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Digits of the rows of one RDM.
struct DigitRows {
  struct alignas(64) Register {
    std::uint8_t of[64];
  };
  std::vector<Register> registers;  // (n_cond, P, 2 Q) of a table, (n_cond, Q, P) of a ring
  std::int64_t sum = 0;             // of a ring's values
};

class DigitProducts {
 public:
  using Digits = DigitRows;
  using Sum = std::int64_t;

  static constexpr Index kMostConditions = 1024;

  /// Whether this machine has the instructions.
  static bool available();

  /// 2 <= n_cond <= kMostConditions.
  explicit DigitProducts(Index n_cond);

  /// All of a condensed RDM, as the side that is relabelled. Values must not be larger than
  /// pair_count(n_cond) in size.
  DigitRows table(std::span<const std::int32_t> values) const;  // (n_pair,)

  /// Each pair once, as the side that stays in place; values as in a table.
  DigitRows fixed(std::span<const std::int32_t> values) const;  // (n_pair,)

  void run(const DigitRows& a,                    // from table()
           std::span<const DigitRows> b,          // each from fixed()
           std::span<const std::int32_t> orders,  // (n_order, n_cond)
           std::span<std::int64_t> out) const;    // (n_order, b.size())

 private:
  bool words() const;
  Index offset() const;

  Index n_cond_;
  Index n_digit_;  // P
  Index n_block_;  // Q
};

}  // namespace dnnbrain
