#include "dnnbrain/tensor/crossval.hpp"

#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <utility>

#include "bindings.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

at::Tensor cross_validate(const at::Tensor& gram,
                          const at::Tensor& responses,
                          const std::vector<std::pair<at::Tensor, at::Tensor>>& folds,
                          Index n_comp,
                          Score score,
                          const py::object& progress) {
  std::vector<Fold> core_folds;
  for (const auto& [train, test] : folds) core_folds.push_back({train, test});
  return run_monitored(progress, [&](Monitor& monitor) {
    return cross_validate_pcr(gram, responses, core_folds, n_comp, score, monitor);
  });
}

}  // namespace

void bind_crossval(py::module_& m) {
  py::native_enum<Score>(m, "Score", "enum.Enum")
      .value("r", Score::kPearson)
      .value("r2", Score::kR2)
      .finalize();
  m.def("cross_validate_pcr",
        &cross_validate,
        py::arg("gram"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("n_comp"),
        py::arg("score"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
