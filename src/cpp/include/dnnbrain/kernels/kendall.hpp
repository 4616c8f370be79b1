// Kendall's S = concordant - discordant pairs, as exact integers, ties included.
//
//   S = T - Tx - Ty + Txy - 2 D,   T = m (m - 1) / 2
//
// with Tx, Ty, Txy the pairs tied in x, in y and in both, and D the strictly discordant pairs. When
// x is read in the order that sorts y, group of equal y by group, each greater x of an earlier
// group is one of D. Permuting the conditions of x changes only D and Txy: everything else is
// prepared once (Knight 1966).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/inversions.hpp"

namespace dnnbrain {

/// Dense ranks, and what a permutation of them leaves as it is.
struct TiedRanks {
  explicit TiedRanks(std::span<const double> values);  // (n_pair,); O(n log n)

  std::vector<std::uint32_t> ranks;  // (n_pair,), 0 .. n_rank-1
  std::uint32_t n_rank = 0;
  Index ties = 0;  // pairs of equal ranks, Tx
};

/// Room for one thread's scores of n_pair values.
class KendallRoom {
 public:
  explicit KendallRoom(Index n_pair);

 private:
  friend class KendallReference;
  // Half the width is half the work; 16 bits count the pairs of up to 362 conditions.
  std::variant<GreaterBefore<std::uint16_t>, GreaterBefore<std::uint32_t>> before_;
  std::vector<std::uint32_t> in_group_;  // by rank: how often in this group of equal y
};

/// The side of a comparison that stays in place: its sorting order and its groups of ties.
class KendallReference {
 public:
  explicit KendallReference(std::span<const double> values);  // (n_pair,)

  /// Pairs tied in this vector, Ty.
  Index ties() const { return ties_; }

  /// S between these values and x. O(n log n), without a sort.
  Index score(std::span<const std::uint32_t> ranks,  // (n_pair,) of x, permuted
              const TiedRanks& x,
              KendallRoom& room) const;

 private:
  std::vector<std::int32_t> order_;
  std::vector<std::pair<Index, Index>> groups_;  // [begin, end) of each run of two or more equals
  Index ties_ = 0;
};

}  // namespace dnnbrain
