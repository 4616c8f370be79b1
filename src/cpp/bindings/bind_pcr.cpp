#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <utility>

#include "bindings.hpp"
#include "dnnbrain/tensor/pcr.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

using RowPairs = std::vector<std::pair<at::Tensor, at::Tensor>>;

std::vector<Fold> as_folds(const RowPairs& pairs) {
  std::vector<Fold> folds;
  for (const auto& [train, test] : pairs) folds.push_back({train, test});
  return folds;
}

at::Tensor cross_validate(const at::Tensor& data,
                          const at::Tensor& responses,
                          const RowPairs& folds,
                          const std::vector<Index>& n_comps,
                          const std::vector<double>& alphas,
                          Score score,
                          bool is_gram,
                          const py::object& progress) {
  const PcrGrid grid{n_comps, alphas};
  return run_monitored(progress, [&](Monitor& monitor) {
    return cross_validate_pcr({data, is_gram}, responses, as_folds(folds), grid, score, monitor);
  });
}

}  // namespace

void bind_pcr(py::module_& m) {
  py::native_enum<Score>(m, "Score", "enum.Enum")
      .value("r", Score::kPearson)
      .value("r2", Score::kR2)
      .value("mse", Score::kMse)
      .finalize();
  m.def("cross_validate_pcr",
        &cross_validate,
        py::arg("data"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("n_comps"),
        py::arg("alphas"),
        py::arg("score"),
        py::arg("is_gram"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
