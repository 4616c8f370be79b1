#include "dnnbrain/tensor/dissimilarity.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>

#include "bindings.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/product_distance.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using OptionalTensor = std::optional<at::Tensor>;

py::tuple get_state(const GramMoments& moments) {
  return py::make_tuple(moments.centred,
                        moments.row_sum,
                        moments.mean_dot,
                        moments.mean_sum,
                        moments.mean_sq,
                        moments.pilot,
                        moments.n_feat);
}

GramMoments set_state(const py::tuple& state) {
  DNNBRAIN_REQUIRE(state.size() == 7, "a pickled GramMoments has 7 parts; got ", state.size(), ".");
  return {state[0].cast<at::Tensor>(),
          state[1].cast<at::Tensor>(),
          state[2].cast<at::Tensor>(),
          state[3].cast<double>(),
          state[4].cast<double>(),
          state[5].cast<double>(),
          state[6].cast<Index>()};
}

}  // namespace

void bind_dissimilarity(py::module_& m) {
  using ReleaseGil = py::call_guard<py::gil_scoped_release>;
  py::native_enum<Dissimilarity>(m, "Dissimilarity", "enum.Enum")
      .value("correlation", Dissimilarity::kCorrelation)
      .value("cosine", Dissimilarity::kCosine)
      .value("euclidean", Dissimilarity::kEuclidean)
      .value("sqeuclidean", Dissimilarity::kSqEuclidean)
      .finalize();
  py::class_<GramMoments>(m, "GramMoments")
      .def_readonly("centred", &GramMoments::centred)
      .def_readonly("n_feat", &GramMoments::n_feat)
      .def(py::pickle(&get_state, &set_state));
  m.def("gram_moments",
        &gram_moments,
        py::arg("features"),
        py::arg("chunk_bytes") = Index{16} << 20,
        ReleaseGil());
  m.def(
      "dissimilarities",
      [](const at::Tensor& features, Dissimilarity metric, const py::object& progress) {
        return run_monitored(
            progress, [&](Monitor& monitor) { return dissimilarities(features, metric, monitor); });
      },
      py::arg("features"),
      py::arg("metric"),
      py::arg("progress") = py::none());
  m.def("dissimilarities",
        py::overload_cast<const GramMoments&, Dissimilarity>(&dissimilarities),
        py::arg("moments"),
        py::arg("metric"),
        ReleaseGil());
  m.def(
      "product_distances",
      [](const at::Tensor& first, const OptionalTensor& second) {
        const py::gil_scoped_release no_gil;
        return product_distances(first, second.value_or(at::Tensor()));
      },
      py::arg("first"),
      py::arg("second"));
  m.def(
      "crossvalidated_distances",
      [](const at::Tensor& first,
         const OptionalTensor& second,
         const OptionalTensor& present,
         const py::object& progress) {
        return run_monitored(progress, [&](Monitor& monitor) {
          return crossvalidated_distances(
              first, second.value_or(at::Tensor()), present.value_or(at::Tensor()), monitor);
        });
      },
      py::arg("first"),
      py::arg("second"),
      py::arg("present"),
      py::arg("progress"));
  m.def(
      "discriminant_t",
      [](const at::Tensor& patterns, const at::Tensor& counts, const py::object& progress) {
        return run_monitored(
            progress, [&](Monitor& monitor) { return discriminant_t(patterns, counts, monitor); });
      },
      py::arg("patterns"),
      py::arg("counts"),
      py::arg("progress"));
}

}  // namespace dnnbrain::bindings
