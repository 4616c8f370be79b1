#include "dnnbrain/kernels/nnls.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"

namespace dnnbrain {

namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// What is left of a column's square beside the free ones, if that is rounding.
constexpr double kDependent = 1e-13;

/// Far more than are ever needed; a bound against cycles of rounding.
constexpr Index kMaxStepsPerWeight = 30;

/// Multiplications between two looks at the monitor.
constexpr Index kWorkPerBlock = Index{1} << 24;

}  // namespace

NnlsSolver::NnlsSolver(Index n)
    : n_(n),
      weights_(n),
      gradient_(n),
      rounding_(n),
      target_(n),
      factor_(n, n),
      closed_(static_cast<std::size_t>(n)) {
  free_.reserve(static_cast<std::size_t>(n));
}

/// Adds a row to the Cholesky factor. False if the column depends on the free ones.
bool NnlsSolver::append(const MatrixView& gram, Index column) {
  const auto n = static_cast<Index>(free_.size());
  double rest = gram(column, column);
  for (Index i = 0; i < n; ++i) {
    const double inner = factor_.row(n).head(i).dot(factor_.row(i).head(i));
    const double entry = (gram(column, free_[static_cast<std::size_t>(i)]) - inner) / factor_(i, i);
    factor_(n, i) = entry;
    rest -= entry * entry;
  }
  if (!(rest > kDependent * gram(column, column))) return false;
  factor_(n, n) = std::sqrt(rest);
  free_.push_back(column);
  return true;
}

/// Factors from the first difference on. A column that has become dependent stays fixed at zero.
void NnlsSolver::set_free(const MatrixView& gram, const Places& columns) {
  const auto [first, keep] =
      std::mismatch(free_.begin(), free_.end(), columns.begin(), columns.end());
  free_.erase(first, free_.end());
  for (auto column = keep; column != columns.end(); ++column) {
    if (!append(gram, *column)) weights_[*column] = 0;
  }
}

void NnlsSolver::solve_free(const VectorView& products) {
  const auto n = static_cast<Index>(free_.size());
  for (Index i = 0; i < n; ++i) target_[i] = products[free_[static_cast<std::size_t>(i)]];
  const auto lower = factor_.topLeftCorner(n, n).triangularView<Eigen::Lower>();
  auto target = target_.head(n);
  lower.solveInPlace(target);
  lower.transpose().solveInPlace(target);
}

/// From weights that are not negative towards the target of the free ones, until all of it is
/// positive; a weight that reaches zero on the way is no longer free.
void NnlsSolver::drop_negative(const MatrixView& gram, const VectorView& products) {
  while (!free_.empty()) {
    double reach = 1;
    Index out = -1;
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const double target = target_[static_cast<Index>(i)];
      if (target > 0) continue;
      const double here = weights_[free_[i]];
      const double fraction = here > 0 ? here / (here - target) : 0;
      if (out < 0 || fraction < reach) {
        reach = std::min(fraction, 1.0);
        out = free_[i];
      }
    }
    Places kept;
    for (std::size_t i = 0; i < free_.size(); ++i) {
      double& weight = weights_[free_[i]];
      weight = out < 0 ? target_[static_cast<Index>(i)]
                       : weight + reach * (target_[static_cast<Index>(i)] - weight);
      if (free_[i] == out || !(weight > 0)) {
        weight = 0;
      } else {
        kept.push_back(free_[i]);
      }
    }
    if (out < 0) return;
    set_free(gram, kept);
    solve_free(products);
  }
}

/// The column to free next; -1 where no gradient is more than rounding.
Index NnlsSolver::steepest(const MatrixView& gram, const VectorView& products) {
  gradient_ = products;
  rounding_ = products.cwiseAbs();
  for (const Index column : free_) {
    // G is symmetric: its rows lie side by side in memory.
    gradient_ -= weights_[column] * gram.row(column).transpose();
    rounding_ += weights_[column] * gram.row(column).transpose().cwiseAbs();
  }
  const double share = 8 * kEpsilon * static_cast<double>(free_.size() + 1);
  double most = 0;
  Index best = -1;
  for (Index i = 0; i < n_; ++i) {
    if (closed_[static_cast<std::size_t>(i)] || !(gradient_[i] > share * rounding_[i])) continue;
    const double slope = gradient_[i] / std::sqrt(gram(i, i));
    if (slope > most) {
      most = slope;
      best = i;
    }
  }
  return best;
}

const NnlsSolver::Vector& NnlsSolver::solve(const MatrixView& gram, const VectorView& products) {
  free_.clear();
  weights_.setZero();
  if (!gram.allFinite() || !products.allFinite()) {
    weights_.setConstant(std::numeric_limits<double>::quiet_NaN());
    return weights_;
  }
  // A column of zeros has no weight.
  for (Index i = 0; i < n_; ++i) closed_[static_cast<std::size_t>(i)] = !(gram(i, i) > 0);
  for (Index step = 0; step < kMaxStepsPerWeight * n_; ++step) {
    const Index column = steepest(gram, products);
    if (column < 0) break;
    closed_[static_cast<std::size_t>(column)] = true;
    if (!append(gram, column)) continue;
    solve_free(products);
    if (!(target_[static_cast<Index>(free_.size()) - 1] > 0)) {
      free_.pop_back();  // its gradient was rounding after all
      continue;
    }
    drop_negative(gram, products);
    for (Index i = 0; i < n_; ++i) closed_[static_cast<std::size_t>(i)] = !(gram(i, i) > 0);
    for (const Index i : free_) closed_[static_cast<std::size_t>(i)] = true;
  }
  return weights_;
}

Matrix nnls(const MatrixView& grams, const MatrixView& products, int n_threads, Monitor& monitor) {
  const Index n_problem = products.rows();
  const Index n = products.cols();
  DNNBRAIN_REQUIRE(n >= 1 && grams.cols() == n * n,
                   "Gram matrices must have shape (1 or n_problem, ",
                   n * n,
                   "); got ",
                   grams.cols(),
                   " columns.");
  DNNBRAIN_REQUIRE(grams.rows() == 1 || grams.rows() == n_problem,
                   "there must be one Gram matrix, or one for each of the ",
                   n_problem,
                   " problems; got ",
                   grams.rows(),
                   ".");
  Matrix weights(n_problem, n);
  const Index block = std::max<Index>(1, kWorkPerBlock / (n * n * n));
  monitor.start(n_problem);
  for (Index first = 0; first < n_problem; first += block) {
    const Index count = std::min(block, n_problem - first);
    parallel_chunks(count, n_threads, [&](Index begin, Index end) {
      NnlsSolver solver(n);
      for (Index i = first + begin; i < first + end; ++i) {
        const Index row = grams.rows() == 1 ? 0 : i;
        const Eigen::Map<const Matrix> gram(grams.data() + row * grams.outerStride(), n, n);
        weights.row(i) = solver.solve(gram, products.row(i).transpose()).transpose();
      }
    });
    monitor.step(count);
  }
  return weights;
}

}  // namespace dnnbrain
