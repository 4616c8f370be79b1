#include "dnnbrain/tensor/product_distance.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/dissimilarity.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// As in dissimilarity.cpp: what sums of products may be wrong by.
constexpr double kRounding = 1e-14;

/// k_ii + k_jj - k_ij - k_ji for all i, j, from the products k_ij = a_i'c_j.
at::Tensor distance_square(const at::Tensor& products) {
  const at::Tensor own = products.diagonal();
  return own.unsqueeze(1) + own.unsqueeze(0) - products - products.t();
}

void check_patterns(const at::Tensor& first, const at::Tensor& second, Index n_dim) {
  DNNBRAIN_REQUIRE(first.dim() == n_dim && first.scalar_type() == at::kDouble &&
                       first.size(-2) >= 2 && first.size(-1) >= 1,
                   "patterns must be fp64 with ",
                   n_dim,
                   " axes, at least two conditions and one channel.");
  DNNBRAIN_REQUIRE(
      !second.defined() || (second.sizes() == first.sizes() && second.scalar_type() == at::kDouble),
      "both factors must have the same shape and dtype.");
}

at::Tensor centred(const at::Tensor& patterns, Index axis) {
  return patterns - patterns.mean(axis, /*keepdim=*/true);
}

/// sum over r of a^r c^r'; one run, or a sum over runs, is a single r.
void add_products(const at::Tensor& total, const at::Tensor& first, const at::Tensor& second) {
  if (second.defined()) {
    total.add_(rows_times(first, second));
  } else {
    add_symmetric_product(total, first);
  }
}

at::Tensor complete(const at::Tensor& first, const at::Tensor& second, Monitor& monitor) {
  const Index n_run = first.size(0);
  const Index n_cond = first.size(1);
  const at::Tensor within = at::zeros({n_cond, n_cond}, first.options());
  monitor.start(n_run + 1);
  for (Index run = 0; run < n_run; ++run) {
    add_products(within, first[run], second.defined() ? second[run] : second);
    monitor.step();
  }
  const at::Tensor all = at::zeros({n_cond, n_cond}, first.options());
  add_products(all, first.sum(0), second.defined() ? second.sum(0) : second);
  monitor.step();
  return distance_square(all - within) / static_cast<double>(n_run * (n_run - 1));
}

at::Tensor incomplete(const at::Tensor& first,
                      const at::Tensor& second,
                      const at::Tensor& present,
                      Monitor& monitor) {
  const Index n_run = first.size(0);
  const Index n_cond = first.size(1);
  const at::Tensor total = at::zeros({n_cond, n_cond}, first.options());
  const at::Tensor count = at::zeros({n_cond, n_cond}, first.options());
  const at::Tensor weight = present.to(at::kDouble);
  monitor.start(n_run * n_run);
  for (Index train = 0; train < n_run; ++train) {
    for (Index test = 0; test < n_run; ++test) {
      if (train != test) {
        const at::Tensor both = weight[train] * weight[test];
        const at::Tensor pairs = both.unsqueeze(1) * both.unsqueeze(0);
        const at::Tensor products =
            rows_times(first[train], second.defined() ? second[test] : first[test]);
        total.add_(distance_square(products) * pairs);
        count.add_(pairs);
      }
      monitor.step();
    }
  }
  return at::where(count > 0, total / count, kNaN);
}

}  // namespace

at::Tensor product_distances(const at::Tensor& first, const at::Tensor& second) {
  const at::NoGradGuard no_grad;
  check_patterns(first, second, 2);
  const at::Tensor a = centred(first, 0);
  const at::Tensor c = second.defined() ? centred(second, 0) : a;
  const at::Tensor products = at::zeros({a.size(0), a.size(0)}, a.options());
  add_products(products, a, second.defined() ? c : second);
  const at::Tensor length = at::sqrt((a * a).sum(1) * (c * c).sum(1));
  const at::Tensor rounding = kRounding * (length.unsqueeze(1) + length.unsqueeze(0));
  const at::Tensor distance = distance_square(products);
  return upper_triangle(at::where(distance.abs() <= rounding, 0.0, distance)) /
         static_cast<double>(a.size(1));
}

at::Tensor crossvalidated_distances(const at::Tensor& first,
                                    const at::Tensor& second,
                                    const at::Tensor& present,
                                    Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_patterns(first, second, 3);
  DNNBRAIN_REQUIRE(
      first.size(0) >= 2, "crossvalidation needs two runs or more; got ", first.size(0), ".");
  DNNBRAIN_REQUIRE(
      !present.defined() || (present.scalar_type() == at::kBool && present.dim() == 2 &&
                             present.size(0) == first.size(0) && present.size(1) == first.size(1)),
      "present must be boolean of shape (n_run, n_cond).");
  const at::Tensor a = centred(first, 1);
  const at::Tensor c = second.defined() ? centred(second, 1) : second;
  const at::Tensor distance =
      present.defined() ? incomplete(a, c, present, monitor) : complete(a, c, monitor);
  return upper_triangle(distance) / static_cast<double>(first.size(2));
}

at::Tensor discriminant_t(const at::Tensor& patterns, const at::Tensor& counts, Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns, at::Tensor(), 3);
  const Index n_run = patterns.size(0);
  const Index n_cond = patterns.size(1);
  DNNBRAIN_REQUIRE(n_run >= 2, "crossvalidation needs two runs or more; got ", n_run, ".");
  DNNBRAIN_REQUIRE(counts.dim() == 2 && counts.scalar_type() == at::kDouble &&
                       counts.size(0) == n_run && counts.size(1) == n_cond,
                   "counts must be fp64 of shape (n_run, n_cond).");
  const at::Tensor a = centred(patterns, 1);
  const at::Tensor total = at::zeros({n_cond, n_cond}, patterns.options());
  const at::Tensor pairs = at::zeros({n_cond, n_cond}, patterns.options());
  monitor.start(n_run * n_run);
  for (Index train = 0; train < n_run; ++train) {
    const at::Tensor length = distance_square(symmetric_product(a[train])).clamp_min(0);
    for (Index test = 0; test < n_run; ++test) {
      if (train != test) {
        const at::Tensor variance = counts[test].reciprocal();  // infinite where there is none
        const at::Tensor error = at::sqrt(length * (variance.unsqueeze(1) + variance.unsqueeze(0)));
        const at::Tensor both = at::logical_and(counts[train] > 0, counts[test] > 0);
        const at::Tensor valid =
            at::logical_and(at::logical_and(both.unsqueeze(1), both.unsqueeze(0)), error > 0);
        const at::Tensor along = distance_square(rows_times(a[train], a[test]));
        total.add_(at::where(valid, along / error, 0.0));
        pairs.add_(valid);
      }
      monitor.step();
    }
  }
  return upper_triangle(at::where(pairs > 0, total / pairs, kNaN));
}

}  // namespace dnnbrain
