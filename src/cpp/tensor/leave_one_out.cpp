#include "dnnbrain/tensor/leave_one_out.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/filter_stretches.hpp"
#include "dnnbrain/tensor/target_tiles.hpp"

namespace dnnbrain {

namespace {

/// Residuals of a few targets that one thread has at once may take so much.
constexpr Index kResidualBytes = Index{32} << 20;

/// R Y for each function of the filters, (n_product, n_some, n).
at::Tensor filtered_residuals(const FilterStretches& filters,
                              const at::Tensor& rotated,    // Y'W (n_some, n - z)
                              const at::Tensor& vectors) {  // W (n, n - z) of the same dtype
  const Index n_some = rotated.size(0);
  const Index n = vectors.size(0);
  const at::Tensor out = at::empty({filters.n_product, n_some, n}, rotated.options());
  Index begin = 0;
  for (const FilterStretch& part : filters.stretches) {
    const Index n_function = part.functions.size(0);
    const at::Tensor some = rotated.narrow(1, part.first, part.size);
    const at::Tensor functions = part.functions.to(rotated.scalar_type());
    at::Tensor rows = out.narrow(0, begin, n_function).view({n_function * n_some, n});
    at::mm_out(
        rows,
        (functions.unsqueeze(1) * some.unsqueeze(0)).reshape({n_function * n_some, part.size}),
        vectors.narrow(1, part.first, part.size).t());
    begin += n_function;
  }
  return out;
}

/// sum p, sum p y and sum p^2 of p = y - left_out o inverse.
template <class Real>
[[gnu::always_inline]] inline void add_up(const Real* left_out,
                                          const Real* inverse,
                                          const Real* y,
                                          const Real* ones,
                                          Index n,
                                          double* out) {
  double sum = 0;
  double cross = 0;
  double sq = 0;
#pragma omp simd reduction(+ : sum, cross, sq)
  for (Index i = 0; i < n; ++i) {
    const auto measured = static_cast<double>(y[i]);
    const double p = measured - static_cast<double>(left_out[i]) * static_cast<double>(inverse[i]);
    sum += p * static_cast<double>(ones[i]);
    cross += p * measured;
    sq += p * p;
  }
  out[0] = sum;
  out[1] = cross;
  out[2] = sq;
}

DNNBRAIN_CLONES void add_up_row(const float* left_out,
                                const float* inverse,
                                const float* y,
                                const float* ones,
                                Index n,
                                double* out) {
  add_up<float>(left_out, inverse, y, ones, n, out);
}

DNNBRAIN_CLONES void add_up_row(const double* left_out,
                                const double* inverse,
                                const double* y,
                                const double* ones,
                                Index n,
                                double* out) {
  add_up<double>(left_out, inverse, y, ones, n, out);
}

/// (n_alpha, 3) fp64 on the CPU: the sums of each penalty.
at::Tensor left_out_sums(const at::Tensor& left_out,  // (n_alpha, n), rows contiguous
                         const at::Tensor& inverse,   // (n_alpha, n) contiguous
                         const at::Tensor& y,         // (n,) contiguous
                         const at::Tensor& ones) {    // (n,) contiguous
  if (!left_out.is_cpu()) {
    const at::Tensor p = (y - left_out * inverse).to(at::kDouble);
    const at::Tensor sides = at::stack({ones, y}, 1).to(at::kDouble);
    return at::cat({at::mm(p, sides), (p * p).sum(1, /*keepdim=*/true)}, 1).cpu().contiguous();
  }
  const Index n_alpha = left_out.size(0);
  const Index n = left_out.size(1);
  at::Tensor sums = at::empty({n_alpha, 3}, left_out.options().dtype(at::kDouble));
  double* const out = sums.mutable_data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES(left_out.scalar_type(), "left_out_sums", [&] {
    for (Index a = 0; a < n_alpha; ++a) {
      add_up_row(left_out.const_data_ptr<scalar_t>() + a * left_out.stride(0),
                 inverse.const_data_ptr<scalar_t>() + a * n,
                 y.const_data_ptr<scalar_t>(),
                 ones.const_data_ptr<scalar_t>(),
                 n,
                 out + 3 * a);
    }
  });
  return sums;
}

}  // namespace

GridScores leave_one_out_kernel_ridge(const KernelFactor& factor,
                                      const at::Tensor& responses,
                                      const at::Tensor& ones,
                                      const std::vector<double>& alphas,
                                      RidgeScore score,
                                      Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_kernel_data(factor, responses, ones);
  const auto options = factor.vectors.options();
  const auto dtype = responses.scalar_type();
  const Index n = responses.size(0);
  const Index n_alpha = static_cast<Index>(alphas.size());
  const Index n_target = responses.size(1);

  const at::Tensor grid = at::tensor(alphas, options);
  const at::Tensor left = grid / (factor.values.unsqueeze(1) + grid);  // (n - z, n_alpha)
  const at::Tensor own = at::mm(factor.vectors * factor.vectors, left);
  DNNBRAIN_REQUIRE((own > 0).all().item<bool>(),
                   "every stimulus must leave something to predict when it is held out; one is "
                   "fitted by nuisance columns alone.");
  const at::Tensor inverse = own.reciprocal().t().to(dtype).contiguous();  // (n_alpha, n)
  const FilterStretches filters = factor_filters(factor.values, left.t(), dtype);
  const at::Tensor combine =
      filters.combine.defined() ? filters.combine.to(dtype) : filters.combine;
  const at::Tensor vectors = factor.vectors.to(dtype);
  const TargetTiles tiles(responses, factor.nuisance);
  const at::Tensor one = ones.to(dtype);
  const Index at_once =
      std::max<Index>(1, kResidualBytes / (filters.n_product * n * responses.element_size()));

  at::Tensor scores = at::empty({n_alpha, n_target}, at::kDouble);
  double* const out = scores.mutable_data_ptr<double>();
  monitor.start(n_target);
  tiles.for_each(monitor, [&](Index first, Index n_tile) {
    const TargetTile targets = tiles.read(first, n_tile);
    const std::vector<HeldOut> held_out = describe_held_out(targets.rows, one, targets.magnitudes);
    const at::Tensor rotated = at::mm(targets.rows, vectors);
    for (Index begin = 0; begin < n_tile; begin += at_once) {
      const Index n_here = std::min(at_once, n_tile - begin);
      const at::Tensor residuals =
          filtered_residuals(filters, rotated.narrow(0, begin, n_here), vectors);
      for (Index t = begin; t < begin + n_here; ++t) {
        const at::Tensor some = residuals.select(1, t - begin);
        const at::Tensor left_out = combine.defined() ? at::mm(combine, some) : some;
        const at::Tensor sums = left_out_sums(left_out, inverse, targets.rows[t], one);
        const double* const sum = sums.const_data_ptr<double>();
        for (Index a = 0; a < n_alpha; ++a) {
          out[a * n_target + first + t] =
              score_prediction({sum[3 * a], sum[3 * a + 1], sum[3 * a + 2]},
                               held_out[static_cast<std::size_t>(t)],
                               score);
        }
      }
    }
  });
  return {scores, {}};
}

}  // namespace dnnbrain
