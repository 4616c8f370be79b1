// The components of partial least squares in one fold, from products with two Gram matrices.
//
// With K = Xc Xc', L = Yc Yc' (n x n), P the projection away from the scores found so far, and a
// weight vector written as w = Xc' v, one NIPALS iteration from a target score u is
//
//   v = u / |u|_PKP     s = P K v     u' = P L s / (s's c'c),   c'c = s'L s / (s's)^2
//
// Neither matrix is deflated. Iteration m gives the direction (P L P K)^m u0. That operator is
// self-adjoint in the inner product <a, b> = a'PKP b, so the iterates lie in the Krylov space of
// lanczos.hpp.
//
// kNipals follows the iterates inside T to where scikit-learn's rule stops,
// |w_m - w_(m-1)|^2 < tol, and adds Lanczos steps until what has leaked is below rounding: the same
// iterates, the same counts, fewer products. kExact takes the dominant eigenvector of T instead,
// which is what the iteration converges to.
//
// Cost: one product with K and one with L per step, d steps per component, d some 5 to 20.
//
// Sources: Wold's NIPALS as in Wegelin (2000); Rannar et al. (1994) for the kernel form.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold_products.hpp"
#include "dnnbrain/tensor/fold_scaling.hpp"
#include "dnnbrain/tensor/lanczos.hpp"

namespace dnnbrain {

enum class PlsAlgorithm { kNipals, kExact };

struct PlsOptions {
  Index n_comp = 2;
  bool scale = true;
  PlsAlgorithm algorithm = PlsAlgorithm::kNipals;
  Index max_iter = 500;  // of kNipals
  double tol = 1e-6;     // of kNipals
};

/// Scores and dual weights. Components after the last that could be found are absent.
struct PlsComponents {
  at::Tensor x_scores;        // (n_found, n) fp64, all rows
  at::Tensor y_scores;        // (n_found, n) fp64, training rows
  at::Tensor duals;           // (n_found, n) fp64: w_a = Z' duals_a; 0 on rows that do not train
  std::vector<Index> n_iter;  // iterations of kNipals, Lanczos steps of kExact
};

/// The responses as one fold sees them.
class FoldTargets {
 public:
  FoldTargets(const at::Tensor& data,      // (n, t)
              const FoldScaling& scaling,  // of all folds
              Index fold);

  Index count() const { return data_.size(1); }

  at::Tensor columns(Index first, Index count) const;  // -> (n, count) fp64

  /// A fixed combination of all columns, in which nothing cancels but by design.
  at::Tensor mixture() const;  // -> (n,)

 private:
  at::Tensor data_;
  FoldScaling scaling_;
  Index fold_;
};

/// Finds components. It asks for one product at a time, so that a caller may serve many folds with
/// one pass over a matrix.
class PlsFold {
 public:
  enum class Wants { kX, kY, kNothing };

  PlsFold(Index fold,
          at::Tensor counts,  // (n,) fp64
          FoldTargets targets,
          const FoldProducts& x,
          const PlsOptions& options);

  Index fold() const { return fold_; }

  /// A product of which matrix, with which vector (n,).
  Wants wants() const { return wants_; }
  const at::Tensor& vector() const { return vector_; }

  /// The product that it asked for.
  void receive(const at::Tensor& product);  // (n,)

  PlsComponents components() const;

 private:
  enum class Phase { kStart, kAnswer, kImage };

  void ask(Wants wants, Phase phase, at::Tensor vector);

  /// The same X'v from the shortest v. What of v lies outside X's range adds nothing to v'Kv but
  /// rounding, and so much of it that a short X'v drowns.
  at::Tensor within_range(const at::Tensor& v) const;

  /// Whether the range had to be looked at; the component begins again.
  bool settle_doubts(double sq, double length);

  /// Deflation of X and Y alike; twice, since once leaves the rounding of a large part.
  at::Tensor without_scores(const at::Tensor& z) const;

  /// Begin a component from the first residual target that varies.
  void start();

  void receive_start(const at::Tensor& image);

  /// A vector of the basis, and the question what L answers to it.
  void extend(const at::Tensor& vector, const at::Tensor& image, double length);

  void receive_answer(const at::Tensor& answer);

  void receive_image(const at::Tensor& image);

  std::optional<KrylovVector> solution() const;

  void finish(const KrylovVector& found);

  Index fold_;
  at::Tensor counts_;  // (n,)
  at::Tensor trains_;  // (n,) 1 or 0
  FoldTargets targets_;
  const FoldProducts* x_;
  double magnitude_;
  PlsOptions options_;
  Index rank_ = 0;      // of the features, at most
  at::Tensor rows_;     // (n_row,) int64 and
  at::Tensor range_;    // (n_row, rank) basis of their range, once it is known that they need it
  bool doubts_ = true;  // whether the rank has yet to be looked at

  Wants wants_ = Wants::kNothing;
  Phase phase_ = Phase::kStart;
  at::Tensor vector_;
  bool mixed_ = false;

  // The component at work: v, P K v and P L P K v of each vector of the basis.
  std::vector<at::Tensor> basis_;
  std::vector<at::Tensor> images_;
  std::vector<at::Tensor> answers_;
  Tridiagonal t_;

  // The components that are done.
  Index n_found_ = 0;
  at::Tensor scores_;     // (n_comp, n)
  at::Tensor averaging_;  // (n_comp, n) counts o score / length: gives loadings
  std::vector<at::Tensor> duals_;
  std::vector<at::Tensor> y_scores_;
  std::vector<Index> n_iter_;
};

}  // namespace dnnbrain
