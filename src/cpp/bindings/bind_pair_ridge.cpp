#include "dnnbrain/tensor/pair_ridge.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::tuple scaling_of(const at::Tensor& x, PairKind kind) {
  PairScaling scaling;
  {
    const py::gil_scoped_release no_gil;
    scaling = pair_scaling(x, kind);
  }
  return py::make_tuple(scaling.mean, scaling.inverse_scale);
}

at::Tensor scaled_gram(const at::Tensor& x, PairKind kind) {
  return scaled_pair_gram(x, pair_scaling(x, kind), kind);
}

py::tuple solve(const PairRidge& ridge, const at::Tensor& alphas) {
  PairRidge::Solution solution;
  {
    const py::gil_scoped_release no_gil;
    solution = ridge.solve(alphas);
  }
  return py::make_tuple(solution.weights, solution.intercepts);
}

}  // namespace

void bind_pair_ridge(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  py::native_enum<PairKind>(m, "PairKind", "enum.Enum")
      .value("squared_difference", PairKind::kSquaredDifference)
      .value("product", PairKind::kProduct)
      .finalize();
  m.def("pair_scaling", &scaling_of, py::arg("x"), py::arg("kind"));
  m.def("pair_gram", &pair_gram, py::arg("x"), py::arg("kind"), ReleaseGil());
  m.def("scaled_pair_gram", &scaled_gram, py::arg("x"), py::arg("kind"), ReleaseGil());
  m.def("pair_products",
        &pair_products,
        py::arg("x"),
        py::arg("rdms"),
        py::arg("kind"),
        ReleaseGil());
  m.def("pair_predictions",
        &pair_predictions,
        py::arg("x"),
        py::arg("weights"),
        py::arg("kind"),
        ReleaseGil());
  py::class_<PairRidge>(m, "PairRidge")
      .def_property_readonly("eigenvalues", &PairRidge::eigenvalues)
      .def_property_readonly("coefs", &PairRidge::coefs)
      .def("solve", &solve, py::arg("alphas"));
  m.def("factor_pair_ridges",
        &factor_pair_ridges,
        py::arg("x"),
        py::arg("rdms"),
        py::arg("training"),
        py::arg("kind"),
        ReleaseGil());
  m.def("predict_pair_ridges",
        &predict_pair_ridges,
        py::arg("ridges"),
        py::arg("alphas"),
        py::arg("x"),
        py::arg("test"),
        py::arg("kind"),
        ReleaseGil());
}

}  // namespace dnnbrain::bindings
