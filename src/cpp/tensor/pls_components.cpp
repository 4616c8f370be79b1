#include "dnnbrain/tensor/pls_components.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>

#include <algorithm>

#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Lanczos steps that one component may be expected to take.
constexpr Index kTypicalSteps = 12;

/// Serve all folds that want a product of this kind, in one call.
void serve(std::vector<PlsFold>& folds, PlsFold::Wants kind, const FoldProducts& products) {
  std::vector<PlsFold*> asking;
  std::vector<Index> which;
  std::vector<at::Tensor> vectors;
  for (PlsFold& fold : folds) {
    if (fold.wants() != kind) continue;
    asking.push_back(&fold);
    which.push_back(fold.fold());
    vectors.push_back(fold.vector());
  }
  if (asking.empty()) return;
  const at::Tensor answers = products.apply(which, at::stack(vectors));
  for_each_task(std::ssize(asking), answers.is_cpu(), [&](Index i) {
    asking[static_cast<std::size_t>(i)]->receive(answers[i]);
  });
}

void run_to_end(std::vector<PlsFold>& folds,
                const FoldProducts& x,
                const FoldProducts& y,
                Monitor& monitor) {
  const auto busy = [](const PlsFold& fold) { return fold.wants() != PlsFold::Wants::kNothing; };
  while (std::any_of(folds.begin(), folds.end(), busy)) {
    serve(folds, PlsFold::Wants::kX, x);
    serve(folds, PlsFold::Wants::kY, y);
    monitor.step(0);
  }
}

}  // namespace

std::vector<PlsComponents> pls_components(const FoldProducts& x,
                                          const FoldProducts& y,
                                          const at::Tensor& counts,
                                          const at::Tensor& responses,
                                          const FoldScaling& y_scaling,
                                          const PlsOptions& options,
                                          Monitor& monitor) {
  const Index n_fold = counts.size(0);
  const bool together = x.batches() || y.batches();
  std::vector<PlsComponents> out;
  std::vector<PlsFold> running;
  for (Index f = 0; f < n_fold; ++f) {
    running.emplace_back(f, counts[f], FoldTargets(responses, y_scaling, f), x, options);
    if (together && f + 1 < n_fold) continue;
    run_to_end(running, x, y, monitor);
    for (const PlsFold& fold : running) out.push_back(fold.components());
    running.clear();
  }
  return out;
}

Index expected_products(const PlsOptions& options, Index n_target) {
  return options.n_comp * (std::min(n_target, kTypicalSteps) + 1);
}

at::Tensor averaging_rows(const PlsComponents& found, const at::Tensor& counts) {
  const at::Tensor weighted = found.x_scores * counts;
  return weighted / (weighted * found.x_scores).sum(1, /*keepdim=*/true);
}

}  // namespace dnnbrain
