#include "dnnbrain/kernels/permutation.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/kendall.hpp"
#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

std::span<const double> row_of(const MatrixView& matrix, Index row) {
  return {matrix.data() + row * matrix.outerStride(), static_cast<std::size_t>(matrix.cols())};
}

/// Square, symmetric table of a condensed vector, so that permuted pairs are found by (row,
/// column).
template <class T>
std::vector<T> square_table(std::span<const T> condensed, Index n_cond) {
  std::vector<T> table(static_cast<std::size_t>(n_cond * n_cond));
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond; ++i) {
    for (Index j = i + 1; j < n_cond; ++j, ++pair) {
      table[static_cast<std::size_t>(i * n_cond + j)] = condensed[pair];
      table[static_cast<std::size_t>(j * n_cond + i)] = condensed[pair];
    }
  }
  return table;
}

/// out[pair(i, j)] = table[order[i], order[j]]
template <class T>
void gather_pairs(const std::vector<T>& table,
                  std::span<const std::int32_t> order,
                  std::span<T> out) {
  const std::size_t n_cond = order.size();
  std::size_t pair = 0;
  for (std::size_t i = 0; i + 1 < n_cond; ++i) {
    const T* row = table.data() + static_cast<std::size_t>(order[i]) * n_cond;
    for (std::size_t j = i + 1; j < n_cond; ++j) out[pair++] = row[order[j]];
  }
}

/// Scores of one model, its conditions relabelled, against all subjects.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// Room for one thread's work.
  class Workspace {
   public:
    virtual ~Workspace() = default;
  };
  virtual std::unique_ptr<Workspace> workspace() const = 0;

  virtual void score(Index model,
                     std::span<const std::int32_t> order,  // (n_cond,)
                     Workspace& workspace,
                     std::span<double> out) const = 0;  // (n_subject,)
};

class DotScorer final : public Scorer {
 public:
  DotScorer(const MatrixView& models,
            const MatrixView& subjects,
            Index n_cond,
            Comparator comparator)
      : subjects_(subjects.rows(), subjects.cols()) {
    for (Index model = 0; model < models.rows(); ++model) {
      const std::vector<double> prepared = prepare_for_dot(row_of(models, model), comparator);
      tables_.push_back(square_table(std::span<const double>(prepared), n_cond));
    }
    for (Index subject = 0; subject < subjects.rows(); ++subject) {
      const std::vector<double> prepared = prepare_for_dot(row_of(subjects, subject), comparator);
      subjects_.row(subject) =
          Eigen::Map<const Eigen::RowVectorXd>(prepared.data(), subjects.cols());
    }
  }

  std::unique_ptr<Workspace> workspace() const override {
    return std::make_unique<Room>(subjects_.cols());
  }

  void score(Index model,
             std::span<const std::int32_t> order,
             Workspace& workspace,
             std::span<double> out) const override {
    Eigen::VectorXd& permuted = static_cast<Room&>(workspace).permuted;
    gather_pairs(tables_[static_cast<std::size_t>(model)],
                 order,
                 std::span<double>(permuted.data(), static_cast<std::size_t>(permuted.size())));
    Eigen::Map<Eigen::VectorXd>(out.data(), subjects_.rows()).noalias() = subjects_ * permuted;
  }

 private:
  struct Room final : Workspace {
    explicit Room(Index n_pair) : permuted(n_pair) {}
    Eigen::VectorXd permuted;
  };

  std::vector<std::vector<double>> tables_;
  Matrix subjects_;  // (n_subject, n_pair) prepared
};

class KendallScorer final : public Scorer {
 public:
  KendallScorer(const MatrixView& models,
                const MatrixView& subjects,
                Index n_cond,
                Comparator comparator)
      : n_pair_(models.cols()), denominators_(models.rows(), subjects.rows()) {
    for (Index subject = 0; subject < subjects.rows(); ++subject) {
      references_.emplace_back(row_of(subjects, subject));
    }
    for (Index model = 0; model < models.rows(); ++model) {
      const TiedRanks& ranked = models_.emplace_back(row_of(models, model));
      tables_.push_back(square_table(std::span<const std::uint32_t>(ranked.ranks), n_cond));
      for (Index subject = 0; subject < subjects.rows(); ++subject) {
        denominators_(model, subject) =
            kendall_denominator(n_pair_,
                                ranked.ties,
                                references_[static_cast<std::size_t>(subject)].ties(),
                                comparator);
      }
    }
  }

