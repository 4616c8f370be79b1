#include "dnnbrain/kernels/radix_order.hpp"

#include <algorithm>

namespace dnnbrain {

std::span<const std::uint32_t> RadixOrder::sort(std::span<const std::uint64_t> keys) {
  const std::size_t n = keys.size();
  order_.resize(n);
  if (n == 0) return order_;
  const auto [least, most] = std::minmax_element(keys.begin(), keys.end());
  const std::uint64_t base = *least;
  const std::uint64_t range = *most - base;
  items_.resize(n);
  other_.resize(n);
  for (std::size_t i = 0; i < n; ++i) items_[i] = {keys[i] - base, static_cast<std::uint32_t>(i)};
  for (int shift = 0; shift < 64 && (range >> shift) != 0; shift += kBits) {
    const auto digit = [shift](const Item& item) { return (item.key >> shift) & (kDigits - 1); };
    starts_.fill(0);
    for (const Item& item : items_) ++starts_[digit(item)];
    std::uint32_t start = 0;
    for (std::uint32_t& count : starts_) {
      const std::uint32_t here = count;
      count = start;
      start += here;
    }
    for (const Item& item : items_) other_[starts_[digit(item)]++] = item;
    items_.swap(other_);
  }
  for (std::size_t i = 0; i < n; ++i) order_[i] = items_[i].index;
  return order_;
}

}  // namespace dnnbrain
