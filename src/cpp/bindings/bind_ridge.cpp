#include <ATen/ops/ones.h>
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>
#include <utility>

#include "bindings.hpp"
#include "dnnbrain/tensor/feature_ridge.hpp"
#include "dnnbrain/tensor/kernel_ridge.hpp"
#include "dnnbrain/tensor/kernel_sums.hpp"
#include "dnnbrain/tensor/leave_one_out.hpp"
#include "dnnbrain/tensor/row_kernel.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using Rows = std::vector<std::pair<at::Tensor, at::Tensor>>;
using Scores = std::pair<at::Tensor, py::object>;
using OptionalTensor = std::optional<at::Tensor>;

std::vector<Fold> to_folds(const Rows& rows) {
  std::vector<Fold> folds;
  folds.reserve(rows.size());
  for (const auto& [train, test] : rows) folds.push_back({train, test});
  return folds;
}

/// (mean over folds, every fold or None)
Scores to_python(const GridScores& scores) {
  return {scores.mean, scores.folds.defined() ? py::cast(scores.folds) : py::none()};
}

Scores cross_validate_kernel(const KernelFactor& factor,
                             const at::Tensor& responses,
                             const at::Tensor& ones,
                             const Rows& folds,
                             const std::vector<double>& alphas,
                             RidgeScore score,
                             bool keep_folds,
                             const py::object& progress) {
  const std::vector<Fold> core_folds = to_folds(folds);
  return to_python(run_monitored(progress, [&](Monitor& monitor) {
    return cross_validate_kernel_ridge(
        factor, responses, ones, core_folds, alphas, score, keep_folds, monitor);
  }));
}

Scores cross_validate_features(const at::Tensor& features,
                               const at::Tensor& responses,
                               const at::Tensor& nuisance,
                               const at::Tensor& ones,
                               const Rows& folds,
                               const std::vector<double>& alphas,
                               bool standardize,
                               RidgeScore score,
                               bool keep_folds,
                               const py::object& progress,
                               const OptionalTensor& products) {
  const std::vector<Fold> core_folds = to_folds(folds);
  return to_python(run_monitored(progress, [&](Monitor& monitor) {
    return cross_validate_feature_ridge(features,
                                        responses,
                                        nuisance,
                                        ones,
                                        core_folds,
                                        alphas,
                                        standardize,
                                        score,
                                        keep_folds,
                                        products.value_or(at::Tensor()),
                                        monitor);
  }));
}

at::Tensor solve_features(const at::Tensor& features,
                          const at::Tensor& responses,
                          const at::Tensor& nuisance,
                          const at::Tensor& ones,
                          const at::Tensor& alphas,
                          bool standardize,
                          const OptionalTensor& products) {
  const py::gil_scoped_release no_gil;
  return solve_feature_ridge(
      features, responses, nuisance, ones, alphas, products.value_or(at::Tensor()), standardize);
}

at::Tensor kernel_of_rows(const at::Tensor& features,
                          const OptionalTensor& centre,
                          const OptionalTensor& scale,
                          const py::object& progress) {
  return run_monitored(progress, [&](Monitor& monitor) {
    return row_kernel(
        features, centre.value_or(at::Tensor()), scale.value_or(at::Tensor()), monitor);
  });
}

at::Tensor leave_one_out_kernel(const KernelFactor& factor,
                                const at::Tensor& responses,
                                const at::Tensor& ones,
                                const std::vector<double>& alphas,
                                RidgeScore score,
                                const py::object& progress) {
  return run_monitored(progress,
                       [&](Monitor& monitor) {
                         return leave_one_out_kernel_ridge(
                             factor, responses, ones, alphas, score, monitor);
                       })
      .mean;
}

at::Tensor score_sums(const at::Tensor& kernels,
                      const at::Tensor& weights,
                      const at::Tensor& alphas,
                      const at::Tensor& responses,
                      const at::Tensor& nuisance,
                      const at::Tensor& ones,
                      const Rows& folds,
                      RidgeScore score,
                      const py::object& progress) {
  const std::vector<Fold> core_folds = to_folds(folds);
  return run_monitored(progress, [&](Monitor& monitor) {
    return score_kernel_sums(
        kernels, weights, alphas, responses, nuisance, ones, core_folds, score, monitor);
  });
}

