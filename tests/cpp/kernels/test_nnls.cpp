#include "dnnbrain/kernels/nnls.hpp"

#include <Eigen/Cholesky>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

using Vector = Eigen::VectorXd;

struct Problem {
  Matrix gram;
  Vector products;
};

/// Least squares on each support, of which the best without a negative weight.
Vector naive_weights(const Problem& problem) {
  const Index n = problem.gram.rows();
  Vector best = Vector::Zero(n);
  double least = 0;
  for (Index support = 1; support < (Index{1} << n); ++support) {
    std::vector<Index> chosen;
    for (Index i = 0; i < n; ++i) {
      if (support >> i & 1) chosen.push_back(i);
    }
    const Eigen::MatrixXd gram = problem.gram(chosen, chosen);
    const Eigen::LLT<Eigen::MatrixXd> factor(gram);
    if (factor.info() != Eigen::Success) continue;
    const Vector part = factor.solve(problem.products(chosen).eval());
    if (part.minCoeff() < 0) continue;
    const double value = -part.dot(problem.products(chosen));
    if (value < least) {
      least = value;
      best.setZero();
      best(chosen) = part;
    }
  }
  return best;
}

/// Predictors with a part in common, as RDMs have, and a response of some of them.
Problem draw(Index n, Index n_row, unsigned seed) {
  const auto own = naive::levels(static_cast<std::size_t>(n * n_row), 10000, seed);
  const auto common = naive::levels(static_cast<std::size_t>(n_row), 10000, seed + 1000);
  Matrix x = Eigen::Map<const Matrix>(own.data(), n, n_row);
  x.rowwise() += 0.5 * Eigen::Map<const Eigen::RowVectorXd>(common.data(), n_row);
  const auto mixed = naive::levels(static_cast<std::size_t>(n), 100, seed + 2000);
  const auto noise = naive::levels(static_cast<std::size_t>(n_row), 10000, seed + 3000);
  const Vector y =
      x.transpose() * (Eigen::Map<const Vector>(mixed.data(), n).array() - 20).matrix() +
      20 * Eigen::Map<const Vector>(noise.data(), n_row);
  return {x * x.transpose(), x * y};
}

Vector solve(const Problem& problem) {
  NnlsSolver solver(problem.products.size());
  return solver.solve(problem.gram, problem.products);
}

double objective(const Problem& problem, const Vector& weights) {
  return weights.dot(problem.gram * weights) - 2 * weights.dot(problem.products);
}

/// The largest breach of what holds at the solution, relative to the products.
double breach(const Problem& problem, const Vector& weights) {
  const Vector gradient = problem.products - problem.gram * weights;
  double worst = -std::min(0.0, weights.minCoeff());
  for (Index i = 0; i < weights.size(); ++i) {
    const double scale = std::abs(problem.products[i]) +
                         problem.gram.row(i).cwiseAbs().dot(weights.cwiseAbs().transpose()) +
                         1e-300;
    const double off = weights[i] > 0 ? std::abs(gradient[i]) : std::max(0.0, gradient[i]);
    worst = std::max(worst, off / scale);
  }
  return worst;
}

}  // namespace

TEST(weights_match_the_best_of_all_supports) {
  std::vector<bool> seen(9, false);  // numbers of weights above zero that came up
  for (const Index n : {1, 2, 3, 5, 8}) {
    for (unsigned seed = 0; seed < 40; ++seed) {
      const Problem problem = draw(n, 30, seed);
      const Vector ours = solve(problem);
      const Vector expected = naive_weights(problem);
      CHECK_NEAR((ours - expected).cwiseAbs().maxCoeff(), 0.0, 1e-9 * (1 + expected.maxCoeff()));
      seen[static_cast<std::size_t>((expected.array() > 0).count())] = true;
    }
  }
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u}) CHECK(seen[count]);
}

TEST(many_weights_meet_the_conditions_of_a_minimum) {
  for (const Index n : {40, 120}) {
    const Problem problem = draw(n, 3 * n, 7);
    const Vector weights = solve(problem);
    CHECK(breach(problem, weights) < 1e-12);
    const Index positive = (weights.array() > 0).count();
    CHECK(positive > 4 && positive < n);
  }
}

