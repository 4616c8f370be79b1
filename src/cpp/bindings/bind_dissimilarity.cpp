#include "dnnbrain/tensor/dissimilarity.hpp"

#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

void bind_dissimilarity(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  py::enum_<Dissimilarity>(m, "Dissimilarity")
      .value("correlation", Dissimilarity::kCorrelation)
      .value("cosine", Dissimilarity::kCosine)
      .value("euclidean", Dissimilarity::kEuclidean)
      .value("sqeuclidean", Dissimilarity::kSqEuclidean);
  py::class_<GramMoments>(m, "GramMoments")
      .def_readonly("centred", &GramMoments::centred)
      .def_readonly("n_feat", &GramMoments::n_feat);
  py::class_<GramAccumulator>(m, "GramAccumulator")
      .def(py::init<Index>(), py::arg("n_stim"))
      .def("add", &GramAccumulator::add, py::arg("chunk"), ReleaseGil())
      .def("moments", &GramAccumulator::moments, py::return_value_policy::copy);
  m.def("gram_moments",
        &gram_moments,
        py::arg("features"),
        py::arg("chunk_bytes") = Index{64} << 20,
        ReleaseGil());
  m.def("dissimilarities",
        py::overload_cast<const at::Tensor&, Dissimilarity>(&dissimilarities),
        py::arg("features"),
        py::arg("metric"),
        ReleaseGil());
  m.def("dissimilarities",
        py::overload_cast<const GramMoments&, Dissimilarity>(&dissimilarities),
        py::arg("moments"),
        py::arg("metric"),
        ReleaseGil());
}

}  // namespace dnnbrain::bindings
