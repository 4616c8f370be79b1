#include "dnnbrain/kernels/kendall.hpp"

#include <algorithm>

#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

Index pairs_of(Index count) { return count * (count - 1) / 2; }

/// A table of ranks pays where it has far fewer cells than there are values.
bool few_cells(Index n_rank_x, Index n_rank_y, Index n_pair) {
  return n_rank_x * n_rank_y <= n_pair / 4;
}

}  // namespace

template <class T>
RankedVector<T>::RankedVector(std::span<const double> values) : ranks(values.size()) {
  const std::vector<std::int32_t> sorted = sorted_order(values);
  order.assign(sorted.begin(), sorted.end());
  const auto at = [&](std::size_t place) { return values[order[place]]; };
  for (std::size_t begin = 0; begin < values.size();) {
    std::size_t end = begin;
    for (; end < values.size() && at(end) == at(begin); ++end) {
      ranks[order[end]] = static_cast<T>(first.size());
    }
    first.push_back(static_cast<T>(begin));
    const auto count = static_cast<Index>(end - begin);
    if (count > 1) groups.emplace_back(begin, end);
    ties += pairs_of(count);
    begin = end;
  }
}

template <class T>
KendallCounter<T>::KendallCounter(Index n_pair, Simd simd) : planes_(n_pair, simd) {}

template <class T>
Index KendallCounter<T>::score(std::span<const T> x_ranks,
                               const RankedVector<T>& x,
                               const RankedVector<T>& y) {
  const auto n_pair = static_cast<Index>(x_ranks.size());
  const Pairs pairs = few_cells(x.n_rank(), y.n_rank(), n_pair) ? pairs_in_table(x_ranks, x, y)
                                                                : pairs_in_order(x_ranks, x, y);
  return pairs_of(n_pair) - x.ties - y.ties + static_cast<Index>(pairs.tied_in_both) -
         2 * static_cast<Index>(pairs.discordant);
}

template <class T>
auto KendallCounter<T>::pairs_in_order(std::span<const T> x_ranks,
                                       const RankedVector<T>& x,
                                       const RankedVector<T>& y) -> Pairs {
  const std::span<T> values = planes_.values();
  for (std::size_t place = 0; place < values.size(); ++place) {
    values[place] = x_ranks[y.order[place]];
  }
  std::uint64_t tied_in_both = 0;
  for (const auto& [begin, end] : y.groups) {
    const auto group =
        values.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    std::sort(group.begin(), group.end());
    if (x.ties == 0) continue;
    std::uint64_t met = 0;  // of the rank at hand
    for (std::size_t i = 1; i < group.size(); ++i) {
      met = group[i] == group[i - 1] ? met + 1 : 0;
      tied_in_both += met;
    }
  }
  if (x.ties > 0) {
    next_ = x.first;
    for (T& value : values) value = next_[value]++;
  }
  return {planes_.inversions(), tied_in_both};
}

template <class T>
auto KendallCounter<T>::pairs_in_table(std::span<const T> x_ranks,
                                       const RankedVector<T>& x,
                                       const RankedVector<T>& y) -> Pairs {
  const auto n_column = static_cast<std::size_t>(x.n_rank());
  const auto n_row = static_cast<std::size_t>(y.n_rank());
  // Two tables in turn: an increment need not wait for the one before, often of the same cell.
  table_.assign((2 * n_row + 1) * n_column, 0);
  std::uint32_t* const table = table_.data();
  std::uint32_t* const second = table + n_row * n_column;
  const std::size_t n_pair = x_ranks.size();
  std::size_t pair = 0;
  for (; pair + 1 < n_pair; pair += 2) {
    ++table[y.ranks[pair] * n_column + x_ranks[pair]];
    ++second[y.ranks[pair + 1] * n_column + x_ranks[pair + 1]];
  }
  if (pair < n_pair) ++table[y.ranks[pair] * n_column + x_ranks[pair]];

  std::uint32_t* const above = second + n_row * n_column;  // (n_column,) sums of earlier rows
  Pairs pairs{0, 0};
  for (std::size_t row = 0; row < n_row; ++row) {
    std::uint64_t greater = 0;
    for (std::size_t column = n_column; column-- > 0;) {
      const std::size_t cell = row * n_column + column;
      const std::uint64_t count = std::uint64_t{table[cell]} + second[cell];
      pairs.discordant += count * greater;
      pairs.tied_in_both += count * (count - 1) / 2;
      greater += above[column];
      above[column] += static_cast<std::uint32_t>(count);
    }
  }
  return pairs;
}

template struct RankedVector<std::uint16_t>;
template struct RankedVector<std::uint32_t>;
template class KendallCounter<std::uint16_t>;
template class KendallCounter<std::uint32_t>;

}  // namespace dnnbrain
