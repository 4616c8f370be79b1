#include "dnnbrain/tensor/fold_score.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "dnnbrain/core/clones.hpp"

namespace dnnbrain {

namespace {

/// A prediction that varies less than this, relative to its sum of squares, is constant.
constexpr double kConstant = 1e-12;

/// One cache line of values; the compiler maps it to whatever registers the machine has.
template <class Real>
struct Lanes;
template <>
struct Lanes<float> {
  using Type = float __attribute__((vector_size(64)));
};
template <>
struct Lanes<double> {
  using Type = double __attribute__((vector_size(64)));
};
using Doubles = Lanes<double>::Type;
using Places = std::int64_t __attribute__((vector_size(64)));

/// Vectors per side of a block: 16 accumulators stay in registers.
constexpr Index kBlock = 4;

/// Steps of lanes that are summed in the values' own precision.
constexpr Index kRun = 32;

// Inlined into the clones below, so that each is compiled for its own registers.
[[gnu::always_inline]] inline double sum_lanes(const Doubles& lanes) {
  Doubles x = lanes;
  x += __builtin_shuffle(x, Places{4, 5, 6, 7, 0, 1, 2, 3});
  x += __builtin_shuffle(x, Places{2, 3, 0, 1, 6, 7, 4, 5});
  x += __builtin_shuffle(x, Places{1, 0, 3, 2, 5, 4, 7, 6});
  return x[0];
}

[[gnu::always_inline]] inline double sum_lanes(const Lanes<float>::Type& x) {
  using Half = float __attribute__((vector_size(32)));
  Half low;
  Half high;
  std::memcpy(&low, &x, sizeof(Half));
  std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof(Half), sizeof(Half));
  return sum_lanes(__builtin_convertvector(low, Doubles) + __builtin_convertvector(high, Doubles));
}

template <class Real>
[[gnu::always_inline]] inline void block_products(const Real* const* left,
                                                  const Real* const* right,
                                                  Index length,
                                                  double (&sums)[kBlock][kBlock]) {
  using Vec = typename Lanes<Real>::Type;
  constexpr Index kWidth = sizeof(Vec) / sizeof(Real);
  for (auto& row : sums) std::fill(std::begin(row), std::end(row), 0.0);
  const Index n_step = length / kWidth;
  for (Index run = 0; run < n_step; run += kRun) {
    Vec acc[kBlock][kBlock] = {};
    const Index end = std::min(n_step, run + kRun);
    for (Index step = run; step < end; ++step) {
      Vec x[kBlock];
      Vec y[kBlock];
      for (Index i = 0; i < kBlock; ++i) {
        std::memcpy(&x[i], left[i] + step * kWidth, sizeof(Vec));
        std::memcpy(&y[i], right[i] + step * kWidth, sizeof(Vec));
      }
      for (Index i = 0; i < kBlock; ++i) {
        for (Index j = 0; j < kBlock; ++j) acc[i][j] += x[i] * y[j];
      }
    }
    for (Index i = 0; i < kBlock; ++i) {
      for (Index j = 0; j < kBlock; ++j) {
        sums[i][j] += sum_lanes(acc[i][j]);
      }
    }
  }
  for (Index at = n_step * kWidth; at < length; ++at) {
    for (Index i = 0; i < kBlock; ++i) {
      for (Index j = 0; j < kBlock; ++j) {
        sums[i][j] += static_cast<double>(left[i][at]) * static_cast<double>(right[j][at]);
      }
    }
  }
}

template <class Real>
[[gnu::always_inline]] inline void all_products(const Real* const* vectors,
                                                Index n_vector,
                                                Index length,
                                                double* products) {
  double sums[kBlock][kBlock];
  const Real* left[kBlock];
  const Real* right[kBlock];
  for (Index i = 0; i < n_vector; i += kBlock) {
    for (Index j = i; j < n_vector; j += kBlock) {
      for (Index k = 0; k < kBlock; ++k) {
        left[k] = vectors[std::min(i + k, n_vector - 1)];
        right[k] = vectors[std::min(j + k, n_vector - 1)];
      }
      block_products<Real>(left, right, length, sums);
      for (Index k = 0; k < std::min(kBlock, n_vector - i); ++k) {
        for (Index l = 0; l < std::min(kBlock, n_vector - j); ++l) {
          products[(i + k) * n_vector + j + l] = sums[k][l];
          products[(j + l) * n_vector + i + k] = sums[k][l];
        }
      }
    }
  }
}

DNNBRAIN_CLONES void products_f32(const float* const* vectors,
                                  Index n_vector,
                                  Index length,
                                  double* products) {
  all_products<float>(vectors, n_vector, length, products);
}

DNNBRAIN_CLONES void products_f64(const double* const* vectors,
                                  Index n_vector,
                                  Index length,
                                  double* products) {
  all_products<double>(vectors, n_vector, length, products);
}

/// Sums of the predictions of all alphas, side by side; the quadratic form by halves.
DNNBRAIN_CLONES void combine(const double* __restrict by_member,  // (n_member, n_alpha)
                             Index n_member,
                             Index n_alpha,
                             const double* __restrict products,  // (n_member + 2, n_member + 2)
                             double* __restrict sum,             // (n_alpha,)
                             double* __restrict cross,
                             double* __restrict sq) {
  std::fill(sum, sum + n_alpha, 0.0);
  std::fill(cross, cross + n_alpha, 0.0);
  std::fill(sq, sq + n_alpha, 0.0);
  const Index n_side = n_member + 2;
  for (Index i = 0; i < n_member; ++i) {
    const double* __restrict const left = by_member + i * n_alpha;
    const double* const row = products + (i + 2) * n_side;
    for (Index a = 0; a < n_alpha; ++a) {
      sum[a] += left[a] * row[0];
      cross[a] += left[a] * row[1];
      sq[a] += left[a] * left[a] * row[i + 2];
    }
    for (Index j = 0; j < i; ++j) {
      const double* __restrict const right = by_member + j * n_alpha;
      const double twice = 2.0 * row[j + 2];
      for (Index a = 0; a < n_alpha; ++a) sq[a] += twice * left[a] * right[a];
    }
  }
}

}  // namespace

