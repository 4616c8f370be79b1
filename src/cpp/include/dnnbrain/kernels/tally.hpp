// Counting permuted scores that are at least as extreme as the observed ones.
//
// Four families of tests share one set of relabellings:
//   each score; the mean of a model over subjects; and both again against the most extreme of all
//   models under the same relabelling, which holds the family-wise error over models (Nichols &
//   Holmes 2002).
#pragma once

#include <span>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

enum class Alternative { kGreater, kLess, kTwoSided };

struct Exceedances {
  CountMatrix each;           // (n_model, n_subject)
  CountMatrix group;          // (n_model, 1)
  CountMatrix each_of_most;   // (n_model, n_subject) most extreme model, of the same subject
  CountMatrix group_of_most;  // (n_model, 1)
};

class Tally {
 public:
  /// `rounding`: how far apart scores may lie that are equal but for rounding.
  Tally(const Matrix& observed,  // (n_model, n_subject)
        Alternative alternative,
        double rounding);

  /// Count one relabelling. O(n_model n_subject).
  void count(std::span<const double> scores);  // (n_model * n_subject,) model by model

  const Exceedances& exceedances() const { return exceedances_; }

 private:
  double extremeness(double score) const;

  Alternative alternative_;
  double rounding_;
  Matrix observed_;        // (n_model, n_subject) least extremeness that counts
  Eigen::VectorXd group_;  // (n_model,)
  Eigen::VectorXd most_;   // (n_subject,) of one relabelling
  Exceedances exceedances_;
};

}  // namespace dnnbrain
