// Inversions of a permutation: pairs of which the greater comes first.
//
// From the highest bit down, each segment of values that agree in their upper bits is parted by the
// current bit, in order. Each one before a zero of its segment is an inversion, and no pair is
// counted twice. With z zeros in a segment, at positions p,
//
//   ones before zeros = sum p - z (z - 1) / 2
//
// The values are 0 .. n-1, so that every segment's size is known: positions are summed over whole
// levels, and what they sum to for values in order is taken off at the end. Segments may lie in any
// order, which leaves two runs per level: the zeros of all segments, then the ones of all. A
// segment of 64 values is one word of bits, or one register of bytes.
//
// Cost: n log2(n) steps, of which AVX-512 takes 16 to 64 at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Counts the inversions of permutations of one length, one after another, for one thread.
/// `T`: std::uint16_t for up to 65536 values, std::uint32_t.
template <class T>
class BitPlanes {
 public:
  explicit BitPlanes(Index n, Simd simd = widest_simd());

  /// Where to put a permutation of 0 .. n-1. It stays there.
  std::span<T> values() { return {values_.data(), n_}; }

  std::uint64_t inversions() { return positions() - positions_in_order_; }

 private:
  std::uint64_t positions();

  std::size_t n_;
  Simd simd_;
  std::vector<T> values_;              // and more, in order, up to a multiple of 64
  std::vector<T> levels_;              // two
  std::vector<std::size_t> segments_;  // sizes of those of 16 bits, as they come to lie
  std::uint64_t positions_in_order_ = 0;
};

}  // namespace dnnbrain
