// One-sample tests of many maps' points over subjects, by flipping the signs of whole subjects.
//
// If subjects' maps are symmetric about zero, x_s and -x_s are equally likely. For each flip e,
//
//   t_v = mean_v / sqrt(var_v / S),   mean_v = sum_s e_s x_sv / S,
//   var_v = (sum_s x_sv^2 - S mean_v^2) / (S - 1)
//
// where the sum of squares does not change: a flip costs 2 S FLOP a point. Flip 0 leaves all signs
// as they are. Flip i is a pure function of (seed, i), or, where all are enumerated, of i.
//
// A point whose values are all alike has no variance; its t is kept finite, at some 1e7.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permutation.hpp"

namespace dnnbrain {

/// Which flips there are.
struct FlipPlan {
  Index n_flip = 0;        // without the identity
  bool enumerate = false;  // all 2^S - 1 others, in order, instead of random ones
  std::uint64_t seed = 0;
};

/// The t map of any flip.
class FlippedT {
 public:
  explicit FlippedT(const MatrixView& maps);  // (n_subject, n_point), must outlive this

  Index n_point() const { return maps_.cols(); }

  /// t of the flips first .. first + n; 0 is the identity.
  void maps(const FlipPlan& plan,
            Index first,
            Index n,
            std::span<double> out) const;  // (n, n_point)

  /// Flips that are best asked for together: what they write stays within some megabytes.
  Index at_once() const;

  /// Such batches that a thread works on between two looks at the monitor: some 50 ms.
  Index batches_per_block() const;

 private:
  MatrixView maps_;
  std::vector<double> squares_;  // (n_point,)
};

/// What is large when t is extreme: |t|, t or -t.
double directed(double t, Alternative alternative);

/// Room for rounding when two statistics are compared: flips that only change the order of a sum
/// count.
double flip_slack(double observed);

/// Throw InvalidArgument unless maps can be tested so.
void check_flips(const MatrixView& maps, const FlipPlan& plan, int n_threads);

/// Call visit(flip, t map) for the flips 1 .. n_flip, in parallel, where visit = make_visit(worker)
/// is made once a block for each of n_threads workers.
template <class MakeVisit>
void for_each_flip(const FlippedT& t,
                   const FlipPlan& plan,
                   int n_threads,
                   Monitor& monitor,
                   const MakeVisit& make_visit) {
  const Index batch = t.at_once();
  const auto n_point = static_cast<std::size_t>(t.n_point());
  const Index per_block = batch * t.batches_per_block() * n_threads;
  monitor.start(plan.n_flip);
  for (Index first = 1; first <= plan.n_flip; first += per_block) {
    const Index end_of_block = std::min(plan.n_flip + 1, first + per_block);
    parallel_chunks(n_threads, n_threads, [&](Index begin, Index end) {
      std::vector<double> maps(static_cast<std::size_t>(batch) * n_point);
      for (Index worker = begin; worker < end; ++worker) {
        auto visit = make_visit(worker);
        for (Index from = first + worker * batch; from < end_of_block; from += n_threads * batch) {
          const Index n = std::min(batch, end_of_block - from);
          t.maps(plan, from, n, maps);
          for (Index flip = 0; flip < n; ++flip) {
            visit(from + flip,
                  std::span<const double>(maps).subspan(static_cast<std::size_t>(flip) * n_point,
                                                        n_point));
          }
        }
      }
    });
    monitor.step(end_of_block - first);
  }
}

struct SignFlipResult {
  Matrix statistic;           // (1, n_point) t
  CountMatrix exceed;         // (1, n_point) flips at least as extreme, there
  CountMatrix family_exceed;  // (1, n_point) flips whose most extreme point is
  Matrix extremes;            // (1, n_flip) the most extreme t over points: |t|, t or -t
};

/// The test of every point, and of the largest t over points.
SignFlipResult sign_flip_test(const MatrixView& maps,  // (n_subject, n_point)
                              const FlipPlan& plan,
                              Alternative alternative,
                              int n_threads,
                              Monitor& monitor);

}  // namespace dnnbrain
