#include "dnnbrain/kernels/held_out.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

using Values = std::vector<double>;

/// Two folds of unequal blocks, in an order of their own; row 3 is in neither.
const RowBlocks kBlocks{
    {8, 9, 10, 0, 1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15}, {0, 3, 6, 7, 11, 15}, {0, 3, 5}};
constexpr Index kRow = 16;
constexpr Index kVox = 11;  // a tile of 8 and a part of one
constexpr Index kPerm = 203;

constexpr Index kFlatInOneFold = 2;
constexpr Index kFlat = 5;
constexpr Index kFlatPrediction = 7;

template <class T>
T at(const std::vector<T>& values, Index i) {
  return values[static_cast<std::size_t>(i)];
}

struct Data {
  Matrix measured;
  Matrix predicted;
};

Data draw() {
  const auto y = naive::levels(kRow * kVox, 100000, 1);
  const auto noise = naive::levels(kRow * kVox, 100000, 2);
  Data data{Eigen::Map<const Matrix>(y.data(), kRow, kVox), {}};
  data.predicted = 0.5 * data.measured + Eigen::Map<const Matrix>(noise.data(), kRow, kVox);
  data.measured.col(4).array() += 1e5;
  data.measured.col(6) *= 1e3;
  for (const Index row : {8, 9, 10, 0, 1, 2, 4}) data.measured(row, kFlatInOneFold) = 2.0;
  data.measured.col(kFlat).setConstant(0.3);
  data.predicted.col(kFlatPrediction).setConstant(0.7);
  return data;
}

HeldOutOptions options_of(Exchange exchange, Agreement agreement = Agreement::kPearson) {
  HeldOutOptions options;
  options.exchange = exchange;
  options.agreement = agreement;
  options.n_perm = kPerm;
  options.seed = 9;
  options.quantiles = {0.0, 0.025, 0.5, 0.9, 1.0};
  return options;
}

template <class Real = double>
HeldOutResult run(const Data& data, const RowBlocks& blocks, const HeldOutOptions& options) {
  const RowMajor<Real> measured = data.measured.cast<Real>();
  const RowMajor<Real> predicted = data.predicted.cast<Real>();
  Monitor monitor;
  return held_out_test<Real>(measured, predicted, blocks, options, monitor);
}

// ---- The twin --------------------------------------------------------------------------------

/// The position that each position takes its measured value from, and the sign it comes with.
struct Rearrangement {
  std::vector<Index> from;
  Values sign;
};

Index below(RandomStream& stream, Index bound) {
  return stream.below(static_cast<std::uint32_t>(bound));
}

Rearrangement as_measured(const RowBlocks& blocks) {
  Rearrangement out{std::vector<Index>(blocks.rows.size()), Values(blocks.rows.size(), 1.0)};
  std::iota(out.from.begin(), out.from.end(), Index{0});
  return out;
}

Index shift_of(RandomStream& stream, Index length, Index min_shift) {
  const Index least = std::min(min_shift, length / 2);
  const Index most = least == 0 ? length - 1 : length - least;
  return least + below(stream, most - least + 1);
}

/// What permutation `index` does to the rows.
Rearrangement rearrange(const RowBlocks& blocks, const HeldOutOptions& options, Index index) {
  Rearrangement out;
  RandomStream stream(options.seed, static_cast<std::uint64_t>(index));
  for (Index fold = 0; fold < blocks.n_fold(); ++fold) {
    std::vector<Index> order;
    for (Index b = at(blocks.fold_starts, fold); b < at(blocks.fold_starts, fold + 1); ++b) {
      order.push_back(b);
    }
    if (options.exchange == Exchange::kPermute) {
      for (std::size_t last = order.size() - 1; last > 0; --last) {
        const Index other = below(stream, static_cast<Index>(last) + 1);
        std::swap(order[last], order[static_cast<std::size_t>(other)]);
      }
    }
    for (const Index block : order) {
      const Index start = at(blocks.block_starts, block);
      const Index length = at(blocks.block_starts, block + 1) - start;
      const Index shift =
          options.exchange == Exchange::kCircular ? shift_of(stream, length, options.min_shift) : 0;
      const bool turned = options.exchange == Exchange::kSign && below(stream, 2) == 1;
      for (Index i = 0; i < length; ++i) {
        out.from.push_back(start + (i + shift) % length);
        out.sign.push_back(turned ? -1.0 : 1.0);
      }
    }
  }
  return out;
}

double mean_of(const Values& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

bool constant(const Values& x) {
  return std::all_of(x.begin(), x.end(), [&](double value) { return value == x[0]; });
}

/// r or R2 of one fold, whose measured mean and norm are held whatever the rearrangement does.
double fold_score(const Values& y,
                  const Values& p,
                  const Values& deviations,  // of y from its mean, rearranged
                  Agreement agreement) {
  const double bias = mean_of(p) - mean_of(y);
  double yy = 0;
  double pp = 0;
  double yp = 0;
  double error = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double here = p[i] - mean_of(p);
    yy += deviations[i] * deviations[i];
    pp += here * here;
    yp += deviations[i] * here;
    error += (deviations[i] - here) * (deviations[i] - here) + bias * bias;
  }
  if (agreement == Agreement::kR2) return 1 - error / yy;
  return constant(p) ? 0 : yp / std::sqrt(yy * pp);
}

