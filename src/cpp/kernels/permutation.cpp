#include "dnnbrain/kernels/permutation.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/dot_scorer.hpp"
#include "dnnbrain/kernels/kendall_scorer.hpp"
#include "dnnbrain/kernels/permuted_scorer.hpp"

namespace dnnbrain {

namespace {

std::unique_ptr<PermutedScorer> make_scorer(const MatrixView& models,
                                            const MatrixView& subjects,
                                            Index n_cond,
                                            Comparator comparator) {
  return counts_pairs(comparator) ? make_kendall_scorer(models, subjects, n_cond, comparator)
                                  : make_dot_scorer(models, subjects, n_cond, comparator);
}

/// Room for rounding when two means over subjects are compared: sums of other scores may be the
/// same mean.
constexpr double kRounding = 1e-12;

/// Whether a permuted score is at least as extreme as the observed one.
bool at_least_as_extreme(double permuted, double observed, Alternative alternative, double slack) {
  switch (alternative) {
    case Alternative::kGreater:
      return permuted >= observed - slack;
    case Alternative::kLess:
      return permuted <= observed + slack;
    case Alternative::kTwoSided:
      return std::abs(permuted) >= std::abs(observed) - slack;
  }
  return false;
}

/// Mean over subjects, summed in their order: a vectorised sum would depend on where a row lies.
double group_score(std::span<const double> scores) {
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

/// What is done between two looks at the monitor: some permutations of some models, at most about
/// 20 ms of work for each thread.
struct BlockShape {
  Index n_order;
  Index n_model;
};

BlockShape block_shape(double ns_per_model, Index n_model, const PermutationOptions& options) {
  constexpr double kMostOrders = 2048;  // for each thread: a block's scores are kept until counted
  const double models_per_thread = 20e6 / ns_per_model;
  const auto tile = static_cast<Index>(
      std::clamp(models_per_thread * options.n_threads, 1.0, static_cast<double>(n_model)));
  const double orders_per_thread = models_per_thread / static_cast<double>(tile);
  const Index n_order =
      std::max<Index>(1, static_cast<Index>(std::min(orders_per_thread, kMostOrders)));
  return {std::min(n_order * options.n_threads, options.n_perm + 1), tile};
}

/// Order number 0 is the identity, order i > 0 is permutation i - 1 of the seed.
void draw_orders(std::uint64_t seed, Index first, Eigen::Ref<OrderMatrix> orders, int n_threads) {
  parallel_chunks(orders.rows(), n_threads, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const std::span order{orders.row(row).data(), static_cast<std::size_t>(orders.cols())};
      if (first + row == 0) {
        std::iota(order.begin(), order.end(), 0);
      } else {
        random_permutation(seed, static_cast<std::uint64_t>(first + row - 1), order);
      }
    }
  });
}

/// Threads share the permutations or, where these are few, the models.
void score_block(const PermutedScorer& scorer,
                 const OrderView& orders,
                 Index first_model,
                 Index n_model,
                 int n_threads,
                 Eigen::Ref<Matrix> scores) {  // (n_order, n_model * n_subject)
  const Index n_order = orders.rows();
  const Index n_subject = scores.cols() / n_model;
  if (n_order >= n_threads) {
    parallel_chunks(n_order, n_threads, [&](Index begin, Index end) {
      const auto room = scorer.room();
      scorer.score(orders.middleRows(begin, end - begin),
                   first_model,
                   n_model,
                   *room,
                   scores.middleRows(begin, end - begin));
    });
    return;
  }
  parallel_chunks(n_model, n_threads, [&](Index begin, Index end) {
    const auto room = scorer.room();
    scorer.score(orders,
                 first_model + begin,
                 end - begin,
                 *room,
                 scores.middleCols(begin * n_subject, (end - begin) * n_subject));
  });
}

void count_extremes(std::span<const double> scores,  // (n_model * n_subject,) of one permutation
                    Alternative alternative,
                    double rounding,
                    PermutationResult& result) {
  const Index n_subject = result.scores.cols();
  for (Index model = 0; model < result.scores.rows(); ++model) {
    const auto permuted = scores.subspan(static_cast<std::size_t>(model * n_subject),
                                         static_cast<std::size_t>(n_subject));
    const auto observed = row_of(result.scores, model);
    for (Index subject = 0; subject < n_subject; ++subject) {
      const auto at = static_cast<std::size_t>(subject);
      result.exceed(model, subject) +=
          at_least_as_extreme(permuted[at], observed[at], alternative, rounding);
    }
    result.group_exceed(model, 0) +=
        at_least_as_extreme(group_score(permuted), group_score(observed), alternative, kRounding);
  }
}

void check_arguments(const MatrixView& models,
                     const MatrixView& subjects,
                     Index n_cond,
                     const PermutationOptions& options) {
  DNNBRAIN_REQUIRE(n_cond >= 3, "RDMs must have at least 3 conditions; got ", n_cond, ".");
  DNNBRAIN_REQUIRE(models.rows() >= 1 && subjects.rows() >= 1,
                   "there must be at least one model and one subject; got ",
                   models.rows(),
                   " and ",
                   subjects.rows(),
                   ".");
  DNNBRAIN_REQUIRE(models.cols() == pair_count(n_cond) && subjects.cols() == pair_count(n_cond),
                   "RDMs of ",
                   n_cond,
                   " conditions must have ",
                   pair_count(n_cond),
                   " pairs; got ",
                   models.cols(),
                   " (models) and ",
                   subjects.cols(),
                   " (subjects).");
  DNNBRAIN_REQUIRE(options.n_perm >= 0, "n_perm must not be negative; got ", options.n_perm, ".");
  DNNBRAIN_REQUIRE(
      options.n_threads >= 1, "n_threads must be positive; got ", options.n_threads, ".");
}

}  // namespace

