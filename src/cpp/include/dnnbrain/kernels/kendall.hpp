// Kendall's S = concordant - discordant pairs, as exact integers, ties included.
//
//   S = T - Tx - Ty + Txy - 2 D,   T = m (m - 1) / 2
//
// with Tx, Ty, Txy the pairs tied in x, in y and in both, and D the strictly discordant pairs. Read
// x in the order that sorts y, and each greater x that comes earlier is one of D (Knight 1966).
// Permuting x changes only D and Txy: everything else is prepared once, and no sort is left. Equals
// are given places of their own by counting, so that they add nothing to D.
#pragma once

#include <cstdint>
#include <span>
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

  std::vector<T> ranks;      // (n_pair,), 0 .. n_rank-1, equal for equals
  std::vector<T> first;      // (n_rank,) values that are less
  std::vector<T> order;      // (n_pair,) places, in ascending order of value
  std::vector<T> ascending;  // (n_pair,) ranks, in that order
  Index ties = 0;            // pairs of equals
};

/// Counts S of vectors of one length, for one thread.
template <class T>
class KendallCounter {
 public:
  explicit KendallCounter(Index n_pair, Simd simd = widest_simd());

  /// S of x, permuted, and y. O(n log n), or O(n) where both have few distinct values. Fastest with
  /// the more ties on the side of x.
  Index score(std::span<const T> x_ranks,  // (n_pair,) x.ranks, permuted
              const RankedVector<T>& x,
              const RankedVector<T>& y);

 private:
  struct Pairs {
    std::uint64_t discordant;
    std::uint64_t tied_in_both;
  };
  /// By inversions.
  Pairs in_order(std::span<const T> x_ranks, const RankedVector<T>& x, const RankedVector<T>& y);
  std::uint64_t place_both_tied(std::span<const T> x_ranks,
                                const RankedVector<T>& x,
                                const RankedVector<T>& y);
  /// By a table of how often two ranks meet.
  Pairs in_table(std::span<const T> x_ranks, const RankedVector<T>& x, const RankedVector<T>& y);

  BitPlanes<T> planes_;
  std::vector<T> next_x_;  // (n_rank,) the place of each rank's next arrival
  std::vector<T> next_y_;
  std::vector<T> y_ranks_;  // (n_pair,) in ascending order of x
  std::vector<std::uint32_t> table_;
};

}  // namespace dnnbrain
