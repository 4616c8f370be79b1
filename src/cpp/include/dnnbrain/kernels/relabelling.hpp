// The relabellings of conditions that a test goes through: drawn at random, or all there are.
#pragma once

#include <cstdint>
#include <span>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// n! for n <= 20.
constexpr Index factorial(Index n) { return n <= 1 ? 1 : n * factorial(n - 1); }

/// Relabelling number 0 is the identity. A relabelling is a pure function of its number (and the
/// seed), so that threads need not agree on anything.
class Relabellings {
 public:
  /// The identity, then permutations 0 .. n_perm - 1 under the seed.
  static Relabellings drawn(Index n_perm, std::uint64_t seed);

  /// All n_cond! of them, in lexicographic order. n_cond <= kMostExhausted.
  static Relabellings all(Index n_cond);

  /// Beyond it, n! is no number to go through.
  static constexpr Index kMostExhausted = 12;

  Index count() const { return count_; }
  bool exhaustive() const { return exhaustive_; }

  /// Write relabelling `number` < count(). O(n_cond), O(n_cond^2) where all are gone through.
  void write(Index number, std::span<std::int32_t> out) const;  // (n_cond,)

 private:
  Relabellings(Index count, std::uint64_t seed, bool exhaustive)
      : count_(count), seed_(seed), exhaustive_(exhaustive) {}

  Index count_;
  std::uint64_t seed_;
  bool exhaustive_;
};

}  // namespace dnnbrain
