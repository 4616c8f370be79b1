#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/nnls.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::array weights_of(const ArrayF64& grams,
                     const ArrayF64& products,
                     int n_threads,
                     const py::object& progress) {
  const auto gram_view = matrix_view(grams, "grams");
  const auto product_view = matrix_view(products, "products");
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return nnls(gram_view, product_view, n_threads, monitor);
  }));
}

}  // namespace

void bind_nnls(py::module_& m) {
  m.def("nnls",
        &weights_of,
        py::arg("grams").noconvert(),
        py::arg("products").noconvert(),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
