#include "dnnbrain/kernels/reweighting.hpp"

#include <cmath>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

constexpr Index kCond = 16;
constexpr Index kSubject = 6;

Matrix draw(Index n, unsigned seed) {
  const Index m = pair_count(kCond);
  const auto values = naive::levels(static_cast<std::size_t>(n * m), 1000, seed);
  return Eigen::Map<const Matrix>(values.data(), n, m);
}

SplitPlan plan_of(Index n_test_subject) {
  SplitPlan plan;
  plan.n_cond = kCond;
  plan.n_subject = kSubject;
  plan.n_split = 5;
  plan.n_test_cond = 6;
  plan.n_test_subject = n_test_subject;
  plan.seed = 3;
  return plan;
}

Reweighting run(const Matrix& models,
                const Matrix& subjects,
                const SplitPlan& plan,
                int n_threads,
                Comparator comparator = Comparator::kCorr) {
  Monitor monitor;
  return reweight_rdms(models, subjects, plan, 7, comparator, n_threads, monitor);
}

}  // namespace

TEST(the_sum_of_a_single_model_is_that_model) {
  const Matrix models = draw(1, 1);
  const Matrix subjects = models.replicate(kSubject, 1) + 0.01 * draw(kSubject, 2);
  for (const Comparator comparator : {Comparator::kCorr, Comparator::kTauA, Comparator::kRhoA}) {
    const auto result = run(models, subjects, plan_of(2), 1, comparator);
    CHECK((result.scores.col(0) - result.scores.col(1)).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((result.weights.array() == 1).all());
    CHECK(result.scores.minCoeff() > 0.9);
  }
}

TEST(weights_find_the_models_that_subjects_are_sums_of) {
  const Matrix models = draw(4, 3);
  const Matrix subjects =
      (models.row(0) + 3 * models.row(2)).replicate(kSubject, 1) + 0.001 * draw(kSubject, 4);
  for (const Index held_out : {Index{0}, Index{2}}) {
    const auto result = run(models, subjects, plan_of(held_out), 1);
    CHECK((result.scores.col(4).array() > 0.999).all());
    CHECK((result.scores.leftCols(4).array() < 0.99).all());
    CHECK_NEAR(result.weights(0, 0), 0.25, 1e-3);
    CHECK_NEAR(result.weights(0, 2), 0.75, 1e-3);
  }
}

TEST(splits_do_not_depend_on_threads) {
  const Matrix models = draw(3, 5);
  const Matrix subjects = draw(kSubject, 6);
  const auto one = run(models, subjects, plan_of(1), 1, Comparator::kTauB);
  const auto three = run(models, subjects, plan_of(1), 3, Comparator::kTauB);
  CHECK(one.scores == three.scores);
  CHECK(one.ceilings == three.ceilings);
  CHECK(one.weights == three.weights);
}

TEST(sample_zero_is_the_data_and_others_are_not) {
  const SplitPlan plan = plan_of(2);
  const auto sum = [](const std::vector<Index>& a, const std::vector<Index>& b) {
    std::vector<Index> out = a;
    for (std::size_t i = 0; i < a.size(); ++i) out[i] += b[i];
    return out;
  };
  const SampleSplit first = draw_split(plan, 0, 1);
  CHECK_EQUAL(sum(first.train_conditions, first.test_conditions), std::vector<Index>(kCond, 1));
  CHECK_EQUAL(sum(first.train_subjects, first.test_subjects), std::vector<Index>(kSubject, 1));
  const SampleSplit second = draw_split(plan, 1, 1);
  CHECK(sum(second.train_conditions, second.test_conditions) != std::vector<Index>(kCond, 1));
  CHECK(draw_split(plan, 1, 2).test_conditions != second.test_conditions);
}

TEST(impossible_plans_are_refused) {
  SplitPlan plan = plan_of(2);
  plan.n_test_cond = 2;
  CHECK_THROWS(InvalidArgument, draw_split(plan, 0, 0));
  plan.n_test_cond = kCond - 2;
  CHECK_THROWS(InvalidArgument, draw_split(plan, 0, 0));
  plan = plan_of(kSubject);
  CHECK_THROWS(InvalidArgument, draw_split(plan, 0, 0));
  const Matrix models = draw(2, 7);
  CHECK_THROWS(InvalidArgument, run(models.leftCols(9), draw(kSubject, 8), plan_of(1), 1));
  Matrix flat = models;
  flat.row(1).setConstant(0.3);
  CHECK_THROWS(InvalidArgument, run(flat, draw(kSubject, 8), plan_of(1), 1));
}
