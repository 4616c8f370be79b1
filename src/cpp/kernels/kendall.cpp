#include "dnnbrain/kernels/kendall.hpp"

#include <algorithm>

#include "dnnbrain/kernels/pair_table.hpp"
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
      ascending.push_back(ranks[order[end]]);
    }
    first.push_back(static_cast<T>(begin));
    const auto count = static_cast<Index>(end - begin);
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
  const Pairs pairs =
      few_cells(x.n_rank(), y.n_rank(), n_pair) ? in_table(x_ranks, x, y) : in_order(x_ranks, x, y);
  return pairs_of(n_pair) - x.ties - y.ties + static_cast<Index>(pairs.tied_in_both) -
         2 * static_cast<Index>(pairs.discordant);
}

template <class T>
auto KendallCounter<T>::in_order(std::span<const T> x_ranks,
                                 const RankedVector<T>& x,
                                 const RankedVector<T>& y) -> Pairs {
  const std::span<T> values = planes_.values();
  std::uint64_t tied_in_both = 0;
  if (y.ties > 0) {
    tied_in_both = place_both_tied(x_ranks, x, y);
  } else if (x.ties > 0) {
    next_x_ = x.first;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = next_x_[x_ranks[y.order[i]]]++;
  } else {
    gather(x_ranks.data(), std::span<const T>(y.order), values.data());
  }
  return {planes_.inversions(), tied_in_both};
}

/// Equals in x are read by ascending y, and equals in y placed in order of arrival: places in y in
/// the order of x, which have as many inversions as ranks of x in the order of y where nothing is
/// tied. Returns the pairs tied in both.
template <class T>
std::uint64_t KendallCounter<T>::place_both_tied(std::span<const T> x_ranks,
                                                 const RankedVector<T>& x,
                                                 const RankedVector<T>& y) {
  const std::span<T> values = planes_.values();
  next_x_ = x.first;
  y_ranks_.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    y_ranks_[next_x_[x_ranks[y.order[i]]]++] = y.ascending[i];
  }
  next_y_ = y.first;
  std::uint64_t tied_in_both = 0;
  std::uint64_t met = 0;  // of the ranks at hand; without branches, which would be mispredicted
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool again =
        i > 0 && y_ranks_[i] == y_ranks_[i - 1] && x.ascending[i] == x.ascending[i - 1];
    met = again ? met + 1 : 0;
    tied_in_both += met;
    values[i] = next_y_[y_ranks_[i]]++;
  }
  return tied_in_both;
}

template <class T>
auto KendallCounter<T>::in_table(std::span<const T> x_ranks,
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
