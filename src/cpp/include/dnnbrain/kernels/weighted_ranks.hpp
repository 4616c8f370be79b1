// Ranks and concordant pairs of values that come several times each: the entries of RDMs in a
// sample of the conditions, where the pair (i, j) comes c_i c_j times and copies of one condition
// against each other are no pair. Nothing is sorted again and no copy is made: everything follows
// from the order in the whole RDM and from running sums of weights. All integers.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// The order of the values of one RDM, and where a new value begins in it.
struct SortedValues {
  explicit SortedValues(std::span<const double> values);  // (n_pair,); O(n log n)

  std::vector<std::int32_t> order;       // (n_pair,)
  std::vector<std::uint8_t> is_greater;  // (n_pair,) than the value before, in that order
};

/// The distinct pairs of a sample, called places, and how often each comes.
class SampledPairs {
 public:
  explicit SampledPairs(Index n_cond);

  /// Take another sample. O(n_pair).
  void draw(std::span<const double> counts);  // (n_cond,) whole numbers

  std::size_t size() const { return pairs_.size(); }
  std::uint32_t total() const { return total_; }

  std::span<const std::uint32_t> pairs() const { return pairs_; }      // (size,) place -> pair
  std::span<const std::uint32_t> weights() const { return weights_; }  // (size,) by place
  std::span<const std::int32_t> places() const { return places_; }     // (n_pair,) or -1

 private:
  std::vector<std::uint32_t> pairs_;
  std::vector<std::uint32_t> weights_;
  std::vector<std::int32_t> places_;
  std::uint32_t total_ = 0;
};

/// The order of the values that a sample holds.
struct SampledOrder {
  /// From the order in the whole RDM. O(n_pair).
  void restrict(const SortedValues& values, const SampledPairs& sample);

  /// From places in ascending order of keys, as of a pool.
  void group(std::span<const std::uint32_t> sorted,  // (size,) places
             std::span<const std::uint64_t> keys,    // (size,) by place
             const SampledPairs& sample);

  bool constant() const { return starts.size() <= 2; }

  std::vector<std::uint32_t> sorted;  // (size,) places, ascending
  std::vector<std::uint32_t> starts;  // (n_rank + 1,) where each value begins in `sorted`
  std::vector<std::uint32_t> ranks;   // (size,) dense, by place
  double squares = 0;                 // sum over values of the squared number of their copies

 private:
  void finish(const SampledPairs& sample);
};

/// Twice the average rank less its mean, by place: whole numbers. O(size).
void centred_ranks(const SampledOrder& order,
                   const SampledPairs& sample,
                   std::span<double> out);  // (size,)

/// Room for one thread's counts.
class ConcordanceRoom {
 public:
  /// sum over pairs of entries of sign(x difference) sign(y difference), copies counted as often as
  /// they come: Kendall's S of the sample written out. O(size log size), without a sort.
  double score(const SampledOrder& x, const SampledOrder& y, const SampledPairs& sample);

 private:
  template <class Count>
  struct Counters {
    std::vector<Count> entries;
  };
  std::variant<Counters<std::uint16_t>, Counters<std::uint32_t>> counters_;
  std::vector<std::uint32_t> in_group_;  // by rank of x: copies in this group of equal y
};

}  // namespace dnnbrain
