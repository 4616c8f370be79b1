#include "dnnbrain/tensor/univariate_tile.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace dnnbrain {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Fused loops

/// Rows of LineMoments from some column on.
struct Columns {
  Columns(const LineMoments& moments, Index first)
      : stride(moments.part_mean.size(1)),
        part_mean(moments.part_mean.const_data_ptr<double>() + first),
        set_mean(moments.set_mean.const_data_ptr<double>() + first),
        set_weight(moments.set_weight.const_data_ptr<double>() + first),
        test_sq(moments.test_sq.const_data_ptr<double>() + first),
        test_norm(moments.test_norm.const_data_ptr<double>() + first) {}

  Index stride;
  const double* part_mean;
  const double* set_mean;
  const double* set_weight;
  const double* test_sq;
  const double* test_norm;
};

/// One target and the units of a tile.
template <class Real, FoldScore kScore>
class TargetLine {
 public:
  TargetLine(const LinePlan& plan,
             const at::Tensor& products,
             const LineMoments& units,
             const LineMoments& targets,
             const TilePlace& place,
             BestUnits& best)
      : plan_(plan),
        place_(place),
        products_(products.const_data_ptr<Real>()),
        units_(units, place.unit_in_block),
        targets_(targets, place.target_in_block),
        n_vox_(best.unit.size(1)),
        value_(best.value.mutable_data_ptr<double>()),
        unit_(best.unit.mutable_data_ptr<std::int64_t>()),
        best_scores_(best.scores.mutable_data_ptr<double>()),
        means_(best.means.defined() ? best.means.mutable_data_ptr<Real>() : nullptr),
        n_feat_(best.means.defined() ? best.means.size(1) : 0),
        all_parts_(static_cast<std::size_t>(plan.n_fold)),
        sums_(rows(plan.n_part())),
        suffix_(rows(plan.n_part() + 1)),
        train_(rows(plan.n_fold)),
        inner_(rows(plan.n_fold)),
        all_(rows(1)),
        scores_(rows(plan.n_fold)),
        mean_(rows(1)),
        criterion_(rows(1)) {
    std::iota(all_parts_.begin(), all_parts_.end(), Index{0});
  }

  void take(Index target) {
    t_ = target;
    if (plan_.merged) {
      sum_parts();
      leave_out_each(all_parts_, train_, [](Index part) { return part; });
    } else {
      for (Index f = 0; f < plan_.n_fold; ++f) copy(plan_.n_fold + f, row(train_, f));
    }
    switch (plan_.selection) {
      case UnitSelection::kNonNested:
        score_all_folds();
        choose_by_mean();
        break;
      case UnitSelection::kTrainingScore:
        if (means_ != nullptr) score_all_folds();
        choose_by_training();
        break;
      case UnitSelection::kInnerFolds:
        score_all_folds();
        choose_by_inner_folds();
        break;
    }
    if (means_ != nullptr) {
      std::copy_n(
          mean_.data(), place_.n_unit, means_ + (place_.target + t_) * n_feat_ + place_.unit);
    }
  }

 private:
  using Buffer = std::vector<double>;

  Buffer rows(Index count) const { return Buffer(static_cast<std::size_t>(count * place_.n_unit)); }
  double* row(Buffer& buffer, Index index) const { return buffer.data() + index * place_.n_unit; }
  const Real* product(Index part) const {
    return products_ + (part * place_.n_target + t_) * place_.n_unit;
  }
  double of_target(const double* moments, Index index) const {
    return moments[index * targets_.stride + t_];
  }
  /// Whether a fold has a score of this target.
  bool counts(Index fold) const { return of_target(targets_.test_sq, fold) > 0; }

  void copy(Index part, double* out) const { std::copy_n(product(part), place_.n_unit, out); }

  /// Sums x y about the pilots, of each part.
  void sum_parts() {
    for (Index p = 0; p < plan_.n_part(); ++p) {
      const Real* const c = product(p);
      const double* const x = units_.part_mean + p * units_.stride;
      const double y =
          of_target(targets_.part_mean, p) * plan_.part_size[static_cast<std::size_t>(p)];
      double* const out = row(sums_, p);
      for (Index u = 0; u < place_.n_unit; ++u) out[u] = static_cast<double>(c[u]) + x[u] * y;
    }
  }

