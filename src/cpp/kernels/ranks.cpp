#include "dnnbrain/kernels/ranks.hpp"

#include <algorithm>
#include <numeric>

#include "dnnbrain/kernels/radix_order.hpp"

namespace dnnbrain {

namespace {

/// Fewer values are sorted sooner by comparing them.
constexpr std::size_t kFew = 512;

}  // namespace

std::vector<std::int32_t> sorted_order(std::span<const double> values) {
  if (values.size() >= kFew) {
    std::vector<std::uint64_t> keys(values.size());
    std::transform(values.begin(), values.end(), keys.begin(), ordered_key);
    RadixOrder radix;
    const std::span<const std::uint32_t> order = radix.sort(keys);
    return {order.begin(), order.end()};
  }
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return values[static_cast<std::size_t>(a)] < values[static_cast<std::size_t>(b)];
  });
  return order;
}

namespace {

/// Call visit(begin, end, group) for each run of equal values in sorted order.
template <class Visit>
void for_each_tie(std::span<const double> values,
                  std::span<const std::int32_t> order,
                  const Visit& visit) {
  const auto at = [&](std::size_t place) { return values[static_cast<std::size_t>(order[place])]; };
  std::uint32_t group = 0;
  for (std::size_t begin = 0; begin < order.size(); ++group) {
    std::size_t end = begin + 1;
    while (end < order.size() && at(end) == at(begin)) ++end;
    visit(begin, end, group);
    begin = end;
  }
}

}  // namespace

std::vector<double> average_ranks(std::span<const double> values) {
  const std::vector<std::int32_t> order = sorted_order(values);
  std::vector<double> ranks(values.size());
  for_each_tie(values, order, [&](std::size_t begin, std::size_t end, std::uint32_t) {
    const double mean = 0.5 * static_cast<double>(begin + 1 + end);
    for (std::size_t place = begin; place < end; ++place) {
      ranks[static_cast<std::size_t>(order[place])] = mean;
    }
  });
  return ranks;
}

std::vector<std::uint32_t> dense_ranks(std::span<const double> values) {
  const std::vector<std::int32_t> order = sorted_order(values);
  std::vector<std::uint32_t> ranks(values.size());
  for_each_tie(values, order, [&](std::size_t begin, std::size_t end, std::uint32_t group) {
    for (std::size_t place = begin; place < end; ++place) {
      ranks[static_cast<std::size_t>(order[place])] = group;
    }
  });
  return ranks;
}

}  // namespace dnnbrain
