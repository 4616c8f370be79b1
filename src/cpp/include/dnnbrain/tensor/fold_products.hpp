// Products with the standardised Gram matrices of the folds of a cross-validation.
//
//   z = Z_f Z_f' (m_f o u)          for all rows, the held-out ones included (fold_scaling.hpp)
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
#include "dnnbrain/tensor/fold_gram.hpp"
#include "dnnbrain/tensor/fold_scaling.hpp"

namespace dnnbrain {

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
