// The alpha skeleton: a few alphas whose predictions span those of the whole grid.
//
// Ridge predictions are linear in the filter values h_alpha(lambda) = lambda / (lambda + alpha) on
// the spectrum, so
//
//   P_alpha = sum_j c_{alpha,j} P_{alpha_j},    j over b members of the grid
//
// holds as well as the filters can be fitted on [lambda_min, lambda_max] and 0. Members come from a
// column-pivoted QR of the filters, each scaled to a norm of one. Eigenvalues of the training part
// of a kernel interlace those of the whole, so one skeleton serves all folds. Alphas far above
// lambda_max are all alike, and wide grids compress best. Cost: n_alpha^2 x 500 FLOP or so.
#pragma once

#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

struct AlphaSkeleton {
  std::vector<Index> members;  // (n_member,) places in the grid, those of the actual alphas
  std::vector<double> coefs;   // (n_alpha, n_member) row-major, c above

  Index n_member() const { return static_cast<Index>(members.size()); }
};

/// A skeleton whose filters are off by no more than `tolerance` of their largest value. All alphas
/// are members where fewer would not pay.
AlphaSkeleton alpha_skeleton(const std::vector<double>& alphas,  // (n_alpha,) > 0
                             double lambda_min,                  // of the positive eigenvalues
                             double lambda_max,
                             double tolerance);

}  // namespace dnnbrain
