#include "dnnbrain/kernels/clusters.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

void check_graph(const PointGraph& graph, Index n_point) {
  DNNBRAIN_REQUIRE(static_cast<Index>(graph.starts.size()) == n_point + 1 &&
                       graph.starts.front() == 0 &&
                       graph.starts.back() == static_cast<Index>(graph.neighbours.size()) &&
                       std::is_sorted(graph.starts.begin(), graph.starts.end()),
                   "the graph must have the neighbours of ",
                   n_point,
                   " points.");
  for (const std::int32_t point : graph.neighbours) {
    DNNBRAIN_REQUIRE(point >= 0 && point < n_point,
                     "neighbours must be points from 0 to ",
                     n_point - 1,
                     "; got ",
                     point,
                     ".");
  }
}

std::span<const std::int32_t> neighbours_of(const PointGraph& graph, std::int32_t point) {
  const auto at = static_cast<std::size_t>(point);
  const auto first = static_cast<std::size_t>(graph.starts[at]);
  return graph.neighbours.subspan(first, static_cast<std::size_t>(graph.starts[at + 1]) - first);
}

/// The signs whose side of the map an alternative looks at.
std::span<const double> sides(Alternative alternative) {
  static constexpr double kBoth[] = {1.0, -1.0};
  switch (alternative) {
    case Alternative::kGreater:
      return {kBoth, 1};
    case Alternative::kLess:
      return {kBoth + 1, 1};
    case Alternative::kTwoSided:
      return {kBoth, 2};
  }
  return {};
}

/// Finds connected points above a threshold; room for one thread.
class ClusterFinder {
 public:
  explicit ClusterFinder(const PointGraph& graph)
      : graph_(graph), seen_(graph.starts.size() - 1, false) {}

  /// Call visit(points, mass) for each cluster of sign * t > threshold; mass is the sum of t.
  template <class Visit>
  void find(std::span<const double> t, double sign, double threshold, const Visit& visit) {
    above_.clear();
    for (std::size_t v = 0; v < t.size(); ++v) {
      if (sign * t[v] > threshold) above_.push_back(static_cast<std::int32_t>(v));
    }
    for (const std::int32_t seed : above_) {
      if (seen_[static_cast<std::size_t>(seed)]) continue;
      points_.assign(1, seed);
      seen_[static_cast<std::size_t>(seed)] = true;
      double mass = 0.0;
      for (std::size_t next = 0; next < points_.size(); ++next) {
        mass += t[static_cast<std::size_t>(points_[next])];
        for (const std::int32_t other : neighbours_of(graph_, points_[next])) {
          const auto at = static_cast<std::size_t>(other);
          if (!seen_[at] && sign * t[at] > threshold) {
            seen_[at] = true;
            points_.push_back(other);
          }
        }
      }
      visit(std::span<const std::int32_t>(points_), mass);
    }
    for (const std::int32_t point : above_) seen_[static_cast<std::size_t>(point)] = false;
  }

 private:
  PointGraph graph_;
  std::vector<bool> seen_;
  std::vector<std::int32_t> above_;
  std::vector<std::int32_t> points_;
};

/// Enhances a map level by level, from the highest down; room for one thread.
///
/// Clusters only grow on the way down, so they are trees that are joined. What a cluster gains at a
/// level is kept at its root; a root that joins another first loses what the other has gained, so
/// that a point's gain is the sum from it up to its root.
class Enhancer {
 public:
  Enhancer(const PointGraph& graph, const Enhancement& enhancement)
      : graph_(graph),
        enhancement_(enhancement),
        level_(graph.starts.size() - 1),
        parent_(graph.starts.size() - 1),
        size_(graph.starts.size() - 1),
        gain_(graph.starts.size() - 1) {}

