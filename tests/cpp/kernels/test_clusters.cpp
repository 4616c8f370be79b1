#include "dnnbrain/kernels/clusters.hpp"

#include <cmath>

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

/// A line of points.
struct Line {
  explicit Line(Index n) {
    starts.push_back(0);
    for (Index v = 0; v < n; ++v) {
      if (v > 0) neighbours.push_back(static_cast<std::int32_t>(v - 1));
      if (v + 1 < n) neighbours.push_back(static_cast<std::int32_t>(v + 1));
      starts.push_back(static_cast<Index>(neighbours.size()));
    }
  }

  PointGraph graph() const { return {starts, neighbours}; }

  std::vector<Index> starts;
  std::vector<std::int32_t> neighbours;
};

Matrix values(Index n_subject, Index n_point) {
  Matrix out(n_subject, n_point);
  const auto drawn = naive::levels(static_cast<std::size_t>(out.size()), 1000, 5);
  for (Index i = 0; i < out.size(); ++i) {
    out.data()[i] = drawn[static_cast<std::size_t>(i)] / 500 - 0.8;
  }
  return out;
}

std::vector<double> t_of(const Matrix& maps, Index flip) {
  std::vector<double> out;
  const double n = static_cast<double>(maps.rows());
  for (Index v = 0; v < maps.cols(); ++v) {
    double sum = 0, squares = 0;
    for (Index s = 0; s < maps.rows(); ++s) {
      const double x = (flip >> s) & 1 ? -maps(s, v) : maps(s, v);
      sum += x;
      squares += x * x;
    }
    const double variance = (squares - sum * sum / n) / (n - 1);
    out.push_back(sum / n / std::sqrt(variance / n));
  }
  return out;
}

double largest_mass(const std::vector<double>& t, double threshold) {
  double most = 0;
  for (const double sign : {1.0, -1.0}) {
    double mass = 0;
    for (const double value : t) {
      mass = sign * value > threshold ? mass + sign * value : 0;
      most = std::max(most, mass);
    }
  }
  return most;
}

}  // namespace

TEST(all_flips_of_clusters_on_a_line) {
  const Matrix maps = values(6, 40);
  const Line line(40);
  const FlipPlan plan{63, true, 0};
  for (const int n_threads : {1, 3}) {
    Monitor monitor;
    const ClusterResult result =
        cluster_test(maps, line.graph(), 0.9, plan, Alternative::kTwoSided, n_threads, monitor);
    std::vector<double> null;
    for (Index flip = 1; flip < 64; ++flip) null.push_back(largest_mass(t_of(maps, flip), 0.9));
    for (std::size_t i = 0; i < null.size(); ++i)
      CHECK_NEAR(result.extremes.data()[i], null[i], 1e-9);
    const double own = largest_mass(t_of(maps, 0), 0.9);
    CHECK_NEAR(result.masses.cwiseAbs().maxCoeff(), own, 1e-9);
    Index exceed = 0;
    for (const double mass : null) exceed += mass >= own - 1e-9;
    CHECK_EQUAL(result.exceed.minCoeff(), exceed);
  }
}

TEST(a_lone_point_is_enhanced_by_its_height) {
  // Extent 1 at every level: the sum of h^2 step up to t.
  Matrix maps(4, 3);
  maps << 1, -1, 0.5, 1.2, 1, -0.5, 0.9, -1, 0.5, 1.1, 1, -0.5;
  const Line line(3);
  Monitor monitor;
  const EnhancedResult result = enhanced_test(
      maps, line.graph(), {0.5, 2.0, 0.1}, {15, true, 0}, Alternative::kTwoSided, 1, monitor);
  const double t = t_of(maps, 0)[0];
  double expected = 0;
  for (int level = 1; level <= static_cast<int>(t / 0.1); ++level) {
    expected += level * 0.1 * level * 0.1 * 0.1;
  }
  CHECK_NEAR(result.enhanced(0, 0), expected, 1e-9);
  CHECK_NEAR(result.enhanced(0, 1), 0.0, 0.0);
}
