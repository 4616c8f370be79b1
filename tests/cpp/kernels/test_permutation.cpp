#include "dnnbrain/kernels/permutation.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/relabelling.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

constexpr std::array kComparators{Comparator::kCorr,
                                  Comparator::kCosine,
                                  Comparator::kSpearman,
                                  Comparator::kRhoA,
                                  Comparator::kTauA,
                                  Comparator::kTauB,
                                  Comparator::kCosineCov,
                                  Comparator::kCorrCov};

/// (n_rdm, n_pair) with few distinct values: ties within RDMs and among scores.
Matrix rdms(Index n_rdm, Index n_cond, int n_level, unsigned seed) {
  Matrix out(n_rdm, pair_count(n_cond));
  const auto values = naive::levels(static_cast<std::size_t>(out.size()), n_level, seed);
  std::copy(values.begin(), values.end(), out.data());
  return out;
}

std::vector<double> row(const Matrix& matrix, Index index) {
  return {matrix.row(index).begin(), matrix.row(index).end()};
}

PermutationResult run(const Matrix& models,
                      const Matrix& subjects,
                      Index n_cond,
                      const PermutationOptions& options) {
  Monitor monitor;
  return permutation_test(models, subjects, n_cond, options, monitor);
}

/// Every count of a result, from its own permuted scores.
void check_families(const PermutationResult& result, Alternative alternative) {
  const auto extremeness = [&](double score) {
    if (alternative == Alternative::kGreater) return score;
    return alternative == Alternative::kLess ? -score : std::abs(score);
  };
  const Index n_model = result.scores.rows();
  const Index n_subject = result.scores.cols();
  const auto score = [&](Index order, Index model, Index subject) {
    return extremeness(order < 0 ? result.scores(model, subject)
                                 : result.null(order, model * n_subject + subject));
  };
  const auto group = [&](Index order, Index model) {
    double sum = 0;
    for (Index subject = 0; subject < n_subject; ++subject) {
      sum += order < 0 ? result.scores(model, subject)
                       : result.null(order, model * n_subject + subject);
    }
    return extremeness(sum / static_cast<double>(n_subject));
  };
  constexpr double kSlack = 1e-12;
  for (Index model = 0; model < n_model; ++model) {
    Index group_count = 0;
    Index group_of_most = 0;
    for (Index order = 0; order < result.null.rows(); ++order) {
      double most = group(order, 0);
      for (Index other = 1; other < n_model; ++other) most = std::max(most, group(order, other));
      group_count += group(order, model) >= group(-1, model) - kSlack;
      group_of_most += most >= group(-1, model) - kSlack;
    }
    CHECK_EQUAL(result.exceed.group(model, 0), group_count);
    CHECK_EQUAL(result.exceed.group_of_most(model, 0), group_of_most);
    for (Index subject = 0; subject < n_subject; ++subject) {
      Index each = 0;
      Index each_of_most = 0;
      for (Index order = 0; order < result.null.rows(); ++order) {
        double most = score(order, 0, subject);
        for (Index other = 1; other < n_model; ++other) {
          most = std::max(most, score(order, other, subject));
        }
        each += score(order, model, subject) >= score(-1, model, subject) - kSlack;
        each_of_most += most >= score(-1, model, subject) - kSlack;
      }
      CHECK_EQUAL(result.exceed.each(model, subject), each);
      CHECK_EQUAL(result.exceed.each_of_most(model, subject), each_of_most);
    }
  }
}

bool same(const PermutationResult& a, const PermutationResult& b) {
  return a.scores == b.scores && a.exceed.each == b.exceed.each &&
         a.exceed.group == b.exceed.group && a.exceed.each_of_most == b.exceed.each_of_most &&
         a.exceed.group_of_most == b.exceed.group_of_most && a.null == b.null;
}

}  // namespace

