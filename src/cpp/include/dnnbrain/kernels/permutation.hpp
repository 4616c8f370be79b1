// Every model against every subject, and the exact Mantel test of each: the conditions of the model
// are relabelled, never the entries of its RDM, because entries that share a condition are
// dependent (Mantel 1967; Nili et al. 2014).
//
//   p = (1 + #{permutations at least as extreme as the observed}) / (1 + n_perm)
//
// or, where all n! relabellings are gone through, the part of them that is, the identity included.
//
// A test of one model and one subject may end after h exceedances, at relabelling number l: p is
// then h / l (Besag & Clifford 1991), and most of the work is saved where there is nothing to find.
//
// A relabelling is the same for all models and subjects: a pure function of (seed, i).
// Cost per permutation, model and subject: O(m) for dot products, O(m log m) for Kendall.
// The same bits for any thread count.
#pragma once

#include <cstdint>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/partial.hpp"
#include "dnnbrain/kernels/tally.hpp"

namespace dnnbrain {

struct PermutationOptions {
  Comparator comparator = Comparator::kTauB;
  Alternative alternative = Alternative::kTwoSided;
  Index n_perm = 0;
  std::uint64_t seed = 0;
  int n_threads = 1;
  bool exhaustive = false;  // all n_cond! relabellings; n_perm and seed are ignored
  bool keep_null = false;
  Matrix controls{};  // (n_control, n_pair) RDMs to take out, see partial.hpp
  Removal removal = Removal::kPartial;
  Index stop_after = 0;  // of one model and one subject: end at so many exceedances, 0 for never
};

struct PermutationResult {
  Matrix scores;            // (n_model, n_subject)
  Exceedances exceed;       // where all relabellings are gone through, the identity is one of them
  Index n_relabelling = 0;  // that were counted, fewer than asked for if it was stopped
  Matrix null;              // (n_relabelling, n_model * n_subject) if kept, else empty
};

/// Compare models with subjects; with n_perm = 0 scores alone.
PermutationResult permutation_test(const MatrixView& models,    // (n_model, n_pair)
                                   const MatrixView& subjects,  // (n_subject, n_pair)
                                   Index n_cond,
                                   const PermutationOptions& options,
                                   Monitor& monitor);

}  // namespace dnnbrain
