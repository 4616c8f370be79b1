#include "dnnbrain/tensor/kernel_sums.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_pinv.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/eigenpairs.hpp"
#include "dnnbrain/tensor/filter_stretches.hpp"
#include "dnnbrain/tensor/grid_scores.hpp"
#include "dnnbrain/tensor/prediction_sums.hpp"
#include "dnnbrain/tensor/row_panels.hpp"
#include "dnnbrain/tensor/target_tiles.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Factors that exist at once may take so much.
constexpr Index kFactorBytes = Index{256} << 20;

/// A fold, as every sum of kernels needs it.
struct Sides {
  at::Tensor train;  // rows
  at::Tensor test;   // rows
  at::Tensor fit;    // Z_train^+ (z, n_train) fp64
  at::Tensor z_train;
  at::Tensor z_test;  // (n_test, z) fp64
  at::Tensor ones;    // (n_test,) of the responses' dtype
};

/// Eigenvalues [first, first + size) and the products that stand for them.
struct Stretch {
  Index first = 0;
  Index size = 0;
  PackedRows operators;  // (n_function * n_test, size) of the responses' dtype
};

/// One sum of kernels in one fold.
struct SumFactor {
  PackedRows vectors;  // V' (m, n_train) of the responses' dtype; those that carry variance
  std::vector<Stretch> stretches;
  at::Tensor combine;  // (n_alpha, n_product) of that dtype; undefined: products are the grid's
  Index n_product = 0;
};

Sides sides_of(const Fold& fold,
               const at::Tensor& nuisance,
               const at::Tensor& ones,
               at::ScalarType dtype) {
  Sides out{fold.train, fold.test, {}, {}, {}, {}};
  out.z_train = nuisance.index_select(0, fold.train);
  out.z_test = nuisance.index_select(0, fold.test);
  out.fit = nuisance.size(1) > 0 ? at::linalg_pinv(out.z_train) : out.z_train.t();
  out.ones = ones.index_select(0, fold.test).to(dtype);
  return out;
}

/// Operators with a function of the eigenvalues each: (n_function, m), (n_test, m) -> rows of both.
at::Tensor filtered(const at::Tensor& functions, const at::Tensor& to_test, at::ScalarType dtype) {
  return (to_test.unsqueeze(0) * functions.unsqueeze(1))
      .to(dtype)
      .reshape({functions.size(0) * to_test.size(0), to_test.size(1)});
}

SumFactor factor_sum(const at::Tensor& kernel,
                     const Sides& sides,
                     const at::Tensor& grid,  // (n_alpha,) fp64
                     at::ScalarType dtype) {
  at::Tensor inner = kernel.index_select(0, sides.train).index_select(1, sides.train);
  at::Tensor outer = kernel.index_select(0, sides.test).index_select(1, sides.train);
  if (sides.fit.size(0) > 0) {
    const at::Tensor shift = at::mm(sides.fit, inner);
    outer -= at::mm(sides.z_test, shift);
    outer -= at::mm(at::mm(outer, sides.fit.t()), sides.z_train.t());
    inner -= at::mm(sides.z_train, shift);
    inner -= at::mm(at::mm(inner, sides.fit.t()), sides.z_train.t());
  }
  const auto [spectrum, vectors] = all_eigenpairs(inner);
  const at::Tensor on_cpu = spectrum.cpu();
  const double* const all = on_cpu.const_data_ptr<double>();
  const Index n_train = spectrum.size(0);
  // What the nuisance takes away is left as rounding, and weighs nothing.
  const double floor = static_cast<double>(n_train) * std::numeric_limits<double>::epsilon() *
                       std::max(0.0, all[n_train - 1]);
  const Index first = std::distance(all, std::upper_bound(all, all + n_train, floor));
  const Index n_value = n_train - first;
  const at::Tensor values = spectrum.narrow(0, first, n_value);
  const at::Tensor kept = vectors.narrow(1, first, n_value);
  const at::Tensor to_test = at::mm(outer, kept) / values;  // (n_test, m)

  SumFactor out;
  out.vectors = PackedRows(kept.t().to(dtype));
  const at::Tensor filters = values / (values + grid.unsqueeze(1));  // (n_alpha, m)
  const FilterStretches factored = factor_filters(values, filters, dtype);
  out.n_product = factored.n_product;
  if (factored.combine.defined()) out.combine = factored.combine.to(dtype);
  for (const FilterStretch& part : factored.stretches) {
    const at::Tensor part_to_test = to_test.narrow(1, part.first, part.size);
    out.stretches.push_back(
        {part.first, part.size, PackedRows(filtered(part.functions, part_to_test, dtype))});
  }
  return out;
}

/// What one thread writes over and over.
struct Workspace {
  at::Tensor products;
  at::Tensor combined;
};

/// Workspaces that tasks hand on, so that their pages are asked for once.
class Workspaces {
 public:
  Workspace take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return {};
    Workspace space = std::move(free_.back());
    free_.pop_back();
    return space;
  }

  void give_back(Workspace space) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(space));
  }

 private:
  std::mutex mutex_;
  std::vector<Workspace> free_;
};