// tau-a of one model is S over the same number for every subject and permutation: extremeness, of
// the group as well, can be decided in integers.
TEST(exceedances_match_integer_counts_over_relabelled_rdms) {
  constexpr Index kCond = 5;  // 120 relabellings: most scores come more than once
  constexpr Index kPerm = 400;
  // An odd number of subjects, so that rows of doubles lie at every alignment.
  const Matrix models = rdms(3, kCond, 4, 1);
  const Matrix subjects = rdms(7, kCond, 5, 2);
  for (const Alternative alternative :
       {Alternative::kGreater, Alternative::kLess, Alternative::kTwoSided}) {
    const auto extreme = [&](Index permuted, Index observed) {
      if (alternative == Alternative::kGreater) return permuted >= observed;
      if (alternative == Alternative::kLess) return permuted <= observed;
      return std::abs(permuted) >= std::abs(observed);
    };
    CountMatrix exceed = CountMatrix::Zero(3, 7);
    CountMatrix group_exceed = CountMatrix::Zero(3, 1);
    for (Index model = 0; model < 3; ++model) {
      const auto x = row(models, model);
      for (Index i = 0; i < kPerm; ++i) {
        std::vector<std::int32_t> order(kCond);
        random_permutation(11, static_cast<std::uint64_t>(i), order);
        const auto relabelled = naive::relabel(x, order);
        Index sum_observed = 0;
        Index sum_permuted = 0;
        for (Index subject = 0; subject < 7; ++subject) {
          const auto y = row(subjects, subject);
          const Index observed = naive::kendall_s(x, y);
          const Index permuted = naive::kendall_s(relabelled, y);
          exceed(model, subject) += extreme(permuted, observed);
          sum_observed += observed;
          sum_permuted += permuted;
        }
        group_exceed(model, 0) += extreme(sum_permuted, sum_observed);
      }
    }
    for (const int n_threads : {1, 2, 3}) {
      const auto result = run(models,
                              subjects,
                              kCond,
                              {Comparator::kTauA, alternative, kPerm, 11, n_threads, false, true});
      check_families(result, alternative);
      CHECK_EQUAL(result.exceed.each, exceed);
      CHECK_EQUAL(result.exceed.group, group_exceed);
    }
  }
}

TEST(scores_match_the_definitions) {
  const Matrix models = rdms(2, 12, 6, 3);
  const Matrix subjects = rdms(3, 12, 9, 4);
  const auto tau_a = run(models, subjects, 12, {.comparator = Comparator::kTauA});
  const auto tau_b = run(models, subjects, 12, {.comparator = Comparator::kTauB});
  const auto corr = run(models, subjects, 12, {.comparator = Comparator::kCorr});
  const double all = 66 * 65 / 2.0;
  for (Index i = 0; i < 2; ++i) {
    for (Index j = 0; j < 3; ++j) {
      const auto x = row(models, i);
      const auto y = row(subjects, j);
      const double s = static_cast<double>(naive::kendall_s(x, y));
      const double untied_x = all - static_cast<double>(naive::tied_pairs(x));
      const double untied_y = all - static_cast<double>(naive::tied_pairs(y));
      CHECK_NEAR(tau_a.scores(i, j), s / all, 1e-15);
      CHECK_NEAR(tau_b.scores(i, j), s / std::sqrt(untied_x * untied_y), 1e-14);
      const auto px = prepare_for_dot(x, Comparator::kCorr);
      const auto py = prepare_for_dot(y, Comparator::kCorr);
      CHECK_NEAR(
          corr.scores(i, j), std::inner_product(px.begin(), px.end(), py.begin(), 0.0), 1e-13);
    }
  }
}

TEST(results_are_the_same_bits_for_any_thread_count) {
  const Matrix models = rdms(2, 9, 20, 5);
  const Matrix subjects = rdms(5, 9, 20, 6);
  for (const Comparator comparator : kComparators) {
    PermutationOptions options{comparator, Alternative::kTwoSided, 301, 1, 1};
    const auto alone = run(models, subjects, 9, options);
    for (const int n_threads : {2, 3, 7}) {
      options.n_threads = n_threads;
      CHECK(same(run(models, subjects, 9, options), alone));
    }
  }
}

