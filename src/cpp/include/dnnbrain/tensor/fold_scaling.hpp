// What the folds of a cross-validation see of the columns of one data matrix.
//
// For fold f, with counts m_f (how often a row trains; 0 where it is held out), n_f = sum m_f,
//
//   mu_fj = sum_i m_fi x_ij / n_f        sd_fj = sqrt(sum_i m_fi (x_ij - mu_fj)^2 / (n_f - 1))
//   Z_f   = (X - 1 mu_f') diag(1 / sd_f)          (no division without scaling, or where sd = 0)
//
// Cost: 4 n_fold n p FLOP, in one pass over the data.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

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

/// Columns of a chunk that all folds use while it is in the last-level cache.
Index chunk_width(Index n);

/// Columns in fp64, about their mean over all rows. Tiles are the same for any number of threads.
struct Chunk {
  at::Tensor centred;  // (n, c)
  at::Tensor pilot;    // (c,)
};

Chunk centred_chunk(const at::Tensor& data,  // (n, p) fp32 or fp64
                    Index first,
                    Index count);

}  // namespace dnnbrain