/// Scores of one tile, (n_alpha, n_target) from `first` on.
void score_tile(const SumFactor& factor,
                const Sides& sides,
                const TargetTile& targets,
                RidgeScore score,
                Index n_alpha,
                Index first,
                Index n_target,
                Workspace& space,
                double* scores) {
  const Index n_tile = targets.rows.size(0);
  const at::Tensor train = targets.rows.index_select(1, sides.train);
  at::Tensor test = targets.rows.index_select(1, sides.test);
  const Index n_test = test.size(1);
  if (sides.fit.size(0) > 0) {
    const auto dtype = train.scalar_type();
    test -= at::mm(at::mm(train, sides.fit.t().to(dtype)), sides.z_test.t().to(dtype));
  }
  const std::vector<HeldOut> held_out = describe_held_out(test, sides.ones, targets.magnitudes);

  const at::Tensor along = at::empty({n_tile, factor.vectors.n_row()}, train.options());
  factor.vectors.multiply(train, along);
  if (!space.products.defined()) space.products = at::empty({0}, train.options());
  space.products.resize_({factor.n_product * n_test, n_tile});
  if (factor.stretches.empty()) space.products.zero_();
  Index begin = 0;
  for (const Stretch& part : factor.stretches) {
    const Index n_row = part.operators.n_row();
    part.operators.times(along.narrow(1, part.first, part.size),
                         space.products.narrow(0, begin, n_row));
    begin += n_row;
  }
  const at::Tensor sums = prediction_sums(factor.combine,
                                          space.products.view({factor.n_product, n_test, n_tile}),
                                          test.t().contiguous(),
                                          sides.ones,
                                          space.combined);
  const double* const sum = sums.const_data_ptr<double>();
  for (Index a = 0; a < n_alpha; ++a) {
    const double* const own = sum + a * 3 * n_tile;
    for (Index t = 0; t < n_tile; ++t) {
      scores[a * n_target + first + t] =
          score_prediction({own[t], own[n_tile + t], own[2 * n_tile + t]},
                           held_out[static_cast<std::size_t>(t)],
                           score);
    }
  }
}

at::Tensor weighted_sum(const at::Tensor& kernels, const double* weights) {
  at::Tensor total = at::zeros_like(kernels[0]);
  for (Index b = 0; b < kernels.size(0); ++b) {
    if (weights[b] > 0) total.add_(kernels[b], weights[b]);
  }
  return total;
}

void check(const at::Tensor& kernels, const at::Tensor& weights, const at::Tensor& responses) {
  const Index n = responses.size(0);
  DNNBRAIN_REQUIRE(kernels.dim() == 3 && kernels.size(1) == n && kernels.size(2) == n &&
                       kernels.scalar_type() == at::kDouble,
                   "kernels must be float64 of shape (n_band, ",
                   n,
                   ", ",
                   n,
                   ").");
  DNNBRAIN_REQUIRE(weights.dim() == 2 && weights.size(1) == kernels.size(0) && weights.is_cpu() &&
                       weights.scalar_type() == at::kDouble && weights.is_contiguous(),
                   "weights must be float64 of shape (n_sum, n_band).");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && (responses.scalar_type() == at::kFloat ||
                                            responses.scalar_type() == at::kDouble),
                   "columns must be float32 or float64 of shape (n, any number).");
}

}  // namespace