TEST(models_and_subjects_do_not_see_each_other) {
  const Matrix models = rdms(3, 8, 15, 7);
  const Matrix subjects = rdms(4, 8, 15, 8);
  for (const Comparator comparator : kComparators) {
    const PermutationOptions options{comparator, Alternative::kGreater, 97, 5, 2};
    const auto together = run(models, subjects, 8, options);
    for (Index i = 0; i < 3; ++i) {
      for (Index j = 0; j < 4; ++j) {
        const auto single = run(models.row(i), subjects.row(j), 8, options);
        CHECK_NEAR(single.scores(0, 0), together.scores(i, j), 1e-14);
        CHECK_EQUAL(single.exceed.each(0, 0), together.exceed.each(i, j));
        CHECK_EQUAL(single.exceed.group(0, 0), together.exceed.each(i, j));
      }
    }
  }
}

TEST(relabelling_both_rdms_keeps_the_scores) {
  const Matrix model = rdms(1, 10, 12, 9);
  const Matrix subject = rdms(1, 10, 12, 10);
  std::vector<std::int32_t> order(10);
  random_permutation(1, 0, order);
  const auto relabelled = [&](const Matrix& rdm) {
    const auto values = naive::relabel(row(rdm, 0), order);
    return Matrix(Eigen::Map<const Matrix>(values.data(), 1, rdm.cols()));
  };
  for (const Comparator comparator : kComparators) {
    const PermutationOptions options{.comparator = comparator};
    CHECK_NEAR(run(relabelled(model), relabelled(subject), 10, options).scores(0, 0),
               run(model, subject, 10, options).scores(0, 0),
               1e-13);
  }
}

TEST(rank_comparators_see_only_the_order_of_values) {
  const Matrix models = rdms(1, 9, 12, 11);
  const Matrix subjects = rdms(2, 9, 12, 12);
  const Matrix bent = (3 * models.array()).exp();
  for (const Comparator comparator :
       {Comparator::kSpearman, Comparator::kRhoA, Comparator::kTauA, Comparator::kTauB}) {
    const PermutationOptions options{comparator, Alternative::kTwoSided, 50, 2, 1};
    CHECK(same(run(bent, subjects, 9, options), run(models, subjects, 9, options)));
  }
}

// Of the six relabellings of three conditions one is the identity; all scores of a model equal to
// the subject are at most the observed one.
TEST(the_identity_counts_as_at_least_as_extreme) {
  Matrix rdm(1, 3);
  rdm << 0.1, 0.7, 0.3;
  for (const Comparator comparator : kComparators) {
    const auto result = run(rdm, rdm, 3, {comparator, Alternative::kGreater, 600, 4, 2});
    Index identities = 0;
    for (std::uint64_t i = 0; i < 600; ++i) {
      std::vector<std::int32_t> order(3);
      random_permutation(4, i, order);
      identities += order == std::vector<std::int32_t>{0, 1, 2};
    }
    CHECK(identities > 50);
    CHECK_EQUAL(result.exceed.each(0, 0), identities);
    CHECK_EQUAL(result.exceed.group(0, 0), identities);
  }
}

TEST(all_relabellings_are_each_gone_through_once) {
  for (const Index n : {1, 2, 3, 5}) {
    const Relabellings all = Relabellings::all(n);
    std::vector<std::int32_t> expected(static_cast<std::size_t>(n));
    std::iota(expected.begin(), expected.end(), 0);
    Index number = 0;
    do {
      std::vector<std::int32_t> order(static_cast<std::size_t>(n));
      all.write(number++, order);
      CHECK_EQUAL(order, expected);
    } while (std::next_permutation(expected.begin(), expected.end()));
    CHECK_EQUAL(all.count(), number);
  }
  CHECK_THROWS(InvalidArgument, Relabellings::all(Relabellings::kMostExhausted + 1));
}

TEST(an_exhaustive_test_counts_every_relabelling_and_begins_with_the_identity) {
  const Matrix models = rdms(2, 5, 6, 13);
  const Matrix subjects = rdms(3, 5, 6, 14);
  for (const Comparator comparator : kComparators) {
    for (const Alternative alternative :
         {Alternative::kGreater, Alternative::kLess, Alternative::kTwoSided}) {
      const auto result = run(models, subjects, 5, {comparator, alternative, 0, 0, 2, true, true});
      CHECK_EQUAL(result.n_relabelling, 120);
      CHECK_EQUAL(result.null.rows(), 120);
      check_families(result, alternative);
      for (Index i = 0; i < 6; ++i) CHECK_EQUAL(result.null(0, i), result.scores(i / 3, i % 3));
    }
  }
}

