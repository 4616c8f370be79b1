// The vocabulary of sizes. One signed index type everywhere, as in Eigen and ATen.
//
//   n_stim  stimuli          n_cond  conditions of an RDM       n_pair  n_cond (n_cond - 1) / 2
//   n_feat  features         n_vox   voxels or other targets    n_perm  permutations
//   n_comp  components       n_fold  folds                      n_rdm   RDMs (models or subjects)
#pragma once

#include <cstdint>

namespace dnnbrain {

using Index = std::int64_t;

/// Pairs of n_cond conditions, as in a condensed RDM.
constexpr Index pair_count(Index n_cond) { return n_cond * (n_cond - 1) / 2; }

/// Conditions of which a condensed RDM has n_pair pairs.
constexpr Index condition_count(Index n_pair) {
  Index n_cond = 2;
  while (pair_count(n_cond) < n_pair) ++n_cond;
  return n_cond;
}

}  // namespace dnnbrain