  /// out = first + second, about the means of a set
  void about_means(const double* first, const double* second, Index set, double* out) const {
    const double* const x = units_.set_mean + set * units_.stride;
    const double y =
        of_target(targets_.set_mean, set) * plan_.set_size[static_cast<std::size_t>(set)];
    for (Index u = 0; u < place_.n_unit; ++u) out[u] = first[u] + second[u] - x[u] * y;
  }

  /// C_xy of the sets that leave out one of `parts`, as sums over the others.
  template <class SetOf>
  void leave_out_each(const std::vector<Index>& parts, Buffer& out, const SetOf& set_of) {
    const Index n_here = static_cast<Index>(parts.size());
    const Index n_unit = place_.n_unit;
    std::fill_n(row(suffix_, n_here), n_unit, 0.0);
    for (Index i = n_here - 1; i >= 0; --i) {
      const double* const own = row(sums_, parts[static_cast<std::size_t>(i)]);
      const double* const after = row(suffix_, i + 1);
      double* const from = row(suffix_, i);
      for (Index u = 0; u < n_unit; ++u) from[u] = after[u] + own[u];
    }
    double* const prefix = all_.data();
    std::fill_n(prefix, n_unit, 0.0);
    for (Index i = 0; i < n_here; ++i) {
      const Index part = parts[static_cast<std::size_t>(i)];
      about_means(prefix, row(suffix_, i + 1), set_of(part), row(out, part));
      const double* const own = row(sums_, part);
      for (Index u = 0; u < n_unit; ++u) prefix[u] += own[u];
    }
  }

  /// Scores of the lines of a set in a fold.
  void score(const double* train, Index set, Index fold, double* out) const {
    const Real* const test = product(fold);
    const double* const weight = units_.set_weight + set * units_.stride;
    const double has_line = of_target(targets_.set_weight, set) > 0 ? 1.0 : 0.0;
    const double y_norm = of_target(targets_.test_norm, fold);
    if constexpr (kScore == FoldScore::kPearson) {
      const double* const norm = units_.test_norm + fold * units_.stride;
      for (Index u = 0; u < place_.n_unit; ++u) {
        const double slope = train[u] * weight[u] * has_line;
        const double r = static_cast<double>(test[u]) * norm[u] * y_norm;
        const double signed_r = slope > 0 ? r : slope < 0 ? -r : 0.0;
        out[u] = std::min(1.0, std::max(-1.0, signed_r));
      }
    } else {
      const double* const sq = units_.test_sq + fold * units_.stride;
      const double* const test_mean = units_.part_mean + fold * units_.stride;
      const double* const train_mean = units_.set_mean + set * units_.stride;
      const double y_diff = of_target(targets_.part_mean, fold) - of_target(targets_.set_mean, set);
      const double size = plan_.part_size[static_cast<std::size_t>(fold)];
      const double y_weight = y_norm * y_norm;
      for (Index u = 0; u < place_.n_unit; ++u) {
        const double slope = train[u] * weight[u] * has_line;
        double gain = slope * (2.0 * static_cast<double>(test[u]) - slope * sq[u]);
        if constexpr (kScore == FoldScore::kR2) {
          const double off = y_diff - slope * (test_mean[u] - train_mean[u]);
          gain -= size * off * off;
        }
        out[u] = gain * y_weight;
      }
    }
  }

  void score_all_folds() {
    Index n_counted = 0;
    std::fill(mean_.begin(), mean_.end(), 0.0);
    for (Index f = 0; f < plan_.n_fold; ++f) {
      if (!counts(f)) continue;
      score(row(train_, f), f, f, row(scores_, f));
      add(row(scores_, f), mean_);
      ++n_counted;
    }
    divide(mean_, n_counted);
  }

  void add(const double* scores, Buffer& sum) const {
    for (Index u = 0; u < place_.n_unit; ++u) sum[static_cast<std::size_t>(u)] += scores[u];
  }

  static void divide(Buffer& sum, Index count) {
    const double factor = count > 0 ? 1.0 / static_cast<double>(count) : kNan;
    for (double& value : sum) value *= factor;
  }