/// Scores of one kernel in every fold, and its factor of all rows.
std::pair<at::Tensor, KernelFactor> score_folds(const at::Tensor& kernel,
                                                const at::Tensor& alphas,
                                                const at::Tensor& responses,
                                                const at::Tensor& nuisance,
                                                const at::Tensor& ones,
                                                const Rows& folds,
                                                RidgeScore score,
                                                const py::object& progress) {
  const std::vector<Fold> core_folds = to_folds(folds);
  KernelFactor whole;
  const at::Tensor scores = run_monitored(progress, [&](Monitor& monitor) {
    return score_kernel_sums(kernel.unsqueeze(0),
                             at::ones({1, 1}, at::kDouble),
                             alphas.unsqueeze(0),
                             responses,
                             nuisance,
                             ones,
                             core_folds,
                             score,
                             monitor,
                             &whole);
  });
  return {scores[0], whole};
}

}  // namespace

void bind_ridge(py::module_& m) {
  py::native_enum<RidgeScore>(m, "RidgeScore", "enum.Enum")
      .value("r", RidgeScore::kPearson)
      .value("r2", RidgeScore::kR2)
      .value("mse", RidgeScore::kMse)
      .finalize();
  m.def("cross_validate_feature_ridge",
        &cross_validate_features,
        py::arg("features"),
        py::arg("responses"),
        py::arg("nuisance"),
        py::arg("ones"),
        py::arg("folds"),
        py::arg("alphas"),
        py::arg("standardize"),
        py::arg("score"),
        py::arg("keep_folds"),
        py::arg("progress"),
        py::arg("products") = py::none());
  m.def(
      "is_partition",
      [](const Rows& folds, Index n) { return is_partition(to_folds(folds), n); },
      py::arg("folds"),
      py::arg("n"));
  m.def("row_kernel",
        &kernel_of_rows,
        py::arg("features"),
        py::arg("centre"),
        py::arg("scale"),
        py::arg("progress"));
  m.def("solve_feature_ridge",
        &solve_features,
        py::arg("features"),
        py::arg("responses"),
        py::arg("nuisance"),
        py::arg("ones"),
        py::arg("alphas"),
        py::arg("standardize"),
        py::arg("products") = py::none());
  py::class_<KernelFactor>(m, "KernelFactor")
      .def(py::init(&factor_kernel),
           py::arg("kernel"),
           py::arg("nuisance"),
           py::call_guard<py::gil_scoped_release>())
      .def_readonly("vectors", &KernelFactor::vectors)
      .def_readonly("values", &KernelFactor::values)
      .def_readonly("nuisance", &KernelFactor::nuisance)
      .def("cross_validate",
           &cross_validate_kernel,
           py::arg("responses"),
           py::arg("ones"),
           py::arg("folds"),
           py::arg("alphas"),
           py::arg("score"),
           py::arg("keep_folds"),
           py::arg("progress"))
      .def("leave_one_out",
           &leave_one_out_kernel,
           py::arg("responses"),
           py::arg("ones"),
           py::arg("alphas"),
           py::arg("score"),
           py::arg("progress"))
      .def("solve",
           &solve_kernel_ridge,
           py::arg("responses"),
           py::arg("alphas"),
           py::call_guard<py::gil_scoped_release>());
  m.def("score_kernel_sums",
        &score_sums,
        py::arg("kernels"),
        py::arg("weights"),
        py::arg("alphas"),
        py::arg("responses"),
        py::arg("nuisance"),
        py::arg("ones"),
        py::arg("folds"),
        py::arg("score"),
        py::arg("progress"));
  m.def("score_kernel_folds",
        &score_folds,
        py::arg("kernel"),
        py::arg("alphas"),
        py::arg("responses"),
        py::arg("nuisance"),
        py::arg("ones"),
        py::arg("folds"),
        py::arg("score"),
        py::arg("progress"));
  m.def("factor_kernel_sums",
        &factor_kernel_sums,
        py::arg("kernels"),
        py::arg("weights"),
        py::arg("nuisance"),
        py::call_guard<py::gil_scoped_release>());
  m.def("solve_kernel_sums",
        &solve_kernel_sums,
        py::arg("kernels"),
        py::arg("weights"),
        py::arg("chosen"),
        py::arg("alphas"),
        py::arg("responses"),
        py::arg("nuisance"),
        py::call_guard<py::gil_scoped_release>());
}

}  // namespace dnnbrain::bindings
