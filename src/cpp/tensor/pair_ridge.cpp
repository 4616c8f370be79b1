#include "dnnbrain/tensor/pair_ridge.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/triu_indices.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

PairRidge::PairRidge(const at::Tensor& x, const at::Tensor& rdms, PairKind kind)
    : kind_(kind), scaling_(pair_scaling(x, kind)) {
  const at::NoGradGuard no_grad;
  const Index n = x.size(0);
  const Index p = x.size(1);
  const Index m = pair_count(n);
  const double n_pair = static_cast<double>(m);
  y_mean_ = rdms.sum({1, 2}) / (2 * n_pair);
  const bool by_units = p <= m;
  const at::Tensor products =
      by_units ? scaled_pair_gram(x, scaling_, kind) : pair_kernel(x, scaling_, kind);
  auto [values, vectors] = at::linalg_eigh(products, "L");
  const double rounding =
      static_cast<double>(std::max(m, p)) * std::numeric_limits<double>::epsilon();
  const Index size = values.size(0);
  const double least =
      std::max(rounding * values[size - 1].item<double>(), std::numeric_limits<double>::min());
  const Index rank = (values > least).sum().item<Index>();
  eigenvalues_ = values.narrow(0, size - rank, rank).clone();
  vectors_ = vectors.narrow(1, size - rank, rank).contiguous();
  if (by_units) {
    // Z'y; the mean of y does not matter, since columns of Z sum to zero.
    at::Tensor right = pair_products(x, rdms, kind);
    right.sub_(scaling_.mean * (n_pair * y_mean_).unsqueeze(1)).mul_(scaling_.inverse_scale);
    coefs_ = at::mm(right, vectors_).div_(eigenvalues_);
  } else {
    x_ = x;
    const at::Tensor pairs = at::triu_indices(n, n, 1, rdms.options().dtype(at::kLong));
    const at::Tensor y =
        rdms.reshape({rdms.size(0), n * n}).index_select(1, pairs[0] * n + pairs[1]);
    coefs_ = at::mm(y - y_mean_.unsqueeze(1), vectors_).div_(eigenvalues_.sqrt());
  }
}

PairRidge::Solution PairRidge::solve(const at::Tensor& alphas) const {
  const at::NoGradGuard no_grad;
  const Index n_rdm = coefs_.size(0);
  DNNBRAIN_REQUIRE(
      alphas.dim() == 2 && alphas.size(1) == n_rdm, "penalties must have shape (F, ", n_rdm, ").");
  const Index b = alphas.size(0) * n_rdm;
  const at::Tensor filtered =
      (coefs_ * (eigenvalues_ / (eigenvalues_ + alphas.unsqueeze(2)))).view({b, -1});
  at::Tensor weights;
  if (!x_.defined()) {
    weights = at::mm(filtered, vectors_.t());
  } else {
    // w = Z'a, with a the dual coefficients: a product with the design like that with y.
    const at::Tensor dual = at::mm(filtered / eigenvalues_.sqrt(), vectors_.t());
    weights = pair_products(x_, square_of_pairs(dual, x_.size(0)), kind_);
    weights.sub_(scaling_.mean * dual.sum(1, /*keepdim=*/true)).mul_(scaling_.inverse_scale);
  }
  weights.mul_(scaling_.inverse_scale);
  at::Tensor intercepts = y_mean_.repeat({alphas.size(0)}) - weights.mv(scaling_.mean);
  return {std::move(weights), std::move(intercepts)};
}

std::vector<PairRidge> factor_pair_ridges(const at::Tensor& x,
                                          const at::Tensor& rdms,
                                          const std::vector<at::Tensor>& training,
                                          PairKind kind) {
  std::vector<std::optional<PairRidge>> made(training.size());
  for_each_task(static_cast<Index>(training.size()), x.is_cpu(), [&](Index task) {
    const auto place = static_cast<std::size_t>(task);
    const at::Tensor& rows = training[place];
    made[place].emplace(
        x.index_select(0, rows), rdms.index_select(1, rows).index_select(2, rows), kind);
  });
  std::vector<PairRidge> out;
  for (auto& ridge : made) out.push_back(std::move(*ridge));
  return out;
}

std::vector<at::Tensor> predict_pair_ridges(const std::vector<PairRidge>& ridges,
                                            const std::vector<at::Tensor>& alphas,
                                            const at::Tensor& x,
                                            const std::vector<at::Tensor>& test,
                                            PairKind kind) {
  DNNBRAIN_REQUIRE(alphas.size() == ridges.size() && test.size() == ridges.size(),
                   "there must be penalties and held-out rows for each of the ",
                   ridges.size(),
                   " training sets.");
  std::vector<at::Tensor> out(ridges.size());
  for_each_task(static_cast<Index>(ridges.size()), x.is_cpu(), [&](Index task) {
    const auto place = static_cast<std::size_t>(task);
    const auto [weights, intercepts] = ridges[place].solve(alphas[place]);
    at::Tensor predicted = pair_predictions(x.index_select(0, test[place]), weights, kind)
                               .add_(intercepts.unsqueeze(1));
    out[place] = predicted.view({alphas[place].size(0), alphas[place].size(1), -1});
  });
  return out;
}

}  // namespace dnnbrain
