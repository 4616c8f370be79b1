#include "dnnbrain/tensor/pls.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sign.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/pls_components.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Columns that are standardised at a time.
constexpr Index kColumnBlock = 256;

}  // namespace

void check_pls_data(const at::Tensor& features, const at::Tensor& responses) {
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.is_floating_point() && features.size(1) > 0,
                   "features must be floating point of shape (n, p); got ",
                   features.dim(),
                   " axes of ",
                   features.dtype().name(),
                   ".");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.is_floating_point() &&
                       responses.size(0) == features.size(0) && responses.size(1) > 0,
                   "responses must be floating point of shape (n, t) with n == ",
                   features.size(0),
                   "; got ",
                   responses.dim(),
                   " axes of ",
                   responses.dtype().name(),
                   ".");
}

PlsModel fit_pls(const at::Tensor& features,
                 const at::Tensor& responses,
                 const PlsOptions& options,
                 Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_pls_data(features, responses);
  const Index n = features.size(0);
  const Index p = features.size(1);
  const Index n_target = responses.size(1);
  DNNBRAIN_REQUIRE(options.n_comp >= 1 && options.n_comp <= std::min(n, p),
                   "`n_components` upper bound is ",
                   std::min(n, p),
                   ". Got ",
                   options.n_comp,
                   " instead. Reduce `n_components`.");
  const at::Tensor counts = at::ones({1, n}, features.options().dtype(at::kDouble));
  monitor.start(1);
  const FoldScaling x_scaling = fold_scaling(features, counts, options.scale);
  const FoldScaling y_scaling = fold_scaling(responses, counts, options.scale);
  const Index n_product = expected_products(options, n_target);
  const auto x = fold_products(features, counts, x_scaling, options.scale, n_product, monitor);
  const auto y = fold_products(responses, counts, y_scaling, options.scale, n_product, monitor);
  const PlsComponents found =
      pls_components(*x, *y, counts, responses, y_scaling, options, monitor)[0];

  const Index n_found = static_cast<Index>(found.n_iter.size());
  const at::Tensor averaging = averaging_rows(found, counts[0]);
  PlsModel model{x_scaling.mean[0],
                 x_scaling.std[0],
                 y_scaling.mean[0],
                 y_scaling.std[0],
                 at::empty({p, n_found}, counts.options()),
                 at::empty({p, n_found}, counts.options()),
                 at::empty({n_target, n_found}, counts.options()),
                 found.x_scores.t().contiguous(),
                 found.y_scores.t().contiguous(),
                 found.n_iter};
  const at::Tensor both = at::cat({found.duals, averaging});
  for (Index first = 0; first < p; first += kColumnBlock) {
    const Index width = std::min(kColumnBlock, p - first);
    const at::Tensor z = standardised_columns(features, x_scaling, 0, first, width);
    const at::Tensor parts = times_columns(both, z).t();
    model.x_weights.narrow(0, first, width).copy_(parts.narrow(1, 0, n_found));
    model.x_loadings.narrow(0, first, width).copy_(parts.narrow(1, n_found, n_found));
  }
  for (Index first = 0; first < n_target; first += kColumnBlock) {
    const Index width = std::min(kColumnBlock, n_target - first);
    const at::Tensor z = standardised_columns(responses, y_scaling, 0, first, width);
    model.y_loadings.narrow(0, first, width).copy_(times_columns(averaging, z).t());
  }
  if (n_found > 0) {
    const at::Tensor largest = model.x_weights.abs().argmax(0, /*keepdim=*/true);
    const at::Tensor sign = model.x_weights.gather(0, largest).sign();
    for (at::Tensor* part : {&model.x_weights,
                             &model.x_loadings,
                             &model.y_loadings,
                             &model.x_scores,
                             &model.y_scores}) {
      *part *= sign;
    }
  }
  monitor.step();
  return model;
}

}  // namespace dnnbrain
