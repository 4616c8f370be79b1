#include "dnnbrain/kernels/dot_scorer.hpp"

#include <cstddef>
#include <span>
#include <vector>

#include "dnnbrain/kernels/pair_table.hpp"

namespace dnnbrain {

namespace {

/// Room for rounding when two scores are compared: a permutation that leaves the RDM as it is must
/// count.
constexpr double kRounding = 1e-12;

class DotScorer final : public PermutedScorer {
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

  std::unique_ptr<Room> room() const override {
    return std::make_unique<DotRoom>(subjects_.cols());
  }

  void score(const OrderView& orders,
             Index first_model,
             Index n_model,
             Room& room,
             Eigen::Ref<Matrix> out) const override {
    Eigen::VectorXd& permuted = static_cast<DotRoom&>(room).permuted;
    Eigen::VectorXd& scores = static_cast<DotRoom&>(room).scores;
    for (Index row = 0; row < orders.rows(); ++row) {
      const std::span order{orders.row(row).data(), static_cast<std::size_t>(orders.cols())};
      for (Index model = 0; model < n_model; ++model) {
        gather_pairs(
            std::span<const double>(tables_[static_cast<std::size_t>(first_model + model)]),
            order,
            std::span<double>(permuted.data(), static_cast<std::size_t>(permuted.size())));
        // Into a vector of its own: a product's bits would depend on where its result lies.
        scores.noalias() = subjects_ * permuted;
        out.row(row).segment(model * subjects_.rows(), subjects_.rows()) = scores;
      }
    }
  }

  double nanoseconds_per_model() const override {
    return static_cast<double>(subjects_.cols()) * (2.0 + static_cast<double>(subjects_.rows()));
  }

  double rounding() const override { return kRounding; }

 private:
  struct DotRoom final : Room {
    explicit DotRoom(Index n_pair) : permuted(n_pair) {}
    Eigen::VectorXd permuted;
    Eigen::VectorXd scores;
  };

  std::vector<std::vector<double>> tables_;
  Matrix subjects_;  // (n_subject, n_pair) prepared
};

}  // namespace

std::unique_ptr<PermutedScorer> make_dot_scorer(const MatrixView& models,
                                                const MatrixView& subjects,
                                                Index n_cond,
                                                Comparator comparator) {
  return std::make_unique<DotScorer>(models, subjects, n_cond, comparator);
}

}  // namespace dnnbrain
