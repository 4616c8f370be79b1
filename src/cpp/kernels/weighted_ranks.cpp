#include "dnnbrain/kernels/weighted_ranks.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

SortedValues::SortedValues(std::span<const double> values)
    : order(sorted_order(values)), is_greater(values.size()) {
  for (std::size_t i = 1; i < order.size(); ++i) {
    is_greater[i] =
        values[static_cast<std::size_t>(order[i])] > values[static_cast<std::size_t>(order[i - 1])];
  }
}

SampledPairs::SampledPairs(Index n_cond) : places_(static_cast<std::size_t>(pair_count(n_cond))) {}

void SampledPairs::draw(std::span<const double> counts) {
  pairs_.clear();
  weights_.clear();
  total_ = 0;
  std::uint32_t pair = 0;
  for (std::size_t i = 0; i + 1 < counts.size(); ++i) {
    const auto copies = static_cast<std::uint32_t>(counts[i]);
    for (std::size_t j = i + 1; j < counts.size(); ++j, ++pair) {
      const std::uint32_t weight = copies * static_cast<std::uint32_t>(counts[j]);
      places_[pair] = weight == 0 ? -1 : static_cast<std::int32_t>(pairs_.size());
      if (weight == 0) continue;
      pairs_.push_back(pair);
      weights_.push_back(weight);
      total_ += weight;
    }
  }
}

void SampledOrder::restrict(const SortedValues& values, const SampledPairs& sample) {
  sorted.clear();
  starts.clear();
  bool greater = true;
  for (std::size_t i = 0; i < values.order.size(); ++i) {
    greater |= values.is_greater[i] != 0;
    const std::int32_t place = sample.places()[static_cast<std::size_t>(values.order[i])];
    if (place < 0) continue;
    if (greater) starts.push_back(static_cast<std::uint32_t>(sorted.size()));
    greater = false;
    sorted.push_back(static_cast<std::uint32_t>(place));
  }
  finish(sample);
}

void SampledOrder::group(std::span<const std::uint32_t> order,
                         std::span<const std::uint64_t> keys,
                         const SampledPairs& sample) {
  sorted.assign(order.begin(), order.end());
  starts.clear();
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i == 0 || keys[sorted[i]] != keys[sorted[i - 1]]) {
      starts.push_back(static_cast<std::uint32_t>(i));
    }
  }
  finish(sample);
}

void SampledOrder::finish(const SampledPairs& sample) {
  starts.push_back(static_cast<std::uint32_t>(sorted.size()));
  ranks.resize(sorted.size());
  squares = 0;
  for (std::uint32_t rank = 0; rank + 1 < starts.size(); ++rank) {
    double copies = 0;
    for (std::uint32_t i = starts[rank]; i < starts[rank + 1]; ++i) {
      ranks[sorted[i]] = rank;
      copies += sample.weights()[sorted[i]];
    }
    squares += copies * copies;
  }
}

void centred_ranks(const SampledOrder& order, const SampledPairs& sample, std::span<double> out) {
  const double n = sample.total();
  double before = 0;
  for (std::size_t rank = 0; rank + 1 < order.starts.size(); ++rank) {
    double copies = 0;
    for (std::uint32_t i = order.starts[rank]; i < order.starts[rank + 1]; ++i) {
      copies += sample.weights()[order.sorted[i]];
    }
    for (std::uint32_t i = order.starts[rank]; i < order.starts[rank + 1]; ++i) {
      out[order.sorted[i]] = 2 * before + copies - n;
    }
    before += copies;
  }
}

