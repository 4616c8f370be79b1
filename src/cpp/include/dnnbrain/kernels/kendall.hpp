// Kendall's S = concordant - discordant pairs, as exact integers, ties included.
//
//   S = T - Tx - Ty + Txy - 2 D,   T = m (m - 1) / 2
//
// with Tx, Ty, Txy the pairs tied in x, in y and in both, and D the strictly discordant pairs. With
// y sorted, and x ascending inside groups of equal y, D is the number of inversions of x. Permuting
// the conditions of x changes only D and Txy: everything else is prepared once (Knight 1966).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Pairs i < j with values[i] > values[j]. Stable radix partition from the top bit down: each one
/// before a zero inside a segment is an inversion. O(n bits); `values` and `scratch` are
/// overwritten.
std::uint64_t count_inversions(std::span<std::uint32_t> values,    // (n,)
                               std::span<std::uint32_t> scratch);  // (n,)

/// Pairs of equal values. `ranks` need not be sorted. O(n log n).
Index tied_pairs(std::span<const std::uint32_t> ranks);  // (n,)

/// The side of a comparison that stays in place: its sorting order and its groups of ties.
class KendallReference {
 public:
  explicit KendallReference(std::span<const double> values);  // (n_pair,)

  /// Pairs tied in this vector, Ty.
  Index ties() const { return ties_; }

  /// S between these values and `ranks`. `tied` is tied_pairs(ranks).
  Index score(std::span<const std::uint32_t> ranks,     // (n_pair,) dense ranks of x
              Index tied,                               // Tx
              std::span<std::uint32_t> sorted,          // (n_pair,) scratch
              std::span<std::uint32_t> scratch) const;  // (n_pair,) scratch

 private:
  std::vector<std::int32_t> order_;
  std::vector<std::pair<Index, Index>> groups_;  // [begin, end) of each run of equal values
  Index ties_ = 0;
};

}  // namespace dnnbrain
