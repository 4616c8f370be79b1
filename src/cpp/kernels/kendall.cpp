#include "dnnbrain/kernels/kendall.hpp"

#include <algorithm>
#include <bit>

#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

/// Below this length all pairs are compared directly: a loop that compilers vectorise.
constexpr std::size_t kDirect = 32;

std::uint64_t direct_inversions(std::span<const std::uint32_t> values) {
  std::uint32_t inversions = 0;
  for (std::size_t later = 1; later < values.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      inversions += values[earlier] > values[later] ? 1u : 0u;
    }
  }
  return inversions;
}

/// Inversions inside a segment whose values agree in all bits above `bit`.
std::uint64_t segment_inversions(std::span<std::uint32_t> values,
                                 std::span<std::uint32_t> scratch,
                                 int bit) {
  if (values.size() <= kDirect) return direct_inversions(values);
  if (bit < 0) return 0;  // all equal
  std::uint64_t inversions = 0;
  std::size_t n_zero = 0;
  std::size_t n_one = 0;
  for (const std::uint32_t value : values) {
    const std::uint32_t one = (value >> bit) & 1u;
    // Both writes happen, one of them counts: no branch to mispredict.
    values[n_zero] = value;
    scratch[n_one] = value;
    inversions += one != 0 ? 0 : n_one;
    n_one += one;
    n_zero += 1u - one;
  }
  std::copy_n(scratch.begin(), n_one, values.begin() + static_cast<std::ptrdiff_t>(n_zero));
  return inversions + segment_inversions(values.first(n_zero), scratch, bit - 1) +
         segment_inversions(values.subspan(n_zero), scratch, bit - 1);
}

Index pairs_of(Index count) { return count * (count - 1) / 2; }

/// Pairs of equal values in a sorted range.
Index sorted_ties(std::span<const std::uint32_t> sorted) {
  Index ties = 0;
  for (std::size_t begin = 0; begin < sorted.size();) {
    std::size_t end = begin + 1;
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    ties += pairs_of(static_cast<Index>(end - begin));
    begin = end;
  }
  return ties;
}

}  // namespace

std::uint64_t count_inversions(std::span<std::uint32_t> values, std::span<std::uint32_t> scratch) {
  if (values.empty()) return 0;
  const std::uint32_t largest = *std::max_element(values.begin(), values.end());
  return segment_inversions(values, scratch, static_cast<int>(std::bit_width(largest)) - 1);
}

Index tied_pairs(std::span<const std::uint32_t> ranks) {
  std::vector<std::uint32_t> sorted(ranks.begin(), ranks.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted_ties(sorted);
}

KendallReference::KendallReference(std::span<const double> values) : order_(sorted_order(values)) {
  const auto at = [&](Index place) {
    return values[static_cast<std::size_t>(order_[static_cast<std::size_t>(place)])];
  };
  const Index n = static_cast<Index>(values.size());
  for (Index begin = 0; begin < n;) {
    Index end = begin + 1;
    while (end < n && at(end) == at(begin)) ++end;
    if (end - begin > 1) groups_.emplace_back(begin, end);
    ties_ += pairs_of(end - begin);
    begin = end;
  }
}

Index KendallReference::score(std::span<const std::uint32_t> ranks,
                              Index tied,
                              std::span<std::uint32_t> sorted,
                              std::span<std::uint32_t> scratch) const {
  for (std::size_t place = 0; place < order_.size(); ++place) {
    sorted[place] = ranks[static_cast<std::size_t>(order_[place])];
  }
  Index tied_in_both = 0;
  for (const auto& [begin, end] : groups_) {
    const auto group =
        sorted.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    std::sort(group.begin(), group.end());
    tied_in_both += sorted_ties(group);
  }
  const Index discordant = static_cast<Index>(count_inversions(sorted, scratch));
  const Index all = pairs_of(static_cast<Index>(order_.size()));
  return all - tied - ties_ + tied_in_both - 2 * discordant;
}

}  // namespace dnnbrain
