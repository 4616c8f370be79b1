#include "dnnbrain/tensor/sink.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

void bind_sink(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  py::native_enum<Pooling>(m, "Pooling", "enum.Enum")
      .value("mean", Pooling::kMean)
      .value("max", Pooling::kMax)
      .value("min", Pooling::kMin)
      .value("l1", Pooling::kL1)
      .value("l2", Pooling::kL2)
      .finalize();
  py::class_<Sink>(m, "Sink")
      .def("consume", &Sink::consume, py::arg("activation"), ReleaseGil())
      .def("rewind", &Sink::rewind, py::arg("n_stim"))
      .def_property_readonly("n_stim", &Sink::n_stim);
  py::class_<KeepSink, Sink>(m, "KeepSink")
      .def(py::init<at::Tensor, Index>(), py::arg("out"), py::arg("batch_axis"));
  py::class_<PoolSink, Sink>(m, "PoolSink")
      .def(py::init<at::Tensor, Index, Index, Pooling>(),
           py::arg("out"),
           py::arg("batch_axis"),
           py::arg("channel_axis"),
           py::arg("pooling"));
  py::class_<GramSink, Sink>(m, "GramSink")
      .def(py::init<at::Tensor, Index>(), py::arg("spool"), py::arg("batch_axis"))
      .def("moments", &GramSink::moments, ReleaseGil());
}

}  // namespace dnnbrain::bindings
