#include "dnnbrain/tensor/fold_map.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>
#include <utility>

#include "bindings.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using Rows = std::pair<at::Tensor, at::Tensor>;
using Factors = std::pair<at::Tensor, std::optional<at::Tensor>>;

std::vector<Fold> folds_of(const std::vector<Rows>& rows) {
  std::vector<Fold> folds;
  for (const auto& [train, test] : rows) folds.push_back({train, test});
  return folds;
}

std::vector<FoldMap> maps_of(const std::vector<Factors>& factors) {
  std::vector<FoldMap> maps;
  for (const auto& [left, right] : factors) maps.push_back({left, right.value_or(at::Tensor())});
  return maps;
}

Factors factors_of(FoldMap map) {
  if (!map.right.defined()) return {std::move(map.left), std::nullopt};
  return {std::move(map.left), std::move(map.right)};
}

template <class Make>
Factors make_map(const at::Tensor& source,
                 const Rows& fold,
                 const MapOptions& options,
                 const Make& make) {
  const py::gil_scoped_release no_gil;
  return factors_of(make(source, Fold{fold.first, fold.second}, options));
}

template <class Make>
std::pair<at::Tensor, at::Tensor> make_components(const at::Tensor& source,
                                                  const Rows& fold,
                                                  const MapOptions& options,
                                                  const Make& make) {
  const py::gil_scoped_release no_gil;
  FoldComponents components = make(source, Fold{fold.first, fold.second}, options);
  return {std::move(components.train), std::move(components.test)};
}

at::Tensor score(const std::vector<Factors>& maps,
                 const at::Tensor& responses,
                 const std::vector<Rows>& folds,
                 FoldScore score,
                 bool pooled,
                 const py::object& progress) {
  const std::vector<FoldMap> core_maps = maps_of(maps);
  const std::vector<Fold> core_folds = folds_of(folds);
  return run_monitored(progress, [&](Monitor& monitor) {
    return score_fold_maps(core_maps, responses, core_folds, score, pooled, monitor);
  });
}

at::Tensor predict(const std::vector<Factors>& maps,
                   const at::Tensor& responses,
                   const std::vector<Rows>& folds,
                   const py::object& progress) {
  const std::vector<FoldMap> core_maps = maps_of(maps);
  const std::vector<Fold> core_folds = folds_of(folds);
  return run_monitored(progress, [&](Monitor& monitor) {
    return predict_fold_maps(core_maps, responses, core_folds, monitor);
  });
}

}  // namespace

void bind_fold_map(py::module_& m) {
  py::native_enum<FoldScore>(m, "FoldScore", "enum.Enum")
      .value("r", FoldScore::kPearson)
      .value("r2", FoldScore::kR2)
      .value("mse", FoldScore::kMse)
      .value("ev", FoldScore::kExplainedVariance)
      .finalize();
  m.def(
      "gram_fold_map",
      [](const at::Tensor& gram, const Rows& fold, Index n_comp, double alpha, bool whiten) {
        return make_map(gram, fold, {n_comp, alpha, whiten, false}, gram_fold_map);
      },
      py::arg("gram"),
      py::arg("fold"),
      py::arg("n_comp"),
      py::arg("alpha"),
      py::arg("whiten"));
  m.def(
      "feature_fold_map",
      [](const at::Tensor& features,
         const Rows& fold,
         Index n_comp,
         double alpha,
         bool whiten,
         bool standardize) {
        return make_map(features, fold, {n_comp, alpha, whiten, standardize}, feature_fold_map);
      },
      py::arg("features"),
      py::arg("fold"),
      py::arg("n_comp"),
      py::arg("alpha"),
      py::arg("whiten"),
      py::arg("standardize"));
  m.def(
      "gram_fold_components",
      [](const at::Tensor& gram, const Rows& fold, Index n_comp, bool whiten) {
        return make_components(gram, fold, {n_comp, 0, whiten, false}, gram_fold_components);
      },
      py::arg("gram"),
      py::arg("fold"),
      py::arg("n_comp"),
      py::arg("whiten"));
  m.def(
      "feature_fold_components",
      [](const at::Tensor& features,
         const Rows& fold,
         Index n_comp,
         bool whiten,
         bool standardize) {
        return make_components(
            features, fold, {n_comp, 0, whiten, standardize}, feature_fold_components);
      },
      py::arg("features"),
      py::arg("fold"),
      py::arg("n_comp"),
      py::arg("whiten"),
      py::arg("standardize"));
  m.def(
      "gram_fold_kernels",
      [](const at::Tensor& gram, const Rows& fold) {
        const py::gil_scoped_release no_gil;
        FoldKernels kernels = gram_fold_kernels(gram, {fold.first, fold.second});
        return std::pair(std::move(kernels.train), std::move(kernels.test));
      },
      py::arg("gram"),
      py::arg("fold"));
  m.def(
      "feature_fold_kernels",
      [](const at::Tensor& features, const Rows& fold, bool standardize) {
        const py::gil_scoped_release no_gil;
        FoldKernels kernels =
            feature_fold_kernels(features, {fold.first, fold.second}, standardize);
        return std::pair(std::move(kernels.train), std::move(kernels.test));
      },
      py::arg("features"),
      py::arg("fold"),
      py::arg("standardize"));
  m.def("score_fold_maps",
        &score,
        py::arg("maps"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("score"),
        py::arg("pooled"),
        py::arg("progress"));
  m.def("predict_fold_maps",
        &predict,
        py::arg("maps"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
