#include "dnnbrain/kernels/permutation.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/kernels/dot_scorer.hpp"
#include "dnnbrain/kernels/kendall_scorer.hpp"
#include "dnnbrain/kernels/permuted_scorer.hpp"
#include "dnnbrain/kernels/relabelling.hpp"

namespace dnnbrain {

namespace {

std::unique_ptr<PermutedScorer> make_scorer(const MatrixView& models,
                                            const MatrixView& subjects,
                                            Index n_cond,
                                            const PermutationOptions& options) {
  const Comparator comparator = options.comparator;
  return counts_pairs(comparator)
             ? make_kendall_scorer(models, subjects, n_cond, comparator)
             : make_dot_scorer(models, subjects, n_cond, comparator, options.n_threads);
}

/// What is done between two looks at the monitor: some permutations of some models, at most about
/// 20 ms of work for each thread.
struct BlockShape {
  Index n_order;
  Index n_model;
};

BlockShape block_shape(double ns_per_model, Index n_model, Index n_order, int n_threads) {
  constexpr double kMostOrders = 2048;  // for each thread: a block's scores are kept until counted
  const double models_per_thread = 20e6 / ns_per_model;
  const auto tile = static_cast<Index>(
      std::clamp(models_per_thread * n_threads, 1.0, static_cast<double>(n_model)));
  const double orders_per_thread = models_per_thread / static_cast<double>(tile);
  const Index n_here =
      std::max<Index>(1, static_cast<Index>(std::min(orders_per_thread, kMostOrders)));
  return {std::min(n_here * n_threads, n_order), tile};
}

/// Relabellings that are written and scored before the next: they stay in a cache.
constexpr Index kTogether = 128;

/// The models of a block, and where their scores go.
struct ModelTile {
  Index first;
  Index n;
  Eigen::Ref<Matrix> scores;  // (n_order, n * n_subject)
};

/// Some relabellings. Where several tiles of models are scored with them, they are kept.
class BlockOrders {
 public:
  BlockOrders(const Relabellings& relabellings, Index n_cond, Index n_kept)
      : relabellings_(relabellings), n_cond_(n_cond), kept_(n_kept, n_cond) {}

  /// Those from `number` on, not yet written.
  void begin(Index number) {
    number_ = number;
    written_ = false;
  }

  /// All of the block were asked for.
  void end() { written_ = kept_.rows() > 0; }

  /// Rows first .. first + n, in `own` or where they are kept.
  OrderView rows(Index first, Index n, OrderMatrix& own) {
    const bool keeps = kept_.rows() > 0;
    if (!keeps && own.rows() < n) own.resize(n, n_cond_);
    Eigen::Ref<OrderMatrix> to = keeps ? kept_.middleRows(first, n) : own.topRows(n);
    if (!written_) {
      for (Index row = 0; row < n; ++row) {
        relabellings_.write(number_ + first + row,
                            {to.row(row).data(), static_cast<std::size_t>(n_cond_)});
      }
    }
    return to;
  }

