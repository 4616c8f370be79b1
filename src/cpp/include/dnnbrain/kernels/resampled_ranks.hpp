// Comparators of ranks in many samples of the conditions: Spearman's and Kendall's. (Those that are
// products of dissimilarities: tensor/resampled_moments.hpp.)
//
// A sample that holds condition i c_i times compares the RDMs of its conditions, copies written out
// and pairs of copies of one condition left out, as rsatoolbox does (Schuett et al. 2023).
//
// Ceilings: the mean over subjects, weighted by how often the sample holds each, of their
// similarity with the pool of all (upper) and of all others (lower; all copies of the subject are
// left out of it).
//
// Cost for each sample: O(n_pair) for each RDM, then for each comparison O(n_pair) (Spearman) or
// O(n_pair log n_pair) (Kendall); for each pool a radix sort. The same bits for any thread count.
#pragma once

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// What subjects' RDMs are pooled as.
enum class PooledAs { kValues, kRanks };

/// Scores of all models with all subjects; NaN where undefined (an RDM constant in the sample).
Matrix resampled_scores(const MatrixView& models,    // (n_model, n_pair)
                        const MatrixView& subjects,  // (n_subject, n_pair)
                        const MatrixView& counts,    // (n_boot, n_cond) whole numbers
                        Comparator comparator,       // spearman, rho-a, tau-a or tau-b
                        int n_threads,
                        Monitor& monitor);  // -> (n_boot, n_model n_subject)

/// Scores of models that each sample has for itself, such as predictions that were fitted without
/// its conditions: rows [b n_model, (b + 1) n_model) belong to sample b. NaN where undefined.
Matrix resampled_own_scores(const MatrixView& models,    // (n_boot n_model, n_pair)
                            const MatrixView& subjects,  // (n_subject, n_pair)
                            const MatrixView& counts,    // (n_boot, n_cond)
                            Comparator comparator,
                            int n_threads,
                            Monitor& monitor);  // -> (n_boot, n_model n_subject)

/// Lower and upper ceiling; NaN where undefined, and the lower with one distinct subject.
Matrix resampled_ceilings(const MatrixView& subjects,        // (n_subject, n_pair)
                          const MatrixView& counts,          // (n_boot or 1, n_cond)
                          const MatrixView& subject_counts,  // (n_boot, n_subject)
                          Comparator comparator,
                          PooledAs pooling,
                          int n_threads,
                          Monitor& monitor);  // -> (n_boot, 2)

}  // namespace dnnbrain
