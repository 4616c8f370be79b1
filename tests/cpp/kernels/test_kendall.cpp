#include "dnnbrain/kernels/kendall.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

constexpr Simd kForms[] = {Simd::kPortable, Simd::kAvx2, Simd::kAvx512, Simd::kAvx512Vbmi2};

template <class T>
Index fast_s(const std::vector<double>& x, const std::vector<double>& y, Simd form) {
  const RankedVector<T> ranked_x(x);
  const RankedVector<T> ranked_y(y);
  KendallCounter<T> counter(static_cast<Index>(x.size()), form);
  return counter.score(ranked_x.ranks, ranked_x, ranked_y);
}

Index fast_s(const std::vector<double>& x, const std::vector<double>& y) {
  return fast_s<std::uint16_t>(x, y, widest_simd());
}

}  // namespace

TEST(ranks_and_ties_match_their_definitions) {
  for (const int n_level : {1, 2, 10, 100000}) {
    const auto values = naive::levels(211, n_level, 3);
    const RankedVector<std::uint16_t> ranked(values);
    CHECK_EQUAL(ranked.ties, naive::tied_pairs(values));
    CHECK_EQUAL(ranked.n_rank(), *std::max_element(ranked.ranks.begin(), ranked.ranks.end()) + 1);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto less = std::count_if(
          values.begin(), values.end(), [&](double value) { return value < values[i]; });
      CHECK_EQUAL(ranked.first[ranked.ranks[i]], less);
    }
    for (std::size_t i = 1; i < values.size(); ++i) {
      CHECK(values[ranked.order[i - 1]] <= values[ranked.order[i]]);
    }
  }
}

TEST(s_matches_the_sum_of_signs_with_heavy_ties) {
  unsigned seed = 0;
  for (const std::size_t n : {1u, 2u, 3u, 10u, 45u, 190u}) {
    for (const int x_levels : {1, 2, 3, 20, 100000}) {
      for (const int y_levels : {1, 2, 3, 20, 100000}) {
        const auto x = naive::levels(n, x_levels, ++seed);
        const auto y = naive::levels(n, y_levels, ++seed);
        const Index expected = naive::kendall_s(x, y);
        for (const Simd form : kForms) {
          CHECK_EQUAL(fast_s<std::uint16_t>(x, y, form), expected);
          CHECK_EQUAL(fast_s<std::uint32_t>(x, y, form), expected);
          CHECK_EQUAL(fast_s<std::uint16_t>(y, x, form), expected);
        }
      }
    }
  }
}

TEST(s_of_long_vectors_matches_the_sum_of_signs) {
  for (const auto& [x_levels, y_levels] : {std::pair{1 << 30, 1 << 30},
                                           std::pair{2, 1 << 30},
                                           std::pair{1 << 30, 300},
                                           std::pair{300, 400},
                                           std::pair{30, 40},
                                           std::pair{1, 40}}) {
    const auto x = naive::levels(4186, x_levels, 8);
    const auto y = naive::levels(4186, y_levels, 9);
    const Index expected = naive::kendall_s(x, y);
    for (const Simd form : kForms) {
      CHECK_EQUAL(fast_s<std::uint16_t>(x, y, form), expected);
      CHECK_EQUAL(fast_s<std::uint32_t>(y, x, form), expected);
    }
  }
  const auto x = naive::levels(20000, 1 << 30, 10);
  const auto y = naive::levels(20000, 5000, 11);
  const Index expected = naive::kendall_s(x, y);
  for (const Simd form : kForms) CHECK_EQUAL(fast_s<std::uint16_t>(x, y, form), expected);
}

TEST(s_of_a_vector_with_itself_counts_the_untied_pairs) {
  const auto x = naive::levels(120, 9, 4);
  std::vector<double> opposite = x;
  for (double& value : opposite) value = -value;
  const Index untied = 120 * 119 / 2 - naive::tied_pairs(x);
  CHECK_EQUAL(fast_s(x, x), untied);
  CHECK_EQUAL(fast_s(x, opposite), -untied);
}

TEST(a_counter_serves_one_vector_after_another) {
  KendallCounter<std::uint16_t> counter(190);
  for (const int x_levels : {100000, 2, 20}) {
    for (const int y_levels : {3, 100000}) {
      const auto x = naive::levels(190, x_levels, 6);
      const auto y = naive::levels(190, y_levels, 7);
      const RankedVector<std::uint16_t> ranked(x);
      CHECK_EQUAL(counter.score(ranked.ranks, ranked, RankedVector<std::uint16_t>(y)),
                  naive::kendall_s(x, y));
    }
  }
}

TEST(s_with_more_pairs_than_16_bits_count) {
  // 70000 values, all discordant but for one tie on each side, in different places.
  std::vector<double> x(70000);
  std::iota(x.begin(), x.end(), 0.0);
  std::vector<double> y(x.rbegin(), x.rend());
  x[1] = x[0];
  y[3] = y[2];
  const Index all = Index{70000} * 69999 / 2;
  for (const Simd form : kForms) CHECK_EQUAL(fast_s<std::uint32_t>(x, y, form), -(all - 2));
}
