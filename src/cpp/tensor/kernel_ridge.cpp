#include "dnnbrain/tensor/kernel_ridge.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_cholesky_ex.h>
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
#include <map>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/eigenpairs.hpp"
#include "dnnbrain/tensor/row_panels.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/target_tiles.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Eigenvalues this far below every alpha add nothing that larger ones do not.
constexpr double kFarBelow = 1e-3;

/// A penalty of more than the largest eigenvalue over this asks for no more digits than the
/// responses have: operators are then worked out in their dtype.
constexpr double kWellConditioned = 8;

/// Up to this order penalties are worked on side by side; beyond, each would take too much memory.
constexpr Index kParallelOrder = 2048;

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
  at::Tensor left_out;      // (n_other,) places of the others among the rows of a filter
  at::Tensor fit;           // Z_train^+ (z, n_train) fp64
  at::Tensor z_other;       // (n_other, z) fp64
  at::Tensor projection;    // (n_other, n_other) fp64, W W': what R and H add up to
  at::Tensor beyond;        // (n_member * n_test, n_train) in the responses' dtype, until packed
  PackedRows packed;        // the same
  at::Tensor nuisance;      // (n_test, z), likewise
  at::Tensor nuisance_fit;  // (z, n_train), likewise
  at::Tensor ones;          // (n_test,), likewise
};

FoldOperators empty_operators(const KernelFactor& factor,
                              const at::Tensor& ones,
                              const Fold& fold,
                              Index n_member,
                              at::ScalarType dtype) {
  FoldOperators out;
  out.rows = split_rows(fold, factor.vectors.size(0));
  const at::Tensor z_train = factor.nuisance.index_select(0, out.rows.train);
  out.fit = factor.nuisance.size(1) > 0 ? at::linalg_pinv(z_train) : z_train.t();
  out.z_other = factor.nuisance.index_select(0, out.rows.others);
  out.projection = symmetric_product(factor.vectors.index_select(0, out.rows.others));
  out.beyond = at::empty({n_member * out.rows.test.size(0), out.rows.train.size(0)},
                         factor.vectors.options().dtype(dtype));
  out.nuisance = factor.nuisance.index_select(0, out.rows.test).to(dtype);
  out.nuisance_fit = out.fit.to(dtype);
  out.ones = ones.index_select(0, out.rows.test).to(dtype);
  return out;
}

/// Rows that some fold leaves out; tells each fold where its own are among them.
at::Tensor rows_left_out(std::vector<FoldOperators>& folds, Index n) {
  at::Tensor any = at::zeros({n}, folds[0].rows.train.options().dtype(at::kBool));
  for (const FoldOperators& fold : folds) any.index_fill_(0, fold.rows.others, true);
  const at::Tensor rows = any.nonzero().flatten();
  at::Tensor place = at::zeros({n}, rows.options());
  place.index_copy_(0, rows, at::arange(rows.size(0), rows.options()));
  for (FoldOperators& fold : folds) fold.left_out = place.index_select(0, fold.rows.others);
  return rows;
}

double largest_of(const at::Tensor& values) {
  return values.size(0) > 0 ? values[values.size(0) - 1].item<double>() : 0.0;
}

/// What one penalty does to the rows that are left out: of R and H, the one that is not close to
/// the projection off Z, which keeps its digits.
struct FilteredRows {
  at::Tensor values;  // (n_row, n)
  bool residual;      // R, or H
};

FilteredRows filter_rows(const at::Tensor& vectors,  // W in the precision of the result
                         const at::Tensor& values,
                         const at::Tensor& rows,
                         double alpha) {
  const at::Tensor inverse = (values + alpha).reciprocal();
  const bool residual = alpha < largest_of(values);
  const at::Tensor filter = residual ? inverse * alpha : inverse * values;
  if (rows.size(0) == vectors.size(0)) {
    return {symmetric_product(vectors * filter.sqrt().to(vectors.scalar_type())), residual};
  }
  return {at::mm(vectors.index_select(0, rows) * filter.to(vectors.scalar_type()), vectors.t()),
          residual};
}

/// The operator of one penalty in one fold, (n_test, n_train).
at::Tensor fold_operator(const FilteredRows& filtered, const FoldOperators& fold, double alpha) {
  const at::Tensor own = filtered.values.index_select(0, fold.left_out);
  at::Tensor left = own.index_select(1, fold.rows.others);
  at::Tensor across = own.index_select(1, fold.rows.train);
  const auto precision = across.scalar_type();
  if (fold.fit.size(0) > 0) {
    across += at::mm(at::mm(left, fold.z_other.to(precision)), fold.fit.to(precision));
  }
  if (filtered.residual) {
    across.neg_();
  } else {
    left = fold.projection.to(precision) - left;
  }
  const auto [lower, failed] = at::linalg_cholesky_ex(left);
  if (failed.item<int>() != 0) {
    throw NumericalError(message("alpha = ",
                                 alpha,
                                 " is below the rounding of the kernel: the held-out block of a "
                                 "fold has no inverse. Use larger alphas."));
  }
  // Where the operator will be rounded, the faster explicit inverse is exact enough.
  return fold.beyond.scalar_type() == at::kDouble
             ? at::cholesky_solve(across, lower).index_select(0, fold.rows.place)
             : at::mm(at::cholesky_inverse(lower).index_select(0, fold.rows.place), across);
}

