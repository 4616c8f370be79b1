#include "dnnbrain/kernels/comparator.hpp"

#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

double fast(const std::vector<double>& x, const std::vector<double>& y, Comparator comparator) {
  return dot(prepare_for_dot(x, comparator), prepare_for_dot(y, comparator));
}

double pearson(const std::vector<double>& x, const std::vector<double>& y) {
  const double n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0;
  double xx = 0;
  double yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return xy / std::sqrt(xx * yy);
}

}  // namespace

TEST(dot_products_match_the_definitions) {
  const auto x = naive::levels(105, 30, 1);
  const auto y = naive::levels(105, 8, 2);
  const auto rank_x = naive::average_ranks(x);
  const auto rank_y = naive::average_ranks(y);
  CHECK_NEAR(fast(x, y, Comparator::kCorr), pearson(x, y), 1e-13);
  CHECK_NEAR(fast(x, y, Comparator::kSpearman), pearson(rank_x, rank_y), 1e-13);
  CHECK_NEAR(fast(x, y, Comparator::kCosine), dot(x, y) / std::sqrt(dot(x, x) * dot(y, y)), 1e-13);
  const double m = 105;
  double rho_a = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    rho_a += 12 / (m * m * m - m) * (rank_x[i] - 53) * (rank_y[i] - 53);
  }
  CHECK_NEAR(fast(x, y, Comparator::kRhoA), rho_a, 1e-13);
}

TEST(values_near_the_ends_of_the_range_do_not_overflow) {
  const std::vector<double> x{1e200, 2e200, 4e200};
  const std::vector<double> y{1e-200, 2e-200, 4e-200};
  CHECK_NEAR(fast(x, y, Comparator::kCorr), 1.0, 1e-13);
  CHECK_NEAR(fast(x, y, Comparator::kCosine), 1.0, 1e-13);
}

TEST(undefined_similarities_are_refused) {
  // 0.1 is not a binary fraction: the mean of a constant vector differs from it by rounding.
  const std::vector<double> constant(45, 0.1);
  for (const Comparator comparator : {Comparator::kCorr, Comparator::kSpearman}) {
    CHECK(CHECK_THROWS(InvalidArgument, prepare_for_dot(constant, comparator)).find("0.1") !=
          std::string::npos);
  }
  CHECK_THROWS(InvalidArgument, prepare_for_dot(std::vector<double>(45, 0.0), Comparator::kCosine));
  CHECK_NEAR(fast(constant, constant, Comparator::kCosine), 1.0, 1e-13);
  CHECK_NEAR(fast(constant, naive::levels(45, 9, 1), Comparator::kRhoA), 0.0, 1e-13);
}

TEST(kendall_denominators) {
  CHECK_EQUAL(kendall_denominator(5, 3, 4, Comparator::kTauA), 10.0);
  CHECK_NEAR(kendall_denominator(5, 3, 4, Comparator::kTauB), std::sqrt(42.0), 1e-14);
  CHECK_THROWS(InvalidArgument, kendall_denominator(5, 10, 0, Comparator::kTauB));
  CHECK_THROWS(InvalidArgument, kendall_denominator(5, 0, 10, Comparator::kTauB));
}
