#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/resampled_ranks.hpp"
#include "dnnbrain/tensor/resampled_moments.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::tuple moments(const at::Tensor& counts,
                  const at::Tensor& models,
                  const at::Tensor& subjects,
                  InnerProduct product,
                  const py::object& progress) {
  ResampledMoments result = run_monitored(progress, [&](Monitor& monitor) {
    return resampled_moments(counts, models, subjects, product, monitor);
  });
  return py::make_tuple(result.cross, result.own, result.among);
}

py::array scores(const ArrayF64& models,
                 const ArrayF64& subjects,
                 const ArrayF64& counts,
                 Comparator comparator,
                 int n_threads,
                 const py::object& progress) {
  const auto model_view = matrix_view(models, "models");
  const auto subject_view = matrix_view(subjects, "subjects");
  const auto count_view = matrix_view(counts, "counts");
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return resampled_scores(model_view, subject_view, count_view, comparator, n_threads, monitor);
  }));
}

py::array own_scores(const ArrayF64& models,
                     const ArrayF64& subjects,
                     const ArrayF64& counts,
                     Comparator comparator,
                     int n_threads,
                     const py::object& progress) {
  const auto model_view = matrix_view(models, "models");
  const auto subject_view = matrix_view(subjects, "subjects");
  const auto count_view = matrix_view(counts, "counts");
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return resampled_own_scores(
        model_view, subject_view, count_view, comparator, n_threads, monitor);
  }));
}

py::array ceilings(const ArrayF64& subjects,
                   const ArrayF64& counts,
                   const ArrayF64& subject_counts,
                   Comparator comparator,
                   PooledAs pooling,
                   int n_threads,
                   const py::object& progress) {
  const auto subject_view = matrix_view(subjects, "subjects");
  const auto count_view = matrix_view(counts, "counts");
  const auto copies_view = matrix_view(subject_counts, "subject_counts");
  return to_numpy(run_monitored(progress, [&](Monitor& monitor) {
    return resampled_ceilings(
        subject_view, count_view, copies_view, comparator, pooling, n_threads, monitor);
  }));
}

}  // namespace

void bind_bootstrap(py::module_& m) {
  py::native_enum<InnerProduct>(m, "InnerProduct", "enum.Enum")
      .value("plain", InnerProduct::kPlain)
      .value("whitened", InnerProduct::kWhitened)
      .finalize();
  py::native_enum<PooledAs>(m, "PooledAs", "enum.Enum")
      .value("values", PooledAs::kValues)
      .value("ranks", PooledAs::kRanks)
      .finalize();
  m.def("resampled_moments",
        &moments,
        py::arg("counts"),
        py::arg("models"),
        py::arg("subjects"),
        py::arg("product"),
        py::arg("progress"));
  m.def("resampled_scores",
        &scores,
        py::arg("models").noconvert(),
        py::arg("subjects").noconvert(),
        py::arg("counts").noconvert(),
        py::arg("comparator"),
        py::arg("n_threads"),
        py::arg("progress"));
  m.def("resampled_own_scores",
        &own_scores,
        py::arg("models").noconvert(),
        py::arg("subjects").noconvert(),
        py::arg("counts").noconvert(),
        py::arg("comparator"),
        py::arg("n_threads"),
        py::arg("progress"));
  m.def("resampled_ceilings",
        &ceilings,
        py::arg("subjects").noconvert(),
        py::arg("counts").noconvert(),
        py::arg("subject_counts").noconvert(),
        py::arg("comparator"),
        py::arg("pooling"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