/// The mean over the folds in which y varies.
double naive_score(const Data& data,
                   Index voxel,
                   const RowBlocks& blocks,
                   const Rearrangement& rearranged,
                   Agreement agreement) {
  double sum = 0;
  double n_scored = 0;
  for (Index fold = 0; fold < blocks.n_fold(); ++fold) {
    const Index first = at(blocks.block_starts, at(blocks.fold_starts, fold));
    const Index last = at(blocks.block_starts, at(blocks.fold_starts, fold + 1));
    Values y;
    Values p;
    for (Index i = first; i < last; ++i) {
      y.push_back(data.measured(at(blocks.rows, i), voxel));
      p.push_back(data.predicted(at(blocks.rows, i), voxel));
    }
    if (constant(y)) continue;
    Values deviations;
    for (Index i = first; i < last; ++i) {
      deviations.push_back(at(rearranged.sign, i) *
                           (at(y, at(rearranged.from, i) - first) - mean_of(y)));
    }
    sum += fold_score(y, p, deviations, agreement);
    ++n_scored;
  }
  return n_scored > 0 ? sum / n_scored : std::nan("");
}

double naive_quantile(Values values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<std::size_t>(std::floor(place));
  const auto upper = static_cast<std::size_t>(std::ceil(place));
  const double fraction = place - static_cast<double>(lower);
  return (1 - fraction) * values[lower] + fraction * values[upper];
}

double extremity(double score, Alternative alternative) {
  if (alternative == Alternative::kGreater) return score;
  return alternative == Alternative::kLess ? -score : std::abs(score);
}

void check_against_twin(const HeldOutOptions& options) {
  // Ties, as between a permutation and the data as measured, differ by rounding alone.
  constexpr double kTie = 1e-10;
  const Data data = draw();
  const HeldOutResult result = run(data, kBlocks, options);
  std::vector<Rearrangement> rearranged;
  for (Index i = 0; i < kPerm; ++i) rearranged.push_back(rearrange(kBlocks, options, i));

  Values observed;
  Values extremes(kPerm, -std::numeric_limits<double>::infinity());
  for (Index v = 0; v < kVox; ++v) {
    observed.push_back(naive_score(data, v, kBlocks, as_measured(kBlocks), options.agreement));
    if (v == kFlat) {
      CHECK(std::isnan(result.scores(0, v)) && result.band.col(v).array().isNaN().all());
      CHECK_EQUAL(result.exceed(0, v), Index{0});
      CHECK_EQUAL(result.family_exceed(0, v), Index{0});
      continue;
    }
    const double size = std::max(1.0, std::abs(observed.back()));
    CHECK_NEAR(result.scores(0, v), observed.back(), 1e-9 * size);
    Values permuted;
    Index exceed = 0;
    for (Index i = 0; i < kPerm; ++i) {
      const double score = naive_score(data, v, kBlocks, at(rearranged, i), options.agreement);
      const double here = extremity(score, options.alternative);
      exceed += here >= extremity(observed.back(), options.alternative) - kTie * size;
      double& extreme = extremes[static_cast<std::size_t>(i)];
      extreme = std::max(extreme, here);
      permuted.push_back(score);
    }
    CHECK_EQUAL(result.exceed(0, v), exceed);
    for (std::size_t q = 0; q < options.quantiles.size(); ++q) {
      CHECK_NEAR(result.band(static_cast<Index>(q), v),
                 naive_quantile(permuted, options.quantiles[q]),
                 1e-9 * size);
    }
  }

  for (Index i = 0; i < kPerm; ++i) {
    const double extreme = extremity(result.extremes(0, i), options.alternative);
    const double expected = at(extremes, i);
    CHECK_NEAR(extreme, expected, 1e-9 * std::max(1.0, std::abs(expected)));
  }
  for (Index v = 0; v < kVox; ++v) {
    if (v == kFlat) continue;
    const double threshold = extremity(at(observed, v), options.alternative);
    const double slack = kTie * std::max(1.0, std::abs(threshold));
    CHECK_EQUAL(result.family_exceed(0, v),
                static_cast<Index>(std::count_if(extremes.begin(), extremes.end(), [&](double x) {
                  return x >= threshold - slack;
                })));
  }
}

}  // namespace

TEST(permuted_blocks_match_the_twin) {
  check_against_twin(options_of(Exchange::kPermute));
  check_against_twin(options_of(Exchange::kPermute, Agreement::kR2));
}

TEST(circular_shifts_match_the_twin) {
  for (const Index min_shift : {0, 1, 2, 50}) {
    HeldOutOptions options = options_of(Exchange::kCircular);
    options.min_shift = min_shift;
    check_against_twin(options);
    options.agreement = Agreement::kR2;
    check_against_twin(options);
  }
}