// The solution scales with y and inversely with x, and so does what counts as zero.
TEST(weights_do_not_depend_on_the_scale) {
  const Problem problem = draw(6, 30, 3);
  const Vector expected = naive_weights(problem);
  for (const double x : {1e-60, 1e-9, 1e9, 1e60}) {
    for (const double y : {1e-60, 1.0, 1e60}) {
      const Vector ours = solve({x * x * problem.gram, x * y * problem.products});
      CHECK_NEAR((ours * (x / y) - expected).cwiseAbs().maxCoeff(), 0.0, 1e-9);
    }
  }
  // Predictors of unlike scales.
  Vector scales(6);
  scales << 1e-30, 1, 1e12, 1e-5, 1e30, 1e3;
  const Vector ours = solve({scales.asDiagonal() * problem.gram * scales.asDiagonal(),
                             scales.asDiagonal() * problem.products});
  CHECK_NEAR((ours.cwiseProduct(scales) - expected).cwiseAbs().maxCoeff(), 0.0, 1e-9);
}

// Equal predictors, predictors that are sums of others, fewer rows than predictors: the least
// square is unique, the weights are not.
TEST(dependent_predictors_end_at_the_least_square) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Problem few = draw(7, 4, seed);
    CHECK_NEAR(objective(few, solve(few)),
               objective(few, naive_weights(few)),
               1e-9 * few.products.cwiseAbs().maxCoeff() * (1 + naive_weights(few).maxCoeff()));
    const Problem base = draw(4, 30, seed);
    Matrix spread = Matrix::Zero(6, 4);
    spread.topRows(4).setIdentity();
    spread(4, 1) = 1;  // the same again
    spread(5, 0) = spread(5, 2) = 0.5;
    const Problem twice{spread * base.gram * spread.transpose(), spread * base.products};
    const Vector ours = solve(twice);
    CHECK(ours.minCoeff() >= 0);
    const double scale = base.products.cwiseAbs().maxCoeff();
    CHECK_NEAR(objective(twice, ours),
               objective(base, naive_weights(base)),
               1e-9 * scale * (1 + naive_weights(base).maxCoeff()));
  }
}

TEST(what_explains_nothing_has_no_weight) {
  Problem problem = draw(3, 20, 5);
  problem.gram.row(1).setZero();
  problem.gram.col(1).setZero();
  problem.products[1] = 0;
  CHECK_EQUAL(solve(problem)[1], 0.0);
  const Vector none = solve({problem.gram, -Vector::Ones(3)});
  CHECK(none.isZero(0));
  CHECK(solve({Matrix::Zero(3, 3), Vector::Zero(3)}).isZero(0));
}

TEST(products_that_are_not_finite) {
  Problem bad = draw(3, 9, 1);
  bad.gram(1, 2) = std::nan("");
  CHECK(solve(bad).array().isNaN().all());
  bad = draw(3, 9, 1);
  bad.products[0] = std::numeric_limits<double>::infinity();
  CHECK(solve(bad).array().isNaN().all());
}

TEST(problems_do_not_depend_on_each_other_or_on_threads) {
  constexpr Index kCount = 500;
  Matrix grams(kCount, 16);
  Matrix products(kCount, 4);
  for (Index i = 0; i < kCount; ++i) {
    const Problem problem = draw(4, 12, static_cast<unsigned>(i));
    grams.row(i) = Eigen::Map<const Eigen::RowVectorXd>(problem.gram.data(), 16);
    products.row(i) = problem.products.transpose();
  }
  Monitor monitor;
  const Matrix one = nnls(grams, products, 1, monitor);
  CHECK(nnls(grams, products, 3, monitor) == one);
  for (const Index i : {Index{0}, Index{77}, kCount - 1}) {
    CHECK(solve(draw(4, 12, static_cast<unsigned>(i))) == one.row(i).transpose());
  }
  const Matrix shared = nnls(grams.topRows(1), products, 2, monitor);
  CHECK(shared.row(0) == one.row(0));
  CHECK(!(shared == one));
}

TEST(products_of_another_size_are_refused) {
  Monitor monitor;
  CHECK_THROWS(InvalidArgument, nnls(Matrix::Zero(1, 8), Matrix::Zero(2, 3), 1, monitor));
  CHECK_THROWS(InvalidArgument, nnls(Matrix::Zero(3, 9), Matrix::Zero(2, 3), 1, monitor));
  CHECK_THROWS(InvalidArgument, nnls(Matrix::Zero(1, 0), Matrix::Zero(2, 0), 1, monitor));
}
