// Clusters of neighbouring points, tested over subjects by flipping signs.
//
// Cluster mass (Maris & Oostenveld 2007): points with t > threshold that are connected form a
// cluster, points with t < -threshold likewise; its mass is the sum of t. Each flip gives the
// largest |mass| of its own clusters, which controls the family-wise error over all clusters.
//
// Threshold-free enhancement (Smith & Nichols 2009) needs no threshold:
//
//   e_v = sum over levels h = step, 2 step .. up to t_v of (size of v's cluster at h)^E h^H step
//
// of positive and of negative t apart, the latter negative; levels end at 1e4 steps.
//
// Cost of a flip: that of its t map, and one visit of each edge between points above the threshold;
// of enhancement, levels times clusters on top.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permutation.hpp"
#include "dnnbrain/kernels/sign_flips.hpp"

namespace dnnbrain {

/// Neighbours of each point, symmetric; a point need not be its own neighbour.
struct PointGraph {
  std::span<const Index> starts;             // (n_point + 1,)
  std::span<const std::int32_t> neighbours;  // (starts.back(),)
};

struct ClusterResult {
  Matrix statistic;    // (1, n_point) t
  CountMatrix labels;  // (1, n_point) cluster, from 1; 0 for none
  Matrix masses;       // (1, n_cluster) sums of t, signed
  CountMatrix exceed;  // (1, n_cluster) flips with a cluster at least as large
  Matrix extremes;     // (1, n_flip) largest |mass| of a flip, 0 without clusters
};

ClusterResult cluster_test(const MatrixView& maps,  // (n_subject, n_point)
                           const PointGraph& graph,
                           double threshold,  // positive
                           const FlipPlan& plan,
                           Alternative alternative,
                           int n_threads,
                           Monitor& monitor);

struct Enhancement {
  double extent = 0.5;  // E
  double height = 2.0;  // H
  double step = 0.1;
};

struct EnhancedResult {
  Matrix statistic;    // (1, n_point) t
  Matrix enhanced;     // (1, n_point) e
  CountMatrix exceed;  // (1, n_point) flips whose most extreme point is as extreme
  Matrix extremes;     // (1, n_flip) largest |e| of a flip, on the side of the alternative
};

EnhancedResult enhanced_test(const MatrixView& maps,  // (n_subject, n_point)
                             const PointGraph& graph,
                             const Enhancement& enhancement,
                             const FlipPlan& plan,
                             Alternative alternative,
                             int n_threads,
                             Monitor& monitor);

}  // namespace dnnbrain
