#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/clusters.hpp"
#include "dnnbrain/kernels/sign_flips.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using Starts = py::array_t<Index, py::array::c_style>;
using Neighbours = py::array_t<std::int32_t, py::array::c_style>;

PointGraph graph_view(const Starts& starts, const Neighbours& neighbours) {
  return {{starts.data(), static_cast<std::size_t>(starts.size())},
          {neighbours.data(), static_cast<std::size_t>(neighbours.size())}};
}

py::tuple run_sign_flips(const ArrayF64& maps,
                         Index n_flip,
                         bool enumerate,
                         std::uint64_t seed,
                         Alternative alternative,
                         int n_threads,
                         const py::object& progress) {
  const auto view = matrix_view(maps, "maps");
  const FlipPlan plan{n_flip, enumerate, seed};
  SignFlipResult result = run_monitored(progress, [&](Monitor& monitor) {
    return sign_flip_test(view, plan, alternative, n_threads, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.statistic)),
                        to_numpy(std::move(result.exceed)),
                        to_numpy(std::move(result.family_exceed)),
                        to_numpy(std::move(result.extremes)));
}

py::tuple run_clusters(const ArrayF64& maps,
                       const Starts& starts,
                       const Neighbours& neighbours,
                       double threshold,
                       Index n_flip,
                       bool enumerate,
                       std::uint64_t seed,
                       Alternative alternative,
                       int n_threads,
                       const py::object& progress) {
  const auto view = matrix_view(maps, "maps");
  const PointGraph graph = graph_view(starts, neighbours);
  const FlipPlan plan{n_flip, enumerate, seed};
  ClusterResult result = run_monitored(progress, [&](Monitor& monitor) {
    return cluster_test(view, graph, threshold, plan, alternative, n_threads, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.statistic)),
                        to_numpy(std::move(result.labels)),
                        to_numpy(std::move(result.masses)),
                        to_numpy(std::move(result.exceed)),
                        to_numpy(std::move(result.extremes)));
}

py::tuple run_enhanced(const ArrayF64& maps,
                       const Starts& starts,
                       const Neighbours& neighbours,
                       double extent,
                       double height,
                       double step,
                       Index n_flip,
                       bool enumerate,
                       std::uint64_t seed,
                       Alternative alternative,
                       int n_threads,
                       const py::object& progress) {
  const auto view = matrix_view(maps, "maps");
  const PointGraph graph = graph_view(starts, neighbours);
  const FlipPlan plan{n_flip, enumerate, seed};
  const Enhancement enhancement{extent, height, step};
  EnhancedResult result = run_monitored(progress, [&](Monitor& monitor) {
    return enhanced_test(view, graph, enhancement, plan, alternative, n_threads, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.statistic)),
                        to_numpy(std::move(result.enhanced)),
                        to_numpy(std::move(result.exceed)),
                        to_numpy(std::move(result.extremes)));
}

}  // namespace

void bind_sign_flips(py::module_& m) {
  m.def("sign_flip_test",
        &run_sign_flips,
        py::arg("maps").noconvert(),
        py::arg("n_flip"),
        py::arg("enumerate"),
        py::arg("seed"),
        py::arg("alternative"),
        py::arg("n_threads"),
        py::arg("progress"));
  m.def("cluster_test",
        &run_clusters,
        py::arg("maps").noconvert(),
        py::arg("starts").noconvert(),
        py::arg("neighbours").noconvert(),
        py::arg("threshold"),
        py::arg("n_flip"),
        py::arg("enumerate"),
        py::arg("seed"),
        py::arg("alternative"),
        py::arg("n_threads"),
        py::arg("progress"));
  m.def("enhanced_cluster_test",
        &run_enhanced,
        py::arg("maps").noconvert(),
        py::arg("starts").noconvert(),
        py::arg("neighbours").noconvert(),
        py::arg("extent"),
        py::arg("height"),
        py::arg("step"),
        py::arg("n_flip"),
        py::arg("enumerate"),
        py::arg("seed"),
        py::arg("alternative"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
