// Kendall's tau-a and tau-b under relabelling.
//
// Relabelling changes neither the ties of x nor those of y, so that both are the same S over
// another constant, and an observed score is compared with permuted ones exactly.
#pragma once

#include <memory>

#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permuted_scorer.hpp"

namespace dnnbrain {

/// tau-a, tau-b.
std::unique_ptr<PermutedScorer> make_kendall_scorer(
    const MatrixView& models,    // (n_model, n_pair)
    const MatrixView& subjects,  // (n_subject, n_pair)
    Index n_cond,
    Comparator comparator);

}  // namespace dnnbrain
