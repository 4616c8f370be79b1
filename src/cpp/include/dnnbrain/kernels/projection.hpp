// Random projections whose matrix is never formed: its entries are drawn again where they are
// needed, as pure functions of the seed.
//
//   Y = X R,     R (n_feat, n_comp) sparse; row j comes from random stream j
//
// Sparse signs (Li, Hastie & Church 2006): an entry is +-1 / sqrt(density n_comp), each sign with
// probability density / 2, else 0; non-zeros of a row are found by geometric leaps. Count sketch
// (Charikar, Chen & Farach-Colton 2002): one entry +-1 per row, in a random column.
//
// Cost: n n_feat n_comp density additions (n n_feat for a count sketch). Rows do not depend on each
// other, so results are the same bits for any number of threads and any way of cutting X by rows.
#pragma once

#include <cstdint>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// density in (0, 1], or 0 for a count sketch.
struct Projection {
  std::uint64_t seed = 0;
  Index n_comp = 0;
  double density = 0;
};

/// A non-zero of a row: its column, and -1 or +1 times the common scale.
struct ProjectionEntry {
  Index column;
  bool negative;
};

/// Non-zeros of row `feature`, in the order of columns; `out` is overwritten.
void projection_row(const Projection& projection, Index feature, std::vector<ProjectionEntry>& out);

/// The common size of the entries.
double projection_scale(const Projection& projection);

/// Y = X R. Real is float or double.
template <class Real>
void project_rows(const Projection& projection,
                  const Real* x,  // (n, n_feat) row-major
                  Index n,
                  Index n_feat,
                  Real* y,  // (n, n_comp) row-major
                  int n_threads,
                  Monitor& monitor);

}  // namespace dnnbrain
