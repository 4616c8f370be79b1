#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"
#include "dnnbrain/tensor/noise_covariance.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

void bind_noise(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  py::native_enum<Shrinkage>(m, "Shrinkage", "enum.Enum")
      .value("none", Shrinkage::kNone)
      .value("diagonal", Shrinkage::kDiagonal)
      .value("ledoit_wolf", Shrinkage::kLedoitWolf)
      .value("shrunk_diagonal", Shrinkage::kShrunkDiagonal)
      .finalize();
  m.def(
      "noise_covariance",
      [](const at::Tensor& residuals, Shrinkage method, double dof) {
        NoiseCovariance result;
        {
          const py::gil_scoped_release no_gil;
          result = noise_covariance(residuals, method, dof);
        }
        return py::make_tuple(result.covariance, result.shrinkage);
      },
      py::arg("residuals"),
      py::arg("method"),
      py::arg("dof"));
  m.def("rows_times", &rows_times, py::arg("matrix"), py::arg("vectors"), ReleaseGil());
}

}  // namespace dnnbrain::bindings
