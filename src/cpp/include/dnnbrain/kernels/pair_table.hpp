// A condensed RDM as a square table, in which relabelled pairs are found by (row, column).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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

/// out[pair(i, j)] = table[order[i], order[j]]
template <class T>
void gather_pairs(std::span<const T> table,             // (n_cond, n_cond)
                  std::span<const std::int32_t> order,  // (n_cond,)
                  std::span<T> out) {                   // (n_pair,)
  const std::size_t n_cond = order.size();
  T* next = out.data();
  for (std::size_t i = 0; i + 1 < n_cond; ++i) {
    const auto others = order.subspan(i + 1);
    gather(table.data() + static_cast<std::size_t>(order[i]) * n_cond, others, next);
    next += others.size();
  }
}

}  // namespace dnnbrain
