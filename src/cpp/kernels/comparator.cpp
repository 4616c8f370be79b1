#include "dnnbrain/kernels/comparator.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

Eigen::Map<Eigen::ArrayXd> array_of(std::vector<double>& values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

/// What is left of an RDM that has no part u, relative to its norm: rounding.
constexpr double kNothing = 1e-13;

/// Ranks less their mean, doubled, so that those of ties are whole numbers too.
DotForm form_of_ranks(std::span<const double> values, Comparator comparator) {
  DotForm form{average_ranks(values)};
  auto v = array_of(form.values);
  const double m = static_cast<double>(values.size());
  v = 2 * v - (m + 1);
  if (comparator == Comparator::kRhoA) {
    form.scale = 0.5 * std::sqrt(12.0 / (m * m * m - m));
  } else {
    // Squares of whole numbers; a sum of millions of them in fp64 would be off in the last digits.
    long double square = 0;
    for (const double value : form.values) square += static_cast<long double>(value * value);
    form.scale = static_cast<double>(1 / std::sqrt(square));
  }
  return form;
}

/// How much of each part of an RDM a comparator sees (comparator.hpp).
struct PartWeights {
  double mean;
  double conditions;  // a_i + a_j
  double rest;        // u_ij
};

PartWeights part_weights(Index n_cond, Comparator comparator) {
  const double n = static_cast<double>(n_cond);
  if (comparator == Comparator::kCkaUnbiased) return {0, 0, 1};
  // Roots of V's eigenvalues 2n, n, 2, inverted and times that of 2.
  return {comparator == Comparator::kCorrCov ? 0 : std::sqrt(1 / n), std::sqrt(2 / n), 1};
}

/// Each part of the RDM times its weight.
void weigh_parts(std::vector<double>& values, Index n_cond, const PartWeights& weights) {
  auto v = array_of(values);
  const double mean = v.mean();
  Eigen::ArrayXd sums = Eigen::ArrayXd::Zero(n_cond);
  v -= mean;
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond; ++i) {
    for (Index j = i + 1; j < n_cond; ++j, ++pair) {
      sums[i] += values[pair];
      sums[j] += values[pair];
    }
  }
  const Eigen::ArrayXd a = sums / static_cast<double>(n_cond - 2);
  pair = 0;
  for (Index i = 0; i < n_cond; ++i) {
    for (Index j = i + 1; j < n_cond; ++j, ++pair) {
      const double both = a[i] + a[j];
      values[pair] =
          weights.mean * mean + weights.conditions * both + weights.rest * (values[pair] - both);
    }
  }
}

void require_varied(bool varied, double value) {
  DNNBRAIN_REQUIRE(varied,
                   "a correlation needs an RDM whose dissimilarities differ; got ",
                   value,
                   " everywhere.");
}

}  // namespace

DotForm dot_form(std::span<const double> values, Comparator comparator) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const bool varied = *least != *most;
  if (comparator == Comparator::kSpearman) require_varied(varied, *least);
  if (comparator == Comparator::kSpearman || comparator == Comparator::kRhoA) {
    return form_of_ranks(values, comparator);
  }
  DotForm form{{values.begin(), values.end()}};
  auto v = array_of(form.values);
  // To size 1 before anything is squared.
  const double size = std::max(std::abs(*least), std::abs(*most));
  if (size > 0) v /= size;
  switch (comparator) {
    case Comparator::kCorr:
      require_varied(varied, *least);
      v -= v.mean();
      break;
    case Comparator::kCosine:
      break;
    default: {
      const Index n_cond = condition_count(static_cast<Index>(values.size()));
      if (comparator == Comparator::kCorrCov) require_varied(varied, *least);
      const double before = v.matrix().norm();
      weigh_parts(form.values, n_cond, part_weights(n_cond, comparator));
      DNNBRAIN_REQUIRE(
          comparator != Comparator::kCkaUnbiased || v.matrix().norm() > kNothing * before,
          "unbiased CKA needs an RDM that is not a sum of one number for each condition.");
    }
  }
  const double norm = v.matrix().norm();
  DNNBRAIN_REQUIRE(norm > 0, "cosine needs an RDM that is not all zero; got zeros only.");
  v /= norm;
  return form;
}

std::vector<double> prepare_for_dot(std::span<const double> values, Comparator comparator) {
  DotForm form = dot_form(values, comparator);
  array_of(form.values) *= form.scale;
  return std::move(form.values);
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
