// Comparators that are dot products of prepared vectors (comparator.hpp), under relabelling.
//
//   score = sum_ij x[order[i], order[j]] y[i, j]
//
// Which loop adds the products up is chosen by what the vectors are and what the machine has: ranks
// of up to 1,024 conditions in registers (digit_products.hpp, AVX-512), of up to 8,192 in strips of
// rows (strip_products.hpp), all else row by row in a panel (panel_products.hpp). Sums of ranks are
// whole numbers in the first two, so that their bits do not depend on the machine.
// Cost per permutation and model: O(m) to relabel, and O(m) for each subject.
#pragma once

#include <memory>

#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permuted_scorer.hpp"

namespace dnnbrain {

/// All comparators but tau-a and tau-b. The threads share the RDMs that have to be ranked.
std::unique_ptr<PermutedScorer> make_dot_scorer(const MatrixView& models,    // (n_model, n_pair)
                                                const MatrixView& subjects,  // (n_subject, n_pair)
                                                Index n_cond,
                                                Comparator comparator,
                                                int n_threads);

}  // namespace dnnbrain
