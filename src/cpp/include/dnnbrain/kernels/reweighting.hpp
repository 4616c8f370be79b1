// Weighted sums of RDMs, fitted and compared on other conditions and other subjects, in bootstrap
// samples (Storrs, Kietzmann, Walther, Mehrer & Kriegeskorte 2021, J. Cogn. Neurosci. 33, 2044).
//
// A sample draws conditions and subjects with replacement; sample 0 is the data as they are. A
// split of a sample holds out some of its distinct conditions and some of its distinct subjects,
// all copies together. Weights that are not negative are fitted to the pool of training subjects
// over pairs of training conditions (nnls.hpp); the sum, each RDM alone, and pools of subjects are
// then compared with each held-out subject over pairs of held-out conditions. The pair (i, j) comes
// c_i c_j times; copies of one condition against each other are no pair.
//
//   lower ceiling    held-out subjects with the pool of training subjects
//   upper ceiling    held-out subjects with the pool of all of the sample
//
// Without held-out subjects, all subjects are trained on and compared with, and the lower ceiling's
// pool leaves out the subject that it is compared with. Pools are means of RDMs at unit length,
// over the pairs that are fitted, and over all pairs for ceilings. All is about means, except for
// cosine.
//
// Cost per split: m (L^2 / 2 + 3 S) multiplications for n_pair = m, L RDMs and S subjects, then
// (L + 3) n_test_subject comparisons of held-out pairs. A split is a pure function of the seed, its
// sample and its number.
#pragma once

#include <cstdint>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// Which splits are made of which samples.
struct SplitPlan {
  Index n_cond = 0;
  Index n_subject = 0;
  Index n_split = 1;         // of each sample
  Index n_test_cond = 0;     // distinct conditions held out
  Index n_test_subject = 0;  // distinct subjects held out; 0: none
  bool resample_conditions = true;
  bool resample_subjects = true;
  std::uint64_t seed = 0;
};

/// How often each condition and subject comes on either side of a split.
struct SampleSplit {
  std::vector<Index> train_conditions;  // (n_cond,)
  std::vector<Index> test_conditions;   // (n_cond,)
  std::vector<Index> train_subjects;    // (n_subject,)
  std::vector<Index> test_subjects;     // (n_subject,)
};

SampleSplit draw_split(const SplitPlan& plan, Index sample, Index split);

struct Reweighting {
  Matrix scores;    // (n_boot + 1, L + 1), each RDM alone and the weighted sum; means over splits
  Matrix ceilings;  // (n_boot + 1, 2), lower and upper
  Matrix weights;   // (n_boot + 1, L), means over splits of weights that sum to one
};

/// What is constant over the held-out pairs scores 0.
Reweighting reweight_rdms(const MatrixView& models,    // (L, n_pair)
                          const MatrixView& subjects,  // (n_subject, n_pair)
                          const SplitPlan& plan,
                          Index n_boot,
                          Comparator comparator,  // of held-out pairs
                          int n_threads,
                          Monitor& monitor);

}  // namespace dnnbrain
