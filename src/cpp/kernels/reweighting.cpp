#include "dnnbrain/kernels/reweighting.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/nnls.hpp"
#include "dnnbrain/kernels/sign_products.hpp"

namespace dnnbrain {

namespace {

/// Conditions that are trained on: their pairs are three.
constexpr Index kMinTrainConditions = 3;

/// Multiplications between two looks at the monitor: some 30 ms.
constexpr Index kWorkPerBlock = Index{1} << 26;

/// What is left of the square of a constant after its mean has been removed.
constexpr double kConstant = 1e-13;

/// Enough of them to keep the multipliers busy.
constexpr Index kLanes = 32;

/// In a fixed number of lanes, so that the order of the sum does not depend on the machine's width.
DNNBRAIN_CLONES
double dot(const double* a, const double* b, Index n) {
  double lanes[kLanes] = {};
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (Index lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (Index lane = 0; i < n; ++i, ++lane) lanes[lane] += a[i] * b[i];
  double sum = 0;
  for (Index lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

DNNBRAIN_CLONES
void multiply(const double* a, const double* b, Index n, double* out) {
  for (Index i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

DNNBRAIN_CLONES
void add_scaled(double scale, const double* a, Index n, double* out) {
  for (Index i = 0; i < n; ++i) out[i] += scale * a[i];
}

std::vector<Index> ones(Index n) { return std::vector<Index>(static_cast<std::size_t>(n), 1); }

Index distinct(const std::vector<Index>& counts) {
  return static_cast<Index>(counts.size()) - std::count(counts.begin(), counts.end(), Index{0});
}

std::vector<Index> draw_counts(RandomStream& stream, Index n, Index at_least) {
  std::vector<Index> counts;
  do {
    counts.assign(static_cast<std::size_t>(n), 0);
    for (Index i = 0; i < n; ++i) ++counts[stream.below(static_cast<std::uint32_t>(n))];
  } while (distinct(counts) < at_least);
  return counts;
}

/// Moves the counts of `n_test` of the distinct items from `train` to `test`.
void hold_out(RandomStream& stream,
              Index n_test,
              std::vector<Index>& train,
              std::vector<Index>& test) {
  std::vector<std::size_t> items;
  for (std::size_t item = 0; item < train.size(); ++item) {
    if (train[item] > 0) items.push_back(item);
  }
  test.assign(train.size(), 0);
  for (Index i = 0; i < n_test; ++i) {
    const auto left = items.size() - static_cast<std::size_t>(i);
    const auto place = static_cast<std::size_t>(i) + stream.below(static_cast<std::uint32_t>(left));
    std::swap(items[static_cast<std::size_t>(i)], items[place]);
    const std::size_t item = items[static_cast<std::size_t>(i)];
    test[item] = std::exchange(train[item], 0);
  }
}

/// Every row divided by its length, about its mean if centred: what cosines and correlations see.
Matrix unit_rows(const MatrixView& rows, bool centred) {
  Matrix unit = rows;
  for (Index i = 0; i < unit.rows(); ++i) {
    auto row = unit.row(i);
    row /= row.cwiseAbs().maxCoeff();
    const double square = row.squaredNorm();
    if (centred) row.array() -= row.mean();
    const double rest = row.squaredNorm();
    DNNBRAIN_REQUIRE(rest > kConstant * square, "every RDM must vary; number ", i, " does not.");
    row /= std::sqrt(rest);
  }
  return unit;
}

/// What all splits read.
struct Data {
  Matrix models;            // (L, n_pair) at unit length: weights are scaled back
  Matrix subjects;          // (S, n_pair) at unit length
  Eigen::VectorXd lengths;  // (L,) of the models
  const SplitPlan& plan;
  Comparator comparator;
  bool centred;
};

/// One split after another, in the same room.
class SplitScorer {
 public:
  explicit SplitScorer(const Data& data)
      : data_(data),
        n_model_(data.models.rows()),
        n_pair_(data.models.cols()),
        counts_(data.plan.n_cond),
        pair_weights_(n_pair_),
        weighted_(n_pair_),
        pool_(n_pair_),
        gram_(n_model_, n_model_),
        products_(n_model_),
        sums_(n_model_),
        solver_(n_model_) {}

  /// Scores of the models and their sum, ceilings, weights: (2 L + 3,).
  template <class Row>
  void run(Index sample, Index split, Row&& out) {
    const SampleSplit parts = draw_split(data_.plan, sample, split);
    const Eigen::VectorXd& weights = fit(parts);
    gather(parts, weights);
    compare(parts, out);
    const Eigen::VectorXd as_given = weights.cwiseQuotient(data_.lengths);
    const double total = as_given.sum();
    out.tail(n_model_) = (total > 0 ? 1 / total : 0.0) * as_given.transpose();
  }

 private:
  const Eigen::VectorXd& fit(const SampleSplit& parts) {
    const Index n_cond = data_.plan.n_cond;
    for (Index i = 0; i < n_cond; ++i) {
      counts_[i] = static_cast<double>(parts.train_conditions[static_cast<std::size_t>(i)]);
    }
    for (Index i = 0, pair = 0; i < n_cond; ++i) {
      const Index n_after = n_cond - 1 - i;
      pair_weights_.segment(pair, n_after) = counts_[i] * counts_.tail(n_after);
      pair += n_after;
    }
    const double total = pair_weights_.sum();
    pool_.setZero();
    for (Index s = 0; s < data_.plan.n_subject; ++s) {
      const Index times = parts.train_subjects[static_cast<std::size_t>(s)];
      if (times == 0) continue;
      const double* const subject = data_.subjects.row(s).data();
      multiply(pair_weights_.data(), subject, n_pair_, weighted_.data());
      double square = dot(weighted_.data(), subject, n_pair_);
      if (data_.centred) {
        const double sum = dot(pair_weights_.data(), subject, n_pair_);
        square -= sum * sum / total;
      }
      if (!(square > 0)) continue;
      add_scaled(static_cast<double>(times) / std::sqrt(square), subject, n_pair_, pool_.data());
    }
    multiply(pair_weights_.data(), pool_.data(), n_pair_, weighted_.data());
    const double pool_mean = weighted_.sum() / total;
    for (Index a = 0; a < n_model_; ++a) {
      const double* const model = data_.models.row(a).data();
      sums_[a] = dot(pair_weights_.data(), model, n_pair_);
      products_[a] = dot(weighted_.data(), model, n_pair_);
      if (data_.centred) products_[a] -= sums_[a] * pool_mean;
    }
    for (Index a = 0; a < n_model_; ++a) {
      multiply(pair_weights_.data(), data_.models.row(a).data(), n_pair_, weighted_.data());
      for (Index b = a; b < n_model_; ++b) {
        double product = dot(weighted_.data(), data_.models.row(b).data(), n_pair_);
        const double square = product;
        if (data_.centred) product -= sums_[a] * sums_[b] / total;
        // A model that is constant over the training pairs leaves rounding.
        if (a == b && product < kConstant * square) product = 0;
        gram_(a, b) = gram_(b, a) = product;
      }
    }
    return solver_.solve(gram_, products_);
  }

  /// Held-out pairs. Ranks need copies one by one, signs a count of them.
  void find_held_out(const SampleSplit& parts) {
    held_out_.clear();
    times_.clear();
    const Index n_cond = data_.plan.n_cond;
    const auto count = [&](Index i) { return parts.test_conditions[static_cast<std::size_t>(i)]; };
    for (Index i = 0; i < n_cond; ++i) {
      if (count(i) == 0) continue;
      const Index before = i * (2 * n_cond - i - 1) / 2 - i - 1;  // the pair (i, j) is before + j
      for (Index j = i + 1; j < n_cond; ++j) {
        if (count(j) == 0) continue;
        const Index times = count(i) * count(j);
        const bool one_by_one = !counts_pairs(data_.comparator);
        held_out_.insert(
            held_out_.end(), one_by_one ? static_cast<std::size_t>(times) : 1, before + j);
        times_.push_back(times);
      }
    }
  }

  /// Everything that is compared, over the held-out pairs with their copies: the models, their sum,
  /// pools of subjects, subjects.
  void gather(const SampleSplit& parts, const Eigen::VectorXd& weights) {
    find_held_out(parts);
    const bool apart = data_.plan.n_test_subject > 0;
    subjects_.clear();
    for (Index s = 0; s < data_.plan.n_subject; ++s) {
      if (parts.test_subjects[static_cast<std::size_t>(s)] > 0) subjects_.push_back(s);
    }
    const auto n_test = static_cast<Index>(subjects_.size());
    const Index n_lower = apart ? 1 : n_test;
    vectors_.resize(n_model_ + 2 + n_lower + n_test, static_cast<Index>(held_out_.size()));
    const auto models = data_.models(Eigen::all, held_out_);
    vectors_.topRows(n_model_) = models;
    // Element by element, in one order: copies of a pair must stay tied, to the bit.
    vectors_.row(n_model_).setZero();
    for (Index a = 0; a < n_model_; ++a) {
      add_scaled(weights[a], &vectors_(a, 0), vectors_.cols(), &vectors_(n_model_, 0));
    }

    auto upper = vectors_.row(n_model_ + 1);
    auto lower = vectors_.middleRows(n_model_ + 2, n_lower);
    upper.setZero();
    lower.setZero();
    for (Index s = 0; s < data_.plan.n_subject; ++s) {
      const auto place = static_cast<std::size_t>(s);
      const auto trained = static_cast<double>(parts.train_subjects[place]);
      const double all =
          apart ? trained + static_cast<double>(parts.test_subjects[place]) : trained;
      if (all == 0) continue;
      const Eigen::RowVectorXd subject = data_.subjects.row(s)(held_out_);
      upper += all * subject;
      if (apart) {
        lower.row(0) += trained * subject;
        continue;
      }
      for (Index t = 0; t < n_test; ++t) {
        if (subjects_[static_cast<std::size_t>(t)] != s) lower.row(t) += trained * subject;
      }
    }
    for (Index t = 0; t < n_test; ++t) {
      vectors_.row(n_model_ + 2 + n_lower + t) =
          data_.subjects.row(subjects_[static_cast<std::size_t>(t)])(held_out_);
    }
  }

  template <class Row>
  void compare(const SampleSplit& parts, Row&& out) {
    const auto n_test = static_cast<Index>(subjects_.size());
    const Index n_lower = data_.plan.n_test_subject > 0 ? 1 : n_test;
    const Index first = n_model_ + 2 + n_lower;
    pairs_.clear();
    for (Index t = 0; t < n_test; ++t) {
      for (Index v = 0; v <= n_model_; ++v) pairs_.emplace_back(v, first + t);
      pairs_.emplace_back(n_model_ + 2 + (n_lower == 1 ? 0 : t), first + t);
      pairs_.emplace_back(n_model_ + 1, first + t);
    }
    const std::vector<double> scores = counts_pairs(data_.comparator)
                                           ? short_taus(vectors_, times_, pairs_, data_.comparator)
                                           : dot_scores();
    const Index width = n_model_ + 3;
    auto means = out.head(width);
    means.setZero();
    double total = 0;
    for (Index t = 0; t < n_test; ++t) {
      const auto subject = static_cast<std::size_t>(subjects_[static_cast<std::size_t>(t)]);
      const auto times = static_cast<double>(parts.test_subjects[subject]);
      total += times;
      for (Index v = 0; v < width; ++v) {
        means[v] += times * scores[static_cast<std::size_t>(t * width + v)];
      }
    }
    means /= total;
  }

  std::vector<double> dot_scores() {
    const auto n = static_cast<std::size_t>(vectors_.cols());
    std::vector<std::optional<std::vector<double>>> prepared;
    for (Index v = 0; v < vectors_.rows(); ++v) {
      const std::span<const double> values(&vectors_(v, 0), n);
      const auto row = vectors_.row(v);
      const double least = row.minCoeff();
      const double most = row.maxCoeff();
      const bool flat =
          data_.comparator == Comparator::kCosine ? least == 0 && most == 0 : least == most;
      if (flat) {
        prepared.emplace_back();
      } else {
        prepared.emplace_back(prepare_for_dot(values, data_.comparator));
      }
    }
    std::vector<double> scores;
    for (const auto& [a, b] : pairs_) {
      const auto& x = prepared[static_cast<std::size_t>(a)];
      const auto& y = prepared[static_cast<std::size_t>(b)];
      scores.push_back(x && y ? dot(x->data(), y->data(), vectors_.cols()) : 0.0);
    }
    return scores;
  }

  const Data& data_;
  Index n_model_;
  Index n_pair_;
  Eigen::VectorXd counts_;  // of training conditions
  Eigen::VectorXd pair_weights_;
  Eigen::VectorXd weighted_;
  Eigen::VectorXd pool_;
  Matrix gram_;
  Eigen::VectorXd products_;
  Eigen::VectorXd sums_;
  NnlsSolver solver_;
  std::vector<Index> held_out_;  // pairs, as often as they come where ranks are compared
  std::vector<Index> times_;     // of each distinct one
  std::vector<Index> subjects_;  // held out, distinct
  Matrix vectors_;
  VectorPairs pairs_;
};

void check_plan(const SplitPlan& plan) {
  DNNBRAIN_REQUIRE(plan.n_split >= 1, "there must be at least one split.");
  DNNBRAIN_REQUIRE(plan.n_test_cond >= kMinTrainConditions &&
                       plan.n_cond >= plan.n_test_cond + kMinTrainConditions,
                   "at least ",
                   kMinTrainConditions,
                   " conditions must be held out and as many remain; got ",
                   plan.n_test_cond,
                   " of ",
                   plan.n_cond,
                   ".");
  DNNBRAIN_REQUIRE(plan.n_test_subject >= 0 && plan.n_subject > plan.n_test_subject,
                   "at least one subject must remain; got ",
                   plan.n_test_subject,
                   " held out of ",
                   plan.n_subject,
                   ".");
}

}  // namespace

SampleSplit draw_split(const SplitPlan& plan, Index sample, Index split) {
  check_plan(plan);
  // A stream for what the splits of a sample share, then one for each of them.
  const auto first = static_cast<std::uint64_t>(sample * (plan.n_split + 1));
  RandomStream shared(plan.seed, first);
  SampleSplit out;
  out.train_conditions =
      sample > 0 && plan.resample_conditions
          ? draw_counts(shared, plan.n_cond, plan.n_test_cond + kMinTrainConditions)
          : ones(plan.n_cond);
  out.train_subjects = sample > 0 && plan.resample_subjects
                           ? draw_counts(shared, plan.n_subject, plan.n_test_subject + 1)
                           : ones(plan.n_subject);
  RandomStream own(plan.seed, first + 1 + static_cast<std::uint64_t>(split));
  hold_out(own, plan.n_test_cond, out.train_conditions, out.test_conditions);
  if (plan.n_test_subject > 0) {
    hold_out(own, plan.n_test_subject, out.train_subjects, out.test_subjects);
  } else {
    out.test_subjects = out.train_subjects;
  }
  return out;
}

Reweighting reweight_rdms(const MatrixView& models,
                          const MatrixView& subjects,
                          const SplitPlan& plan,
                          Index n_boot,
                          Comparator comparator,
                          int n_threads,
                          Monitor& monitor) {
  check_plan(plan);
  const Index n_model = models.rows();
  const Index n_pair = models.cols();
  DNNBRAIN_REQUIRE(n_model >= 1 && n_pair == pair_count(plan.n_cond) && subjects.cols() == n_pair &&
                       subjects.rows() == plan.n_subject && n_boot >= 0,
                   "RDMs must have ",
                   pair_count(plan.n_cond),
                   " pairs, and there must be one model at least.");
  const bool centred = comparator != Comparator::kCosine;
  Data data{
      unit_rows(models, centred), unit_rows(subjects, centred), {}, plan, comparator, centred};
  data.lengths = centred
                     ? (models.colwise() - models.rowwise().mean()).rowwise().stableNorm().eval()
                     : models.rowwise().stableNorm().eval();
  const Index n_sample = n_boot + 1;
  const Index width = 2 * n_model + 3;
  Matrix sums = Matrix::Zero(n_sample, width);
  const Index n_task = n_sample * plan.n_split;
  const Index work = n_pair * (n_model * n_model + 4 * plan.n_subject + 8);
  const Index block = std::max<Index>(n_threads, kWorkPerBlock / work);
  Matrix rows(std::min(block, n_task), width);
  monitor.start(n_task);
  for (Index first = 0; first < n_task; first += block) {
    const Index count = std::min(block, n_task - first);
    parallel_chunks(count, n_threads, [&](Index begin, Index end) {
      SplitScorer scorer(data);
      for (Index task = begin; task < end; ++task) {
        const Index place = first + task;
        scorer.run(place / plan.n_split, place % plan.n_split, rows.row(task));
      }
    });
    for (Index task = 0; task < count; ++task) {
      sums.row((first + task) / plan.n_split) += rows.row(task);
    }
    monitor.step(count);
  }
  sums /= static_cast<double>(plan.n_split);
  return {sums.leftCols(n_model + 1), sums.middleCols(n_model + 1, 2), sums.rightCols(n_model)};
}

}  // namespace dnnbrain
