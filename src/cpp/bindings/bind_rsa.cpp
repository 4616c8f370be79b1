#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings.hpp"
#include "dnnbrain/kernels/permutation.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

PermutationResult mantel_tests(const ArrayF64& models,
                               const ArrayF64& subjects,
                               const std::optional<ArrayF64>& controls,
                               Removal removal,
                               Index n_cond,
                               Comparator comparator,
                               Alternative alternative,
                               Index n_perm,
                               bool exhaustive,
                               bool keep_null,
                               Index stop_after,
                               std::uint64_t seed,
                               int n_threads,
                               const py::object& progress) {
  const auto model_view = matrix_view(models, "models");
  const auto subject_view = matrix_view(subjects, "subjects");
  PermutationOptions options{.comparator = comparator,
                             .alternative = alternative,
                             .n_perm = n_perm,
                             .seed = seed,
                             .n_threads = n_threads,
                             .exhaustive = exhaustive,
                             .keep_null = keep_null,
                             .removal = removal,
                             .stop_after = stop_after};
  if (controls) options.controls = matrix_view(*controls, "controls");
  return run_monitored(progress, [&](Monitor& monitor) {
    return permutation_test(model_view, subject_view, n_cond, options, monitor);
  });
}

/// A view of a matrix inside a result, which it keeps alive.
template <class Member>
auto view_of(const Member& member) {
  return [member](const py::object& self) {
    const auto& matrix = member(self.cast<const PermutationResult&>());
    return py::array(py::dtype::of<typename std::remove_cvref_t<decltype(matrix)>::Scalar>(),
                     {matrix.rows(), matrix.cols()},
                     matrix.data(),
                     self);
  };
}

}  // namespace

void bind_rsa(py::module_& m) {
  py::native_enum<Comparator>(m, "Comparator", "enum.Enum")
      .value("corr", Comparator::kCorr)
      .value("cosine", Comparator::kCosine)
      .value("spearman", Comparator::kSpearman)
      .value("rho_a", Comparator::kRhoA)
      .value("tau_a", Comparator::kTauA)
      .value("tau_b", Comparator::kTauB)
      .value("cosine_cov", Comparator::kCosineCov)
      .value("corr_cov", Comparator::kCorrCov)
      .value("cka_unbiased", Comparator::kCkaUnbiased)
      .finalize();
  py::native_enum<Alternative>(m, "Alternative", "enum.Enum")
      .value("greater", Alternative::kGreater)
      .value("less", Alternative::kLess)
      .value("two_sided", Alternative::kTwoSided)
      .finalize();
  py::native_enum<Removal>(m, "Removal", "enum.Enum")
      .value("partial", Removal::kPartial)
      .value("semi_partial", Removal::kSemiPartial)
      .finalize();
  using Result = PermutationResult;
  py::class_<Result>(m, "MantelTests")
      .def_property_readonly("scores", view_of([](const Result& r) -> auto& { return r.scores; }))
      .def_property_readonly("exceed",
                             view_of([](const Result& r) -> auto& { return r.exceed.each; }))
      .def_property_readonly("group_exceed",
                             view_of([](const Result& r) -> auto& { return r.exceed.group; }))
      .def_property_readonly(
          "exceed_of_most", view_of([](const Result& r) -> auto& { return r.exceed.each_of_most; }))
      .def_property_readonly("group_exceed_of_most", view_of([](const Result& r) -> auto& {
                               return r.exceed.group_of_most;
                             }))
      .def_property_readonly("null", view_of([](const Result& r) -> auto& { return r.null; }))
      .def_readonly("n_relabelling", &Result::n_relabelling);
  m.def("mantel_tests",
        &mantel_tests,
        py::arg("models").noconvert(),
        py::arg("subjects").noconvert(),
        py::arg("controls").noconvert(),
        py::arg("removal"),
        py::arg("n_cond"),
        py::arg("comparator"),
        py::arg("alternative"),
        py::arg("n_perm"),
        py::arg("exhaustive"),
        py::arg("keep_null"),
        py::arg("stop_after"),
        py::arg("seed"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
