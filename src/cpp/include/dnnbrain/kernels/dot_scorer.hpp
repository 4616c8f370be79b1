// Comparators that are dot products of prepared vectors (comparator.hpp), under relabelling.
//
//   score = sum_ij x[order[i], order[j]] y[i, j]
//
// Cost per permutation and model: O(m) for the gather and O(m) for each subject.
#pragma once

#include <memory>

#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permuted_scorer.hpp"

namespace dnnbrain {

/// corr, cosine, spearman, rho-a.
std::unique_ptr<PermutedScorer> make_dot_scorer(const MatrixView& models,    // (n_model, n_pair)
                                                const MatrixView& subjects,  // (n_subject, n_pair)
                                                Index n_cond,
                                                Comparator comparator);

}  // namespace dnnbrain
