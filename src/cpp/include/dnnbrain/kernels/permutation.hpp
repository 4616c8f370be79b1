// Every model against every subject, and the exact Mantel test of each: the conditions of the model
// are relabelled, never the entries of its RDM, because entries that share a condition are
// dependent (Mantel 1967; Nili et al. 2014).
//
//   p = (1 + #{permutations at least as extreme as the observed}) / (1 + n_perm)
//
// Permutation i is the same for all models and subjects: a pure function of (seed, i).
// Cost per permutation, model and subject: O(m) for dot products, O(m log m) for Kendall.
// The same bits for any thread count.
#pragma once

#include <cstdint>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

enum class Alternative { kGreater, kLess, kTwoSided };

struct PermutationOptions {
  Comparator comparator = Comparator::kTauB;
  Alternative alternative = Alternative::kTwoSided;
  Index n_perm = 0;
  std::uint64_t seed = 0;
  int n_threads = 1;
};

struct PermutationResult {
  Matrix scores;             // (n_model, n_subject)
  CountMatrix exceed;        // (n_model, n_subject) permutations at least as extreme
  CountMatrix group_exceed;  // (n_model, 1) likewise, for the mean over subjects
};

/// Compare models with subjects; with n_perm = 0 scores alone.
PermutationResult permutation_test(const MatrixView& models,    // (n_model, n_pair)
                                   const MatrixView& subjects,  // (n_subject, n_pair)
                                   Index n_cond,
                                   const PermutationOptions& options,
                                   Monitor& monitor);

}  // namespace dnnbrain
