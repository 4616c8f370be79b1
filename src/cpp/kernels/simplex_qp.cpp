#include "dnnbrain/kernels/simplex_qp.hpp"

#include <Eigen/LU>
#include <algorithm>
#include <limits>
#include <vector>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"

namespace dnnbrain {

namespace {

/// Problems between two looks at the monitor.
constexpr Index kBlock = 4096;

/// What is rounding, relative to the largest product.
constexpr double kTolerance = 1e-14;

/// Wolfe's algorithm needs far fewer; a bound against cycles of rounding.
constexpr Index kMaxStepsPerModel = 20;

using Vector = Eigen::VectorXd;
using Products = Eigen::Map<const Matrix>;

/// Solves one problem after another in the same room.
class Wolfe {
 public:
  explicit Wolfe(Index n) : n_(n), weights_(n), gradient_(n) { chosen_.reserve(n); }

  const Vector& solve(const Products& products) {
    const double scale = products.diagonal().maxCoeff();
    weights_.setZero();
    if (!products.allFinite()) {
      weights_.setConstant(std::numeric_limits<double>::quiet_NaN());
      return weights_;
    }
    Index best = 0;
    products.diagonal().minCoeff(&best);
    weights_[best] = 1;
    chosen_.assign(1, best);
    for (Index step = 0; step < kMaxStepsPerModel * n_; ++step) {
      gradient_.noalias() = products * weights_;
      const double square = weights_.dot(gradient_);
      const double least = gradient_.minCoeff(&best);
      if (least >= square - kTolerance * scale || is_chosen(best)) break;
      chosen_.push_back(best);
      while (!move_to_affine_minimum(products)) {
      }
    }
    return weights_;
  }

 private:
  bool is_chosen(Index model) const {
    return std::find(chosen_.begin(), chosen_.end(), model) != chosen_.end();
  }

  /// Moves towards the least point of the affine hull of the chosen models. False if a model's
  /// weight reached zero on the way: it is dropped, and the hull is another.
  bool move_to_affine_minimum(const Products& products) {
    const Index n = static_cast<Index>(chosen_.size());
    // Stationary with a multiplier for the sum, in units of the products.
    const double unit = std::max(products.diagonal().maxCoeff(), 1e-300);
    system_.setZero(n + 1, n + 1);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) system_(i, j) = products(chosen_[i], chosen_[j]) / unit;
      system_(i, n) = system_(n, i) = 1;
    }
    const Vector target = system_.fullPivLu().solve(Vector::Unit(n + 1, n)).head(n);
    double reach = 1;
    Index out = -1;
    for (Index i = 0; i < n; ++i) {
      if (target[i] > 0) continue;
      const double here = weights_[chosen_[i]];
      const double fraction = here > target[i] ? here / (here - target[i]) : 0;
      if (fraction < reach || out < 0) {
        reach = std::min(fraction, 1.0);
        out = i;
      }
    }
    for (Index i = 0; i < n; ++i) {
      double& weight = weights_[chosen_[i]];
      weight = std::max(0.0, weight + reach * (target[i] - weight));
    }
    if (out < 0) return true;
    weights_[chosen_[out]] = 0;
    chosen_.erase(chosen_.begin() + out);
    weights_ /= weights_.sum();
    return chosen_.size() <= 1;
  }

  Index n_;
  Vector weights_;
  Vector gradient_;
  Eigen::MatrixXd system_;
  std::vector<Index> chosen_;
};

}  // namespace

Matrix simplex_weights(const MatrixView& products, Index n, int n_threads, Monitor& monitor) {
  DNNBRAIN_REQUIRE(n >= 1 && products.cols() == n * n,
                   "products must have shape (n_problem, ",
                   n * n,
                   "); got ",
                   products.cols(),
                   " columns.");
  const Index n_problem = products.rows();
  Matrix weights(n_problem, n);
  monitor.start(n_problem);
  for (Index first = 0; first < n_problem; first += kBlock) {
    const Index count = std::min(kBlock, n_problem - first);
    parallel_chunks(count, n_threads, [&](Index begin, Index end) {
      Wolfe wolfe(n);
      for (Index i = first + begin; i < first + end; ++i) {
        weights.row(i) =
            wolfe.solve(Products(products.data() + i * products.outerStride(), n, n)).transpose();
      }
    });
    monitor.step(count);
  }
  return weights;
}

}  // namespace dnnbrain
