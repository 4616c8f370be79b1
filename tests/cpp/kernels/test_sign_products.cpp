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

std::vector<Index> once(std::size_t m) { return std::vector<Index>(m, 1); }

}  // namespace

TEST(taus_match_all_pairs_of_pairs) {
  for (const std::size_t m : {2u, 3u, 17u, 66u, 210u}) {
    for (const int n_level : {2, 5, 100000}) {
      const std::vector<std::vector<double>> vectors{
          naive::levels(m, n_level, 1), naive::levels(m, 3, 2), naive::levels(m, 100000, 3)};
      const VectorPairs pairs{{0, 1}, {2, 0}, {1, 2}, {1, 1}};
      const Matrix rows = rows_of(vectors);
      const auto tau_a = short_taus(rows, once(m), pairs, Comparator::kTauA);
      const auto tau_b = short_taus(rows, once(m), pairs, Comparator::kTauB);
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

TEST(entries_that_come_several_times_are_as_if_written_out) {
  const auto x = naive::levels(30, 9, 4);
  const auto y = naive::levels(30, 100, 5);
  std::vector<Index> times;
  std::vector<double> long_x;
  std::vector<double> long_y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    times.push_back(static_cast<Index>(i * i % 5));
    long_x.insert(long_x.end(), static_cast<std::size_t>(times.back()), x[i]);
    long_y.insert(long_y.end(), static_cast<std::size_t>(times.back()), y[i]);
  }
  for (const Comparator comparator : {Comparator::kTauA, Comparator::kTauB}) {
    CHECK_EQUAL(
        short_taus(rows_of({x, y}), times, {{0, 1}}, comparator)[0],
        short_taus(rows_of({long_x, long_y}), once(long_x.size()), {{0, 1}}, comparator)[0]);
  }
  times[3] = Index{1} << 15;
  CHECK_THROWS(InvalidArgument, short_taus(rows_of({x, y}), times, {{0, 1}}, Comparator::kTauA));
  times.pop_back();
  CHECK_THROWS(InvalidArgument, short_taus(rows_of({x, y}), times, {{0, 1}}, Comparator::kTauA));
}

TEST(constant_rows_score_zero) {
  const Matrix rows = rows_of({{1, 1, 1, 1}, {1, 2, 3, 4}});
  CHECK_EQUAL(short_taus(rows, once(4), {{0, 1}}, Comparator::kTauA)[0], 0.0);
  CHECK_EQUAL(short_taus(rows, once(4), {{0, 1}}, Comparator::kTauB)[0], 0.0);
  CHECK_NEAR(short_taus(rows, once(4), {{1, 1}}, Comparator::kTauB)[0], 1.0, 1e-15);
}

TEST(other_comparators_are_refused) {
  const Matrix rows = rows_of({{1, 2}, {2, 1}});
  CHECK_THROWS(InvalidArgument, short_taus(rows, once(2), {{0, 1}}, Comparator::kCorr));
}
