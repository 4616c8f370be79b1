#include "dnnbrain/kernels/weighted_ranks.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "dnnbrain/kernels/radix_order.hpp"
#include "dnnbrain/kernels/ranks.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

/// Counts of n_cond conditions drawn n_cond times `times` over, never all alike.
std::vector<double> draw(Index n_cond, int times, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<double> counts(static_cast<std::size_t>(n_cond));
  for (Index i = 0; i < n_cond * times; ++i) {
    ++counts[rng() % static_cast<unsigned>(n_cond)];
  }
  return counts;
}

/// The entries of a sample, each as often as it comes.
std::vector<double> written_out(const std::vector<double>& values, const SampledPairs& sample) {
  std::vector<double> out;
  for (std::size_t place = 0; place < sample.size(); ++place) {
    out.insert(out.end(), sample.weights()[place], values[sample.pairs()[place]]);
  }
  return out;
}

}  // namespace

TEST(keys_are_ordered_as_numbers_are) {
  const std::vector<double> values{-1e300, -2.0, -1e-310, 0.0, 1e-310, 1.0, 1.5, 1e300};
  for (std::size_t i = 1; i < values.size(); ++i) {
    CHECK(ordered_key(values[i - 1]) < ordered_key(values[i]));
  }
  CHECK_EQUAL(ordered_key(-0.0), ordered_key(0.0));
}

TEST(radix_order_is_that_of_a_stable_sort) {
  RadixOrder radix;
  unsigned seed = 0;
  for (const std::size_t n : {0u, 1u, 2u, 300u, 5000u}) {
    for (const int n_level : {1, 3, 1000, 100000}) {
      const auto values = naive::levels(n, n_level, ++seed);
      std::vector<std::uint64_t> keys(n);
      std::transform(values.begin(), values.end(), keys.begin(), ordered_key);
      const auto expected = sorted_order(values);
      const auto found = radix.sort(keys);
      CHECK_EQUAL(found.size(), n);
      for (std::size_t i = 0; i < n; ++i) {
        CHECK_EQUAL(found[i], static_cast<std::uint32_t>(expected[i]));
      }
    }
  }
}

TEST(ranks_and_s_are_those_of_the_sample_written_out) {
  unsigned seed = 0;
  for (const Index n_cond : {3, 5, 9, 14}) {
    for (const int times : {1, 3}) {
      const auto n_pair = static_cast<std::size_t>(pair_count(n_cond));
      SampledPairs sample(n_cond);
      ConcordanceRoom room;
      for (const int x_levels : {1, 2, 10, 100000}) {
        for (const int y_levels : {2, 100000}) {
          sample.draw(draw(n_cond, times, ++seed));
          const auto x = naive::levels(n_pair, x_levels, ++seed);
          const auto y = naive::levels(n_pair, y_levels, ++seed);
          SampledOrder x_order;
          SampledOrder y_order;
          x_order.restrict(SortedValues(x), sample);
          y_order.restrict(SortedValues(y), sample);
          const auto all_x = written_out(x, sample);
          CHECK_EQUAL(static_cast<std::size_t>(sample.total()), all_x.size());
          const auto s = static_cast<double>(naive::kendall_s(all_x, written_out(y, sample)));
          CHECK_EQUAL(room.score(x_order, y_order, sample), s);
          CHECK_EQUAL(room.score(y_order, x_order, sample), s);

          std::vector<double> ranks(sample.size());
          centred_ranks(x_order, sample, ranks);
          const auto expected = average_ranks(all_x);
          const double mean = 0.5 * static_cast<double>(all_x.size() + 1);
          std::size_t copy = 0;
          for (std::size_t place = 0; place < sample.size(); ++place) {
            CHECK_EQUAL(ranks[place], 2 * (expected[copy] - mean));
            copy += sample.weights()[place];
          }
        }
      }
    }
  }
}

TEST(an_order_from_keys_is_that_of_the_values) {
  const Index n_cond = 11;
  const auto values = naive::levels(static_cast<std::size_t>(pair_count(n_cond)), 12, 5);
  SampledPairs sample(n_cond);
  sample.draw(draw(n_cond, 1, 6));
  SampledOrder restricted;
  restricted.restrict(SortedValues(values), sample);
  std::vector<std::uint64_t> keys(sample.size());
  for (std::size_t place = 0; place < sample.size(); ++place) {
    keys[place] = ordered_key(values[sample.pairs()[place]]);
  }
  RadixOrder radix;
  SampledOrder grouped;
  grouped.group(radix.sort(keys), keys, sample);
  CHECK(grouped.ranks == restricted.ranks);
  CHECK(grouped.starts == restricted.starts);
  CHECK_EQUAL(grouped.squares, restricted.squares);
}
