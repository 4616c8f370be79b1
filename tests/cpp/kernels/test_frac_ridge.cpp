#include "dnnbrain/kernels/frac_ridge.hpp"

#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// S(alpha) of the header, for one target.
double length_squared(const Matrix& eigenvalues,
                      const Matrix& squares,
                      Index target,
                      double alpha) {
  double sum = 0;
  for (Index i = 0; i < eigenvalues.cols(); ++i) {
    const double filter = eigenvalues(0, i) / (eigenvalues(0, i) + alpha);
    sum += squares(target, i) * filter * filter;
  }
  return sum;
}

/// The penalty by bisection of its logarithm, to the last digit.
double naive_alpha(const Matrix& eigenvalues,
                   const Matrix& squares,
                   Index target,
                   double fraction) {
  const double whole = length_squared(eigenvalues, squares, target, 0);
  if (fraction == 0) return kInfinity;
  if (fraction == 1 || whole == 0) return 0;
  double low = -100;
  double high = 100;
  for (int step = 0; step < 200; ++step) {
    const double middle = (low + high) / 2;
    const double length = length_squared(eigenvalues, squares, target, std::exp(middle));
    (length > fraction * fraction * whole ? low : high) = middle;
  }
  return std::exp(low);
}

Matrix solve(const Matrix& eigenvalues,
             const Matrix& squares,
             const Matrix& fractions,
             int n_threads = 1) {
  Monitor monitor;
  return fraction_alphas(eigenvalues, squares, fractions, n_threads, monitor);
}

/// Squares of draws about zero, some of which are zero.
Matrix draw_squares(Index n_vox, Index n_eig, unsigned seed) {
  const auto values = naive::levels(static_cast<std::size_t>(n_vox * n_eig), 50, seed);
  return Eigen::Map<const Matrix>(values.data(), n_vox, n_eig).array().square();
}

Matrix repeat(const std::vector<double>& fractions, Index n_vox) {
  return Eigen::Map<const Eigen::VectorXd>(fractions.data(), static_cast<Index>(fractions.size()))
      .replicate(1, n_vox);
}

/// Eigenvalues from 10^low to 10^high.
Matrix spectrum(Index n, double low, double high) {
  return Eigen::RowVectorXd::LinSpaced(n, low, high).unaryExpr([](double exponent) {
    return std::pow(10.0, exponent);
  });
}

}  // namespace

TEST(penalties_match_bisection) {
  const std::vector<double> fractions{0.001, 0.1, 0.3, 0.5, 0.9, 0.999};
  unsigned seed = 0;
  for (const auto& [low, high] : {std::pair{0.0, 0.5}, {-2.0, 3.0}, {-8.0, 8.0}}) {
    for (const Index n_eig : {1, 2, 7, 60}) {
      const Matrix eigenvalues = spectrum(n_eig, low, high);
      const Matrix squares = draw_squares(9, n_eig, ++seed);
      const Matrix alphas = solve(eigenvalues, squares, repeat(fractions, 9));
      for (Index f = 0; f < alphas.rows(); ++f) {
        for (Index target = 0; target < 9; ++target) {
          const double fraction = fractions[static_cast<std::size_t>(f)];
          const double expected = naive_alpha(eigenvalues, squares, target, fraction);
          // Near 1 the length hardly depends on the penalty: digits are lost in the definition.
          CHECK_NEAR(alphas(f, target), expected, 1e-10 * expected);
        }
      }
    }
  }
}

TEST(one_eigenvalue_has_a_closed_form) {
  const Matrix eigenvalues = Matrix::Constant(1, 1, 3.0);
  const Matrix alphas = solve(eigenvalues, Matrix::Constant(1, 1, 5.0), repeat({0.25, 0.5}, 1));
  CHECK_NEAR(alphas(0, 0), 9.0, 1e-14 * 9);
  CHECK_NEAR(alphas(1, 0), 3.0, 1e-14 * 3);
}

TEST(ends_of_the_range) {
  const Matrix eigenvalues = spectrum(4, -1, 1);
  Matrix squares = draw_squares(2, 4, 5);
  squares.row(1).setZero();
  const Matrix alphas = solve(eigenvalues, squares, repeat({0.0, 1.0, 0.5}, 2));
  for (const Index target : {0, 1}) {
    CHECK_EQUAL(alphas(0, target), kInfinity);
    CHECK_EQUAL(alphas(1, target), 0.0);
  }
  CHECK(alphas(2, 0) > 0);
  CHECK_EQUAL(alphas(2, 1), 0.0);
  CHECK(solve(Matrix(1, 0), Matrix(2, 0), repeat({0.0, 0.5}, 2)) == Matrix::Zero(2, 2));
}

TEST(each_target_has_its_own_fractions_whatever_the_threads) {
  constexpr Index kVox = 1100;  // more than two blocks of targets
  const Matrix eigenvalues = spectrum(5, -2, 2);
  const Matrix squares = draw_squares(kVox, 5, 6);
  Matrix fractions(2, kVox);
  for (Index target = 0; target < kVox; ++target) {
    fractions(0, target) = static_cast<double>(target % 10 + 1) / 12;
    fractions(1, target) = 1 - fractions(0, target);
  }
  const Matrix alphas = solve(eigenvalues, squares, fractions);
  CHECK(solve(eigenvalues, squares, fractions, 3) == alphas);
  for (const Index target : {0, 511, 512, 1099}) {
    for (const Index f : {0, 1}) {
      const double expected = naive_alpha(eigenvalues, squares, target, fractions(f, target));
      CHECK_NEAR(alphas(f, target), expected, 1e-10 * expected);
    }
  }
}

TEST(bad_arguments_are_refused) {
  const Matrix eigenvalues = spectrum(3, 0, 1);
  const Matrix squares = draw_squares(2, 3, 7);
  const Matrix half = repeat({0.5}, 2);
  CHECK_THROWS(InvalidArgument, solve(eigenvalues.leftCols(2), squares, half));
  CHECK_THROWS(InvalidArgument, solve(eigenvalues, squares, half.leftCols(1)));
  CHECK_THROWS(InvalidArgument, solve(0 * eigenvalues, squares, half));
  for (const double fraction : {-0.1, 1.1, std::nan("")}) {
    CHECK_THROWS(InvalidArgument, solve(eigenvalues, squares, repeat({fraction}, 2)));
  }
}
