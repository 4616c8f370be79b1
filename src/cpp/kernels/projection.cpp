#include "dnnbrain/kernels/projection.hpp"

#include <algorithm>
#include <cmath>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/random.hpp"

namespace dnnbrain {

namespace {

/// Rows that a thread projects together: entries are drawn once for all of them.
constexpr Index kRowTile = 64;

/// Features between two looks at the monitor.
constexpr Index kFeatureBlock = 4096;

/// Uniform in (0, 1], of 32 bits.
double uniform(RandomStream& stream) {
  return (static_cast<double>(stream.next()) + 1.0) * 0x1p-32;
}

}  // namespace

double projection_scale(const Projection& projection) {
  if (projection.density == 0) return 1;
  return 1 / std::sqrt(projection.density * static_cast<double>(projection.n_comp));
}

void projection_row(const Projection& projection,
                    Index feature,
                    std::vector<ProjectionEntry>& out) {
  out.clear();
  RandomStream stream(projection.seed, static_cast<std::uint64_t>(feature));
  if (projection.density == 0) {
    const Index column = stream.below(static_cast<std::uint32_t>(projection.n_comp));
    out.push_back({column, (stream.next() & 1u) != 0});
    return;
  }
  if (projection.density == 1) {
    for (Index column = 0; column < projection.n_comp; ++column) {
      out.push_back({column, (stream.next() & 1u) != 0});
    }
    return;
  }
  // Columns up to the next non-zero are geometric.
  const double log_zero = std::log1p(-projection.density);
  double column = -1;
  while (true) {
    column += 1 + std::floor(std::log(uniform(stream)) / log_zero);
    if (column >= static_cast<double>(projection.n_comp)) return;
    out.push_back({static_cast<Index>(column), (stream.next() & 1u) != 0});
  }
}

template <class Real>
void project_rows(const Projection& projection,
                  const Real* x,
                  Index n,
                  Index n_feat,
                  Real* y,
                  int n_threads,
                  Monitor& monitor) {
  DNNBRAIN_REQUIRE(projection.n_comp >= 1 && projection.n_comp < (Index{1} << 32) &&
                       projection.density >= 0 && projection.density <= 1,
                   "a projection needs at least one component and a density in [0, 1].");
  const Index n_comp = projection.n_comp;
  const Index n_tile = (n + kRowTile - 1) / kRowTile;
  const Real scale = static_cast<Real>(projection_scale(projection));
  // Rows of a tile lie side by side, so that an entry is an addition of vectors.
  std::vector<Real> sums(static_cast<std::size_t>(n_tile * n_comp * kRowTile), Real{0});
  monitor.start(n_feat);
  for (Index begin = 0; begin < n_feat; begin += kFeatureBlock) {
    const Index end = std::min(n_feat, begin + kFeatureBlock);
    // The entries of the block, one row behind the other.
    std::vector<ProjectionEntry> entries;
    std::vector<std::size_t> starts{0};
    std::vector<ProjectionEntry> row;
    for (Index feature = begin; feature < end; ++feature) {
      projection_row(projection, feature, row);
      entries.insert(entries.end(), row.begin(), row.end());
      starts.push_back(entries.size());
    }
    parallel_chunks(n_tile, n_threads, [&](Index tile, Index tile_end) {
      for (; tile < tile_end; ++tile) {
        const Index first = tile * kRowTile;
        const Index n_here = std::min(kRowTile, n - first);
        Real* const tile_sums = sums.data() + tile * n_comp * kRowTile;
        Real column[kRowTile] = {};
        for (Index feature = begin; feature < end; ++feature) {
          const auto place = static_cast<std::size_t>(feature - begin);
          if (starts[place] == starts[place + 1]) continue;
          for (Index i = 0; i < n_here; ++i) column[i] = x[(first + i) * n_feat + feature];
          for (std::size_t e = starts[place]; e < starts[place + 1]; ++e) {
            Real* const sum = tile_sums + entries[e].column * kRowTile;
            if (entries[e].negative) {
              for (Index i = 0; i < kRowTile; ++i) sum[i] -= column[i];
            } else {
              for (Index i = 0; i < kRowTile; ++i) sum[i] += column[i];
            }
          }
        }
      }
    });
    monitor.step(end - begin);
  }
  for (Index i = 0; i < n; ++i) {
    const Real* const tile_sums = sums.data() + i / kRowTile * n_comp * kRowTile + i % kRowTile;
    for (Index c = 0; c < n_comp; ++c) y[i * n_comp + c] = scale * tile_sums[c * kRowTile];
  }
}

template void project_rows<float>(
    const Projection&, const float*, Index, Index, float*, int, Monitor&);
template void project_rows<double>(
    const Projection&, const double*, Index, Index, double*, int, Monitor&);

}  // namespace dnnbrain