  /// Take the best unit of the tile if it beats the best so far; say which it is, or -1.
  Index challenge(const Buffer& values, Index rule) {
    const Index slot = rule * n_vox_ + place_.target + t_;
    // NaN beats nothing.
    double most = value_[slot];
    Index winner = -1;
    for (Index u = 0; u < place_.n_unit; ++u) {
      const double value = values[static_cast<std::size_t>(u)];
      if (value > most) {
        most = value;
        winner = u;
      }
    }
    if (winner >= 0) {
      value_[slot] = most;
      unit_[slot] = place_.unit + winner;
    }
    return winner;
  }

  void keep_score(Index fold, Index winner) {
    best_scores_[fold * n_vox_ + place_.target + t_] =
        counts(fold) ? row(scores_, fold)[winner] : kNan;
  }

  void choose_by_mean() {
    const Index winner = challenge(mean_, plan_.n_fold);
    if (winner < 0) return;
    for (Index f = 0; f < plan_.n_fold; ++f) keep_score(f, winner);
  }

  /// Squared correlations over a set, but for a factor that all units share.
  Index choose_by_training_set(const double* train, Index set) {
    const double* const weight = units_.set_weight + set * units_.stride;
    const double has_line = of_target(targets_.set_weight, set) > 0 ? 1.0 : 0.0;
    for (Index u = 0; u < place_.n_unit; ++u) {
      criterion_[static_cast<std::size_t>(u)] = train[u] * train[u] * weight[u] * has_line;
    }
    return challenge(criterion_, set);
  }

  void choose_by_training() {
    for (Index f = 0; f < plan_.n_fold; ++f) {
      const Index winner = choose_by_training_set(row(train_, f), f);
      if (winner < 0) continue;
      if (counts(f)) score(row(train_, f), f, f, row(scores_, f));
      keep_score(f, winner);
    }
    if (plan_.merged) {
      // What leaving each out in turn leaves in `all_`: the sum over all parts.
      double* const none = row(suffix_, plan_.n_fold);
      about_means(all_.data(), none, plan_.all_set(), criterion_.data());
      std::swap(all_, criterion_);
    } else {
      copy(2 * plan_.n_fold, all_.data());
    }
    choose_by_training_set(all_.data(), plan_.all_set());
  }

  void choose_by_inner_folds() {
    choose_by_mean_of_all();
    std::vector<Index> parts;
    Buffer inner_scores = rows(1);
    for (Index f = 0; f < plan_.n_fold; ++f) {
      parts.clear();
      std::copy_if(
          all_parts_.begin(), all_parts_.end(), std::back_inserter(parts), [f](Index part) {
            return part != f;
          });
      leave_out_each(parts, inner_, [&](Index part) { return plan_.inner_set(f, part); });
      std::fill(criterion_.begin(), criterion_.end(), 0.0);
      Index n_counted = 0;
      for (const Index part : parts) {
        if (!counts(part)) continue;
        score(row(inner_, part), plan_.inner_set(f, part), part, inner_scores.data());
        add(inner_scores.data(), criterion_);
        ++n_counted;
      }
      divide(criterion_, n_counted);
      const Index winner = challenge(criterion_, f);
      if (winner >= 0) keep_score(f, winner);
    }
  }

  void choose_by_mean_of_all() { challenge(mean_, plan_.n_fold); }

  const LinePlan& plan_;
  const TilePlace& place_;
  const Real* products_;
  Columns units_;
  Columns targets_;
  Index n_vox_;
  double* value_;
  std::int64_t* unit_;
  double* best_scores_;
  Real* means_;
  Index n_feat_;
  Index t_ = 0;
  std::vector<Index> all_parts_;
  Buffer sums_;
  Buffer suffix_;
  Buffer train_;
  Buffer inner_;
  Buffer all_;
  Buffer scores_;
  Buffer mean_;
  Buffer criterion_;
};

