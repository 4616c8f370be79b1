#include "dnnbrain/kernels/ranks.hpp"

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

TEST(sorting_is_stable) {
  const std::vector<double> values{2, 1, 2, 1, 0};
  CHECK_EQUAL(sorted_order(values), (std::vector<std::int32_t>{4, 1, 3, 0, 2}));
}

TEST(many_values_are_sorted_as_few_are) {
  for (const int n_level : {3, 100000}) {
    auto values = naive::levels(2000, n_level, 3);
    for (std::size_t i = 0; i < values.size(); i += 3) values[i] = -values[i];
    const auto order = sorted_order(values);
    for (std::size_t i = 1; i < order.size(); ++i) {
      const double before = values[static_cast<std::size_t>(order[i - 1])];
      const double after = values[static_cast<std::size_t>(order[i])];
      CHECK(before < after || (before == after && order[i - 1] < order[i]));
    }
  }
}

TEST(average_ranks_match_their_definition) {
  for (const std::size_t n : {0u, 1u, 2u, 3u, 17u, 200u}) {
    for (const int n_level : {1, 2, 5, 100000}) {
      const auto values = naive::levels(n, n_level, static_cast<unsigned>(n) + 7);
      CHECK_EQUAL(average_ranks(values), naive::average_ranks(values));
    }
  }
}

TEST(dense_ranks_order_as_the_values_and_leave_no_gap) {
  const auto values = naive::levels(300, 40, 1);
  const auto ranks = dense_ranks(values);
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, ranks[i]);
    for (std::size_t j = 0; j < i; ++j) {
      CHECK_EQUAL(values[i] < values[j], ranks[i] < ranks[j]);
      CHECK_EQUAL(values[i] == values[j], ranks[i] == ranks[j]);
    }
  }
  auto distinct = values;
  std::sort(distinct.begin(), distinct.end());
  const auto n_distinct = std::unique(distinct.begin(), distinct.end()) - distinct.begin();
  CHECK_EQUAL(static_cast<std::ptrdiff_t>(largest) + 1, n_distinct);
}

TEST(signed_zeros_are_equal) {
  CHECK_EQUAL(dense_ranks(std::vector<double>{0.0, -0.0, -1.0}),
              (std::vector<std::uint32_t>{1, 1, 0}));
}
