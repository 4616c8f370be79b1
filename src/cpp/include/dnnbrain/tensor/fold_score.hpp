// Held-out scores of a grid of ridge penalties, from the inner products of a skeleton's
// predictions.
//
// With P_1..P_b the predictions of the skeleton's members on the held-out rows, y what was measured
// (both about the training mean) and c the coefficients of an alpha,
//
//   sum p = c's,   sum py = c'g,   sum pp = c'Gc,     s_j = 1'P_j,  g_j = y'P_j,  G_ij = P_i'P_j
//
// give every score, so that predictions of the other alphas are never formed. Inner products are
// the same after rotating the rows, which may have made them fewer: `ones` is 1 rotated alike.
#pragma once

#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/skeleton.hpp"

namespace dnnbrain {

/// kMse is negative, so that more is better for all.
enum class RidgeScore { kPearson, kR2, kMse };

/// What is known of one target in one fold, about its training mean.
struct HeldOut {
  double weight = 0;      // rows, or the sum of their weights
  double sum = 0;         // sum y
  double sq = 0;          // sum y^2
  bool constant = false;  // nothing to explain: kPearson and kR2 are NaN
};

/// Symmetric inner products of vectors: fp32 products in short runs, runs in fp64.
template <class Real>
void inner_products(const Real* const* vectors,  // (n_vector,) pointers to (length,)
                    Index n_vector,
                    Index length,
                    double* products);  // (n_vector, n_vector)

/// Sums over the held-out rows of a prediction p, about the training mean.
struct PredictionSums {
  double sum = 0;    // sum p
  double cross = 0;  // sum p y
  double sq = 0;     // sum p^2
};

/// The score of one prediction.
double score_prediction(const PredictionSums& predicted, const HeldOut& held_out, RidgeScore score);

/// Scores of all alphas of a grid from a skeleton's products, one target at a time.
class AlphaScores {
 public:
  explicit AlphaScores(const AlphaSkeleton& skeleton);

  /// The first n_alpha of `scores`, which is also the working space, are the scores.
  void score(const double* products,  // (n_member + 2, n_member + 2) of [ones, y, P_1..P_b]
             const HeldOut& held_out,
             RidgeScore score,
             std::vector<double>& scores) const;

 private:
  Index n_member_;
  Index n_alpha_;
  std::vector<double> by_member_;  // (n_member, n_alpha), c above
};

}  // namespace dnnbrain