template <FoldScore kScore>
void score_tile_as(const LinePlan& plan,
                   const at::Tensor& products,
                   const LineMoments& units,
                   const LineMoments& targets,
                   const TilePlace& place,
                   BestUnits& best) {
  AT_DISPATCH_FLOATING_TYPES(products.scalar_type(), "score_tile_fused", [&] {
    TargetLine<scalar_t, kScore> line(plan, products, units, targets, place, best);
    for (Index t = 0; t < place.n_target; ++t) line.take(t);
  });
}

// ATen operators: (n_target, n_unit) at a time

class TensorTile {
 public:
  TensorTile(const LinePlan& plan,
             const at::Tensor& products,
             const LineMoments& units,
             const LineMoments& targets,
             const TilePlace& place,
             BestUnits& best)
      : plan_(plan), place_(place), best_(best), units_(units), targets_(targets) {
    for (Index p = 0; p < plan.n_part(); ++p) products_.push_back(products[p].to(at::kDouble));
  }

  void take() {
    std::vector<at::Tensor> scores;
    const at::Tensor mean = mean_score(train_sets(), scores);
    if (best_.means.defined()) {
      best_.means.narrow(0, place_.target, place_.n_target)
          .narrow(1, place_.unit, place_.n_unit)
          .copy_(mean);
    }
    const Index n_fold = plan_.n_fold;
    switch (plan_.selection) {
      case UnitSelection::kNonNested: {
        const Winner winner = challenge(mean, n_fold);
        for (Index f = 0; f < n_fold; ++f) keep_score(f, winner, scores);
        break;
      }
      case UnitSelection::kTrainingScore:
        for (Index f = 0; f < n_fold; ++f) {
          keep_score(f, challenge(training_score(train_sets()[f], f), f), scores);
        }
        challenge(training_score(all(), plan_.all_set()), n_fold);
        break;
      case UnitSelection::kInnerFolds:
        challenge(mean, n_fold);
        for (Index f = 0; f < n_fold; ++f) keep_score(f, challenge(inner_mean(f), f), scores);
        break;
    }
  }

 private:
  struct Winner {
    at::Tensor better;  // (n_target,) bool
    at::Tensor place;   // (n_target, 1) in the tile
  };

  at::Tensor unit_row(const at::Tensor& moments, Index index) const {
    return moments[index].narrow(0, place_.unit_in_block, place_.n_unit).unsqueeze(0);
  }
  at::Tensor target_row(const at::Tensor& moments, Index index) const {
    return moments[index].narrow(0, place_.target_in_block, place_.n_target).unsqueeze(1);
  }
  double part_size(Index part) const { return plan_.part_size[static_cast<std::size_t>(part)]; }
  const at::Tensor& product(Index part) const { return products_[static_cast<std::size_t>(part)]; }

  /// C_xy of the set of all parts but two, which may be the same.
  at::Tensor merged_set(Index first, Index second, Index set) const {
    at::Tensor sum = at::zeros_like(products_.front());
    for (Index p = 0; p < plan_.n_part(); ++p) {
      if (p == first || p == second) continue;
      sum += product(p) +
             part_size(p) * target_row(targets_.part_mean, p) * unit_row(units_.part_mean, p);
    }
    return sum - plan_.set_size[static_cast<std::size_t>(set)] *
                     target_row(targets_.set_mean, set) * unit_row(units_.set_mean, set);
  }

  const std::vector<at::Tensor>& train_sets() {
    if (train_.empty()) {
      for (Index f = 0; f < plan_.n_fold; ++f) {
        train_.push_back(plan_.merged ? merged_set(f, f, f) : product(plan_.n_fold + f));
      }
    }
    return train_;
  }

  at::Tensor all() const {
    return plan_.merged ? merged_set(-1, -1, plan_.all_set()) : product(2 * plan_.n_fold);
  }

  at::Tensor has_line(Index set) const {
    return (target_row(targets_.set_weight, set) > 0).to(at::kDouble);
  }

