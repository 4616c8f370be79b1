#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/simplex_qp.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::array weights_of(const ArrayF64& products, Index n, int n_threads, const py::object& progress) {
  const auto view = matrix_view(products, "products");
  Matrix weights = run_monitored(
      progress, [&](Monitor& monitor) { return simplex_weights(view, n, n_threads, monitor); });
  return to_numpy(std::move(weights));
}

}  // namespace

void bind_simplex(py::module_& m) {
  m.def("simplex_weights",
        &weights_of,
        py::arg("products").noconvert(),
        py::arg("n"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
