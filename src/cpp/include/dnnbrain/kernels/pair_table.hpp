// Condensed RDMs as square tables, in which relabelled pairs are found by (row, column).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Symmetric; zero on the diagonal. O(n_cond^2).
template <class T>
std::vector<T> square_table(std::span<const T> condensed,  // (n_pair,)
                            Index n_cond) {                // -> (n_cond, n_cond)
  std::vector<T> table(static_cast<std::size_t>(n_cond * n_cond));
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond; ++i) {
    for (Index j = i + 1; j < n_cond; ++j, ++pair) {
      table[static_cast<std::size_t>(i * n_cond + j)] = condensed[pair];
      table[static_cast<std::size_t>(j * n_cond + i)] = condensed[pair];
    }
  }
  return table;
}

/// out[i] = table[places[i]]. Told that they do not overlap, compilers unroll the loop.
template <class T, class Place>
void gather(const T* __restrict table, std::span<const Place> places, T* __restrict out) {
  const Place* const place = places.data();
  const std::size_t n = places.size();
#pragma GCC unroll 4
  for (std::size_t i = 0; i < n; ++i) out[i] = table[place[i]];
}

/// A condensed vector of ranks whose conditions are relabelled again and again. Up to
/// kMostInRegisters conditions, a row of ranks of 16 bits lies in a few registers of AVX-512, which
/// fetches 32 of them in any order at once.
template <class T>
class PairTable {
 public:
  static constexpr Index kMostInRegisters = 160;

  PairTable(std::span<const T> condensed, Index n_cond, Simd simd = widest_simd());

  /// Values to make room for in `out`.
  std::size_t room() const;

  /// out[pair(i, j)] = value[order[i], order[j]]; what follows these is overwritten. O(n_pair).
  void relabel(std::span<const std::int32_t> order,  // (n_cond,)
               std::span<T> out) const;              // (room(),)

 private:
  Index n_cond_;
  bool in_registers_;
  std::vector<T> table_;  // (n_cond, n_cond)
};

}  // namespace dnnbrain
