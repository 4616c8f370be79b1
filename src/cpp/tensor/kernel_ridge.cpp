#include "dnnbrain/tensor/kernel_ridge.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_pinv.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/target_tiles.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Eigenvalues this far below every alpha add nothing that larger ones do not.
constexpr double kFarBelow = 1e-3;

/// Filters in the values' own precision: what a skeleton may be off by.
double skeleton_tolerance(const at::Tensor& responses) {
  return responses.scalar_type() == at::kFloat ? 1e-5 : 1e-13;
}

/// Householder vectors whose reflections take the columns of Z to the first axes.
std::vector<at::Tensor> reflectors(const at::Tensor& nuisance) {
  at::Tensor rest = nuisance.clone();
  std::vector<at::Tensor> vectors;
  for (Index column = 0; column < nuisance.size(1); ++column) {
    at::Tensor v = rest.select(1, column).clone();
    v.narrow(0, 0, column).zero_();
    const double length = at::linalg_vector_norm(v).item<double>();
    DNNBRAIN_REQUIRE(
        length > 1e-12 * at::linalg_vector_norm(nuisance.select(1, column)).item<double>(),
        "nuisance columns must be linearly independent, and of the intercept; column ",
        column,
        " is not.");
    const double lead = v[column].item<double>();
    v[column] += lead < 0 ? -length : length;
    v /= at::linalg_vector_norm(v);
    rest -= 2.0 * at::outer(v, rest.t().mv(v));
    vectors.push_back(std::move(v));
  }
  return vectors;
}

/// Rows that train a fold, those that do not, and where among these are the held-out ones.
struct Split {
  at::Tensor train;   // (n_train,)
  at::Tensor others;  // (n_other,) the complement
  at::Tensor test;    // (n_test,)
  at::Tensor place;   // (n_test,) of test in others
};

Split split_rows(const Fold& fold, Index n) {
  at::Tensor outside = at::ones({n}, fold.train.options().dtype(at::kBool));
  outside.index_fill_(0, fold.train, false);
  const at::Tensor others = outside.nonzero().flatten();
  at::Tensor where = at::zeros({n}, fold.train.options());
  where.index_copy_(0, others, at::arange(others.size(0), others.options()));
  return {fold.train, others, fold.test, where.index_select(0, fold.test)};
}

/// All that a fold needs: operators from training to held-out rows, of each member of the skeleton.
struct FoldOperators {
  Split rows;
  at::Tensor beyond;        // (n_member * n_test, n_train) in the responses' dtype
  at::Tensor nuisance;      // (n_test, z)
  at::Tensor nuisance_fit;  // (z, n_train)
  at::Tensor ones;          // (n_test,)
};

/// Rows of a fold, as the operators of every penalty need them.
struct FoldRows {
  at::Tensor others;     // W_others (n_other, n - z)
  at::Tensor place;      // (n_test,) of the held-out among the others
  at::Tensor train;      // W_train' (n - z, n_train) in the responses' dtype
  at::Tensor through_z;  // W_others' Z_others (n - z, z)
  at::Tensor fit;        // Z_train^+ (z, n_train)
  double largest = 0;    // eigenvalue
};

/// The operator of one penalty, (n_test, n_train).
at::Tensor fold_operator(const FoldRows& rows, const at::Tensor& values, double alpha) {
  const at::Tensor inverse = (values + alpha).reciprocal();
  const at::Tensor residual = rows.others * (alpha * inverse);
  const at::Tensor left = at::mm(residual, rows.others.t());
  const auto [lower, failed] = at::linalg_cholesky_ex(left);
  if (failed.item<int>() != 0) {
    throw NumericalError(message("alpha = ",
                                 alpha,
                                 " is below the rounding of the kernel: the held-out block of a "
                                 "fold has no inverse. Use larger alphas."));
  }
  // H + R is the projection off Z, which takes both terms to nothing: either filter will do, and
  // the one that is not close to that projection keeps its digits.
  const at::Tensor filtered =
      alpha < rows.largest ? residual.neg_() : rows.others * (values * inverse);
  // R_SS^-1 W_S r is no longer than R_SS^-1/2: it may be rounded to the responses' dtype before the
  // long product. Where it will be, the faster explicit inverse is exact enough.
  const bool rounds = rows.train.scalar_type() != at::kDouble;
  const at::Tensor reach =
      rounds ? at::mm(at::cholesky_inverse(lower).index_select(0, rows.place), filtered)
             : at::cholesky_solve(filtered, lower).index_select(0, rows.place);
  at::Tensor operators = at::mm(reach.to(rows.train.scalar_type()), rows.train);
  if (rows.fit.size(0) > 0) operators += at::mm(at::mm(reach, rows.through_z), rows.fit);
  return operators;
}

