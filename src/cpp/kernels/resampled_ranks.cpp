#include "dnnbrain/kernels/resampled_ranks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/kernels/radix_order.hpp"
#include "dnnbrain/kernels/weighted_ranks.hpp"

namespace dnnbrain {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<SortedValues> sort_rows(const MatrixView& rdms, int n_threads) {
  std::vector<SortedValues> sorted(static_cast<std::size_t>(rdms.rows()),
                                   SortedValues(std::span<const double>()));
  parallel_chunks(rdms.rows(), n_threads, [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      sorted[static_cast<std::size_t>(row)] = SortedValues(row_of(rdms, row));
    }
  });
  return sorted;
}

/// One RDM in a sample, as its comparator sees it.
class SampledRdm {
 public:
  void restrict(const SortedValues& values, const SampledPairs& sample, Comparator comparator) {
    order.restrict(values, sample);
    prepare(sample, comparator);
  }

  void group(std::span<const std::uint32_t> sorted,
             std::span<const std::uint64_t> keys,
             const SampledPairs& sample,
             Comparator comparator) {
    order.group(sorted, keys, sample);
    prepare(sample, comparator);
  }

  SampledOrder order;
  std::vector<double> ranks;  // centred and doubled, by place; not for Kendall
  double norm = 0;            // root of the weighted sum of their squares

 private:
  void prepare(const SampledPairs& sample, Comparator comparator) {
    if (counts_pairs(comparator)) return;
    ranks.resize(sample.size());
    centred_ranks(order, sample, ranks);
    double sum = 0;
    for (std::size_t place = 0; place < ranks.size(); ++place) {
      sum += sample.weights()[place] * ranks[place] * ranks[place];
    }
    norm = std::sqrt(sum);
  }
};

/// Similarity of two RDMs in a sample; NaN where it is undefined.
class SampleComparator {
 public:
  explicit SampleComparator(Comparator comparator) : comparator_(comparator) {}

  double operator()(const SampledRdm& x, const SampledRdm& y, const SampledPairs& sample) {
    const double n = sample.total();
    switch (comparator_) {
      case Comparator::kTauA:
        return room_.score(x.order, y.order, sample) / (0.5 * n * (n - 1));
      case Comparator::kTauB: {
        if (x.order.constant() || y.order.constant()) return kNaN;
        const double untied_x = 0.5 * (n * n - x.order.squares);
        const double untied_y = 0.5 * (n * n - y.order.squares);
        return room_.score(x.order, y.order, sample) / (std::sqrt(untied_x) * std::sqrt(untied_y));
      }
      case Comparator::kRhoA:
        return 3 * dot(x, y, sample) / (n * n * n - n);  // ranks are doubled: 12 / 4
      default:
        if (x.order.constant() || y.order.constant()) return kNaN;
        return dot(x, y, sample) / (x.norm * y.norm);
    }
  }

 private:
  static double dot(const SampledRdm& x, const SampledRdm& y, const SampledPairs& sample) {
    double sum = 0;
    for (std::size_t place = 0; place < x.ranks.size(); ++place) {
      sum += sample.weights()[place] * x.ranks[place] * y.ranks[place];
    }
    return sum;
  }

  Comparator comparator_;
  ConcordanceRoom room_;
};

/// Room for one thread's sorting of values that are new in each sample.
struct RankRoom {
  RadixOrder radix;
  std::vector<std::uint64_t> keys;
};

/// Pools of the subjects of a sample.
class Pools {
 public:
  Pools(const MatrixView& subjects, PooledAs pooling, Comparator comparator)
      : values_(subjects), pooling_(pooling), comparator_(comparator) {}

