#include "dnnbrain/kernels/comparator.hpp"

#include <algorithm>
#include <cmath>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

Eigen::Map<Eigen::ArrayXd> array_of(std::vector<double>& values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

}  // namespace

std::vector<double> prepare_for_dot(std::span<const double> values, Comparator comparator) {
  const bool ranked = comparator == Comparator::kSpearman || comparator == Comparator::kRhoA;
  std::vector<double> prepared =
      ranked ? average_ranks(values) : std::vector<double>(values.begin(), values.end());
  auto v = array_of(prepared);
  if (comparator == Comparator::kCosine) {
    const double norm = v.matrix().stableNorm();
    DNNBRAIN_REQUIRE(norm > 0, "cosine needs an RDM that is not all zero; got zeros only.");
    v /= norm;
    return prepared;
  }
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const bool constant = *least == *most;
  v -= v.mean();
  if (comparator == Comparator::kRhoA) {
    const double m = static_cast<double>(values.size());
    v *= std::sqrt(12.0 / (m * m * m - m));
    return prepared;
  }
  DNNBRAIN_REQUIRE(!constant,
                   "a correlation needs an RDM whose dissimilarities differ; got ",
                   *least,
                   " everywhere.");
  v /= v.matrix().stableNorm();
  return prepared;
}

double kendall_denominator(Index n_pair, Index ties_x, Index ties_y, Comparator comparator) {
  const double all = static_cast<double>(pair_count(n_pair));
  if (comparator == Comparator::kTauA) return all;
  const double untied_x = all - static_cast<double>(ties_x);
  const double untied_y = all - static_cast<double>(ties_y);
  DNNBRAIN_REQUIRE(untied_x > 0 && untied_y > 0,
                   "tau-b needs RDMs whose dissimilarities differ; one is constant.");
  return std::sqrt(untied_x) * std::sqrt(untied_y);
}

}  // namespace dnnbrain