FoldOperators fold_operators(const KernelFactor& factor,
                             const at::Tensor& ones,
                             const Fold& fold,
                             const std::vector<double>& alphas,
                             const AlphaSkeleton& skeleton,
                             at::ScalarType dtype) {
  FoldOperators out;
  out.rows = split_rows(fold, factor.vectors.size(0));
  const at::Tensor z_train = factor.nuisance.index_select(0, out.rows.train);
  const at::Tensor z_other = factor.nuisance.index_select(0, out.rows.others);
  FoldRows rows;
  rows.others = factor.vectors.index_select(0, out.rows.others);
  rows.place = out.rows.place;
  rows.train = factor.vectors.index_select(0, out.rows.train).to(dtype).t();
  rows.through_z = at::mm(rows.others.t(), z_other);
  rows.fit = factor.nuisance.size(1) > 0 ? at::linalg_pinv(z_train) : z_train.t();
  rows.largest = factor.values[factor.values.size(0) - 1].item<double>();

  const Index n_test = out.rows.test.size(0);
  const Index n_member = skeleton.n_member();
  out.beyond =
      at::empty({n_member * n_test, rows.train.size(1)}, factor.vectors.options().dtype(dtype));
  for_each_task(n_member, factor.vectors.is_cpu(), [&](Index j) {
    const Index member = skeleton.members[static_cast<std::size_t>(j)];
    out.beyond.narrow(0, j * n_test, n_test)
        .copy_(fold_operator(rows, factor.values, alphas[static_cast<std::size_t>(member)]));
  });
  out.nuisance = factor.nuisance.index_select(0, out.rows.test).to(dtype);
  out.nuisance_fit = rows.fit.to(dtype);
  out.ones = ones.index_select(0, out.rows.test).to(dtype);
  return out;
}

AlphaSkeleton skeleton_of(const KernelFactor& factor,
                          const std::vector<double>& alphas,
                          double tolerance,
                          Filter filter) {
  const Index n_value = factor.values.size(0);
  DNNBRAIN_REQUIRE(!alphas.empty(), "there must be at least one alpha.");
  const double largest = n_value > 0 ? factor.values[n_value - 1].item<double>() : 0.0;
  const double smallest = n_value > 0 ? factor.values[0].item<double>() : 0.0;
  // Eigenvalues of a fold interlace those of the whole. Where some of these are zero, a fold's may
  // be anything above; below the smallest alpha all filters fall off alike.
  const double bound =
      smallest > 0 ? smallest : *std::min_element(alphas.begin(), alphas.end()) * kFarBelow;
  return alpha_skeleton(alphas, bound, largest, tolerance, filter);
}

void check(const KernelFactor& factor, const at::Tensor& responses, const at::Tensor& ones) {
  const Index n = factor.vectors.size(0);
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == n,
                   "responses must have shape (",
                   n,
                   ", n_target), one row per row of the kernel.");
  DNNBRAIN_REQUIRE(responses.scalar_type() == at::kFloat || responses.scalar_type() == at::kDouble,
                   "responses must be float32 or float64.");
  DNNBRAIN_REQUIRE(ones.dim() == 1 && ones.size(0) == n, "ones must have shape (", n, ",).");
}

}  // namespace