TEST(signs_match_the_twin) {
  check_against_twin(options_of(Exchange::kSign));
  check_against_twin(options_of(Exchange::kSign, Agreement::kR2));
}

TEST(alternatives_match_the_twin) {
  for (const Alternative alternative : {Alternative::kLess, Alternative::kTwoSided}) {
    HeldOutOptions options = options_of(Exchange::kPermute);
    options.alternative = alternative;
    check_against_twin(options);
  }
}

TEST(constant_columns) {
  const HeldOutResult result = run(draw(), kBlocks, options_of(Exchange::kPermute));
  CHECK(std::isnan(result.scores(0, kFlat)));
  CHECK(!std::isnan(result.scores(0, kFlatInOneFold)));
  CHECK_EQUAL(result.scores(0, kFlatPrediction), 0.0);
  CHECK_EQUAL(result.exceed(0, kFlatPrediction), kPerm);
}

// One block per fold: every permutation is the data as measured, and must count.
TEST(permutations_that_change_nothing_count) {
  const RowBlocks whole{kBlocks.rows, {0, 7, 15}, {0, 1, 2}};
  const HeldOutResult result = run(draw(), whole, options_of(Exchange::kPermute));
  for (Index v = 0; v < kVox; ++v) {
    CHECK_EQUAL(result.exceed(0, v), v == kFlat ? Index{0} : kPerm);
  }
}

TEST(threads_and_floats_do_not_change_the_result) {
  Data data = draw();
  data.measured = data.measured.cast<float>().cast<double>();
  data.predicted = data.predicted.cast<float>().cast<double>();
  for (const Exchange exchange : {Exchange::kPermute, Exchange::kCircular, Exchange::kSign}) {
    HeldOutOptions options = options_of(exchange);
    const HeldOutResult expected = run(data, kBlocks, options);
    const auto check_same = [&](const HeldOutResult& result) {
      CHECK((result.scores.array() == expected.scores.array()).count() == kVox - 1);
      CHECK(result.exceed == expected.exceed);
      CHECK(result.family_exceed == expected.family_exceed);
      CHECK(result.extremes == expected.extremes);
      CHECK((result.band.array() == expected.band.array()).count() == 5 * (kVox - 1));
    };
    check_same(run<float>(data, kBlocks, options));
    options.n_threads = 3;
    check_same(run(data, kBlocks, options));
  }
}

// More scores than are held at a time: voxels are taken in turns.
TEST(voxels_do_not_depend_on_their_turn) {
  constexpr Index kMany = 330;
  const auto y = naive::levels(6 * kMany, 100000, 3);
  const auto p = naive::levels(6 * kMany, 100000, 4);
  const Data data{Eigen::Map<const Matrix>(y.data(), 6, kMany),
                  Eigen::Map<const Matrix>(p.data(), 6, kMany)};
  const Data last{data.measured.rightCols(8), data.predicted.rightCols(8)};
  const Data rest{data.measured.leftCols(kMany - 8), data.predicted.leftCols(kMany - 8)};
  const RowBlocks blocks{{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5, 6}, {0, 6}};
  HeldOutOptions options = options_of(Exchange::kPermute);
  options.n_perm = 20000;
  const HeldOutResult whole = run(data, blocks, options);
  const HeldOutResult part = run(last, blocks, options);
  CHECK(whole.scores.rightCols(8) == part.scores);
  CHECK(whole.exceed.rightCols(8) == part.exceed);
  CHECK(whole.band.rightCols(8) == part.band);
  CHECK(whole.extremes == part.extremes.cwiseMax(run(rest, blocks, options).extremes));
}

TEST(bad_arguments_are_refused) {
  const Data data = draw();
  const HeldOutOptions good = options_of(Exchange::kPermute);
  const auto refused = [&](const RowBlocks& blocks, const HeldOutOptions& options) {
    CHECK_THROWS(InvalidArgument, run(data, blocks, options));
  };
  refused({{0, 1, kRow}, {0, 2, 3}, {0, 2}}, good);  // a row that is not there
  refused({{0, 1, 2}, {0, 2}, {0, 1}}, good);        // rows in no block
  refused({{0, 1, 2}, {0, 2, 2, 3}, {0, 3}}, good);  // an empty block
  refused({{0, 1, 2}, {0, 2, 3}, {0, 1}}, good);     // a block in no fold
  refused({{}, {0}, {0}}, good);
  HeldOutOptions bad = good;
  bad.n_perm = 0;
  refused(kBlocks, bad);
  bad = good;
  bad.min_shift = -1;
  refused(kBlocks, bad);
  bad = good;
  bad.quantiles = {1.5};
  refused(kBlocks, bad);
  const Data unequal{data.measured, data.predicted.leftCols(kVox - 1)};
  CHECK_THROWS(InvalidArgument, run(unequal, kBlocks, good));
}