template <>
void inner_products<float>(const float* const* vectors,
                           Index n_vector,
                           Index length,
                           double* products) {
  products_f32(vectors, n_vector, length, products);
}

template <>
void inner_products<double>(const double* const* vectors,
                            Index n_vector,
                            Index length,
                            double* products) {
  products_f64(vectors, n_vector, length, products);
}

double score_prediction(const PredictionSums& predicted,
                        const HeldOut& held_out,
                        RidgeScore score) {
  const double sse = held_out.sq - 2.0 * predicted.cross + predicted.sq;
  if (score == RidgeScore::kMse) return -sse / held_out.weight;
  if (held_out.constant) return std::numeric_limits<double>::quiet_NaN();
  const double total = held_out.sq - held_out.sum * held_out.sum / held_out.weight;
  if (score == RidgeScore::kR2) return 1.0 - sse / total;
  const double spread = predicted.sq - predicted.sum * predicted.sum / held_out.weight;
  // A prediction that does not vary does not covary.
  if (spread <= kConstant * predicted.sq) return 0.0;
  const double shared = predicted.cross - predicted.sum * held_out.sum / held_out.weight;
  return std::clamp(shared / std::sqrt(spread * total), -1.0, 1.0);
}

AlphaScores::AlphaScores(const AlphaSkeleton& skeleton)
    : n_member_(skeleton.n_member()),
      n_alpha_(static_cast<Index>(skeleton.coefs.size()) / n_member_),
      by_member_(skeleton.coefs.size()) {
  for (Index a = 0; a < n_alpha_; ++a) {
    for (Index i = 0; i < n_member_; ++i) {
      by_member_[static_cast<std::size_t>(i * n_alpha_ + a)] =
          skeleton.coefs[static_cast<std::size_t>(a * n_member_ + i)];
    }
  }
}

void AlphaScores::score(const double* products,
                        const HeldOut& held_out,
                        RidgeScore score,
                        std::vector<double>& scores) const {
  const auto n_alpha = static_cast<std::size_t>(n_alpha_);
  scores.resize(3 * n_alpha);
  double* const sum = scores.data();
  double* const cross = sum + n_alpha;
  double* const sq = cross + n_alpha;
  combine(by_member_.data(), n_member_, n_alpha_, products, sum, cross, sq);
  for (std::size_t a = 0; a < n_alpha; ++a) {
    scores[a] = score_prediction({sum[a], cross[a], sq[a]}, held_out, score);
  }
}

}  // namespace dnnbrain
