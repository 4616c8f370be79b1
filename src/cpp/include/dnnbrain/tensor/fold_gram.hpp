// What the folds of a cross-validation see of one data matrix: its training means, its training
// standard deviations, and products with its standardised Gram matrix.
//
// For fold f, with counts m_f (how often a row trains; 0 where it is held out), n_f = sum m_f,
//
//   mu_fj = sum_i m_fi x_ij / n_f        sd_fj = sqrt(sum_i m_fi (x_ij - mu_fj)^2 / (n_f - 1))
//   Z_f   = (X - 1 mu_f') diag(1 / sd_f)          (no division without scaling, or where sd = 0)
//   z     = Z_f Z_f' (m_f o u)                    for all rows, the held-out ones included
//
// Methods of kernel type need nothing else. Four forms give the same product; the cheapest is
// chosen from the sizes and from how many products are expected:
//
//   columns   Z_f is kept                         4 n p per product
//   gram      Z_f Z_f' is kept, one per fold      n^2 p once, 2 n^2 per product
//   shared    one Gram matrix for all folds, where nothing is scaled; folds are served in one pass
//   streamed  nothing is kept but mu and sd; one pass over the data serves all folds
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <memory>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"

namespace dnnbrain {

/// How often each row trains in each fold.
at::Tensor training_counts(const std::vector<Fold>& folds, Index n);  // -> (n_fold, n) fp64

struct FoldScaling {
  at::Tensor mean;    // (n_fold, p) fp64
  at::Tensor std;     // (n_fold, p) fp64; 1 without scaling, and for columns that do not vary
  at::Tensor weight;  // (n_fold, p) fp64, 1 / std^2; 0 for columns that do not vary
};

/// Training mean and standard deviation (n - 1) of each column, in one pass. A column that is
/// constant in training has its value as mean, exactly.
FoldScaling fold_scaling(const at::Tensor& data,    // (n, p) fp32 or fp64
                         const at::Tensor& counts,  // (n_fold, n) fp64
                         bool scale);

/// Columns first .. first + count - 1 as the fold sees them: centred and scaled by its training
/// rows, all rows, fp64.
at::Tensor standardised_columns(const at::Tensor& data,      // (n, p)
                                const FoldScaling& scaling,  // of n_fold folds
                                Index fold,
                                Index first,
                                Index count);  // -> (n, count)

/// The Gram matrices Z_f Z_f' of all rows, one per fold: half of n_fold * 2 n^2 p FLOP, in chunks
/// of columns that all folds share.
std::vector<at::Tensor> fold_grams(const at::Tensor& data,      // (n, p)
                                   const at::Tensor& counts,    // (n_fold, n)
                                   const FoldScaling& scaling,  // of the same folds
                                   Monitor& monitor);           // each (n, n) fp64

/// Products with the Gram matrices of several folds.
class FoldProducts {
 public:
  virtual ~FoldProducts() = default;

  /// z of each of `vectors`; the rows of `u` need not be multiplied by the counts.
  virtual at::Tensor apply(const std::vector<Index>& folds,  // (b,)
                           const at::Tensor& u) const = 0;   // (b, n) -> (b, n) fp64

  /// Whether products for several folds cost little more than one.
  virtual bool batches() const = 0;

  /// Number of columns, where it is known; the rank is no larger.
  virtual Index width() const { return std::numeric_limits<Index>::max(); }

  /// Orthonormal basis of what the columns of sqrt(m_f) o Z_f span, without what is rounding; of
  /// the training rows, in order, without repeats. One eigendecomposition.
  virtual at::Tensor range(Index fold) const = 0;  // -> (n_row, rank)

  /// Sum of squares of the training rows, about the point the data are held in: the unit in which
  /// rounding is measured.
  virtual double magnitude(Index fold) const = 0;
};

/// Products in the form that is cheapest for about `n_product` products per fold.
std::unique_ptr<FoldProducts> fold_products(const at::Tensor& data,      // (n, p)
                                            const at::Tensor& counts,    // (n_fold, n)
                                            const FoldScaling& scaling,  // of the same folds
                                            bool scale,
                                            Index n_product,
                                            Monitor& monitor);

/// Products from a Gram matrix about any centre, without scaling.
std::unique_ptr<FoldProducts> fold_products(const at::Tensor& gram,     // (n, n) fp64
                                            const at::Tensor& counts);  // (n_fold, n)

}  // namespace dnnbrain
