#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/neighbourhoods.hpp"
#include "dnnbrain/kernels/searchlight.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using Starts = py::array_t<Index, py::array::c_style>;
using Members = py::array_t<std::int32_t, py::array::c_style>;
using MaskArray = py::array_t<bool, py::array::c_style>;

template <class Value>
std::span<const Value> span_of(const py::array_t<Value, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class Value>
py::array_t<Value> owned(std::vector<Value>&& values) {
  auto* const kept = new std::vector<Value>(std::move(values));
  const py::capsule keep(kept,
                         [](void* pointer) { delete static_cast<std::vector<Value>*>(pointer); });
  return py::array_t<Value>({static_cast<py::ssize_t>(kept->size())}, kept->data(), keep);
}

py::tuple find_balls(const MaskArray& mask, std::array<double, 9> to_mm, double radius) {
  DNNBRAIN_REQUIRE(mask.ndim() == 3, "mask must be 3-D; got ", mask.ndim(), "-D.");
  const std::array<Index, 3> shape{mask.shape(0), mask.shape(1), mask.shape(2)};
  Neighbourhoods found = ball_neighbourhoods(span_of(mask), shape, to_mm, radius);
  return py::make_tuple(owned(std::move(found.starts)), owned(std::move(found.members)));
}

py::tuple run_searchlight(const ArrayF64& data,
                          Index n_cond,
                          Index n_run,
                          LocalMetric metric,
                          const Starts& starts,
                          const Members& members,
                          const ArrayF64& models,
                          Comparator comparator,
                          bool keep_rdms,
                          int n_threads,
                          const py::object& progress) {
  const LocalData local{matrix_view(data, "data"), n_cond, n_run, metric};
  const NeighbourhoodView neighbourhoods{span_of(starts), span_of(members)};
  const auto model_view = matrix_view(models, "models");
  const SearchlightOptions options{comparator, keep_rdms, n_threads};
  SearchlightResult result = run_monitored(progress, [&](Monitor& monitor) {
    return searchlight(local, neighbourhoods, model_view, options, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.scores)), to_numpy(std::move(result.rdms)));
}

py::array run_generalisation(const ArrayF64& data,
                             Index n_cond,
                             Index n_run,
                             LocalMetric metric,
                             const Starts& starts,
                             const Members& members,
                             const ArrayF64& models,
                             Comparator comparator,
                             int n_threads,
                             const py::object& progress) {
  const LocalData local{matrix_view(data, "data"), n_cond, n_run, metric};
  const NeighbourhoodView neighbourhoods{span_of(starts), span_of(members)};
  const auto model_view = matrix_view(models, "models");
  const SearchlightOptions options{comparator, false, n_threads};
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return generalisation(local, neighbourhoods, model_view, options, monitor);
  }));
}

}  // namespace

void bind_searchlight(py::module_& m) {
  py::native_enum<LocalMetric>(m, "LocalMetric", "enum.Enum")
      .value("correlation", LocalMetric::kCorrelation)
      .value("cosine", LocalMetric::kCosine)
      .value("euclidean", LocalMetric::kEuclidean)
      .value("sqeuclidean", LocalMetric::kSqEuclidean)
      .value("crossnobis", LocalMetric::kCrossnobis)
      .finalize();
  m.def("ball_neighbourhoods",
        &find_balls,
        py::arg("mask").noconvert(),
        py::arg("to_mm"),
        py::arg("radius"));
  m.def("searchlight",
        &run_searchlight,
        py::arg("data").noconvert(),
        py::arg("n_cond"),
        py::arg("n_run"),
        py::arg("metric"),
        py::arg("starts").noconvert(),
        py::arg("members").noconvert(),
        py::arg("models").noconvert(),
        py::arg("comparator"),
        py::arg("keep_rdms"),
        py::arg("n_threads"),
        py::arg("progress"));
  m.def("generalisation",
        &run_generalisation,
        py::arg("data").noconvert(),
        py::arg("n_cond"),
        py::arg("n_run"),
        py::arg("metric"),
        py::arg("starts").noconvert(),
        py::arg("members").noconvert(),
        py::arg("models").noconvert(),
        py::arg("comparator"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