KernelFactor factor_kernel(const at::Tensor& kernel, const at::Tensor& nuisance) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(
      kernel.dim() == 2 && kernel.size(0) == kernel.size(1) && kernel.scalar_type() == at::kDouble,
      "kernel must be a square float64 matrix.");
  const Index n = kernel.size(0);
  DNNBRAIN_REQUIRE(nuisance.dim() == 2 && nuisance.size(0) == n && nuisance.size(1) < n,
                   "nuisance must have shape (",
                   n,
                   ", z) with z < ",
                   n,
                   ".");
  const Index z = nuisance.size(1);
  const std::vector<at::Tensor> mirrors = reflectors(nuisance);
  at::Tensor reflected = kernel.clone();
  for (const at::Tensor& v : mirrors) {
    reflected -= 2.0 * at::outer(v, reflected.t().mv(v));
    reflected -= 2.0 * at::outer(reflected.mv(v), v);
  }
  const at::Tensor inner = reflected.narrow(0, z, n - z).narrow(1, z, n - z);
  auto [values, vectors] = at::linalg_eigh(inner);
  // Z takes dimensions away; what is left of them is rounding, and weighs nothing.
  const double floor = static_cast<double>(n) * std::numeric_limits<double>::epsilon() *
                       std::max(0.0, values[n - z - 1].item<double>());
  values = at::where(values > floor, values, at::zeros_like(values));
  at::Tensor whole = at::zeros({n, n - z}, kernel.options());
  whole.narrow(0, z, n - z).copy_(vectors);
  for (auto v = mirrors.rbegin(); v != mirrors.rend(); ++v) {
    whole -= 2.0 * at::outer(*v, whole.t().mv(*v));
  }
  return {whole, values, nuisance};
}

GridScores cross_validate_kernel_ridge(const KernelFactor& factor,
                                       const at::Tensor& responses,
                                       const at::Tensor& ones,
                                       const std::vector<Fold>& folds,
                                       const std::vector<double>& alphas,
                                       RidgeScore score,
                                       bool keep_folds,
                                       Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check(factor, responses, ones);
  const Index n_target = responses.size(1);
  const Index n_fold = static_cast<Index>(folds.size());
  const TargetTiles tiles(responses, factor.nuisance);
  GridCollector collector(
      skeleton_of(factor, alphas, skeleton_tolerance(responses), Filter::kPrediction),
      static_cast<Index>(alphas.size()),
      n_target,
      n_fold,
      score,
      keep_folds);
  const Index n_member = collector.skeleton().n_member();

  monitor.start(n_fold * n_target);
  for (Index f = 0; f < n_fold; ++f) {
    const FoldOperators fold = fold_operators(factor,
                                              ones,
                                              folds[static_cast<std::size_t>(f)],
                                              alphas,
                                              collector.skeleton(),
                                              responses.scalar_type());
    const at::Tensor beyond = fold.beyond.t();
    const Index n_test = fold.rows.test.size(0);
    tiles.for_each(monitor, [&](Index first, Index n_tile) {
      const TargetTile targets = tiles.read(first, n_tile);
      const at::Tensor train = targets.rows.index_select(1, fold.rows.train);
      at::Tensor test = targets.rows.index_select(1, fold.rows.test);
      if (fold.nuisance.size(1) > 0) {
        test -= at::mm(at::mm(train, fold.nuisance_fit.t()), fold.nuisance.t());
      }
      TileScores tile;
      tile.predicted = at::mm(train, beyond).view({n_tile, n_member, n_test});
      tile.measured = test;
      tile.ones = fold.ones;
      tile.held_out = describe_held_out(test, fold.ones, targets.magnitudes);
      collector.add(f, first, tile);
    });
  }
  return collector.finish();
}

