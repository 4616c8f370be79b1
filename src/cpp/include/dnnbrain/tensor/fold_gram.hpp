// The standardised Gram matrices Z_f Z_f' of the folds of a cross-validation (fold_scaling.hpp).
//
//   Z_f Z_f' = C_f X diag(1 / sd_f^2) X' C_f',    C_f centres by the training rows of fold f
//
// X about any centre. Only the blocks on and below the diagonal are formed, in chunks of columns
// that all folds share. Cost: n^2 p FLOP per fold, in fp64.
//
// Training sets overlap, so the weights 1 / sd_fj^2 of a column differ little between folds. For
// fp32 data of many columns and folds,
//
//   Z_f Z_f' = X diag(w) X' + X diag(1 / sd_f^2 - w) X',   w the mean over folds  (before centring)
//
// the first term is formed once in fp64, the second, a few percent of it, by products in fp32 at
// twice the speed that are added up in fp64 chunk by chunk. Columns whose weights differ by more
// than a twentieth stay in fp64. Rounding is random, at most 1e-8 of a term, and averages over
// columns: entries are off by some 1e-11 of the diagonal.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/tensor/fold_scaling.hpp"

namespace dnnbrain {

/// Of all rows, the held-out ones included.
std::vector<at::Tensor> fold_grams(const at::Tensor& data,      // (n, p)
                                   const at::Tensor& counts,    // (n_fold, n)
                                   const FoldScaling& scaling,  // of the same folds
                                   Monitor& monitor);           // each (n, n) fp64

}  // namespace dnnbrain