  std::unique_ptr<Workspace> workspace() const override { return std::make_unique<Room>(n_pair_); }

  void score(Index model,
             std::span<const std::int32_t> order,
             Workspace& workspace,
             std::span<double> out) const override {
    Room& room = static_cast<Room&>(workspace);
    const auto index = static_cast<std::size_t>(model);
    gather_pairs(tables_[index], order, std::span<std::uint32_t>(room.permuted));
    for (std::size_t subject = 0; subject < references_.size(); ++subject) {
      const Index s = references_[subject].score(room.permuted, models_[index], room.kendall);
      out[subject] = static_cast<double>(s) / denominators_(model, static_cast<Index>(subject));
    }
  }

 private:
  struct Room final : Workspace {
    explicit Room(Index n_pair) : permuted(static_cast<std::size_t>(n_pair)), kendall(n_pair) {}
    std::vector<std::uint32_t> permuted;
    KendallRoom kendall;
  };

  Index n_pair_;
  std::vector<KendallReference> references_;
  std::vector<TiedRanks> models_;
  std::vector<std::vector<std::uint32_t>> tables_;
  Matrix denominators_;
};

std::unique_ptr<Scorer> make_scorer(const MatrixView& models,
                                    const MatrixView& subjects,
                                    Index n_cond,
                                    Comparator comparator) {
  if (counts_pairs(comparator)) {
    return std::make_unique<KendallScorer>(models, subjects, n_cond, comparator);
  }
  return std::make_unique<DotScorer>(models, subjects, n_cond, comparator);
}

/// Room for rounding when two scores are compared: a permutation that leaves the RDM as it is, or
/// gives the same sum of scores over subjects, must count. Kendall's integers are divided by the
/// same number and need none; dot products and means over subjects do.
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

/// Tasks between two looks at the monitor: about 20 ms of work for each thread.
Index tasks_per_block(const MatrixView& models,
                      const MatrixView& subjects,
                      const PermutationOptions& options) {
  const double ns_per_entry = counts_pairs(options.comparator) ? 8.0 : 1.0;
  const double task_ns = static_cast<double>(models.cols()) *
                         (2.0 + ns_per_entry * static_cast<double>(subjects.rows()));
  const double per_thread = std::max(1.0, 20e6 / task_ns);
  return static_cast<Index>(per_thread) * options.n_threads;
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

  // Task t scores model t % n_model under permutation t / n_model; the first n_model tasks use the
  // identity, so that observed and permuted scores come from the same operations.
  const Index n_task = (options.n_perm + 1) * n_model;
  const Index per_block = tasks_per_block(models, subjects, options);
  Matrix block(std::min(per_block, n_task), n_subject);
  PermutationResult result{Matrix(n_model, n_subject),
                           CountMatrix::Zero(n_model, n_subject),
                           CountMatrix::Zero(n_model, 1)};

  const double slack = counts_pairs(options.comparator) ? 0.0 : kRounding;
  monitor.start(n_task);
  for (Index first = 0; first < n_task; first += per_block) {
    const Index n_here = std::min(per_block, n_task - first);
    parallel_chunks(n_here, options.n_threads, [&](Index begin, Index end) {
      const auto workspace = scorer->workspace();
      std::vector<std::int32_t> order(static_cast<std::size_t>(n_cond));
      Index drawn = -1;
      for (Index slot = begin; slot < end; ++slot) {
        const Index permutation = (first + slot) / n_model;
        if (permutation != drawn) {
          if (permutation == 0) {
            for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
          } else {
            random_permutation(options.seed, static_cast<std::uint64_t>(permutation - 1), order);
          }
          drawn = permutation;
        }
        scorer->score((first + slot) % n_model,
                      order,
                      *workspace,
                      {block.row(slot).data(), static_cast<std::size_t>(n_subject)});
      }
    });
    for (Index slot = 0; slot < n_here; ++slot) {
      const Index model = (first + slot) % n_model;
      if (first + slot < n_model) {
        result.scores.row(model) = block.row(slot);
        continue;
      }
      for (Index subject = 0; subject < n_subject; ++subject) {
        result.exceed(model, subject) += at_least_as_extreme(
            block(slot, subject), result.scores(model, subject), options.alternative, slack);
      }
      result.group_exceed(model, 0) +=
          at_least_as_extreme(group_score(row_of(block, slot)),
                              group_score(row_of(result.scores, model)),
                              options.alternative,
                              kRounding);
    }
    monitor.step(n_here);
  }
  return result;
}

}  // namespace dnnbrain