std::vector<FoldOperators> fold_operators(const KernelFactor& factor,
                                          const at::Tensor& ones,
                                          const std::vector<Fold>& folds,
                                          const std::vector<double>& alphas,
                                          const AlphaSkeleton& skeleton,
                                          at::ScalarType dtype,
                                          Monitor& monitor) {
  const Index n = factor.vectors.size(0);
  const Index n_member = skeleton.n_member();
  std::vector<FoldOperators> out;
  for (const Fold& fold : folds) {
    out.push_back(empty_operators(factor, ones, fold, n_member, dtype));
  }
  const at::Tensor rows = rows_left_out(out, n);
  // R_SS^-1 magnifies rounding by up to 1 + l_max / alpha.
  const at::Tensor rounded = factor.vectors.to(dtype);
  const double well_conditioned = largest_of(factor.values) / kWellConditioned;
  const auto make = [&](Index j) {
    const double alpha =
        alphas[static_cast<std::size_t>(skeleton.members[static_cast<std::size_t>(j)])];
    const at::Tensor& vectors = alpha >= well_conditioned ? rounded : factor.vectors;
    const FilteredRows filtered = filter_rows(vectors, factor.values, rows, alpha);
    for (const FoldOperators& fold : out) {
      const Index n_test = fold.rows.test.size(0);
      fold.beyond.narrow(0, j * n_test, n_test).copy_(fold_operator(filtered, fold, alpha));
    }
  };
  if (factor.vectors.is_cpu() && n <= kParallelOrder) {
    for_each_task(n_member, /*parallel=*/true, make);
  } else {
    for (Index j = 0; j < n_member; ++j) {
      make(j);
      monitor.step(0);
    }
  }
  for (FoldOperators& fold : out) {
    fold.packed = PackedRows(fold.beyond);
    fold.beyond.reset();
  }
  return out;
}

AlphaSkeleton skeleton_of(const KernelFactor& factor,
                          const std::vector<double>& alphas,
                          double tolerance) {
  const Index n_value = factor.values.size(0);
  DNNBRAIN_REQUIRE(!alphas.empty(), "there must be at least one alpha.");
  const double largest = n_value > 0 ? factor.values[n_value - 1].item<double>() : 0.0;
  const double smallest = n_value > 0 ? factor.values[0].item<double>() : 0.0;
  // Eigenvalues of a fold interlace those of the whole. Where some of these are zero, a fold's may
  // be anything above; below the smallest alpha all filters fall off alike.
  const double bound =
      smallest > 0 ? smallest : *std::min_element(alphas.begin(), alphas.end()) * kFarBelow;
  return alpha_skeleton(alphas, bound, largest, tolerance);
}

/// 1 / (l + alpha); without a penalty, directions without variance have no weight, as in a
/// pseudoinverse.
at::Tensor inverse_of(const at::Tensor& penalised) {
  return at::where(penalised > 0, penalised.reciprocal(), at::zeros_like(penalised));
}

/// (K + alpha)^-1 beyond Z, of each penalty that more targets have than there are eigenvectors: its
/// cost is then less than half of theirs.
std::map<double, PackedRows> common_solutions(const KernelFactor& factor,
                                              const double* alphas,
                                              Index n_target,
                                              at::ScalarType dtype) {
  std::map<double, Index> count;
  for (Index t = 0; t < n_target; ++t) ++count[alphas[t]];
  std::map<double, PackedRows> solutions;
  for (const auto& [alpha, n_own] : count) {
    if (n_own <= factor.vectors.size(1)) continue;
    const at::Tensor root = inverse_of(factor.values + alpha).sqrt();
    solutions.emplace(alpha, symmetric_product((factor.vectors * root).to(dtype)));
  }
  return solutions;
}

}  // namespace

