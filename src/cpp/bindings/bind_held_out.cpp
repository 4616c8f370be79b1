#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "dnnbrain/kernels/held_out.hpp"
#include "support/arrays.hpp"
#include "support/python_monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

template <class Real>
using Array = py::array_t<Real, py::array::c_style>;

template <class Real>
Eigen::Map<const RowMajor<Real>> view(const Array<Real>& array, const char* name) {
  DNNBRAIN_REQUIRE(array.ndim() == 2, name, " must be 2-D; got ", array.ndim(), "-D.");
  return {array.data(), array.shape(0), array.shape(1)};
}

template <class Real>
py::tuple held_out(const Array<Real>& measured,
                   const Array<Real>& predicted,
                   std::vector<Index> rows,
                   std::vector<Index> block_starts,
                   std::vector<Index> fold_starts,
                   Exchange exchange,
                   Agreement agreement,
                   Alternative alternative,
                   Index min_shift,
                   Index n_perm,
                   std::uint64_t seed,
                   std::vector<double> quantiles,
                   int n_threads,
                   const py::object& progress) {
  const auto y = view(measured, "measured");
  const auto p = view(predicted, "predicted");
  const RowBlocks blocks{std::move(rows), std::move(block_starts), std::move(fold_starts)};
  const HeldOutOptions options{
      exchange, agreement, alternative, min_shift, n_perm, seed, std::move(quantiles), n_threads};
  HeldOutResult result = run_monitored(progress, [&](Monitor& monitor) {
    return held_out_test<Real>(y, p, blocks, options, monitor);
  });
  return py::make_tuple(to_numpy(std::move(result.scores)),
                        to_numpy(std::move(result.exceed)),
                        to_numpy(std::move(result.family_exceed)),
                        to_numpy(std::move(result.extremes)),
                        to_numpy(std::move(result.band)));
}

template <class Real>
void def_held_out(py::module_& m) {
  m.def("held_out_test",
        &held_out<Real>,
        py::arg("measured").noconvert(),
        py::arg("predicted").noconvert(),
        py::arg("rows"),
        py::arg("block_starts"),
        py::arg("fold_starts"),
        py::arg("exchange"),
        py::arg("agreement"),
        py::arg("alternative"),
        py::arg("min_shift"),
        py::arg("n_perm"),
        py::arg("seed"),
        py::arg("quantiles"),
        py::arg("n_threads"),
        py::arg("progress"));
}

}  // namespace

void bind_held_out(py::module_& m) {
  py::native_enum<Exchange>(m, "Exchange", "enum.Enum")
      .value("permute", Exchange::kPermute)
      .value("circular", Exchange::kCircular)
      .value("sign", Exchange::kSign)
      .finalize();
  py::native_enum<Agreement>(m, "Agreement", "enum.Enum")
      .value("r", Agreement::kPearson)
      .value("r2", Agreement::kR2)
      .finalize();
  def_held_out<float>(m);
  def_held_out<double>(m);
}

}  // namespace dnnbrain::bindings
