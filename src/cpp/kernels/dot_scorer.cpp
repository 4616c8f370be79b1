#include "dnnbrain/kernels/dot_scorer.hpp"

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/kernels/digit_products.hpp"
#include "dnnbrain/kernels/pair_table.hpp"
#include "dnnbrain/kernels/panel_products.hpp"
#include "dnnbrain/kernels/strip_products.hpp"

namespace dnnbrain {

namespace {

/// Room for rounding when two scores are compared: a permutation that leaves the RDM as it is must
/// count.
constexpr double kRounding = 1e-12;

/// on_model(index) and on_subject(index) for each, where the threads share all of them.
template <class OnModel, class OnSubject>
void for_each_rdm(std::size_t n_model,
                  std::size_t n_subject,
                  int n_threads,
                  const OnModel& on_model,
                  const OnSubject& on_subject) {
  parallel_chunks(static_cast<Index>(n_model + n_subject), n_threads, [&](Index begin, Index end) {
    for (auto rdm = static_cast<std::size_t>(begin); rdm < static_cast<std::size_t>(end); ++rdm) {
      rdm < n_model ? on_model(rdm) : on_subject(rdm - n_model);
    }
  });
}

struct Forms {
  std::vector<DotForm> models;
  std::vector<DotForm> subjects;
};

Forms forms_of(const MatrixView& models,
               const MatrixView& subjects,
               Comparator comparator,
               int n_threads) {
  Forms forms;
  forms.models.resize(static_cast<std::size_t>(models.rows()));
  forms.subjects.resize(static_cast<std::size_t>(subjects.rows()));
  const auto form_of = [&](const MatrixView& rdms, std::size_t rdm) {
    return dot_form(row_of(rdms, static_cast<Index>(rdm)), comparator);
  };
  for_each_rdm(
      forms.models.size(),
      forms.subjects.size(),
      n_threads,
      [&](std::size_t rdm) { forms.models[rdm] = form_of(models, rdm); },
      [&](std::size_t rdm) { forms.subjects[rdm] = form_of(subjects, rdm); });
  return forms;
}

std::vector<double> scales_of(const std::vector<DotForm>& forms) {
  std::vector<double> scales;
  for (const DotForm& form : forms) scales.push_back(form.scale);
  return scales;
}

std::span<const std::int32_t> all_of(const OrderView& orders) {
  return {orders.data(), static_cast<std::size_t>(orders.size())};
}

template <class Sum>
struct DotRoom final : PermutedScorer::Room {
  std::vector<Sum> sums;  // (n_order, n_subject)
};

/// Scores of one model from its sums of products.
template <class Sum>
void scale_sums(const std::vector<Sum>& sums,
                double model_scale,
                const std::vector<double>& subject_scales,
                Eigen::Ref<Matrix> out) {  // (n_order, n_subject)
  std::size_t at = 0;
  for (Index order = 0; order < out.rows(); ++order) {
    for (Index subject = 0; subject < out.cols(); ++subject, ++at) {
      out(order, subject) = static_cast<double>(sums[at]) * model_scale *
                            subject_scales[static_cast<std::size_t>(subject)];
    }
  }
}

/// Ranks. Products: DigitProducts or StripProducts.
template <class Products>
class RankScorer final : public PermutedScorer {
 public:
  RankScorer(const Forms& forms, Index n_cond, double ns_per_pair, int n_threads)
      : products_(n_cond),
        models_(forms.models.size()),
        subjects_(forms.subjects.size()),
        model_scales_(scales_of(forms.models)),
        subject_scales_(scales_of(forms.subjects)),
        ns_per_model_(static_cast<double>(pair_count(n_cond)) * ns_per_pair) {
    for_each_rdm(
        models_.size(),
        subjects_.size(),
        n_threads,
        [&](std::size_t rdm) { models_[rdm] = products_.table(whole_numbers(forms.models[rdm])); },
        [&](std::size_t rdm) {
          subjects_[rdm] = products_.fixed(whole_numbers(forms.subjects[rdm]));
        });
  }

  std::unique_ptr<Room> room() const override { return std::make_unique<DotRoom<Sum>>(); }

