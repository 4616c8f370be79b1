#include "dnnbrain/tensor/filter_stretches.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/sum.h>

#include <utility>

namespace dnnbrain {

namespace {

/// Width of a stretch of the spectrum, and how many eigenvalues it has at least per penalty.
constexpr double kStretch = 3.1622776601683795;  // half a decade
constexpr Index kValuesPerAlpha = 2;

/// More values than this are enough for a stretch, however many penalties there are.
constexpr Index kEnoughValues = 64;

/// What the combination of functions may be off by, relative to a filter's root mean square.
double filter_tolerance(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 1e-13; }

/// The first eigenvalue of each stretch, and the end.
std::vector<Index> cut_spectrum(const double* values, Index n_value, Index n_alpha) {
  const Index fewest = std::min(kValuesPerAlpha * n_alpha, kEnoughValues);
  std::vector<Index> bounds{0};
  for (Index i = 1; i < n_value; ++i) {
    const bool wide = values[i] > values[bounds.back()] * kStretch;
    if (wide && i - bounds.back() >= fewest) bounds.push_back(i);
  }
  // What is left at the top may be too little.
  if (bounds.size() > 1 && n_value - bounds.back() < fewest) bounds.pop_back();
  bounds.push_back(n_value);
  return bounds;
}

}  // namespace

FilterStretches factor_filters(const at::Tensor& values,
                               const at::Tensor& filters,
                               at::ScalarType dtype) {
  const Index n_alpha = filters.size(0);
  const Index n_value = filters.size(1);
  const at::Tensor on_cpu = values.cpu();
  const at::Tensor scale = filters.square().mean(1, true).sqrt();
  const at::Tensor scaled = filters / scale;
  const double tolerance = filter_tolerance(dtype);
  const std::vector<Index> bounds = cut_spectrum(on_cpu.const_data_ptr<double>(), n_value, n_alpha);
  FilterStretches out;
  std::vector<at::Tensor> combinations;
  Index cost = 0;
  for (std::size_t s = 0; s + 1 < bounds.size() && n_value > 0; ++s) {
    const Index size = bounds[s + 1] - bounds[s];
    const auto [u, weights, functions] =
        at::linalg_svd(scaled.narrow(1, bounds[s], size), /*full_matrices=*/false);
    const Index n_function = (weights > tolerance).sum().item<Index>();
    combinations.push_back(u.narrow(1, 0, n_function) * weights.narrow(0, 0, n_function) * scale);
    out.stretches.push_back({bounds[s], size, functions.narrow(0, 0, n_function)});
    out.n_product += n_function;
    cost += n_function * (size + n_alpha);
  }
  if (cost >= n_alpha * n_value) return {{{0, n_value, filters}}, {}, n_alpha};
  out.combine = at::empty({n_alpha, out.n_product}, filters.options());
  Index begin = 0;
  for (const at::Tensor& part : combinations) {
    out.combine.narrow(1, begin, part.size(1)).copy_(part);
    begin += part.size(1);
  }
  return out;
}

}  // namespace dnnbrain
