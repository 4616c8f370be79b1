#include "dnnbrain/kernels/sign_flips.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"

namespace dnnbrain {

namespace {

/// Points whose values of all subjects fit into the first-level cache.
constexpr Index kTile = 128;

/// Bytes of t maps that a thread holds.
constexpr Index kBytesHeld = Index{32} << 20;

/// Variance below this share of the mean square is rounding.
constexpr double kNoVariance = 1e-14;

DNNBRAIN_CLONES void add_signed(double sign, const double* x, Index n, double* total) {
  for (Index i = 0; i < n; ++i) total[i] += sign * x[i];
}

DNNBRAIN_CLONES void t_from_sums(
    const double* sums, const double* squares, double n_subject, Index n, double* out) {
  for (Index i = 0; i < n; ++i) {
    const double mean = sums[i] / n_subject;
    const double mean_square = squares[i] / n_subject;
    const double variance = std::max(mean_square - mean * mean, kNoVariance * mean_square);
    const double error = std::sqrt(variance / (n_subject - 1));
    out[i] = error > 0 ? mean / error : 0.0;
  }
}

void draw_signs(const FlipPlan& plan, Index flip, std::span<double> signs) {
  if (flip == 0) {
    std::fill(signs.begin(), signs.end(), 1.0);
    return;
  }
  if (plan.enumerate) {
    for (std::size_t s = 0; s < signs.size(); ++s) signs[s] = (flip >> s) & 1 ? -1.0 : 1.0;
    return;
  }
  RandomStream stream(plan.seed, static_cast<std::uint64_t>(flip - 1));
  std::uint32_t word = 0;
  for (std::size_t s = 0; s < signs.size(); ++s) {
    if (s % 32 == 0) word = stream.next();
    signs[s] = (word >> (s % 32)) & 1 ? -1.0 : 1.0;
  }
}

double most_extreme(std::span<const double> t, Alternative alternative) {
  double most = -std::numeric_limits<double>::infinity();
  for (const double value : t) most = std::max(most, directed(value, alternative));
  return most;
}

}  // namespace

double directed(double t, Alternative alternative) {
  if (alternative == Alternative::kTwoSided) return std::abs(t);
  return alternative == Alternative::kLess ? -t : t;
}

double flip_slack(double observed) { return 1e-10 * std::max(1.0, std::abs(observed)); }

FlippedT::FlippedT(const MatrixView& maps)
    : maps_(maps), squares_(static_cast<std::size_t>(maps.cols())) {
  for (Index s = 0; s < maps_.rows(); ++s) {
    const double* const row = maps_.row(s).data();
    for (std::size_t v = 0; v < squares_.size(); ++v) squares_[v] += row[v] * row[v];
  }
}

Index FlippedT::at_once() const {
  const Index bytes = static_cast<Index>(sizeof(double)) * std::max<Index>(1, n_point());
  return std::clamp<Index>(kBytesHeld / bytes, 1, 16);
}

Index FlippedT::batches_per_block() const {
  constexpr double kWork = 1e8;  // FLOP
  const double of_batch = 4.0 * static_cast<double>((maps_.rows() + 8) * n_point() * at_once());
  return std::max<Index>(1, static_cast<Index>(kWork / of_batch));
}

void FlippedT::maps(const FlipPlan& plan, Index first, Index n, std::span<double> out) const {
  const Index n_subject = maps_.rows();
  std::vector<double> signs(static_cast<std::size_t>(n * n_subject));
  for (Index flip = 0; flip < n; ++flip) {
    draw_signs(plan,
               first + flip,
               std::span<double>(signs).subspan(static_cast<std::size_t>(flip * n_subject),
                                                static_cast<std::size_t>(n_subject)));
  }
  double sums[kTile];
  for (Index begin = 0; begin < n_point(); begin += kTile) {
    const Index n_here = std::min(kTile, n_point() - begin);
    for (Index flip = 0; flip < n; ++flip) {
      std::fill(sums, sums + n_here, 0.0);
      for (Index s = 0; s < n_subject; ++s) {
        add_signed(signs[static_cast<std::size_t>(flip * n_subject + s)],
                   maps_.row(s).data() + begin,
                   n_here,
                   sums);
      }
      t_from_sums(sums,
                  squares_.data() + begin,
                  static_cast<double>(n_subject),
                  n_here,
                  out.data() + flip * n_point() + begin);
    }
  }
}

void check_flips(const MatrixView& maps, const FlipPlan& plan, int n_threads) {
  DNNBRAIN_REQUIRE(maps.rows() >= 2 && maps.cols() >= 1,
                   "a sign-flip test needs at least 2 subjects and a point; got ",
                   maps.rows(),
                   " and ",
                   maps.cols(),
                   ".");
  DNNBRAIN_REQUIRE(plan.n_flip >= 0, "n_flip must not be negative; got ", plan.n_flip, ".");
  DNNBRAIN_REQUIRE(
      !plan.enumerate || (maps.rows() < 62 && plan.n_flip == (Index{1} << maps.rows()) - 1),
      "all flips of ",
      maps.rows(),
      " subjects were asked for, and ",
      plan.n_flip,
      " of them.");
  DNNBRAIN_REQUIRE(n_threads >= 1, "n_threads must be positive; got ", n_threads, ".");
}

SignFlipResult sign_flip_test(const MatrixView& maps,
                              const FlipPlan& plan,
                              Alternative alternative,
                              int n_threads,
                              Monitor& monitor) {
  check_flips(maps, plan, n_threads);
  const FlippedT t(maps);
  const Index n_point = maps.cols();
  SignFlipResult result{Matrix(1, n_point),
                        CountMatrix::Zero(1, n_point),
                        CountMatrix::Zero(1, n_point),
                        Matrix(1, plan.n_flip)};
  t.maps(plan, 0, 1, {result.statistic.data(), static_cast<std::size_t>(n_point)});
  std::vector<double> bounds(static_cast<std::size_t>(n_point));
  for (std::size_t v = 0; v < bounds.size(); ++v) {
    const double observed = directed(result.statistic.data()[v], alternative);
    bounds[v] = observed - flip_slack(observed);
  }

  // A thread counts in a row of its own; sums of integers do not depend on who counted.
  std::vector<CountMatrix> counts(static_cast<std::size_t>(n_threads),
                                  CountMatrix::Zero(1, n_point));
  for_each_flip(t, plan, n_threads, monitor, [&](Index worker) {
    return [&, &count = counts[static_cast<std::size_t>(worker)]](Index flip,
                                                                  std::span<const double> map) {
      result.extremes(0, flip - 1) = most_extreme(map, alternative);
      for (std::size_t v = 0; v < map.size(); ++v) {
        count.data()[v] += directed(map[v], alternative) >= bounds[v];
      }
    };
  });
  for (const CountMatrix& count : counts) result.exceed += count;
  std::vector<double> sorted(result.extremes.data(), result.extremes.data() + plan.n_flip);
  std::sort(sorted.begin(), sorted.end());
  for (Index v = 0; v < n_point; ++v) {
    const double bound = bounds[static_cast<std::size_t>(v)];
    result.family_exceed(0, v) =
        sorted.end() - std::lower_bound(sorted.begin(), sorted.end(), bound);
  }
  return result;
}

}  // namespace dnnbrain