  /// The sum over subjects, as often as the sample holds each.
  void sum(std::span<const SampledRdm> subjects,
           std::span<const double> copies,
           const SampledPairs& sample) {
    total_.assign(sample.size(), 0.0);
    for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
      add(subjects, subject, copies[subject], sample, total_);
    }
  }

  /// The pool of all.
  void all(const SampledPairs& sample, SampledRdm& out) { rank(total_, sample, out); }

  /// The pool without any copy of one subject.
  void without(std::span<const SampledRdm> subjects,
               std::size_t subject,
               double copies,
               const SampledPairs& sample,
               SampledRdm& out) {
    others_ = total_;
    add(subjects, subject, -copies, sample, others_);
    rank(others_, sample, out);
  }

 private:
  void add(std::span<const SampledRdm> subjects,
           std::size_t subject,
           double times,
           const SampledPairs& sample,
           std::vector<double>& sums) const {
    if (times == 0) return;
    if (pooling_ == PooledAs::kValues) {
      const std::span<const double> values = row_of(values_, static_cast<Index>(subject));
      for (std::size_t place = 0; place < sums.size(); ++place) {
        sums[place] += times * values[sample.pairs()[place]];
      }
      return;
    }
    const std::vector<double>& ranks = subjects[subject].ranks;  // whole numbers: sums are exact
    for (std::size_t place = 0; place < sums.size(); ++place) sums[place] += times * ranks[place];
  }

  void rank(std::span<const double> sums, const SampledPairs& sample, SampledRdm& out) {
    room_.keys.resize(sums.size());
    if (pooling_ == PooledAs::kValues) {
      std::transform(sums.begin(), sums.end(), room_.keys.begin(), ordered_key);
    } else {
      // As integers they differ in few digits.
      std::transform(sums.begin(), sums.end(), room_.keys.begin(), [](double sum) {
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(sum)) +
               (std::uint64_t{1} << 63);
      });
    }
    out.group(room_.radix.sort(room_.keys), room_.keys, sample, comparator_);
  }

  const MatrixView& values_;
  PooledAs pooling_;
  Comparator comparator_;
  RankRoom room_;
  std::vector<double> total_;
  std::vector<double> others_;
};

/// Samples between two looks at the monitor: about 20 ms of work for each thread.
Index samples_per_block(Index n_pair, Index n_comparison, Comparator comparator, int n_threads) {
  const double ns_per_entry = counts_pairs(comparator) ? 8.0 : 1.0;
  const double sample_ns =
      static_cast<double>(n_pair) * (4.0 + ns_per_entry * static_cast<double>(n_comparison));
  return static_cast<Index>(std::max(1.0, 20e6 / sample_ns)) * n_threads;
}

void check_arguments(
    const MatrixView& rdms, const char* name, Index n_cond, Comparator comparator, int n_threads) {
  DNNBRAIN_REQUIRE(comparator == Comparator::kSpearman || comparator == Comparator::kRhoA ||
                       counts_pairs(comparator),
                   "the comparator must be one of ranks.");
  DNNBRAIN_REQUIRE(n_threads >= 1, "n_threads must be positive; got ", n_threads, ".");
  DNNBRAIN_REQUIRE(n_cond >= 3, "RDMs must have at least 3 conditions; got ", n_cond, ".");
  DNNBRAIN_REQUIRE(rdms.rows() >= 1 && rdms.cols() == pair_count(n_cond),
                   name,
                   " must be at least one RDM of ",
                   pair_count(n_cond),
                   " pairs; got shape (",
                   rdms.rows(),
                   ", ",
                   rdms.cols(),
                   ").");
}

}  // namespace

namespace {

/// Scores of `n_model` models in each sample; prepare(boot, sample, out) ranks them.
template <class Prepare>
Matrix score_samples(const MatrixView& subjects,
                     const MatrixView& counts,
                     Index n_model,
                     Comparator comparator,
                     int n_threads,
                     Monitor& monitor,
                     const Prepare& prepare) {
  const std::vector<SortedValues> sorted = sort_rows(subjects, n_threads);
  const Index n_boot = counts.rows();
  const Index n_subject = subjects.rows();
  const Index per_block =
      samples_per_block(subjects.cols(), n_model * n_subject, comparator, n_threads);
  Matrix scores(n_boot, n_model * n_subject);
  monitor.start(n_boot);
  for (Index block = 0; block < n_boot; block += per_block) {
    const Index n_here = std::min(per_block, n_boot - block);
    parallel_chunks(n_here, n_threads, [&](Index begin, Index end) {
      SampledPairs sample(counts.cols());
      SampleComparator compare(comparator);
      RankRoom room;
      std::vector<SampledRdm> models(static_cast<std::size_t>(n_model));
      SampledRdm subject;
      for (Index boot = block + begin; boot < block + end; ++boot) {
        sample.draw(row_of(counts, boot));
        prepare(boot, sample, room, models);
        for (Index s = 0; s < n_subject; ++s) {
          subject.restrict(sorted[static_cast<std::size_t>(s)], sample, comparator);
          for (Index model = 0; model < n_model; ++model) {
            scores(boot, model * n_subject + s) =
                compare(models[static_cast<std::size_t>(model)], subject, sample);
          }
        }
      }
    });
    monitor.step(n_here);
  }
  return scores;
}

}  // namespace

