// Stupid twins: what the kernels compute, written so that it is obviously right.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace naive {

using dnnbrain::Index;

inline int sign(double value) { return (value > 0) - (value < 0); }

/// Concordant minus discordant pairs, over all pairs of entries.
inline Index kendall_s(const std::vector<double>& x, const std::vector<double>& y) {
  Index s = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) s += sign(x[i] - x[j]) * sign(y[i] - y[j]);
  }
  return s;
}

template <class T>
Index tied_pairs(const std::vector<T>& x) {
  Index ties = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    ties += std::count(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(i), x[i]);
  return ties;
}

inline std::uint64_t inversions(const std::vector<std::uint32_t>& x) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) count += x[j] > x[i] ? 1u : 0u;
  }
  return count;
}

/// Mean rank of each value: one plus those below, plus half of its equals.
inline std::vector<double> average_ranks(const std::vector<double>& x) {
  std::vector<double> ranks;
  for (const double value : x) {
    double below = 0;
    double equal = 0;
    for (const double other : x) {
      below += other < value ? 1 : 0;
      equal += other == value ? 1 : 0;
    }
    ranks.push_back(1 + below + (equal - 1) / 2);
  }
  return ranks;
}

/// Entries of a condensed RDM whose conditions are relabelled by `order`.
inline std::vector<double> relabel(const std::vector<double>& condensed,
                                   const std::vector<std::int32_t>& order) {
  const std::size_t n = order.size();
  std::vector<std::vector<double>> square(n, std::vector<double>(n));
  std::size_t pair = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) square[i][j] = square[j][i] = condensed[pair++];
  }
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      out.push_back(square[static_cast<std::size_t>(order[i])][static_cast<std::size_t>(order[j])]);
    }
  }
  return out;
}

/// Numbers with at most `n_level` distinct values, so that ties are as heavy as wanted.
inline std::vector<double> levels(std::size_t n, int n_level, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> draw(0, n_level - 1);
  std::vector<double> out(n);
  for (double& value : out) value = 0.5 * draw(generator) - 1.0;
  return out;
}

}  // namespace naive
