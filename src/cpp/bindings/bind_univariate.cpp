#include <pybind11/native_enum.h>
#include <torch/csrc/utils/pybind.h>

#include <utility>

#include "bindings.hpp"
#include "dnnbrain/tensor/univariate.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

/// (best unit, units of each fold, their scores, every unit's mean score or None)
py::tuple cross_validate(const at::Tensor& features,
                         const at::Tensor& responses,
                         const std::vector<std::pair<at::Tensor, at::Tensor>>& rows,
                         FoldScore score,
                         UnitSelection selection,
                         bool keep_means,
                         bool fused,
                         const py::object& progress) {
  std::vector<Fold> folds;
  folds.reserve(rows.size());
  for (const auto& [train, test] : rows) folds.push_back({train, test});
  const UnivariateScores found = run_monitored(progress, [&](Monitor& monitor) {
    return cross_validate_units(
        features, responses, folds, score, selection, keep_means, fused, monitor);
  });
  return py::make_tuple(found.best_unit,
                        found.fold_units,
                        found.scores,
                        found.means.defined() ? py::cast(found.means) : py::none());
}

}  // namespace

void bind_univariate(py::module_& m) {
  py::native_enum<UnitSelection>(m, "UnitSelection", "enum.Enum")
      .value("non_nested", UnitSelection::kNonNested)
      .value("training_score", UnitSelection::kTrainingScore)
      .value("inner_folds", UnitSelection::kInnerFolds)
      .finalize();
  m.def("cross_validate_units",
        &cross_validate,
        py::arg("features"),
        py::arg("responses"),
        py::arg("folds"),
        py::arg("score"),
        py::arg("selection"),
        py::arg("keep_means"),
        py::arg("fused"),
        py::arg("progress"));
}

}  // namespace dnnbrain::bindings
