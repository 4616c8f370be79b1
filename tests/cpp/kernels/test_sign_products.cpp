#include "dnnbrain/kernels/sign_products.hpp"

#include <cmath>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

Matrix rows_of(const std::vector<std::vector<double>>& vectors) {
  Matrix rows(static_cast<Index>(vectors.size()), static_cast<Index>(vectors.front().size()));
  for (Index i = 0; i < rows.rows(); ++i) {
    for (Index j = 0; j < rows.cols(); ++j) {
      rows(i, j) = vectors[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    }
  }
  return rows;
}

}  // namespace

TEST(taus_match_all_pairs_of_pairs) {
  for (const std::size_t m : {2u, 3u, 17u, 66u, 210u}) {
    for (const int n_level : {2, 5, 100000}) {
      const std::vector<std::vector<double>> vectors{
          naive::levels(m, n_level, 1), naive::levels(m, 3, 2), naive::levels(m, 100000, 3)};
      const VectorPairs pairs{{0, 1}, {2, 0}, {1, 2}, {1, 1}};
      const Matrix rows = rows_of(vectors);
      const auto tau_a = short_taus(rows, pairs, Comparator::kTauA);
      const auto tau_b = short_taus(rows, pairs, Comparator::kTauB);
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto& x = vectors[static_cast<std::size_t>(pairs[i].first)];
        const auto& y = vectors[static_cast<std::size_t>(pairs[i].second)];
        const auto all = static_cast<double>(pair_count(static_cast<Index>(m)));
        const auto s = static_cast<double>(naive::kendall_s(x, y));
        CHECK_EQUAL(tau_a[i], s / all);
        const double untied = (all - static_cast<double>(naive::tied_pairs(x))) *
                              (all - static_cast<double>(naive::tied_pairs(y)));
        CHECK_NEAR(tau_b[i], untied > 0 ? s / std::sqrt(untied) : 0.0, 1e-15);
      }
    }
  }
}

TEST(constant_rows_score_zero) {
  const Matrix rows = rows_of({{1, 1, 1, 1}, {1, 2, 3, 4}});
  CHECK_EQUAL(short_taus(rows, {{0, 1}}, Comparator::kTauA)[0], 0.0);
  CHECK_EQUAL(short_taus(rows, {{0, 1}}, Comparator::kTauB)[0], 0.0);
  CHECK_NEAR(short_taus(rows, {{1, 1}}, Comparator::kTauB)[0], 1.0, 1e-15);
}

TEST(other_comparators_are_refused) {
  const Matrix rows = rows_of({{1, 2}, {2, 1}});
  CHECK_THROWS(InvalidArgument, short_taus(rows, {{0, 1}}, Comparator::kCorr));
}