 private:
  const Relabellings& relabellings_;
  Index n_cond_;
  OrderMatrix kept_;  // (n_order, n_cond), or none
  Index number_ = 0;
  bool written_ = false;
};

/// Threads share the permutations or, where these are few, the models.
void score_block(const PermutedScorer& scorer,
                 BlockOrders& orders,
                 Index n_order,
                 int n_threads,
                 ModelTile tile) {
  if (n_order >= n_threads) {
    parallel_chunks(n_order, n_threads, [&](Index begin, Index end) {
      const auto room = scorer.room();
      OrderMatrix own;
      for (Index first = begin; first < end; first += kTogether) {
        const Index n_here = std::min(kTogether, end - first);
        scorer.score(orders.rows(first, n_here, own),
                     tile.first,
                     tile.n,
                     *room,
                     tile.scores.middleRows(first, n_here));
      }
    });
  } else {
    OrderMatrix own;
    const OrderView all = orders.rows(0, n_order, own);
    const Index n_subject = tile.scores.cols() / tile.n;
    parallel_chunks(tile.n, n_threads, [&](Index begin, Index end) {
      const auto room = scorer.room();
      scorer.score(all,
                   tile.first + begin,
                   end - begin,
                   *room,
                   tile.scores.middleCols(begin * n_subject, (end - begin) * n_subject));
    });
  }
  orders.end();
}

/// Similarities of x with y as they are.
Matrix plain_scores(const MatrixView& x,
                    const MatrixView& y,
                    Index n_cond,
                    const PermutationOptions& options) {
  const auto scorer = make_scorer(x, y, n_cond, options);
  OrderMatrix identity(1, n_cond);
  std::iota(identity.data(), identity.data() + n_cond, 0);
  Matrix scores(1, x.rows() * y.rows());
  scorer->score(identity, 0, x.rows(), *scorer->room(), scores);
  return Eigen::Map<const Matrix>(scores.data(), x.rows(), y.rows());
}

std::optional<Partial> make_partial(const MatrixView& subjects,
                                    Index n_cond,
                                    const PermutationOptions& options) {
  const Matrix& controls = options.controls;
  if (controls.rows() == 0) return std::nullopt;
  return Partial(plain_scores(controls, controls, n_cond, options),
                 plain_scores(controls, subjects, n_cond, options),
                 options.removal);
}

/// Room for rounding when two partial scores are compared.
constexpr double kRounding = 1e-10;

void take_out_controls(const Partial& partial,
                       Index n_model,
                       bool begins_with_identity,
                       const MatrixView& scores,  // (n_order, n_model * (n_subject + n_control))
                       Matrix& out) {             // (at least n_order, n_model * n_subject)
  const Index n_in = scores.cols() / n_model;
  const Index n_out = out.cols() / n_model;
  for (Index order = 0; order < scores.rows(); ++order) {
    for (Index model = 0; model < n_model; ++model) {
      const auto row = scores.row(order).segment(model * n_in, n_in);
      DNNBRAIN_REQUIRE(order > 0 || !begins_with_identity || !partial.determined(row),
                       "controls must leave something of each model's RDM; they determine that of "
                       "model ",
                       model,
                       ".");
      partial.apply(row, out.row(order).segment(model * n_out, n_out));
    }
  }
}

/// What models are scored with: subjects, and behind them the controls.
Matrix references(const MatrixView& subjects, const Matrix& controls) {
  Matrix all(subjects.rows() + controls.rows(), subjects.cols());
  all.topRows(subjects.rows()) = subjects;
  if (controls.rows() > 0) all.bottomRows(controls.rows()) = controls;
  return all;
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
  DNNBRAIN_REQUIRE(options.controls.rows() == 0 || options.controls.cols() == models.cols(),
                   "controls must have ",
                   models.cols(),
                   " pairs as well; got ",
                   options.controls.cols(),
                   ".");
  DNNBRAIN_REQUIRE(options.stop_after == 0 || (models.rows() == 1 && subjects.rows() == 1),
                   "a test can be stopped early for one model and one subject; got ",
                   models.rows(),
                   " and ",
                   subjects.rows(),
                   ".");
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
  const Matrix scored_with = references(subjects, options.controls);
  const Index n_score = scored_with.rows();  // of a model
  const auto scorer = make_scorer(models, scored_with, n_cond, options);
  const std::optional<Partial> partial = make_partial(subjects, n_cond, options);
  const Relabellings relabellings = options.exhaustive
                                        ? Relabellings::all(n_cond)
                                        : Relabellings::drawn(options.n_perm, options.seed);
  const Index n_order = relabellings.count();
  const Index n_uncounted = options.exhaustive ? 0 : 1;  // of all there are, the identity is one

  const BlockShape shape =
      block_shape(scorer->nanoseconds_per_model(), n_model, n_order, options.n_threads);
  BlockOrders orders(relabellings, n_cond, shape.n_model < n_model ? shape.n_order : 0);
  Matrix scores(shape.n_order, n_model * n_score);
  Matrix counted(partial ? shape.n_order : 0, partial ? n_model * n_subject : 0);
  PermutationResult result;
  result.n_relabelling = n_order - n_uncounted;
  if (options.keep_null) result.null.resize(result.n_relabelling, n_model * n_subject);
  std::optional<Tally> tally;

  monitor.start(n_order * n_model);
  for (Index first = 0; first < n_order; first += shape.n_order) {
    const Index n_here = std::min(shape.n_order, n_order - first);
    orders.begin(first);
    for (Index model = 0; model < n_model; model += shape.n_model) {
      const Index n_tile = std::min(shape.n_model, n_model - model);
      score_block(*scorer,
                  orders,
                  n_here,
                  options.n_threads,
                  {.first = model,
                   .n = n_tile,
                   .scores = scores.block(0, model * n_score, n_here, n_tile * n_score)});
      monitor.step(n_here * n_tile);
    }
    if (partial) {
      take_out_controls(*partial, n_model, first == 0, scores.topRows(n_here), counted);
    }
    const Matrix& block = partial ? counted : scores;
    // The identity comes from the same operations as the others.
    if (first == 0) {
      result.scores = Eigen::Map<const Matrix>(block.data(), n_model, n_subject);
      tally.emplace(result.scores, options.alternative, partial ? kRounding : scorer->rounding());
    }
    const Index skipped = first == 0 ? n_uncounted : 0;
    Index row = skipped;
    bool stopped = false;
    for (; row < n_here && !stopped; ++row) {
      tally->count(row_of(block, row));
      stopped = tally->exceedances().each(0, 0) == options.stop_after && options.stop_after > 0;
    }
    if (options.keep_null) {
      result.null.middleRows(first + skipped - n_uncounted, row - skipped) =
          block.middleRows(skipped, row - skipped);
    }
    if (stopped) {
      result.n_relabelling = first + row - n_uncounted;
      if (options.keep_null) result.null.conservativeResize(result.n_relabelling, Eigen::NoChange);
      break;
    }
  }
  result.exceed = tally->exceedances();
  return result;
}

}  // namespace dnnbrain
