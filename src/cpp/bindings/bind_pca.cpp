#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"
#include "dnnbrain/tensor/eigenpairs.hpp"
#include "dnnbrain/tensor/gram.hpp"
#include "dnnbrain/tensor/incremental_pca.hpp"
#include "dnnbrain/tensor/signs.hpp"
#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

void bind_pca(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  m.def("flip_signs", &flip_signs, py::arg("components"), ReleaseGil());
  m.def("add_symmetric_product",
        &add_symmetric_product,
        py::arg("total"),
        py::arg("x"),
        ReleaseGil());
  m.def(
      "top_eigenpairs",
      [](const at::Tensor& matrix, Index k) {
        Eigenpairs pairs;
        for_each_task(1, matrix.is_cpu(), [&](Index) { pairs = top_eigenpairs(matrix, k); });
        return std::pair(pairs.values, pairs.vectors);
      },
      py::arg("matrix"),
      py::arg("k"),
      ReleaseGil());
  py::class_<GramAccumulator>(m, "GramAccumulator")
      .def(py::init<Index>(), py::arg("n_stim"))
      .def("add", &GramAccumulator::add, py::arg("chunk"), ReleaseGil())
      .def("moments", &GramAccumulator::moments);
  py::class_<IncrementalPcaState>(m, "IncrementalPcaState")
      .def(py::init([](Index n_seen,
                       const at::Tensor& mean,
                       const at::Tensor& variance,
                       const at::Tensor& values,
                       const at::Tensor& components) {
             return IncrementalPcaState{n_seen, mean, variance, values, components};
           }),
           py::arg("n_seen"),
           py::arg("mean"),
           py::arg("variance"),
           py::arg("values"),
           py::arg("components"))
      .def_readonly("n_seen", &IncrementalPcaState::n_seen)
      .def_readonly("mean", &IncrementalPcaState::mean)
      .def_readonly("variance", &IncrementalPcaState::variance)
      .def_readonly("values", &IncrementalPcaState::values)
      .def_readonly("components", &IncrementalPcaState::components);
  m.def(
      "incremental_pca_step",
      [](const IncrementalPcaState* state, const at::Tensor& batch, Index n_comp) {
        const py::gil_scoped_release no_gil;
        return incremental_pca_step(
            state == nullptr ? IncrementalPcaState{} : *state, batch, n_comp);
      },
      py::arg("state").none(true),
      py::arg("batch"),
      py::arg("n_comp"));
}

}  // namespace dnnbrain::bindings