at::Tensor score_kernel_sums(const at::Tensor& kernels,
                             const at::Tensor& weights,
                             const at::Tensor& alphas,
                             const at::Tensor& responses,
                             const at::Tensor& nuisance,
                             const at::Tensor& ones,
                             const std::vector<Fold>& folds,
                             RidgeScore score,
                             Monitor& monitor,
                             KernelFactor* whole) {
  const at::NoGradGuard no_grad;
  const OneThread one;  // what is outside of tasks is small
  check(kernels, weights, responses);
  const Index n_sum = weights.size(0);
  DNNBRAIN_REQUIRE(whole == nullptr || n_sum == 1, "a factor of all rows is of one sum.");
  DNNBRAIN_REQUIRE(alphas.dim() == 2 && alphas.size(0) == n_sum && alphas.size(1) > 0 &&
                       alphas.scalar_type() == at::kDouble && (alphas > 0).all().item<bool>(),
                   "alphas must be positive float64 of shape (n_sum, n_alpha).");
  const auto dtype = responses.scalar_type();
  const bool on_cpu = kernels.is_cpu();
  const Index n = responses.size(0);
  const Index n_target = responses.size(1);
  const Index n_alpha = alphas.size(1);
  const Index n_fold = static_cast<Index>(folds.size());
  const Index n_thread = on_cpu ? at::get_num_threads() : 1;
  const at::Tensor grids = alphas.to(kernels.device());
  std::vector<Sides> sides;
  for (const Fold& fold : folds) sides.push_back(sides_of(fold, nuisance, ones, dtype));

  at::Tensor scores = at::empty({n_sum, n_fold, n_alpha, n_target}, at::kDouble);
  double* const out = scores.mutable_data_ptr<double>();
  const TargetTiles tiles(responses, nuisance);
  const Index tile_size = on_cpu ? kTargetTile : kDeviceTargetTile;
  const Index n_tile = (n_target + tile_size - 1) / tile_size;

  // Units of work are pairs of a sum and a fold. As many as fit are factorised at once, then all
  // targets go through them.
  const Index n_unit = n_sum * n_fold;
  const Index fits = kFactorBytes / (3 * n * n * responses.element_size());
  const Index n_round = std::min(n_unit, std::max(n_thread, fits / n_thread * n_thread));
  std::vector<SumFactor> factors(static_cast<std::size_t>(n_round));
  Workspaces spaces;
  monitor.start(n_unit * n_target);
  for (Index begin = 0; begin < n_unit; begin += n_round) {
    const Index n_here = std::min(n_round, n_unit - begin);
    const Index first_sum = begin / n_fold;
    const Index n_kernel = (begin + n_here - 1) / n_fold - first_sum + 1;
    std::vector<at::Tensor> sums(static_cast<std::size_t>(n_kernel));
    for_each_task(n_kernel, on_cpu, [&](Index i) {
      sums[static_cast<std::size_t>(i)] = weighted_sum(
          kernels, weights.const_data_ptr<double>() + (first_sum + i) * kernels.size(0));
    });
    const Index n_beside = whole != nullptr && begin == 0 ? 1 : 0;  // the longest comes first
    for_each_task(n_beside + n_here, on_cpu, [&](Index task) {
      if (task < n_beside) {
        *whole = factor_kernel(sums[0], nuisance);
        return;
      }
      const Index i = task - n_beside;
      const Index sum = (begin + i) / n_fold;
      factors[static_cast<std::size_t>(i)] =
          factor_sum(sums[static_cast<std::size_t>(sum - first_sum)],
                     sides[static_cast<std::size_t>((begin + i) % n_fold)],
                     grids[sum],
                     dtype);
    });
    // A task reads a tile once for all units, unless there are too few tiles to keep threads busy.
    const Index n_part = n_tile >= 4 * n_thread ? 1 : n_here;
    const Index n_task = n_tile * n_part;
    const Index n_step = n_thread * kTilesPerStep;
    for (Index task = 0; task < n_task; task += n_step) {
      const Index n_now = std::min(n_step, n_task - task);
      for_each_task(n_now, on_cpu, [&](Index i) {
        const Index first = (task + i) / n_part * tile_size;
        const Index size = std::min(tile_size, n_target - first);
        const TargetTile targets = tiles.read(first, size);
        Workspace space = spaces.take();
        const Index part = (task + i) % n_part;
        for (Index u = part; u < n_here; u += n_part) {
          score_tile(factors[static_cast<std::size_t>(u)],
                     sides[static_cast<std::size_t>((begin + u) % n_fold)],
                     targets,
                     score,
                     n_alpha,
                     first,
                     n_target,
                     space,
                     out + (begin + u) * n_alpha * n_target);
        }
        spaces.give_back(std::move(space));
      });
      monitor.step((task + n_now) * n_here * n_target / n_task - task * n_here * n_target / n_task);
    }
  }
  return scores;
}

std::vector<KernelFactor> factor_kernel_sums(const at::Tensor& kernels,
                                             const at::Tensor& weights,
                                             const at::Tensor& nuisance) {
  const at::NoGradGuard no_grad;
  check(kernels, weights, nuisance);
  const Index n_sum = weights.size(0);
  std::vector<KernelFactor> factors(static_cast<std::size_t>(n_sum));
  for_each_task(n_sum, kernels.is_cpu(), [&](Index s) {
    const double* const own = weights.const_data_ptr<double>() + s * kernels.size(0);
    factors[static_cast<std::size_t>(s)] = factor_kernel(weighted_sum(kernels, own), nuisance);
  });
  return factors;
}

at::Tensor solve_kernel_sums(const at::Tensor& kernels,
                             const at::Tensor& weights,
                             const at::Tensor& chosen,
                             const at::Tensor& alphas,
                             const at::Tensor& responses,
                             const at::Tensor& nuisance) {
  const at::NoGradGuard no_grad;
  check(kernels, weights, responses);
  const bool on_cpu = kernels.is_cpu();
  const Index n_sum = weights.size(0);
  at::Tensor dual = at::empty(responses.sizes(), responses.options());
  std::vector<at::Tensor> parts(static_cast<std::size_t>(n_sum));
  for_each_task(n_sum, on_cpu, [&](Index s) {
    const at::Tensor held = (chosen == s).nonzero().flatten();
    if (held.size(0) == 0) return;
    const KernelFactor factor = factor_kernel(
        weighted_sum(kernels, weights.const_data_ptr<double>() + s * kernels.size(0)), nuisance);
    parts[static_cast<std::size_t>(s)] =
        solve_kernel_ridge(factor, responses.index_select(1, held), alphas.index_select(0, held));
  });
  for (Index s = 0; s < n_sum; ++s) {
    const at::Tensor& part = parts[static_cast<std::size_t>(s)];
    if (part.defined()) dual.index_copy_(1, (chosen == s).nonzero().flatten(), part);
  }
  return dual;
}

}  // namespace dnnbrain