TEST(controls_are_taken_out_as_the_formula_says) {
  const Matrix models = rdms(2, 9, 50, 15);
  const Matrix subjects = rdms(3, 9, 50, 16);
  const Matrix controls = rdms(1, 9, 50, 17);
  for (const Comparator comparator : {Comparator::kCorr, Comparator::kTauB}) {
    const PermutationOptions plain{comparator, Alternative::kGreater, 40, 3, 1, false, true};
    const auto xy = run(models, subjects, 9, plain);
    const auto xz = run(models, controls, 9, plain);
    const auto zy = run(controls, subjects, 9, plain).scores;
    for (const Removal removal : {Removal::kPartial, Removal::kSemiPartial}) {
      PermutationOptions options = plain;
      options.controls = controls;
      options.removal = removal;
      const auto result = run(models, subjects, 9, options);
      check_families(result, Alternative::kGreater);
      for (Index order = -1; order < 40; ++order) {
        for (Index i = 0; i < 2; ++i) {
          for (Index j = 0; j < 3; ++j) {
            const double r_xy = order < 0 ? xy.scores(i, j) : xy.null(order, 3 * i + j);
            const double r_xz = order < 0 ? xz.scores(i, 0) : xz.null(order, i);
            const double r_zy = zy(0, j);
            double expected = (r_xy - r_xz * r_zy) / std::sqrt(1 - r_xz * r_xz);
            if (removal == Removal::kPartial) expected /= std::sqrt(1 - r_zy * r_zy);
            CHECK_NEAR(
                order < 0 ? result.scores(i, j) : result.null(order, 3 * i + j), expected, 1e-13);
          }
        }
      }
    }
  }
}

TEST(controls_that_leave_nothing_are_refused) {
  const Matrix models = rdms(2, 9, 50, 15);
  const Matrix subjects = rdms(3, 9, 50, 16);
  const auto without = [&](const Matrix& controls) {
    PermutationOptions options{.comparator = Comparator::kCorr};
    options.controls = controls;
    return run(models, subjects, 9, options);
  };
  CHECK_THROWS(InvalidArgument, without(models.row(1)));
  CHECK_THROWS(InvalidArgument, without(subjects.row(1)));
  Matrix twice(2, models.cols());
  twice << rdms(1, 9, 50, 18), rdms(1, 9, 50, 18);
  CHECK_THROWS(InvalidArgument, without(twice));
  CHECK_THROWS(InvalidArgument, without(rdms(1, 8, 50, 18)));
}

TEST(without_permutations_there_are_scores_alone) {
  const auto result = run(rdms(2, 5, 50, 1), rdms(3, 5, 50, 2), 5, {});
  CHECK_EQUAL(result.scores.rows() * result.scores.cols(), 6);
  CHECK_EQUAL(result.exceed.each.sum() + result.exceed.group.sum(), 0);
}

TEST(cancelling_throws) {
  Monitor monitor([](Index, Index) { return false; });
  CHECK_THROWS(
      Cancelled,
      permutation_test(rdms(1, 30, 50, 1), rdms(1, 30, 50, 2), 30, {.n_perm = 9}, monitor));
}

TEST(shapes_and_options_are_checked) {
  const Matrix good = rdms(1, 5, 50, 1);
  CHECK_THROWS(InvalidArgument, run(good, good, 6, {}));
  CHECK_THROWS(InvalidArgument, run(rdms(1, 2, 50, 1), rdms(1, 2, 50, 1), 2, {}));
  CHECK_THROWS(InvalidArgument, run(good, good, 5, {.n_perm = -1}));
  CHECK_THROWS(InvalidArgument, run(good, good, 5, {.n_threads = 0}));
  CHECK_THROWS(InvalidArgument, run(Matrix::Zero(1, 10), good, 5, {}));
  CHECK_THROWS(InvalidArgument, run(Matrix(0, 10), good, 5, {}));
  CHECK_THROWS(InvalidArgument, run(good, Matrix(0, 10), 5, {}));
}
