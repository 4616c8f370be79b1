#include "dnnbrain/kernels/frac_ridge.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"

namespace dnnbrain {

namespace {

using Row = Eigen::Array<double, 1, Eigen::Dynamic>;
using RowView = Eigen::Ref<const Row>;

/// Targets between two looks at the monitor.
constexpr Index kTargetBlock = 512;

/// Steps end long before; rounding may keep the last digit alive.
constexpr int kMaxStep = 200;

/// Finds the penalties of one thread's targets.
class FractionSolver {
 public:
  explicit FractionSolver(const RowView& eigenvalues)
      : lambda_(eigenvalues),
        lambda_min_(eigenvalues.minCoeff()),
        inverse_(eigenvalues.size()),
        terms_(eigenvalues.size()) {}

  double alpha(const RowView& squares, double norm_squared, double fraction) {
    if (fraction == 0) return std::numeric_limits<double>::infinity();
    if (fraction == 1 || norm_squared == 0) return 0;
    const double goal = 1 / (fraction * std::sqrt(norm_squared));
    // No filter is below that of the smallest eigenvalue.
    double alpha = lambda_min_ * (1 / fraction - 1);
    for (int step = 0; step < kMaxStep; ++step) {
      inverse_ = (lambda_ + alpha).inverse();
      terms_ = squares * (lambda_ * inverse_).square();
      const double sum = terms_.sum();
      const double value = 1 / std::sqrt(sum);
      const double slope = value / sum * (terms_ * inverse_).sum();
      const double next = alpha + (goal - value) / slope;
      // Beyond rounding a step is forward.
      if (!(next > alpha)) break;
      alpha = next;
    }
    return alpha;
  }

 private:
  const RowView lambda_;
  const double lambda_min_;
  Row inverse_;  // 1 / (lambda + alpha)
  Row terms_;    // of S
};

}  // namespace

Matrix fraction_alphas(const MatrixView& eigenvalues,
                       const MatrixView& squares,
                       const MatrixView& fractions,
                       int n_threads,
                       Monitor& monitor) {
  const Index n_vox = squares.rows();
  DNNBRAIN_REQUIRE(eigenvalues.rows() == 1 && eigenvalues.cols() == squares.cols(),
                   "eigenvalues must have shape (1, n_eig) with n_eig == ",
                   squares.cols(),
                   ".");
  DNNBRAIN_REQUIRE(fractions.cols() == n_vox, "fractions must have ", n_vox, " columns.");
  DNNBRAIN_REQUIRE((eigenvalues.array() > 0).all(), "eigenvalues must be positive.");
  DNNBRAIN_REQUIRE((fractions.array() >= 0 && fractions.array() <= 1).all(),
                   "fractions must be from 0 to 1.");
  Matrix alphas = Matrix::Zero(fractions.rows(), n_vox);
  if (squares.cols() == 0) return alphas;

  monitor.start(n_vox);
  for (Index first = 0; first < n_vox; first += kTargetBlock) {
    const Index n_here = std::min(kTargetBlock, n_vox - first);
    parallel_chunks(n_here, n_threads, [&](Index begin, Index end) {
      FractionSolver solver(eigenvalues.row(0).array());
      for (Index target = first + begin; target < first + end; ++target) {
        const auto h = squares.row(target).array();
        const double norm_squared = h.sum();
        for (Index f = 0; f < fractions.rows(); ++f) {
          alphas(f, target) = solver.alpha(h, norm_squared, fractions(f, target));
        }
      }
    });
    monitor.step(n_here);
  }
  return alphas;
}

}  // namespace dnnbrain
