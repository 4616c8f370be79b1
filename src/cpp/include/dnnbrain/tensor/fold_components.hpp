// The rows of a fold about the mean of its training rows: their inner products, and what PCA makes
// of them.
//
// With X the features about their training means, and optionally over their training standard
// deviations, and  X_tr = U S V',  L = S^2,
//
//   train = X_tr V = U S        test = X_te V = X_te X_tr' U / S
//
// The last form needs X through its inner products alone, once for all folds; the other is cheaper
// where there are fewer features than training rows. A component whose L is rounding is zero.
//
// Cost per fold: the largest eigenpairs of an order of min(n_train, n_feat) (eigenpairs.hpp).
// Standardised features in the last form: n_train (n_train + 2 n_test) n_feat FLOP more, since
// their inner products differ by fold.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

/// What the rows of a fold are taken from.
struct FoldSource {
  at::Tensor data;           // (n_stim, n_feat) fp32 or fp64, or
  bool is_gram = false;      // their inner products about any point, (n_stim, n_stim) fp64
  bool standardize = false;  // columns over their training standard deviation; not of a Gram
};

/// Throws unless the data are what they are said to be.
void check_source(const FoldSource& source);

/// Columns about their training mean, and over their training standard deviation if asked for.
struct FoldColumns {
  at::Tensor train;  // (n_train, n_feat) fp64
  at::Tensor test;   // (n_test, n_feat) fp64
};

FoldColumns fold_columns(const at::Tensor& features,  // (n_stim, n_feat) fp32 or fp64
                         const Fold& fold,
                         bool standardize);

/// Inner products about the training mean.
struct FoldKernels {
  at::Tensor train;   // (n_train, n_train) fp64
  at::Tensor test;    // (n_test, n_train) fp64
  double offset = 0;  // square of what centring took off a Gram
};

/// Features are taken in chunks of columns.
FoldKernels fold_kernels(const FoldSource& source, const Fold& fold);

/// Largest component first. Signs are those of the eigenvectors.
struct FoldComponents {
  at::Tensor values;  // (n_comp,) L; 0 where it is rounding
  at::Tensor train;   // (n_train, n_comp) fp64
  at::Tensor test;    // (n_test, n_comp) fp64
};

FoldComponents fold_components(const FoldSource& source, const Fold& fold,
                               Index n_comp);  // 0: all

/// Training components scaled to a variance of one, and held-out ones alike.
FoldComponents whitened(const FoldComponents& components);

/// Whether the features themselves are decomposed, being fewer than the training rows.
inline bool is_primal(const FoldSource& source, const Fold& fold) {
  return !source.is_gram && source.data.size(1) < fold.train.size(0);
}

/// How the decompositions of many folds share threads and memory.
struct FoldSchedule {
  bool side_by_side = false;  // each on one thread
  Index at_once = 1;          // folds that are held at the same time
};

/// Small folds side by side, large ones one by one with all threads for each.
FoldSchedule schedule_folds(const FoldSource& source, const std::vector<Fold>& folds);

/// body(fold) for folds [first, last), at most `at_once` of the schedule.
template <class Body>
void for_each_fold(const FoldSchedule& schedule, Index first, Index last, const Body& body) {
  for_each_task(last - first, schedule.side_by_side, [&](Index i) { body(first + i); });
}

}  // namespace dnnbrain
