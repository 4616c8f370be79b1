#include "dnnbrain/kernels/kendall_scorer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/kernels/kendall.hpp"
#include "dnnbrain/kernels/pair_table.hpp"

namespace dnnbrain {

namespace {

class KendallScorer final : public PermutedScorer {
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

  std::unique_ptr<Room> room() const override { return std::make_unique<CountRoom>(n_pair_); }

  void score(const OrderView& orders,
             Index first_model,
             Index n_model,
             Room& room,
             Eigen::Ref<Matrix> out) const override {
    auto& count = static_cast<CountRoom&>(room);
    const Index n_subject = denominators_.cols();
    for (Index row = 0; row < orders.rows(); ++row) {
      const std::span order{orders.row(row).data(), static_cast<std::size_t>(orders.cols())};
      for (Index model = 0; model < n_model; ++model) {
        const auto index = static_cast<std::size_t>(first_model + model);
        gather_pairs(std::span<const std::uint32_t>(tables_[index]),
                     order,
                     std::span<std::uint32_t>(count.permuted));
        for (Index subject = 0; subject < n_subject; ++subject) {
          const Index s = references_[static_cast<std::size_t>(subject)].score(
              count.permuted, models_[index], count.kendall);
          out(row, model * n_subject + subject) =
              static_cast<double>(s) / denominators_(first_model + model, subject);
        }
      }
    }
  }

  double nanoseconds_per_model() const override {
    constexpr double kPerEntry = 8.0;
    return static_cast<double>(n_pair_) *
           (2.0 + kPerEntry * static_cast<double>(denominators_.cols()));
  }

  double rounding() const override { return 0.0; }

 private:
  struct CountRoom final : Room {
    explicit CountRoom(Index n_pair)
        : permuted(static_cast<std::size_t>(n_pair)), kendall(n_pair) {}
    std::vector<std::uint32_t> permuted;
    KendallRoom kendall;
  };

  Index n_pair_;
  std::vector<KendallReference> references_;
  std::vector<TiedRanks> models_;
  std::vector<std::vector<std::uint32_t>> tables_;
  Matrix denominators_;  // (n_model, n_subject)
};

}  // namespace

std::unique_ptr<PermutedScorer> make_kendall_scorer(const MatrixView& models,
                                                    const MatrixView& subjects,
                                                    Index n_cond,
                                                    Comparator comparator) {
  return std::make_unique<KendallScorer>(models, subjects, n_cond, comparator);
}

}  // namespace dnnbrain
