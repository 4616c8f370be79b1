// Average ranks of many vectors, one after the other, without a general sort.
//
// Values are spread over buckets by a monotone map of their range, and each bucket is sorted on its
// own: O(n) for values that spread, O(n log n) at worst. Equal to `average_ranks`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

class BucketRanks {
 public:
  explicit BucketRanks(Index n);

  /// Write ranks 1 .. n; equal values share their mean rank. No value may be NaN.
  void average(std::span<const double> values, std::span<double> out);  // (n,) -> (n,)

 private:
  struct Item {
    double value;
    std::uint32_t place;
  };

  std::vector<std::uint32_t> ends_;   // (n_bucket + 1,)
  std::vector<std::uint32_t> where_;  // (n,) bucket of each value
  std::vector<Item> items_;           // (n,) in order of buckets
};

}  // namespace dnnbrain
