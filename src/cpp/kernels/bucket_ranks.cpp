#include "dnnbrain/kernels/bucket_ranks.hpp"

#include <algorithm>
#include <bit>

namespace dnnbrain {

namespace {

/// Above this, a bucket is sorted in O(k log k).
constexpr std::size_t kFewItems = 24;

}  // namespace

BucketRanks::BucketRanks(Index n)
    : ends_(std::bit_ceil(static_cast<std::size_t>(2 * n + 1)) + 1),
      where_(static_cast<std::size_t>(n)),
      items_(static_cast<std::size_t>(n)) {}

void BucketRanks::average(std::span<const double> values, std::span<double> out) {
  const std::size_t n = values.size();
  const std::size_t n_bucket = ends_.size() - 1;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = *least;
  // Halved, so that the range of no two finite values overflows.
  const double range = 0.5 * *most - 0.5 * low;
  if (low == *most) {
    std::fill(out.begin(), out.end(), 0.5 * static_cast<double>(n + 1));
    return;
  }
  const double last = static_cast<double>(n_bucket - 1);
  std::fill(ends_.begin(), ends_.end(), 0U);
  for (std::size_t i = 0; i < n; ++i) {
    // Monotone at each step of rounding; at most 1, up to the last bucket. A range of denormals may
    // round to 0: one bucket.
    const double share = range > 0 ? std::min((0.5 * values[i] - 0.5 * low) / range, 1.0) : 0.0;
    where_[i] = static_cast<std::uint32_t>(share * last);
    ++ends_[where_[i] + 1];
  }
  for (std::size_t bucket = 1; bucket <= n_bucket; ++bucket) ends_[bucket] += ends_[bucket - 1];
  // ends_[b] is where bucket b begins; writing moves it to where it ends.
  for (std::size_t i = 0; i < n; ++i) {
    items_[ends_[where_[i]]++] = {values[i], static_cast<std::uint32_t>(i)};
  }
  std::size_t begin = 0;
  for (std::size_t bucket = 0; bucket < n_bucket; ++bucket) {
    const std::size_t end = ends_[bucket];
    if (end - begin > kFewItems) {
      std::sort(items_.begin() + static_cast<std::ptrdiff_t>(begin),
                items_.begin() + static_cast<std::ptrdiff_t>(end),
                [](const Item& x, const Item& y) { return x.value < y.value; });
    } else {
      for (std::size_t i = begin + 1; i < end; ++i) {
        const Item item = items_[i];
        std::size_t to = i;
        for (; to > begin && items_[to - 1].value > item.value; --to) items_[to] = items_[to - 1];
        items_[to] = item;
      }
    }
    begin = end;
  }
  for (std::size_t first = 0; first < n;) {
    std::size_t end = first + 1;
    while (end < n && items_[end].value == items_[first].value) ++end;
    const double rank = 0.5 * static_cast<double>(first + 1 + end);
    for (std::size_t i = first; i < end; ++i) out[items_[i].place] = rank;
    first = end;
  }
}

}  // namespace dnnbrain
