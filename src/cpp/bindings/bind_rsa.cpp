#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/permutation.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::tuple compare_rdms(const ArrayF64& models,
                       const ArrayF64& subjects,
                       Index n_cond,
                       Comparator comparator,
                       Alternative alternative,
                       Index n_perm,
                       std::uint64_t seed,
                       int n_threads,
                       const py::object& progress) {
  const auto model_view = matrix_view(models, "models");
  const auto subject_view = matrix_view(subjects, "subjects");
  const PermutationOptions options{comparator, alternative, n_perm, seed, n_threads};
  PermutationResult result = run_monitored(progress, [&](Monitor& monitor) {
    return permutation_test(model_view, subject_view, n_cond, options, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.scores)),
                        to_numpy(std::move(result.exceed)),
                        to_numpy(std::move(result.group_exceed)));
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
      .finalize();
  py::native_enum<Alternative>(m, "Alternative", "enum.Enum")
      .value("greater", Alternative::kGreater)
      .value("less", Alternative::kLess)
      .value("two_sided", Alternative::kTwoSided)
      .finalize();
  m.def("compare_rdms",
        &compare_rdms,
        py::arg("models").noconvert(),
        py::arg("subjects").noconvert(),
        py::arg("n_cond"),
        py::arg("comparator"),
        py::arg("alternative"),
        py::arg("n_perm"),
        py::arg("seed"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
