#include "dnnbrain/tensor/pls.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <utility>

#include "bindings.hpp"
#include "dnnbrain/tensor/pls_held_out.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using FoldRows = std::vector<std::pair<at::Tensor, at::Tensor>>;

PlsModel fit(const at::Tensor& features,
             const at::Tensor& responses,
             const PlsOptions& options,
             const py::object& progress) {
  return run_monitored(
      progress, [&](Monitor& monitor) { return fit_pls(features, responses, options, monitor); });
}

PlsHeldOut cross_validate(const at::Tensor& data,
                          bool is_gram,
                          const at::Tensor& responses,
                          const FoldRows& folds,
                          const PlsOptions& options,
                          const std::vector<Index>& counts,
                          Score score,
                          bool predictions,
                          Index max_bytes,
                          const py::object& progress) {
  std::vector<Fold> core_folds;
  for (const auto& [train, test] : folds) core_folds.push_back({train, test});
  const auto run = is_gram ? cross_validate_pls_gram : cross_validate_pls;
  return run_monitored(progress, [&](Monitor& monitor) {
    return run(
        data, responses, core_folds, options, {counts, score, predictions}, max_bytes, monitor);
  });
}

}  // namespace

void bind_pls(py::module_& m) {
  py::native_enum<PlsAlgorithm>(m, "PlsAlgorithm", "enum.Enum")
      .value("nipals", PlsAlgorithm::kNipals)
      .value("exact", PlsAlgorithm::kExact)
      .finalize();
  py::class_<PlsOptions>(m, "PlsOptions")
      .def(py::init(
               [](Index n_comp, bool scale, PlsAlgorithm algorithm, Index max_iter, double tol) {
                 return PlsOptions{n_comp, scale, algorithm, max_iter, tol};
               }),
           py::arg("n_comp"),
           py::arg("scale"),
           py::arg("algorithm"),
           py::arg("max_iter"),
           py::arg("tol"));
  py::class_<PlsModel>(m, "PlsModel")
      .def_readonly("x_mean", &PlsModel::x_mean)
      .def_readonly("x_std", &PlsModel::x_std)
      .def_readonly("y_mean", &PlsModel::y_mean)
      .def_readonly("y_std", &PlsModel::y_std)
      .def_readonly("x_weights", &PlsModel::x_weights)
      .def_readonly("x_loadings", &PlsModel::x_loadings)
      .def_readonly("y_loadings", &PlsModel::y_loadings)
      .def_readonly("x_scores", &PlsModel::x_scores)
      .def_readonly("y_scores", &PlsModel::y_scores)
      .def_readonly("n_iter", &PlsModel::n_iter);
  py::class_<PlsHeldOut>(m, "PlsHeldOut")
      .def_readonly("scores", &PlsHeldOut::scores)
      .def_readonly("predictions", &PlsHeldOut::predictions)
      .def_readonly("n_found", &PlsHeldOut::n_found)
      .def_readonly("n_iter", &PlsHeldOut::n_iter);
  m.def("fit_pls",
        &fit,
        py::arg("features"),
        py::arg("responses"),
        py::arg("options"),
        py::arg("progress"));
  m.def("cross_validate_pls",
        &cross_validate,
        py::arg("data"),
        py::arg("is_gram"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("options"),
        py::arg("counts"),
        py::arg("score"),
        py::arg("predictions"),
        py::arg("max_bytes"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