void check_kernel_data(const KernelFactor& factor,
                       const at::Tensor& responses,
                       const at::Tensor& ones) {
  const Index n = factor.vectors.size(0);
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == n,
                   "responses must have shape (",
                   n,
                   ", n_target), one row per row of the kernel.");
  DNNBRAIN_REQUIRE(responses.scalar_type() == at::kFloat || responses.scalar_type() == at::kDouble,
                   "responses must be float32 or float64.");
  DNNBRAIN_REQUIRE(ones.dim() == 1 && ones.size(0) == n, "ones must have shape (", n, ",).");
}

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
  auto [values, vectors] = all_eigenpairs(inner);
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
  check_kernel_data(factor, responses, ones);
  const Index n_target = responses.size(1);
  const Index n_fold = static_cast<Index>(folds.size());
  DNNBRAIN_REQUIRE(n_fold > 0, "there must be at least one fold.");
  const TargetTiles tiles(responses, factor.nuisance);
  GridCollector collector(skeleton_of(factor, alphas, skeleton_tolerance(responses)),
                          static_cast<Index>(alphas.size()),
                          n_target,
                          n_fold,
                          score,
                          keep_folds);
  const Index n_member = collector.skeleton().n_member();

  monitor.start(n_target);
  const std::vector<FoldOperators> operators = fold_operators(
      factor, ones, folds, alphas, collector.skeleton(), responses.scalar_type(), monitor);
  Index most_test = 0;
  for (const FoldOperators& fold : operators) {
    most_test = std::max(most_test, fold.rows.test.size(0));
  }
  tiles.for_each(monitor, [&](Index first, Index n_tile) {
    const TargetTile targets = tiles.read(first, n_tile);
    // For all folds in turn, so that its pages are asked for once.
    const at::Tensor room = at::empty({n_tile * n_member * most_test}, targets.rows.options());
    for (Index f = 0; f < n_fold; ++f) {
      const FoldOperators& fold = operators[static_cast<std::size_t>(f)];
      const at::Tensor train = targets.rows.index_select(1, fold.rows.train);
      at::Tensor test = targets.rows.index_select(1, fold.rows.test);
      if (fold.nuisance.size(1) > 0) {
        test -= at::mm(at::mm(train, fold.nuisance_fit.t()), fold.nuisance.t());
      }
      TileScores tile;
      const Index n_test = fold.rows.test.size(0);
      tile.predicted =
          room.narrow(0, 0, n_tile * n_member * n_test).view({n_tile, n_member, n_test});
      fold.packed.multiply(train, tile.predicted);
      tile.measured = test;
      tile.ones = fold.ones;
      tile.held_out = describe_held_out(test, fold.ones, targets.magnitudes);
      collector.add(f, first, tile);
    }
  });
  return collector.finish();
}

at::Tensor solve_kernel_ridge(const KernelFactor& factor,
                              const at::Tensor& responses,
                              const at::Tensor& alphas) {
  const at::NoGradGuard no_grad;
  check_kernel_data(factor, responses, factor.values.new_ones({responses.size(0)}));
  const auto dtype = responses.scalar_type();
  const Index n = responses.size(0);
  const at::Tensor on_cpu = alphas.cpu().contiguous();
  const double* const alpha = on_cpu.const_data_ptr<double>();
  const std::map<double, PackedRows> solutions =
      common_solutions(factor, alpha, responses.size(1), dtype);
  const TargetTiles tiles(responses, factor.nuisance);
  const at::Tensor vectors = factor.vectors.to(dtype);
  const PackedRows along(vectors.t());
  const PackedRows across(vectors);
  at::Tensor dual = at::empty(responses.sizes(), responses.options());
  Monitor quiet;
  tiles.for_each(quiet, [&](Index first, Index n_tile) {
    const at::Tensor y = tiles.read(first, n_tile).rows;
    std::map<const PackedRows*, std::vector<Index>> targets_of;  // null: through the eigenvectors
    for (Index t = 0; t < n_tile; ++t) {
      const auto found = solutions.find(alpha[first + t]);
      targets_of[found == solutions.end() ? nullptr : &found->second].push_back(t);
    }
    const at::Tensor rows = at::empty({n_tile, n}, y.options());
    for (const auto& [solution, targets] : targets_of) {
      const at::Tensor held = at::tensor(targets, at::kLong).to(y.device());
      const at::Tensor own = y.index_select(0, held);
      const at::Tensor out = at::empty({own.size(0), n}, y.options());
      if (solution != nullptr) {
        solution->multiply(own, out);
      } else {
        const at::Tensor penalties = alphas.narrow(0, first, n_tile).index_select(0, held);
        const at::Tensor coefs = at::empty({own.size(0), vectors.size(1)}, y.options());
        along.multiply(own, coefs);
        coefs.mul_(inverse_of(factor.values + penalties.unsqueeze(1)).to(dtype));
        across.multiply(coefs, out);
      }
      rows.index_copy_(0, held, out);
    }
    dual.narrow(1, first, n_tile).copy_(rows.t());
  });
  return dual;
}

}  // namespace dnnbrain
