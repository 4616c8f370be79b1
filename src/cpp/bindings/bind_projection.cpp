#include <pybind11/numpy.h>

#include "bindings.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/kernels/projection.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

template <class Real>
using Array = py::array_t<Real, py::array::c_style>;

template <class Real>
Array<Real> project(const Array<Real>& x,
                    std::uint64_t seed,
                    Index n_comp,
                    double density,
                    int n_threads,
                    const py::object& progress) {
  DNNBRAIN_REQUIRE(x.ndim() == 2, "x must be 2-D; got ", x.ndim(), "-D.");
  Array<Real> y({x.shape(0), n_comp});
  const Real* const from = x.data();
  Real* const to = y.mutable_data();
  const Index n = x.shape(0);
  const Index n_feat = x.shape(1);
  run_monitored(progress, [&](Monitor& monitor) {
    project_rows(Projection{seed, n_comp, density}, from, n, n_feat, to, n_threads, monitor);
  });
  return y;
}

py::tuple entries(std::uint64_t seed, Index n_comp, double density, Index first, Index count) {
  const Projection projection{seed, n_comp, density};
  std::vector<std::int64_t> features;
  std::vector<std::int64_t> columns;
  std::vector<double> values;
  std::vector<ProjectionEntry> row;
  const double scale = projection_scale(projection);
  for (Index feature = first; feature < first + count; ++feature) {
    projection_row(projection, feature, row);
    for (const auto& [column, negative] : row) {
      features.push_back(feature);
      columns.push_back(column);
      values.push_back(negative ? -scale : scale);
    }
  }
  return py::make_tuple(py::array_t<std::int64_t>(py::cast(features)),
                        py::array_t<std::int64_t>(py::cast(columns)),
                        py::array_t<double>(py::cast(values)));
}

template <class Real>
void define_project(py::module_& m) {
  m.def("project_rows",
        &project<Real>,
        py::arg("x").noconvert(),
        py::arg("seed"),
        py::arg("n_comp"),
        py::arg("density"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace

void bind_projection(py::module_& m) {
  define_project<float>(m);
  define_project<double>(m);
  m.def("projection_entries",
        &entries,
        py::arg("seed"),
        py::arg("n_comp"),
        py::arg("density"),
        py::arg("first"),
        py::arg("count"));
}

}  // namespace dnnbrain::bindings
