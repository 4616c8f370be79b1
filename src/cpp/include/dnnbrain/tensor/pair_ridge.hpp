// Ridge regression of RDMs on units, one training set of conditions.
//
//   y = w0 + Z w,   minimise |y - w0 - Z w|^2 + alpha |w|^2
//
// with Z the predictors of pair_design.hpp, scaled within the training set. One eigendecomposition,
// of Z'Z (p units) or Z Z' (m pairs), whichever is smaller, serves all RDMs and all penalties:
//
//   w(alpha) = V diag(lambda / (lambda + alpha)) c,    c the least squares along eigenvectors
//
// Cost: 2 n p^2 and 9 p^3 FLOP, or m^2 p and 9 m^3; then 2 p min(p, m) (or n^2 p) per RDM and
// penalty.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/pair_design.hpp"

namespace dnnbrain {

class PairRidge {
 public:
  PairRidge(const at::Tensor& x,     // (n, p) fp64
            const at::Tensor& rdms,  // (T, n, n) fp64
            PairKind kind);

  /// Above rounding, ascending, (r,).
  const at::Tensor& eigenvalues() const { return eigenvalues_; }

  /// Least squares along the eigenvectors, (T, r).
  const at::Tensor& coefs() const { return coefs_; }

  struct Solution {
    at::Tensor weights;     // (b, p) of predictors as they are, not scaled
    at::Tensor intercepts;  // (b,)
  };

  /// The solutions of penalties f for RDMs t, b = f T + t.
  Solution solve(const at::Tensor& alphas) const;  // (F, T), infinity allowed

 private:
  PairKind kind_;
  at::Tensor x_;  // only where weights come from pairs
  PairScaling scaling_;
  at::Tensor y_mean_;       // (T,)
  at::Tensor eigenvalues_;  // (r,)
  at::Tensor vectors_;      // (p, r) of Z'Z or (m, r) of Z Z'
  at::Tensor coefs_;        // (T, r)
};

/// One ridge for each training set, side by side. A task is done on one thread: the same bits for
/// any number of threads.
std::vector<PairRidge> factor_pair_ridges(const at::Tensor& x,     // (n, p) fp64
                                          const at::Tensor& rdms,  // (T, n, n) fp64
                                          const std::vector<at::Tensor>& training,  // rows, int64
                                          PairKind kind);

/// Predictions of held-out pairs, condensed: element s has shape (F, T, m_test).
std::vector<at::Tensor> predict_pair_ridges(const std::vector<PairRidge>& ridges,
                                            const std::vector<at::Tensor>& alphas,  // (F, T)
                                            const at::Tensor& x,                    // (n, p)
                                            const std::vector<at::Tensor>& test,    // rows, int64
                                            PairKind kind);

}  // namespace dnnbrain
