#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <utility>

#include "bindings.hpp"
#include "dnnbrain/kernels/frac_ridge.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::array alphas_of_fractions(const ArrayF64& eigenvalues,
                              const ArrayF64& squares,
                              const ArrayF64& fractions,
                              int n_threads,
                              const py::object& progress) {
  const auto eigenvalue_view = matrix_view(eigenvalues, "eigenvalues");
  const auto square_view = matrix_view(squares, "squares");
  const auto fraction_view = matrix_view(fractions, "fractions");
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return fraction_alphas(eigenvalue_view, square_view, fraction_view, n_threads, monitor);
  }));
}

}  // namespace

void bind_frac_ridge(py::module_& m) {
  m.def("fraction_alphas",
        &alphas_of_fractions,
        py::arg("eigenvalues").noconvert(),
        py::arg("squares").noconvert(),
        py::arg("fractions").noconvert(),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