  /// Add sign * enhancement of sign * t to `out`, which is zero where that side is.
  void add(std::span<const double> t, double sign, std::span<double> out) {
    points_.clear();
    for (std::size_t v = 0; v < t.size(); ++v) {
      level_[v] = static_cast<Index>(std::clamp(sign * t[v] / enhancement_.step, 0.0, kMostLevels));
      parent_[v] = kAbsent;
      if (level_[v] > 0) points_.push_back(static_cast<std::int32_t>(v));
    }
    if (points_.empty()) return;
    std::sort(points_.begin(), points_.end(), [&](std::int32_t a, std::int32_t b) {
      const Index left = level_[static_cast<std::size_t>(a)];
      const Index right = level_[static_cast<std::size_t>(b)];
      return left != right ? left > right : a < b;
    });
    roots_.clear();
    std::size_t next = 0;
    for (Index level = level_[static_cast<std::size_t>(points_.front())]; level > 0; --level) {
      for (; next < points_.size() && level_[static_cast<std::size_t>(points_[next])] == level;
           ++next) {
        arrive(points_[next]);
      }
      std::erase_if(roots_, [&](std::int32_t root) {
        return parent_[static_cast<std::size_t>(root)] != root;
      });
      const double height = static_cast<double>(level) * enhancement_.step;
      const double factor = std::pow(height, enhancement_.height) * enhancement_.step;
      for (const std::int32_t root : roots_) {
        const auto at = static_cast<std::size_t>(root);
        gain_[at] += std::pow(static_cast<double>(size_[at]), enhancement_.extent) * factor;
      }
    }
    for (const std::int32_t point : points_) {
      auto at = static_cast<std::size_t>(point);
      double total = gain_[at];
      while (parent_[at] != static_cast<std::int32_t>(at)) {
        at = static_cast<std::size_t>(parent_[at]);
        total += gain_[at];
      }
      out[static_cast<std::size_t>(point)] = sign * total;
    }
  }

 private:
  static constexpr std::int32_t kAbsent = -1;

  /// Values that are all alike have a t of some 1e7; nothing is told apart up there.
  static constexpr double kMostLevels = 1e4;

  void arrive(std::int32_t point) {
    const auto at = static_cast<std::size_t>(point);
    parent_[at] = point;
    size_[at] = 1;
    gain_[at] = 0.0;
    roots_.push_back(point);
    for (const std::int32_t other : neighbours_of(graph_, point)) {
      if (parent_[static_cast<std::size_t>(other)] != kAbsent) join(point, other);
    }
  }

  std::int32_t root_of(std::int32_t point) const {
    while (parent_[static_cast<std::size_t>(point)] != point) {
      point = parent_[static_cast<std::size_t>(point)];
    }
    return point;
  }

  /// The smaller under the larger: paths stay as short as log2 of the size.
  void join(std::int32_t a, std::int32_t b) {
    auto small = static_cast<std::size_t>(root_of(a));
    auto large = static_cast<std::size_t>(root_of(b));
    if (small == large) return;
    if (size_[small] > size_[large]) std::swap(small, large);
    parent_[small] = static_cast<std::int32_t>(large);
    size_[large] += size_[small];
    gain_[small] -= gain_[large];
  }

  PointGraph graph_;
  Enhancement enhancement_;
  std::vector<Index> level_;
  std::vector<std::int32_t> parent_;
  std::vector<Index> size_;
  std::vector<double> gain_;
  std::vector<std::int32_t> points_;
  std::vector<std::int32_t> roots_;
};

/// Values of a sorted null that are at least `bound`.
Index count_from(const std::vector<double>& sorted, double bound) {
  return sorted.end() - std::lower_bound(sorted.begin(), sorted.end(), bound);
}

