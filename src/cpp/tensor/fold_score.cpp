#include "dnnbrain/tensor/fold_score.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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

/// Vectors per side of a block: 16 accumulators stay in registers.
constexpr Index kBlock = 4;

/// Steps of lanes that are summed in the values' own precision.
constexpr Index kRun = 32;

// Inlined into the clones below, so that each is compiled for its own registers.
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
        for (Index lane = 0; lane < kWidth; ++lane) {
          sums[i][j] += static_cast<double>(acc[i][j][lane]);
        }
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

// A release is built for any machine; the loader picks the clone that fits the one it runs on.
// Sanitizers run before the loader's resolvers can.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define DNNBRAIN_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define DNNBRAIN_CLONES
#endif

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

void score_alphas(const AlphaSkeleton& skeleton,
                  const double* products,
                  const HeldOut& held_out,
                  RidgeScore score,
                  double* scores) {
  const Index n_member = skeleton.n_member();
  const Index n_side = n_member + 2;
  const Index n_alpha = static_cast<Index>(skeleton.coefs.size()) / n_member;
  const double* ones = products + 2;
  const double* measured = products + n_side + 2;
  for (Index a = 0; a < n_alpha; ++a) {
    const double* c = skeleton.coefs.data() + a * n_member;
    PredictionSums predicted;
    for (Index i = 0; i < n_member; ++i) {
      if (c[i] == 0.0) continue;
      const double* row = products + (i + 2) * n_side + 2;
      double along = 0;
      for (Index j = 0; j < n_member; ++j) along += row[j] * c[j];
      predicted.sum += c[i] * ones[i];
      predicted.cross += c[i] * measured[i];
      predicted.sq += c[i] * along;
    }
    scores[a] = score_prediction(predicted, held_out, score);
  }
}

}  // namespace dnnbrain
