// Kendall's S = concordant - discordant pairs, as exact integers, ties included.
//
//   S = T - Tx - Ty + Txy - 2 D,   T = m (m - 1) / 2
//
// with Tx, Ty, Txy the pairs tied in x, in y and in both, and D the strictly discordant pairs. Read
// x in the order that sorts y, and each greater x that comes earlier is one of D (Knight 1966).
// Equals in x are given slots in order of arrival, equals in y are read by ascending x: neither
// adds to D. Permuting x changes only D and Txy: everything else is prepared once, and no sort is
// left.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/bit_planes.hpp"

namespace dnnbrain {

/// The most values whose ranks and places have 16 bits.
inline constexpr Index kMostNarrow = 65536;

/// A vector, and what a permutation of it leaves as it is. `T`: std::uint16_t for up to kMostNarrow
/// values, std::uint32_t.
template <class T>
struct RankedVector {
  explicit RankedVector(std::span<const double> values);  // (n_pair,); O(n log n)

  Index n_rank() const { return static_cast<Index>(first.size()); }

  std::vector<T> ranks;                         // (n_pair,), 0 .. n_rank-1, equal for equals
  std::vector<T> first;                         // (n_rank,) values that are less
  std::vector<T> order;                         // (n_pair,) places, in ascending order of value
  std::vector<std::pair<Index, Index>> groups;  // [begin, end) in `order` of two or more equals
  Index ties = 0;                               // pairs of equals
};

/// Counts S of vectors of one length, for one thread.
template <class T>
class KendallCounter {
 public:
  explicit KendallCounter(Index n_pair, Simd simd = widest_simd());

  /// S of x, permuted, and y. O(n log n), or O(n) where both have few distinct values. Fastest with
  /// the ties on the side of x.
  Index score(std::span<const T> x_ranks,  // (n_pair,) x.ranks, permuted
              const RankedVector<T>& x,
              const RankedVector<T>& y);

 private:
  struct Pairs {
    std::uint64_t discordant;
    std::uint64_t tied_in_both;
  };
  Pairs pairs_in_order(std::span<const T> x_ranks,
                       const RankedVector<T>& x,
                       const RankedVector<T>& y);
  Pairs pairs_in_table(std::span<const T> x_ranks,
                       const RankedVector<T>& x,
                       const RankedVector<T>& y);

  BitPlanes<T> planes_;
  std::vector<T> next_;               // (n_rank,) the slot of each rank's next arrival
  std::vector<std::uint32_t> table_;  // (n_rank of y, n_rank of x) how often they meet
};

}  // namespace dnnbrain
