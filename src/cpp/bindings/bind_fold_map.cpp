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

std::vector<Factors> make_maps(const at::Tensor& data,
                               bool is_gram,
                               const std::vector<Rows>& folds,
                               Index n_comp,
                               double alpha,
                               bool whiten,
                               bool standardize,
                               const py::object& progress) {
  const std::vector<Fold> core_folds = folds_of(folds);
  const MapOptions options{n_comp, alpha, whiten};
  std::vector<FoldMap> maps = run_monitored(progress, [&](Monitor& monitor) {
    return make_fold_maps({data, is_gram, standardize}, core_folds, options, monitor);
  });
  std::vector<Factors> factors;
  for (FoldMap& map : maps) factors.push_back(factors_of(std::move(map)));
  return factors;
}

std::pair<at::Tensor, at::Tensor> components(const at::Tensor& data,
                                             bool is_gram,
                                             const Rows& fold,
                                             Index n_comp,
                                             bool whiten,
                                             bool standardize) {
  const py::gil_scoped_release no_gil;
  FoldComponents found =
      fold_components({data, is_gram, standardize}, {fold.first, fold.second}, n_comp);
  if (whiten) found = whitened(found);
  return {std::move(found.train), std::move(found.test)};
}

std::pair<at::Tensor, at::Tensor> kernels(const at::Tensor& data,
                                          bool is_gram,
                                          const Rows& fold,
                                          bool standardize) {
  const py::gil_scoped_release no_gil;
  FoldKernels found = fold_kernels({data, is_gram, standardize}, {fold.first, fold.second});
  return {std::move(found.train), std::move(found.test)};
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
  m.def("make_fold_maps",
        &make_maps,
        py::arg("data"),
        py::arg("is_gram"),
        py::arg("folds"),
        py::arg("n_comp"),
        py::arg("alpha"),
        py::arg("whiten"),
        py::arg("standardize"),
        py::arg("progress"));
  m.def("fold_components",
        &components,
        py::arg("data"),
        py::arg("is_gram"),
        py::arg("fold"),
        py::arg("n_comp"),
        py::arg("whiten"),
        py::arg("standardize"));
  m.def("fold_kernels",
        &kernels,
        py::arg("data"),
        py::arg("is_gram"),
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