GridScores leave_one_out_kernel_ridge(const KernelFactor& factor,
                                      const at::Tensor& responses,
                                      const at::Tensor& ones,
                                      const std::vector<double>& alphas,
                                      RidgeScore score,
                                      Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check(factor, responses, ones);
  const auto options = factor.vectors.options();
  const auto dtype = responses.scalar_type();
  const Index n_alpha = static_cast<Index>(alphas.size());
  const Index n_target = responses.size(1);
  const AlphaSkeleton skeleton =
      skeleton_of(factor, alphas, skeleton_tolerance(responses), Filter::kResidual);
  const Index n_member = skeleton.n_member();

  const at::Tensor grid = at::tensor(alphas, options);
  const at::Tensor left = grid / (factor.values.unsqueeze(1) + grid);  // (n - z, n_alpha)
  const at::Tensor own = at::mm(factor.vectors * factor.vectors, left);
  DNNBRAIN_REQUIRE((own > 0).all().item<bool>(),
                   "every stimulus must leave something to predict when it is held out; one is "
                   "fitted by nuisance columns alone.");
  const at::Tensor inverse = own.reciprocal().t().to(dtype).contiguous();  // (n_alpha, n)
  const at::Tensor members = at::tensor(skeleton.members, options.dtype(at::kLong));
  const at::Tensor filters = left.index_select(1, members).t().to(dtype);  // (n_member, n - z)
  const at::Tensor coefs = at::tensor(skeleton.coefs, options).view({n_alpha, n_member}).to(dtype);
  const at::Tensor vectors = factor.vectors.to(dtype);
  const TargetTiles tiles(responses, factor.nuisance);
  const at::Tensor one = ones.to(dtype);

  at::Tensor scores = at::empty({n_alpha, n_target}, at::kDouble);
  double* const out = scores.mutable_data_ptr<double>();
  monitor.start(n_target);
  tiles.for_each(monitor, [&](Index first, Index n_tile) {
    const TargetTile targets = tiles.read(first, n_tile);
    const at::Tensor& y = targets.rows;
    const std::vector<HeldOut> held_out = describe_held_out(y, one, targets.magnitudes);
    const at::Tensor rotated = at::mm(y, vectors);
    const at::Tensor residuals =
        at::mm((rotated.unsqueeze(1) * filters).reshape({n_tile * n_member, -1}), vectors.t())
            .view({n_tile, n_member, -1});
    for (Index t = 0; t < n_tile; ++t) {
      const at::Tensor left_out = at::mm(coefs, residuals[t]).mul_(inverse);  // (n_alpha, n)
      const at::Tensor predicted = y[t] - left_out;
      const at::Tensor sums = predicted.mv(one).to(at::kDouble).cpu();
      const at::Tensor cross = predicted.mv(y[t]).to(at::kDouble).cpu();
      const at::Tensor squares = (predicted * predicted).sum(1, false, at::kDouble).cpu();
      for (Index a = 0; a < n_alpha; ++a) {
        const PredictionSums sum{sums.const_data_ptr<double>()[a],
                                 cross.const_data_ptr<double>()[a],
                                 squares.const_data_ptr<double>()[a]};
        out[a * n_target + first + t] =
            score_prediction(sum, held_out[static_cast<std::size_t>(t)], score);
      }
    }
  });
  return {scores, {}};
}

at::Tensor solve_kernel_ridge(const KernelFactor& factor,
                              const at::Tensor& responses,
                              const at::Tensor& alphas) {
  const at::NoGradGuard no_grad;
  check(factor, responses, factor.values.new_ones({responses.size(0)}));
  const auto dtype = responses.scalar_type();
  const TargetTiles tiles(responses, factor.nuisance);
  const at::Tensor vectors = factor.vectors.to(dtype);
  at::Tensor dual = at::empty(responses.sizes(), responses.options());
  Monitor quiet;
  tiles.for_each(quiet, [&](Index first, Index n_tile) {
    const at::Tensor y = tiles.read(first, n_tile).rows;
    const at::Tensor penalised = factor.values + alphas.narrow(0, first, n_tile).unsqueeze(1);
    // Without a penalty, directions without variance have no weight, as in a pseudoinverse.
    const at::Tensor inverse =
        at::where(penalised > 0, penalised.reciprocal(), at::zeros_like(penalised)).to(dtype);
    dual.narrow(1, first, n_tile).copy_(at::mm(at::mm(y, vectors).mul_(inverse), vectors.t()).t());
  });
  return dual;
}

}  // namespace dnnbrain
