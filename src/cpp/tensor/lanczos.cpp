#include "dnnbrain/tensor/lanczos.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// How much of an iterate may have leaked out of the basis.
constexpr double kLeak = 1e-13;

std::vector<double> times(const Tridiagonal& t, const std::vector<double>& x) {
  const std::size_t d = t.diagonal.size();
  std::vector<double> y(d);
  for (std::size_t i = 0; i < d; ++i) {
    y[i] = t.diagonal[i] * x[i];
    if (i > 0) y[i] += t.off[i - 1] * x[i - 1];
    if (i + 1 < d) y[i] += t.off[i] * x[i + 1];
  }
  return y;
}

struct Ritz {
  double value = 0;
  double gap = 0;              // to the second
  std::vector<double> vector;  // (d,)
};

Ritz dominant_pair(const Tridiagonal& t) {
  const Index d = t.size();
  at::Tensor dense = at::zeros({d, d}, at::kDouble);
  auto entry = dense.accessor<double, 2>();
  for (Index i = 0; i < d; ++i) {
    entry[i][i] = t.diagonal[static_cast<std::size_t>(i)];
    if (i + 1 < d) entry[i + 1][i] = t.off[static_cast<std::size_t>(i)];
  }
  at::Tensor values;
  at::Tensor vectors;
  for_each_task(
      1, /*parallel=*/true, [&](Index) { std::tie(values, vectors) = at::linalg_eigh(dense); });
  const at::Tensor top = vectors.select(1, d - 1).contiguous();
  const double* first = top.const_data_ptr<double>();
  Ritz out;
  out.value = values[d - 1].item<double>();
  out.gap = d > 1 ? out.value - values[d - 2].item<double>() : out.value;
  out.vector.assign(first, first + d);
  return out;
}

}  // namespace

std::optional<KrylovVector> stopped_iterate(const Tridiagonal& t, Index max_iter, double tol) {
  const double top = dominant_pair(t).value;
  std::vector<double> x(t.diagonal.size(), 0.0);
  x[0] = 1.0;
  double leaked = 0;
  for (Index iteration = 2; iteration <= max_iter; ++iteration) {
    std::vector<double> next = times(t, x);
    double norm = 0;
    for (const double value : next) norm += value * value;
    norm = std::sqrt(norm);
    if (norm == 0.0) return KrylovVector{x, iteration};
    leaked = (top * leaked + t.off.back() * std::abs(x.back())) / norm;
    if (leaked > kLeak) return std::nullopt;
    double change = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      next[i] /= norm;
      change += (next[i] - x[i]) * (next[i] - x[i]);
    }
    x = std::move(next);
    if (change < tol) return KrylovVector{x, iteration};
  }
  return KrylovVector{x, max_iter};
}

std::optional<KrylovVector> converged_vector(const Tridiagonal& t) {
  const Ritz ritz = dominant_pair(t);
  const double residual = t.off.back() * std::abs(ritz.vector.back());
  if (residual > std::max(kLeak * ritz.gap, 4 * kEps * ritz.value)) return std::nullopt;
  return KrylovVector{ritz.vector, t.size()};
}

}  // namespace dnnbrain
