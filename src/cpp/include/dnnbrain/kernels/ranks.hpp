// Ranks of dissimilarities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Indices that sort the values, ascending; equal values keep their order. O(n log n).
std::vector<std::int32_t> sorted_order(std::span<const double> values);  // (n,) -> (n,)

/// Ranks 1 .. n; equal values share their mean rank. O(n log n).
std::vector<double> average_ranks(std::span<const double> values);  // (n,) -> (n,)

/// Ranks 0 .. k-1 of the k distinct values; equal values share a rank. O(n log n).
std::vector<std::uint32_t> dense_ranks(std::span<const double> values);  // (n,) -> (n,)

}  // namespace dnnbrain