std::vector<double> sorted_null(const Matrix& extremes) {
  std::vector<double> sorted(extremes.data(), extremes.data() + extremes.size());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

ClusterResult cluster_test(const MatrixView& maps,
                           const PointGraph& graph,
                           double threshold,
                           const FlipPlan& plan,
                           Alternative alternative,
                           int n_threads,
                           Monitor& monitor) {
  check_flips(maps, plan, n_threads);
  check_graph(graph, maps.cols());
  DNNBRAIN_REQUIRE(threshold > 0, "threshold must be positive; got ", threshold, ".");
  const FlippedT t(maps);
  const auto n_point = static_cast<std::size_t>(maps.cols());
  ClusterResult result{Matrix(1, maps.cols()),
                       CountMatrix::Zero(1, maps.cols()),
                       Matrix(),
                       CountMatrix(),
                       Matrix::Zero(1, plan.n_flip)};
  const std::span<double> observed(result.statistic.data(), n_point);
  t.maps(plan, 0, 1, observed);
  std::vector<double> masses;
  ClusterFinder finder(graph);
  for (const double sign : sides(alternative)) {
    finder.find(observed, sign, threshold, [&](std::span<const std::int32_t> points, double mass) {
      masses.push_back(mass);
      for (const std::int32_t point : points) {
        result.labels(0, point) = static_cast<Index>(masses.size());
      }
    });
  }

  for_each_flip(t, plan, n_threads, monitor, [&](Index) {
    return [&, own = ClusterFinder(graph)](Index flip, std::span<const double> map) mutable {
      double& most = result.extremes(0, flip - 1);
      for (const double sign : sides(alternative)) {
        own.find(map, sign, threshold, [&](std::span<const std::int32_t>, double mass) {
          most = std::max(most, std::abs(mass));
        });
      }
    };
  });

  const auto n_cluster = static_cast<Index>(masses.size());
  result.masses = Eigen::Map<const Matrix>(masses.data(), 1, n_cluster);
  result.exceed.resize(1, n_cluster);
  const std::vector<double> sorted = sorted_null(result.extremes);
  for (Index cluster = 0; cluster < n_cluster; ++cluster) {
    const double mass = std::abs(result.masses(0, cluster));
    result.exceed(0, cluster) = count_from(sorted, mass - flip_slack(mass));
  }
  return result;
}

EnhancedResult enhanced_test(const MatrixView& maps,
                             const PointGraph& graph,
                             const Enhancement& enhancement,
                             const FlipPlan& plan,
                             Alternative alternative,
                             int n_threads,
                             Monitor& monitor) {
  check_flips(maps, plan, n_threads);
  check_graph(graph, maps.cols());
  DNNBRAIN_REQUIRE(enhancement.step > 0, "step must be positive; got ", enhancement.step, ".");
  const FlippedT t(maps);
  const auto n_point = static_cast<std::size_t>(maps.cols());
  EnhancedResult result{Matrix(1, maps.cols()),
                        Matrix::Zero(1, maps.cols()),
                        CountMatrix(1, maps.cols()),
                        Matrix(1, plan.n_flip)};
  t.maps(plan, 0, 1, {result.statistic.data(), n_point});
  Enhancer enhancer(graph, enhancement);
  for (const double sign : sides(alternative)) {
    enhancer.add({result.statistic.data(), n_point}, sign, {result.enhanced.data(), n_point});
  }

  for_each_flip(t, plan, n_threads, monitor, [&](Index) {
    return [&, own = Enhancer(graph, enhancement), room = std::vector<double>(n_point)](
               Index flip, std::span<const double> map) mutable {
      std::fill(room.begin(), room.end(), 0.0);
      for (const double sign : sides(alternative)) own.add(map, sign, room);
      double most = 0.0;
      for (const double value : room) most = std::max(most, std::abs(value));
      result.extremes(0, flip - 1) = most;
    };
  });

  const std::vector<double> sorted = sorted_null(result.extremes);
  for (Index v = 0; v < maps.cols(); ++v) {
    const double value = std::abs(result.enhanced(0, v));
    result.exceed(0, v) = count_from(sorted, value - flip_slack(value));
  }
  return result;
}

}  // namespace dnnbrain
