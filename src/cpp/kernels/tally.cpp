#include "dnnbrain/kernels/tally.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace dnnbrain {

namespace {

/// Room for rounding when two means over subjects are compared: sums of other scores may be the
/// same mean.
constexpr double kRoundingOfMeans = 1e-12;

constexpr double kNone = -std::numeric_limits<double>::infinity();

/// Mean over subjects, summed in their order: a vectorised sum would depend on where a row lies.
double mean_of(std::span<const double> scores) {
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

}  // namespace

Tally::Tally(const Matrix& observed, Alternative alternative, double rounding)
    : alternative_(alternative),
      rounding_(rounding),
      observed_(observed.rows(), observed.cols()),
      group_(observed.rows()),
      most_(observed.cols()) {
  for (Index model = 0; model < observed.rows(); ++model) {
    for (Index subject = 0; subject < observed.cols(); ++subject) {
      observed_(model, subject) = extremeness(observed(model, subject)) - rounding_;
    }
    group_[model] = extremeness(mean_of(row_of(observed, model))) - kRoundingOfMeans;
  }
  exceedances_ = {CountMatrix::Zero(observed.rows(), observed.cols()),
                  CountMatrix::Zero(observed.rows(), 1),
                  CountMatrix::Zero(observed.rows(), observed.cols()),
                  CountMatrix::Zero(observed.rows(), 1)};
}

double Tally::extremeness(double score) const {
  switch (alternative_) {
    case Alternative::kGreater:
      return score;
    case Alternative::kLess:
      return -score;
    case Alternative::kTwoSided:
      return std::abs(score);
  }
  return score;
}

void Tally::count(std::span<const double> scores) {
  const Index n_model = observed_.rows();
  const auto n_subject = static_cast<std::size_t>(observed_.cols());
  most_.fill(kNone);
  double most_of_group = kNone;
  for (Index model = 0; model < n_model; ++model) {
    const auto row = scores.subspan(static_cast<std::size_t>(model) * n_subject, n_subject);
    for (std::size_t at = 0; at < n_subject; ++at) {
      const auto subject = static_cast<Index>(at);
      const double extreme = extremeness(row[at]);
      exceedances_.each(model, subject) += extreme >= observed_(model, subject);
      most_[subject] = std::max(most_[subject], extreme);
    }
    const double extreme = extremeness(mean_of(row));
    exceedances_.group(model, 0) += extreme >= group_[model];
    most_of_group = std::max(most_of_group, extreme);
  }
  for (Index model = 0; model < n_model; ++model) {
    for (Index subject = 0; subject < observed_.cols(); ++subject) {
      exceedances_.each_of_most(model, subject) += most_[subject] >= observed_(model, subject);
    }
    exceedances_.group_of_most(model, 0) += most_of_group >= group_[model];
  }
}

}  // namespace dnnbrain
