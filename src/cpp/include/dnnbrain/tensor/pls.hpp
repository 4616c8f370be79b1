// Partial least squares from Gram matrices: NIPALS without the units.
//
// With K = Xc Xc', L = Yc Yc' (n x n), P the projection away from the scores found so far, and a
// weight vector written as w = Xc' v, one NIPALS iteration from a target score u is
//
//   v = u / |u|_PKP     s = P K v     u' = P L s / (s's c'c),   c'c = s'L s / (s's)^2
//
// Neither matrix is deflated. Iteration m gives the direction (P L P K)^m u0. That operator is
// self-adjoint in the inner product <a, b> = a'PKP b, so d Lanczos steps give a d x d tridiagonal
// matrix T with
//
//   (P L P K)^m u0  ~  Q T^m e1        exact for m < d, and beyond that off by at most the part
//                                      that leaks past the last basis vector, which is known
//
// kNipals follows the iterates inside T to where scikit-learn's rule stops,
// |w_m - w_(m-1)|^2 < tol, and adds Lanczos steps until what has leaked is below rounding: the same
// iterates, the same counts, fewer products. kExact takes the dominant eigenvector of T instead,
// which is what the iteration converges to.
//
// Cost: one product with K and one with L per step, d steps per component, d some 5 to 20.
// After component a, q_a = Yc's_a / s_a's_a, and scores of any row follow from K v_a by the same
// projection, so held-out rows and all component counts come from one fit.
//
// Sources: Wold's NIPALS as in Wegelin (2000); Rannar et al. (1994) for the kernel form.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/column_scores.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/fold_gram.hpp"

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

/// A model of one set of rows. Shapes with A count the components that were found.
struct PlsModel {
  at::Tensor x_mean;      // (p,)
  at::Tensor x_std;       // (p,)
  at::Tensor y_mean;      // (t,)
  at::Tensor y_std;       // (t,)
  at::Tensor x_weights;   // (p, A); the largest entry of each column is positive
  at::Tensor x_loadings;  // (p, A)
  at::Tensor y_loadings;  // (t, A)
  at::Tensor x_scores;    // (n, A)
  at::Tensor y_scores;    // (n, A)
  std::vector<Index> n_iter;
};

PlsModel fit_pls(const at::Tensor& features,   // (n, p) fp32 or fp64
                 const at::Tensor& responses,  // (n, t)
                 const PlsOptions& options,
                 Monitor& monitor);

struct PlsHeldOut {
  at::Tensor scores;                    // (n_count, n_fold, t) fp64
  std::vector<at::Tensor> predictions;  // where asked for, each (n_test, t), of the last count
  at::Tensor n_found;                   // (n_fold,) int64 components
  at::Tensor n_iter;                    // (n_fold, n_comp) int64; 0 where there is no component
};

/// What of the held-out rows is wanted.
struct PlsWanted {
  std::vector<Index> counts;  // component counts, ascending, up to n_comp
  Score score = Score::kPearson;
  bool predictions = false;
};

/// Scores of held-out rows, refitted in every fold. Folds are taken together as far as
/// `max_bytes` of Gram matrices allow.
PlsHeldOut cross_validate_pls(const at::Tensor& features,   // (n, p) fp32 or fp64
                              const at::Tensor& responses,  // (n, t) fp32 or fp64
                              const std::vector<Fold>& folds,
                              const PlsOptions& options,
                              const PlsWanted& wanted,
                              Index max_bytes,
                              Monitor& monitor);

/// The same from the Gram matrix of the features, about any centre; options.scale concerns the
/// responses alone.
PlsHeldOut cross_validate_pls_gram(const at::Tensor& gram,       // (n, n) fp64
                                   const at::Tensor& responses,  // (n, t)
                                   const std::vector<Fold>& folds,
                                   const PlsOptions& options,
                                   const PlsWanted& wanted,
                                   Index max_bytes,
                                   Monitor& monitor);

}  // namespace dnnbrain
