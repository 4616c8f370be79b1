#include "dnnbrain/kernels/rdm_scorer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

DNNBRAIN_CLONES double dot(const double* x, const double* y, Index n) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (Index i = 0; i < n; ++i) total += x[i] * y[i];
  return total;
}

DNNBRAIN_CLONES double sum(const double* x, Index n) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (Index i = 0; i < n; ++i) total += x[i];
  return total;
}

bool is_ranked(Comparator comparator) {
  return comparator == Comparator::kSpearman || comparator == Comparator::kRhoA;
}

}  // namespace

RdmScorer::Room::Room(const RdmScorer& scorer)
    : ranks_(scorer.n_pair_), values_(static_cast<std::size_t>(scorer.n_pair_)) {
  if (!counts_pairs(scorer.comparator_)) return;
  if (scorer.n_pair_ <= kMostNarrow) {
    counter_.emplace(KendallCounter<std::uint16_t>(scorer.n_pair_));
  } else {
    counter_.emplace(KendallCounter<std::uint32_t>(scorer.n_pair_));
  }
}

RdmScorer::RdmScorer(const MatrixView& models, Comparator comparator)
    : comparator_(comparator), n_model_(models.rows()), n_pair_(models.cols()) {
  if (counts_pairs(comparator)) {
    if (n_pair_ > kMostNarrow) ranked_.emplace<std::vector<RankedVector<std::uint32_t>>>();
    std::visit(
        [&](auto& ranked) {
          for (Index model = 0; model < n_model_; ++model) {
            ranked.emplace_back(row_of(models, model));
          }
        },
        ranked_);
    return;
  }
  prepared_.resize(n_model_, n_pair_);
  for (Index model = 0; model < n_model_; ++model) {
    const std::vector<double> prepared = prepare_for_dot(row_of(models, model), comparator);
    std::copy(prepared.begin(), prepared.end(), prepared_.row(model).data());
  }
}

void RdmScorer::score(std::span<const double> rdm, Room& room, std::span<double> out) const {
  switch (comparator_) {
    case Comparator::kTauA:
    case Comparator::kTauB:
      return score_kendall(rdm, room, out);
    case Comparator::kCorr:
    case Comparator::kCosine:
    case Comparator::kSpearman:
    case Comparator::kRhoA:
      return score_dots(rdm, room, out);
    default:
      return score_whitened(rdm, out);
  }
}

void RdmScorer::score_dots(std::span<const double> rdm, Room& room, std::span<double> out) const {
  std::vector<double>& values = room.values_;
  const double m = static_cast<double>(n_pair_);
  const auto [least, most] = std::minmax_element(rdm.begin(), rdm.end());
  double scale = 0.0;
  if (is_ranked(comparator_)) {
    room.ranks_.average(rdm, values);
    for (double& rank : values) rank -= 0.5 * (m + 1);
  } else {
    const double centre = comparator_ == Comparator::kCosine ? 0.0 : sum(rdm.data(), n_pair_) / m;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = rdm[i] - centre;
  }
  if (comparator_ == Comparator::kRhoA) {
    scale = std::sqrt(12.0 / (m * m * m - m));
  } else {
    const bool flat =
        comparator_ == Comparator::kCosine ? *least == 0 && *most == 0 : *least == *most;
    if (flat) {
      std::fill(out.begin(), out.end(), kNaN);
      return;
    }
    scale = 1.0 / std::sqrt(dot(values.data(), values.data(), n_pair_));
  }
  for (Index model = 0; model < n_model_; ++model) {
    out[static_cast<std::size_t>(model)] =
        scale * dot(prepared_.row(model).data(), values.data(), n_pair_);
  }
}

void RdmScorer::score_whitened(std::span<const double> rdm, std::span<double> out) const {
  std::vector<double> prepared;
  try {
    prepared = prepare_for_dot(rdm, comparator_);
  } catch (const InvalidArgument&) {  // the comparator is not defined for this RDM
    std::fill(out.begin(), out.end(), kNaN);
    return;
  }
  for (Index model = 0; model < n_model_; ++model) {
    out[static_cast<std::size_t>(model)] =
        dot(prepared_.row(model).data(), prepared.data(), n_pair_);
  }
}

void RdmScorer::score_kendall(std::span<const double> rdm,
                              Room& room,
                              std::span<double> out) const {
  const auto [least, most] = std::minmax_element(rdm.begin(), rdm.end());
  if (comparator_ == Comparator::kTauB && *least == *most) {
    std::fill(out.begin(), out.end(), kNaN);
    return;
  }
  std::visit(
      [&]<class T>(const std::vector<RankedVector<T>>& models) {
        auto& counter = std::get<KendallCounter<T>>(*room.counter_);
        const RankedVector<T> ranked(rdm);
        for (std::size_t model = 0; model < models.size(); ++model) {
          const RankedVector<T>& other = models[model];
          const Index s = other.ties > ranked.ties ? counter.score(other.ranks, other, ranked)
                                                   : counter.score(ranked.ranks, ranked, other);
          out[model] = static_cast<double>(s) /
                       kendall_denominator(n_pair_, ranked.ties, other.ties, comparator_);
        }
      },
      ranked_);
}

}  // namespace dnnbrain