Matrix resampled_scores(const MatrixView& models,
                        const MatrixView& subjects,
                        const MatrixView& counts,
                        Comparator comparator,
                        int n_threads,
                        Monitor& monitor) {
  check_arguments(models, "models", counts.cols(), comparator, n_threads);
  check_arguments(subjects, "subjects", counts.cols(), comparator, n_threads);
  const std::vector<SortedValues> sorted = sort_rows(models, n_threads);
  return score_samples(
      subjects,
      counts,
      models.rows(),
      comparator,
      n_threads,
      monitor,
      [&](Index, const SampledPairs& sample, RankRoom&, std::vector<SampledRdm>& out) {
        for (std::size_t model = 0; model < out.size(); ++model) {
          out[model].restrict(sorted[model], sample, comparator);
        }
      });
}

Matrix resampled_own_scores(const MatrixView& models,
                            const MatrixView& subjects,
                            const MatrixView& counts,
                            Comparator comparator,
                            int n_threads,
                            Monitor& monitor) {
  check_arguments(models, "models", counts.cols(), comparator, n_threads);
  check_arguments(subjects, "subjects", counts.cols(), comparator, n_threads);
  DNNBRAIN_REQUIRE(counts.rows() > 0 && models.rows() % counts.rows() == 0,
                   "models must be as many for each sample; got ",
                   models.rows(),
                   " for ",
                   counts.rows(),
                   " samples.");
  const Index n_model = models.rows() / counts.rows();
  return score_samples(
      subjects,
      counts,
      n_model,
      comparator,
      n_threads,
      monitor,
      [&](Index boot, const SampledPairs& sample, RankRoom& room, std::vector<SampledRdm>& out) {
        for (std::size_t model = 0; model < out.size(); ++model) {
          const std::span<const double> values =
              row_of(models, boot * n_model + static_cast<Index>(model));
          room.keys.resize(sample.size());
          for (std::size_t place = 0; place < sample.size(); ++place) {
            room.keys[place] = ordered_key(values[sample.pairs()[place]]);
          }
          out[model].group(room.radix.sort(room.keys), room.keys, sample, comparator);
        }
      });
}

Matrix resampled_ceilings(const MatrixView& subjects,
                          const MatrixView& counts,
                          const MatrixView& subject_counts,
                          Comparator comparator,
                          PooledAs pooling,
                          int n_threads,
                          Monitor& monitor) {
  const Index n_cond = counts.cols();
  const Index n_boot = subject_counts.rows();
  const Index n_subject = subjects.rows();
  check_arguments(subjects, "subjects", n_cond, comparator, n_threads);
  DNNBRAIN_REQUIRE(
      (counts.rows() == n_boot || counts.rows() == 1) && subject_counts.cols() == n_subject,
      "counts of conditions and subjects must be of the same samples.");
  const std::vector<SortedValues> sorted = sort_rows(subjects, n_threads);
  const Index per_block = samples_per_block(subjects.cols(), 3 * n_subject, comparator, n_threads);
  Matrix ceilings(n_boot, 2);
  // Pools of ranks need average ranks, also where Kendall compares them.
  const Comparator seen = pooling == PooledAs::kRanks ? Comparator::kSpearman : comparator;
  monitor.start(n_boot);
  for (Index block = 0; block < n_boot; block += per_block) {
    const Index n_here = std::min(per_block, n_boot - block);
    parallel_chunks(n_here, n_threads, [&](Index begin, Index end) {
      SampledPairs sample(n_cond);
      SampleComparator compare(comparator);
      Pools pools(subjects, pooling, comparator);
      std::vector<SampledRdm> of_subjects(sorted.size());
      SampledRdm pool;
      bool drawn = false;
      for (Index boot = block + begin; boot < block + end; ++boot) {
        if (!drawn || counts.rows() > 1) {
          sample.draw(row_of(counts, counts.rows() > 1 ? boot : 0));
          for (std::size_t s = 0; s < sorted.size(); ++s) {
            of_subjects[s].restrict(sorted[s], sample, seen);
          }
          drawn = true;
        }
        const std::span<const double> copies = row_of(subject_counts, boot);
        const double n_copies = subject_counts.row(boot).sum();
        const bool several = (subject_counts.row(boot).array() > 0).count() > 1;
        pools.sum(of_subjects, copies, sample);
        pools.all(sample, pool);
        double lower = several ? 0.0 : kNaN;
        double upper = 0;
        for (std::size_t s = 0; s < sorted.size(); ++s) {
          if (copies[s] > 0) upper += copies[s] * compare(pool, of_subjects[s], sample);
        }
        for (std::size_t s = 0; several && s < sorted.size(); ++s) {
          if (copies[s] == 0) continue;
          pools.without(of_subjects, s, copies[s], sample, pool);
          lower += copies[s] * compare(pool, of_subjects[s], sample);
        }
        ceilings(boot, 0) = lower / n_copies;
        ceilings(boot, 1) = upper / n_copies;
      }
    });
    monitor.step(n_here);
  }
  return ceilings;
}

}  // namespace dnnbrain