  void score(const OrderView& orders,
             Index first_model,
             Index n_model,
             Room& room,
             Eigen::Ref<Matrix> out) const override {
    const auto n_subject = static_cast<Index>(subjects_.size());
    std::vector<Sum>& sums = static_cast<DotRoom<Sum>&>(room).sums;
    sums.resize(static_cast<std::size_t>(orders.rows() * n_subject));
    for (Index model = 0; model < n_model; ++model) {
      const auto index = static_cast<std::size_t>(first_model + model);
      products_.run(models_[index], subjects_, all_of(orders), sums);
      scale_sums(sums,
                 model_scales_[index],
                 subject_scales_,
                 out.middleCols(model * n_subject, n_subject));
    }
  }

  double nanoseconds_per_model() const override { return ns_per_model_; }
  double rounding() const override { return 0.0; }  // equal integers are equal sums

 private:
  using Sum = typename Products::Sum;

  static std::vector<std::int32_t> whole_numbers(const DotForm& form) {
    return {form.values.begin(), form.values.end()};
  }

  Products products_;
  std::vector<typename Products::Digits> models_;
  std::vector<typename Products::Digits> subjects_;
  std::vector<double> model_scales_;
  std::vector<double> subject_scales_;
  double ns_per_model_;
};

/// Real numbers, and ranks of very many conditions.
class PanelScorer final : public PermutedScorer {
 public:
  PanelScorer(const Forms& forms, Index n_cond)
      : n_cond_(n_cond),
        products_(stacked(forms.subjects)),
        model_scales_(scales_of(forms.models)),
        subject_scales_(scales_of(forms.subjects)) {
    for (const DotForm& form : forms.models) {
      tables_.push_back(square_table(std::span<const double>(form.values), n_cond));
    }
  }

  std::unique_ptr<Room> room() const override { return std::make_unique<DotRoom<double>>(); }

  void score(const OrderView& orders,
             Index first_model,
             Index n_model,
             Room& room,
             Eigen::Ref<Matrix> out) const override {
    const Index n_subject = products_.n_b();
    std::vector<double>& sums = static_cast<DotRoom<double>&>(room).sums;
    sums.resize(static_cast<std::size_t>(orders.rows() * n_subject));
    for (Index model = 0; model < n_model; ++model) {
      const auto index = static_cast<std::size_t>(first_model + model);
      products_.run(std::span<const double>(tables_[index]), all_of(orders), n_cond_, sums);
      scale_sums(sums,
                 model_scales_[index],
                 subject_scales_,
                 out.middleCols(model * n_subject, n_subject));
    }
  }

  double nanoseconds_per_model() const override {
    return static_cast<double>(pair_count(n_cond_)) *
           (0.4 + 0.1 * static_cast<double>(products_.n_b()));
  }

  double rounding() const override { return kRounding; }

 private:
  static Matrix stacked(const std::vector<DotForm>& forms) {
    Matrix rows(static_cast<Index>(forms.size()), static_cast<Index>(forms.front().values.size()));
    for (std::size_t row = 0; row < forms.size(); ++row) {
      rows.row(static_cast<Index>(row)) =
          Eigen::Map<const Eigen::RowVectorXd>(forms[row].values.data(), rows.cols());
    }
    return rows;
  }

  Index n_cond_;
  PanelProducts products_;
  std::vector<std::vector<double>> tables_;
  std::vector<double> model_scales_;
  std::vector<double> subject_scales_;
};

}  // namespace

std::unique_ptr<PermutedScorer> make_dot_scorer(const MatrixView& models,
                                                const MatrixView& subjects,
                                                Index n_cond,
                                                Comparator comparator,
                                                int n_threads) {
  const Forms forms = forms_of(models, subjects, comparator, n_threads);
  const bool ranks = comparator == Comparator::kSpearman || comparator == Comparator::kRhoA;
  const auto n = static_cast<double>(n_cond);
  const auto n_subject = static_cast<double>(subjects.rows());
  if (ranks && n_cond <= DigitProducts::kMostConditions && DigitProducts::available()) {
    return std::make_unique<RankScorer<DigitProducts>>(
        forms, n_cond, 0.05 + 1e-4 * n + 0.03 * n_subject, n_threads);
  }
  if (ranks && n_cond <= StripProducts::kMostConditions) {
    return std::make_unique<RankScorer<StripProducts>>(
        forms, n_cond, 0.1 + 0.05 * n_subject, n_threads);
  }
  return std::make_unique<PanelScorer>(forms, n_cond);
}

}  // namespace dnnbrain