PermutationResult permutation_test(const MatrixView& models,
                                   const MatrixView& subjects,
                                   Index n_cond,
                                   const PermutationOptions& options,
                                   Monitor& monitor) {
  check_arguments(models, subjects, n_cond, options);
  const Index n_model = models.rows();
  const Index n_subject = subjects.rows();
  const auto scorer = make_scorer(models, subjects, n_cond, options.comparator);

  const BlockShape shape = block_shape(scorer->nanoseconds_per_model(), n_model, options);
  const Index n_order = options.n_perm + 1;
  OrderMatrix orders(shape.n_order, n_cond);
  Matrix scores(shape.n_order, n_model * n_subject);
  PermutationResult result{Matrix(n_model, n_subject),
                           CountMatrix::Zero(n_model, n_subject),
                           CountMatrix::Zero(n_model, 1)};

  monitor.start(n_order * n_model);
  for (Index first = 0; first < n_order; first += shape.n_order) {
    const Index n_here = std::min(shape.n_order, n_order - first);
    draw_orders(options.seed, first, orders.topRows(n_here), options.n_threads);
    for (Index model = 0; model < n_model; model += shape.n_model) {
      const Index n_tile = std::min(shape.n_model, n_model - model);
      score_block(*scorer,
                  orders.topRows(n_here),
                  model,
                  n_tile,
                  options.n_threads,
                  scores.block(0, model * n_subject, n_here, n_tile * n_subject));
      monitor.step(n_here * n_tile);
    }
    // The identity comes from the same operations as the others.
    if (first == 0) {
      result.scores = Eigen::Map<const Matrix>(scores.data(), n_model, n_subject);
    }
    for (Index row = first == 0 ? 1 : 0; row < n_here; ++row) {
      count_extremes({scores.row(row).data(), static_cast<std::size_t>(scores.cols())},
                     options.alternative,
                     scorer->rounding(),
                     result);
    }
  }
  return result;
}

}  // namespace dnnbrain
