// Least squares with weights that are not negative, from inner products alone.
//
//   minimise  w'G w - 2 b'w   subject to   w >= 0        G = X'X (n, n), b = X'y
//
// The active-set method of Lawson and Hanson (1974, ch. 23): the weight whose gradient, relative to
// the length of its column, is steepest becomes free; the free weights go to their least squares,
// and those that would pass zero on the way are fixed there again. What counts as a gradient is
// relative to the products it is a difference of, a column that depends on the free ones is
// refused, and so is a step that goes nowhere: the method ends for any scale of X and y. Where
// columns depend on each other, one solution of several is found.
//
// Cost per step, with f weights free: n f for the gradient and f^2 for the Cholesky factor; a
// weight that leaves costs up to f^3 / 3. Steps are about as many as weights that end free.
#pragma once

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// Solves one problem after another in the same room.
class NnlsSolver {
 public:
  using Vector = Eigen::VectorXd;
  using VectorView = Eigen::Ref<const Vector>;

  explicit NnlsSolver(Index n);

  /// The weights; NaN where the products are not finite. Good until the next call.
  const Vector& solve(const MatrixView& gram,       // (n, n) positive semidefinite
                      const VectorView& products);  // (n,)

 private:
  using Places = std::vector<Index>;

  bool append(const MatrixView& gram, Index column);
  void set_free(const MatrixView& gram, const Places& columns);
  void solve_free(const VectorView& products);
  void drop_negative(const MatrixView& gram, const VectorView& products);
  Index steepest(const MatrixView& gram, const VectorView& products);

  Index n_;
  Vector weights_;
  Vector gradient_;
  Vector rounding_;
  Vector target_;             // of the free weights
  Matrix factor_;             // Cholesky's, of the free columns in their order
  Places free_;               // columns
  std::vector<char> closed_;  // free already, or refused since weights last moved
};

/// Weights of many problems. A Gram matrix serves all problems or each its own.
Matrix nnls(const MatrixView& grams,     // (1 or n_problem, n * n), row by row
            const MatrixView& products,  // (n_problem, n)
            int n_threads,
            Monitor& monitor);  // -> (n_problem, n)

}  // namespace dnnbrain
