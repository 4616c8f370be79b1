#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/reweighting.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::tuple reweight(const ArrayF64& models,
                   const ArrayF64& subjects,
                   const SplitPlan& plan,
                   Index n_boot,
                   Comparator comparator,
                   int n_threads,
                   const py::object& progress) {
  const auto model_view = matrix_view(models, "models");
  const auto subject_view = matrix_view(subjects, "subjects");
  Reweighting result = run_monitored(progress, [&](Monitor& monitor) {
    return reweight_rdms(model_view, subject_view, plan, n_boot, comparator, n_threads, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.scores)),
                        to_numpy(std::move(result.ceilings)),
                        to_numpy(std::move(result.weights)));
}

py::tuple split_of(const SplitPlan& plan, Index sample, Index split) {
  const SampleSplit drawn = draw_split(plan, sample, split);
  return py::make_tuple(
      drawn.train_conditions, drawn.test_conditions, drawn.train_subjects, drawn.test_subjects);
}

}  // namespace

void bind_reweighting(py::module_& m) {
  py::class_<SplitPlan>(m, "SplitPlan")
      .def(py::init([](Index n_cond,
                       Index n_subject,
                       Index n_split,
                       Index n_test_cond,
                       Index n_test_subject,
                       bool resample_conditions,
                       bool resample_subjects,
                       std::uint64_t seed) {
             return SplitPlan{n_cond,
                              n_subject,
                              n_split,
                              n_test_cond,
                              n_test_subject,
                              resample_conditions,
                              resample_subjects,
                              seed};
           }),
           py::arg("n_cond"),
           py::arg("n_subject"),
           py::arg("n_split"),
           py::arg("n_test_cond"),
           py::arg("n_test_subject"),
           py::arg("resample_conditions"),
           py::arg("resample_subjects"),
           py::arg("seed"))
      .def("draw", &split_of, py::arg("sample"), py::arg("split"));
  m.def("reweight_rdms",
        &reweight,
        py::arg("models").noconvert(),
        py::arg("subjects").noconvert(),
        py::arg("plan"),
        py::arg("n_boot"),
        py::arg("comparator"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
