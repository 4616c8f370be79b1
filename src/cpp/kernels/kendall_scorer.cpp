#include "dnnbrain/kernels/kendall_scorer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/kernels/kendall.hpp"
#include "dnnbrain/kernels/pair_table.hpp"

namespace dnnbrain {

namespace {

/// An RDM with the table from which its relabelled ranks are read.
template <class T>
struct Side {
  Side(std::span<const double> values, Index n_cond)
      : ranked(values), table(ranked.ranks, n_cond) {}

  RankedVector<T> ranked;
  PairTable<T> table;
};

template <class T>
std::vector<Side<T>> sides(const MatrixView& rdms, Index n_cond) {
  std::vector<Side<T>> all;
  for (Index row = 0; row < rdms.rows(); ++row) all.emplace_back(row_of(rdms, row), n_cond);
  return all;
}

template <class T>
class KendallScorer final : public PermutedScorer {
 public:
  KendallScorer(const MatrixView& models,
                const MatrixView& subjects,
                Index n_cond,
                Comparator comparator)
      : n_pair_(models.cols()),
        models_(sides<T>(models, n_cond)),
        subjects_(sides<T>(subjects, n_cond)),
        denominators_(models.rows(), subjects.rows()) {
    for (Index model = 0; model < models.rows(); ++model) {
      for (Index subject = 0; subject < subjects.rows(); ++subject) {
        denominators_(model, subject) = kendall_denominator(
            n_pair_, this->model(model).ties, this->subject(subject).ties, comparator);
      }
    }
  }

  std::unique_ptr<Room> room() const override {
    return std::make_unique<CountRoom>(n_pair_, models_.front().table.room());
  }

  void score(const OrderView& orders,
             Index first_model,
             Index n_model,
             Room& room,
             Eigen::Ref<Matrix> out) const override {
    auto& count = static_cast<CountRoom&>(room);
    const Index n_subject = denominators_.cols();
    for (Index row = 0; row < orders.rows(); ++row) {
      const std::span order{orders.row(row).data(), static_cast<std::size_t>(orders.cols())};
      const auto write = [&](Index model, Index subject, Index s) {
        out(row, (model - first_model) * n_subject + subject) =
            static_cast<double>(s) / denominators_(model, subject);
      };
      for (Index index = first_model; index < first_model + n_model; ++index) {
        models_[at(index)].table.relabel(order, count.room);
        for (Index other = 0; other < n_subject; ++other) {
          if (reads_subject(index, other)) continue;
          write(index, other, count.counter.score(count.ranks, model(index), subject(other)));
        }
      }
      score_by_subject(order, first_model, n_model, count, write);
    }
  }

  double nanoseconds_per_model() const override {
    const double per_entry = widest_simd() < Simd::kAvx512 ? 12.0 : 2.0;
    return static_cast<double>(n_pair_) *
           (1.0 + per_entry * static_cast<double>(denominators_.cols()));
  }

  double rounding() const override { return 0.0; }

 private:
  struct CountRoom final : Room {
    CountRoom(Index n_pair, std::size_t table_room)
        : room(table_room), ranks(room.data(), static_cast<std::size_t>(n_pair)), counter(n_pair) {}
    std::vector<T> room;
    std::span<const T> ranks;  // of one side, relabelled
    std::vector<std::int32_t> inverse;
    KendallCounter<T> counter;
  };

  static std::size_t at(Index index) { return static_cast<std::size_t>(index); }
  const RankedVector<T>& model(Index index) const { return models_[at(index)].ranked; }
  const RankedVector<T>& subject(Index index) const { return subjects_[at(index)].ranked; }

  /// Whether the subject has the more ties, so that it is relabelled, the other way round, in the
  /// model's place: the same pairs of entries meet.
  bool reads_subject(Index model_index, Index subject_index) const {
    return subject(subject_index).ties > model(model_index).ties;
  }

  template <class Write>
  void score_by_subject(std::span<const std::int32_t> order,
                        Index first_model,
                        Index n_model,
                        CountRoom& count,
                        const Write& write) const {
    count.inverse.resize(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      count.inverse[at(order[i])] = static_cast<std::int32_t>(i);
    }
    for (Index other = 0; other < denominators_.cols(); ++other) {
      bool gathered = false;
      for (Index index = first_model; index < first_model + n_model; ++index) {
        if (!reads_subject(index, other)) continue;
        if (!gathered) {
          subjects_[at(other)].table.relabel(count.inverse, count.room);
          gathered = true;
        }
        write(index, other, count.counter.score(count.ranks, subject(other), model(index)));
      }
    }
  }

  Index n_pair_;
  std::vector<Side<T>> models_;
  std::vector<Side<T>> subjects_;
  Matrix denominators_;  // (n_model, n_subject)
};

}  // namespace

std::unique_ptr<PermutedScorer> make_kendall_scorer(const MatrixView& models,
                                                    const MatrixView& subjects,
                                                    Index n_cond,
                                                    Comparator comparator) {
  if (models.cols() <= kMostNarrow) {
    return std::make_unique<KendallScorer<std::uint16_t>>(models, subjects, n_cond, comparator);
  }
  return std::make_unique<KendallScorer<std::uint32_t>>(models, subjects, n_cond, comparator);
}

}  // namespace dnnbrain