  at::Tensor score(const at::Tensor& train, Index set, Index fold) const {
    const at::Tensor slope = train * unit_row(units_.set_weight, set) * has_line(set);
    const at::Tensor y_norm = target_row(targets_.test_norm, fold);
    if (plan_.score == FoldScore::kPearson) {
      return (slope.sign() * product(fold) * unit_row(units_.test_norm, fold) * y_norm)
          .clamp(-1.0, 1.0);
    }
    at::Tensor gain = slope * (2.0 * product(fold) - slope * unit_row(units_.test_sq, fold));
    if (plan_.score == FoldScore::kR2) {
      const at::Tensor y_diff =
          target_row(targets_.part_mean, fold) - target_row(targets_.set_mean, set);
      const at::Tensor off =
          y_diff - slope * (unit_row(units_.part_mean, fold) - unit_row(units_.set_mean, set));
      gain = gain - part_size(fold) * off * off;
    }
    return gain * y_norm * y_norm;
  }

  /// 1 where a fold has a score of a target.
  at::Tensor counts(Index fold) const {
    return (target_row(targets_.test_sq, fold) > 0).to(at::kDouble);
  }

  at::Tensor mean_score(const std::vector<at::Tensor>& train, std::vector<at::Tensor>& scores) {
    at::Tensor sum = at::zeros_like(products_.front());
    at::Tensor count = at::zeros_like(counts(0));
    for (Index f = 0; f < plan_.n_fold; ++f) {
      scores.push_back(score(train[static_cast<std::size_t>(f)], f, f));
      sum += scores.back() * counts(f);
      count += counts(f);
    }
    return sum / count;
  }

  at::Tensor inner_mean(Index fold) const {
    at::Tensor sum = at::zeros_like(products_.front());
    at::Tensor count = at::zeros_like(counts(0));
    for (Index part = 0; part < plan_.n_fold; ++part) {
      if (part == fold) continue;
      const Index set = plan_.inner_set(fold, part);
      sum += score(merged_set(fold, part, set), set, part) * counts(part);
      count += counts(part);
    }
    return sum / count;
  }

  at::Tensor training_score(const at::Tensor& train, Index set) const {
    return train * train * unit_row(units_.set_weight, set) * has_line(set);
  }

  Winner challenge(const at::Tensor& values, Index rule) {
    const at::Tensor known =
        at::where(values.isnan(), -std::numeric_limits<double>::infinity(), values);
    const auto [most, where] = known.max(1);
    at::Tensor value = best_.value[rule].narrow(0, place_.target, place_.n_target);
    at::Tensor unit = best_.unit[rule].narrow(0, place_.target, place_.n_target);
    const at::Tensor better = most > value;
    value.copy_(at::where(better, most, value));
    unit.copy_(at::where(better, where + place_.unit, unit));
    return {better, where.unsqueeze(1)};
  }

  void keep_score(Index fold, const Winner& winner, const std::vector<at::Tensor>& scores) {
    const at::Tensor found =
        scores[static_cast<std::size_t>(fold)].gather(1, winner.place).squeeze(1);
    const at::Tensor known = at::where(counts(fold).squeeze(1) > 0, found, kNan);
    at::Tensor kept = best_.scores[fold].narrow(0, place_.target, place_.n_target);
    kept.copy_(at::where(winner.better, known, kept));
  }

  const LinePlan& plan_;
  const TilePlace& place_;
  BestUnits& best_;
  const LineMoments& units_;
  const LineMoments& targets_;
  std::vector<at::Tensor> products_;
  std::vector<at::Tensor> train_;
};

}  // namespace

void score_tile_fused(const LinePlan& plan,
                      const at::Tensor& products,
                      const LineMoments& units,
                      const LineMoments& targets,
                      const TilePlace& place,
                      BestUnits& best) {
  switch (plan.score) {
    case FoldScore::kPearson:
      return score_tile_as<FoldScore::kPearson>(plan, products, units, targets, place, best);
    case FoldScore::kR2:
      return score_tile_as<FoldScore::kR2>(plan, products, units, targets, place, best);
    case FoldScore::kExplainedVariance:
      return score_tile_as<FoldScore::kExplainedVariance>(
          plan, products, units, targets, place, best);
    case FoldScore::kMse:
      break;  // refused before
  }
}

void score_tile_aten(const LinePlan& plan,
                     const at::Tensor& products,
                     const LineMoments& units,
                     const LineMoments& targets,
                     const TilePlace& place,
                     BestUnits& best) {
  TensorTile(plan, products, units, targets, place, best).take();
}

}  // namespace dnnbrain
