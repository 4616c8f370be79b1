#include "dnnbrain/kernels/kendall.hpp"

#include <numeric>

#include "dnnbrain/kernels/ranks.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

std::uint64_t fast_inversions(std::vector<std::uint32_t> values) {
  std::vector<std::uint32_t> scratch(values.size());
  return count_inversions(values, scratch);
}

Index fast_s(const std::vector<double>& x, const std::vector<double>& y) {
  const auto ranks = dense_ranks(x);
  std::vector<std::uint32_t> sorted(x.size());
  std::vector<std::uint32_t> scratch(x.size());
  return KendallReference(y).score(ranks, tied_pairs(ranks), sorted, scratch);
}

}  // namespace

TEST(inversions_match_the_count_over_all_pairs) {
  std::mt19937 generator(5);
  // Sizes around the length below which pairs are compared directly, and around powers of two.
  for (const std::size_t n : {0u, 1u, 2u, 31u, 32u, 33u, 64u, 65u, 127u, 500u}) {
    for (const std::uint32_t largest : {0u, 1u, 2u, 31u, 32u, 255u, 1u << 20, 0xffffffffu}) {
      std::uniform_int_distribution<std::uint32_t> draw(0, largest);
      std::vector<std::uint32_t> values(n);
      for (auto& value : values) value = draw(generator);
      CHECK_EQUAL(fast_inversions(values), naive::inversions(values));
    }
  }
}

TEST(inversions_of_sorted_and_reversed_sequences) {
  std::vector<std::uint32_t> values(1000);
  std::iota(values.begin(), values.end(), 0u);
  CHECK_EQUAL(fast_inversions(values), 0u);
  std::reverse(values.begin(), values.end());
  CHECK_EQUAL(fast_inversions(values), 499500u);
}

TEST(inversions_do_not_overflow_32_bits) {
  std::vector<std::uint32_t> values(200000);
  std::iota(values.rbegin(), values.rend(), 0u);
  CHECK_EQUAL(fast_inversions(values), std::uint64_t{200000} * 199999 / 2);
}

TEST(tied_pairs_match_the_count_over_all_pairs) {
  for (const int n_level : {1, 2, 10, 100000}) {
    const auto ranks = dense_ranks(naive::levels(211, n_level, 3));
    CHECK_EQUAL(tied_pairs(ranks), naive::tied_pairs(ranks));
  }
}

TEST(s_matches_the_sum_of_signs_with_heavy_ties) {
  unsigned seed = 0;
  for (const std::size_t n : {1u, 2u, 3u, 10u, 45u, 190u}) {
    for (const int x_levels : {1, 2, 3, 20, 100000}) {
      for (const int y_levels : {1, 2, 3, 20, 100000}) {
        const auto x = naive::levels(n, x_levels, ++seed);
        const auto y = naive::levels(n, y_levels, ++seed);
        CHECK_EQUAL(fast_s(x, y), naive::kendall_s(x, y));
        CHECK_EQUAL(fast_s(y, x), fast_s(x, y));
      }
    }
  }
}

TEST(s_of_a_vector_with_itself_counts_the_untied_pairs) {
  const auto x = naive::levels(120, 9, 4);
  std::vector<double> opposite = x;
  for (double& value : opposite) value = -value;
  const Index untied = 120 * 119 / 2 - naive::tied_pairs(x);
  CHECK_EQUAL(fast_s(x, x), untied);
  CHECK_EQUAL(fast_s(x, opposite), -untied);
}