namespace {

// How many copies met so far have a rank greater than a given one: see inversions.hpp, with copies
// in place of ones.
constexpr std::uint32_t kBase = 16;
constexpr std::size_t kMostDigits = 8;

/// (digit, j): all bits where j < digit.
template <class Count>
constexpr std::array<std::array<Count, kBase>, kBase> below_masks() {
  std::array<std::array<Count, kBase>, kBase> masks{};
  for (std::uint32_t digit = 0; digit < kBase; ++digit) {
    for (std::uint32_t j = 0; j < digit; ++j) masks[digit][j] = std::numeric_limits<Count>::max();
  }
  return masks;
}

template <class Count>
constexpr auto kBelow = below_masks<Count>();

struct Discordance {
  double discordant = 0;  // strictly
  double squares = 0;     // of the copies of values tied in both, each kind by itself
};

template <class Count>
[[gnu::always_inline]] inline Discordance count_discordant(const SampledOrder& x,
                                                           const SampledOrder& y,
                                                           const std::uint32_t* weights,
                                                           std::vector<Count>& entries,
                                                           std::uint32_t* in_group) {
  std::array<std::size_t, kMostDigits> first{};
  std::size_t n_digit = 0;
  std::size_t end = 0;
  std::size_t n_node = x.starts.size() - 1;
  do {
    n_node = (n_node + kBase - 1) / kBase;
    first[n_digit++] = end;
    end += n_node * kBase;
  } while (n_node > 1);
  entries.assign(end, 0);
  Count* const counts = entries.data();

  const auto greater = [&](std::uint32_t rank) {
    std::uint64_t found = 0;
    for (std::size_t place = 0; place < n_digit; ++place, rank /= kBase) {
      found += counts[first[place] + rank];
    }
    return found;
  };
  const auto meet = [&](std::uint32_t rank, std::uint32_t weight) {
    for (std::size_t place = 0; place < n_digit; ++place) {
      const std::uint32_t digit = rank % kBase;
      rank /= kBase;
      Count* __restrict__ const node = counts + first[place] + std::size_t{rank} * kBase;
      const Count* __restrict__ const mask = kBelow<Count>[digit].data();
      const auto copies = static_cast<Count>(weight);
#pragma omp simd
      for (std::uint32_t j = 0; j < kBase; ++j) {
        node[j] = static_cast<Count>(node[j] + (mask[j] & copies));
      }
    }
  };

  std::uint64_t discordant = 0;
  std::uint64_t squares = 0;
  for (std::size_t group = 0; group + 1 < y.starts.size(); ++group) {
    const std::uint32_t begin = y.starts[group];
    const std::uint32_t stop = y.starts[group + 1];
    if (stop - begin == 1) {
      const std::uint32_t place = y.sorted[begin];
      const std::uint32_t rank = x.ranks[place];
      const std::uint64_t weight = weights[place];
      discordant += weight * greater(rank);
      squares += weight * weight;
      meet(rank, weights[place]);
      continue;
    }
    // Equals in y are not discordant: all are counted before any is met.
    for (std::uint32_t i = begin; i < stop; ++i) {
      const std::uint32_t place = y.sorted[i];
      const std::uint32_t rank = x.ranks[place];
      const std::uint64_t weight = weights[place];
      discordant += weight * greater(rank);
      // (a + w)^2 = a^2 + w (2 a + w)
      squares += weight * (2 * std::uint64_t{in_group[rank]} + weight);
      in_group[rank] += weights[place];
    }
    for (std::uint32_t i = begin; i < stop; ++i) {
      const std::uint32_t place = y.sorted[i];
      meet(x.ranks[place], weights[place]);
      in_group[x.ranks[place]] = 0;
    }
  }
  return {static_cast<double>(discordant), static_cast<double>(squares)};
}

DNNBRAIN_CLONES
Discordance count_narrow(const SampledOrder& x,
                         const SampledOrder& y,
                         const std::uint32_t* weights,
                         std::vector<std::uint16_t>& entries,
                         std::uint32_t* in_group) {
  return count_discordant(x, y, weights, entries, in_group);
}

DNNBRAIN_CLONES
Discordance count_wide(const SampledOrder& x,
                       const SampledOrder& y,
                       const std::uint32_t* weights,
                       std::vector<std::uint32_t>& entries,
                       std::uint32_t* in_group) {
  return count_discordant(x, y, weights, entries, in_group);
}

}  // namespace

double ConcordanceRoom::score(const SampledOrder& x,
                              const SampledOrder& y,
                              const SampledPairs& sample) {
  if (in_group_.size() < sample.size()) in_group_.resize(sample.size());
  // Half the width is half the work; 16 bits count the pairs of up to 362 conditions.
  const bool narrow = sample.total() <= std::numeric_limits<std::uint16_t>::max();
  if (narrow != (counters_.index() == 0)) {
    if (narrow) {
      counters_.emplace<0>();
    } else {
      counters_.emplace<1>();
    }
  }
  const std::uint32_t* const weights = sample.weights().data();
  const Discordance found =
      narrow ? count_narrow(x, y, weights, std::get<0>(counters_).entries, in_group_.data())
             : count_wide(x, y, weights, std::get<1>(counters_).entries, in_group_.data());
  // Pairs untied in x and y, concordant or discordant, twice; an entry with itself cancels.
  const double n = sample.total();
  const double untied = n * n - x.squares - y.squares + found.squares;
  return 0.5 * untied - 2 * found.discordant;
}

}  // namespace dnnbrain
