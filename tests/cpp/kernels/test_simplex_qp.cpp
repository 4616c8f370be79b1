#include "dnnbrain/kernels/simplex_qp.hpp"

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

using Vector = Eigen::VectorXd;

/// The best of all supports: on each, the stationary point of w'P w with sum w = 1, if it is
/// unique and not negative.
Vector naive_weights(const Matrix& products) {
  const Index n = products.rows();
  Vector best;
  double least = std::numeric_limits<double>::infinity();
  for (Index support = 1; support < (Index{1} << n); ++support) {
    std::vector<Index> chosen;
    for (Index i = 0; i < n; ++i) {
      if (support >> i & 1) chosen.push_back(i);
    }
    const auto k = static_cast<Index>(chosen.size());
    Eigen::MatrixXd system = Eigen::MatrixXd::Zero(k + 1, k + 1);
    for (Index i = 0; i < k; ++i) {
      for (Index j = 0; j < k; ++j) {
        system(i, j) =
            products(chosen[static_cast<std::size_t>(i)], chosen[static_cast<std::size_t>(j)]);
      }
      system(i, k) = system(k, i) = 1;
    }
    const Eigen::FullPivLU<Eigen::MatrixXd> factor(system);
    if (!factor.isInvertible()) continue;
    const Vector part = factor.solve(Vector::Unit(k + 1, k)).head(k);
    if (part.minCoeff() < 0) continue;
    Vector weights = Vector::Zero(n);
    for (Index i = 0; i < k; ++i) weights[chosen[static_cast<std::size_t>(i)]] = part[i];
    const double value = weights.dot(products * weights);
    if (value < least) {
      least = value;
      best = weights;
    }
  }
  return best;
}

/// Residuals of n models, (n, n_row): a common part, so that models resemble each other.
Matrix draw_residuals(Index n, Index n_row, unsigned seed) {
  const auto own = naive::levels(static_cast<std::size_t>(n * n_row), 10000, seed);
  const auto common = naive::levels(static_cast<std::size_t>(n_row), 10000, seed + 1000);
  Matrix out = Eigen::Map<const Matrix>(own.data(), n, n_row);
  out.rowwise() += 0.5 * Eigen::Map<const Eigen::RowVectorXd>(common.data(), n_row);
  out.array() -= out.mean();
  // Some models are much worse than others: optima inside, on faces and at corners.
  for (Index i = 0; i < n; ++i) out.row(i) *= 1e-3 * (1 + 0.3 * static_cast<double>(i));
  return out;
}

/// Problems, one per row as the kernel takes them.
Matrix solve(const std::vector<Matrix>& problems, int n_threads = 1) {
  const Index n = problems.front().rows();
  Matrix rows(static_cast<Index>(problems.size()), n * n);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    rows.row(static_cast<Index>(i)) =
        Eigen::Map<const Eigen::RowVectorXd>(problems[i].data(), n * n);
  }
  Monitor monitor;
  return simplex_weights(rows, n, n_threads, monitor);
}

Matrix products_of(const Matrix& residuals) { return residuals * residuals.transpose(); }

double objective(const Matrix& products, const Vector& weights) {
  return weights.dot(products * weights);
}

void check_feasible(const Vector& weights) {
  CHECK(weights.minCoeff() >= 0);
  CHECK_NEAR(weights.sum(), 1.0, 1e-14);
}

}  // namespace

TEST(weights_match_the_best_of_all_supports) {
  std::vector<bool> seen(7, false);  // sizes of the supports that came up
  for (const Index n : {1, 2, 3, 4, 6}) {
    std::vector<Matrix> problems;
    for (unsigned seed = 0; seed < 40; ++seed) {
      problems.push_back(products_of(draw_residuals(n, 8 + 3 * (seed % 3), seed)));
    }
    const Matrix weights = solve(problems);
    for (std::size_t i = 0; i < problems.size(); ++i) {
      const Vector ours = weights.row(static_cast<Index>(i)).transpose();
      const Vector expected = naive_weights(problems[i]);
      check_feasible(ours);
      CHECK_NEAR((ours - expected).cwiseAbs().maxCoeff(), 0.0, 1e-10);
      seen[static_cast<std::size_t>((expected.array() > 0).count())] = true;
    }
  }
  for (const std::size_t size : {1u, 2u, 3u}) CHECK(seen[size]);
}

TEST(weights_do_not_depend_on_the_scale) {
  const Matrix products = products_of(draw_residuals(4, 9, 3));
  const Vector expected = naive_weights(products);
  for (const double scale : {1e-200, 1e-12, 1e12, 1e200}) {
    const Vector ours = solve({scale * products}).row(0).transpose();
    CHECK_NEAR((ours - expected).cwiseAbs().maxCoeff(), 0.0, 1e-10);
  }
}

// Fewer rows than models, and models that are the same: the least square is unique, weights are
// not.
TEST(singular_products) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    Matrix residuals = draw_residuals(5, 3, seed);
    residuals.row(3) = residuals.row(1);
    const Matrix products = products_of(residuals);
    const Vector ours = solve({products}).row(0).transpose();
    check_feasible(ours);
    const double scale = products.diagonal().maxCoeff();
    CHECK_NEAR(
        objective(products, ours), objective(products, naive_weights(products)), 1e-12 * scale);
    CHECK(ours[1] == 0 || ours[3] == 0);
  }
  const Vector zero = solve({Matrix::Zero(3, 3)}).row(0).transpose();
  check_feasible(zero);
}

TEST(products_that_are_not_finite) {
  Matrix bad = products_of(draw_residuals(3, 5, 1));
  const Matrix good = bad;
  bad(1, 2) = std::nan("");
  const Matrix weights = solve({bad, good});
  CHECK(weights.row(0).array().isNaN().all());
  check_feasible(weights.row(1).transpose());
}

TEST(problems_do_not_depend_on_each_other_or_on_threads) {
  std::vector<Matrix> problems;  // more than a block of 4096
  for (unsigned i = 0; i < 4200; ++i) problems.push_back(products_of(draw_residuals(3, 4, i)));
  const Matrix weights = solve(problems);
  CHECK(solve(problems, 3) == weights);
  for (const std::size_t i : {0u, 4095u, 4096u, 4199u}) {
    CHECK(solve({problems[i]}).row(0) == weights.row(static_cast<Index>(i)));
  }
}

TEST(products_of_another_size_are_refused) {
  Monitor monitor;
  CHECK_THROWS(InvalidArgument, simplex_weights(Matrix::Zero(2, 8), 3, 1, monitor));
  CHECK_THROWS(InvalidArgument, simplex_weights(Matrix::Zero(2, 0), 0, 1, monitor));
}
