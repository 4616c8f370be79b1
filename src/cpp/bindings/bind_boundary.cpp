// What crosses the boundary itself: build facts, exceptions, arrays seen as tensors.
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <pybind11/numpy.h>
#include <torch/csrc/utils/pybind.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "build_info.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/monitor.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::dict build_facts() {
  py::dict facts;
  facts["version"] = DNNBRAIN_VERSION;
  facts["torch"] = DNNBRAIN_TORCH_VERSION;
  facts["cuda"] = DNNBRAIN_TORCH_CUDA;
  facts["compiler"] = DNNBRAIN_COMPILER;
  facts["build_type"] = DNNBRAIN_BUILD_TYPE;
  facts["sanitized"] = std::string(DNNBRAIN_SANITIZED) == "ON";
  facts["cxx_standard"] = static_cast<long>(__cplusplus);
  return facts;
}

/// A tensor over the memory of a C-contiguous float32 or float64 array; no copy. torch's own
/// conversion warns about read-only arrays, which memory-mapped features are. Nothing of ours
/// writes to such a tensor.
at::Tensor view_as_tensor(const py::array& array) {
  const bool single = py::isinstance<py::array_t<float>>(array);
  if (!single && !py::isinstance<py::array_t<double>>(array)) {
    throw py::type_error(message("array must be float32 or float64; got ",
                                 py::str(array.dtype()).cast<std::string>(),
                                 ". Convert it before the call."));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::type_error(
        "array must be C-contiguous; got strides of another layout. "
        "Use numpy.ascontiguousarray before the call.");
  }
  const std::vector<Index> shape(array.shape(), array.shape() + array.ndim());
  // The tensor keeps the array alive; torch may let go of it on a thread without the GIL.
  auto keep = std::make_unique<py::object>(array);
  const at::Tensor view = at::from_blob(
      const_cast<void*>(array.data()),
      shape,
      [kept = keep.get()](void*) {
        const py::gil_scoped_acquire gil;
        delete kept;
      },
      at::TensorOptions().dtype(single ? at::kFloat : at::kDouble));
  keep.release();
  return view;
}

/// What C++ throws, as Python knows it. ATen's messages come without their C++ backtrace.
void translate(std::exception_ptr pointer) {
  const auto linalg_error = [] { return py::module_::import("numpy.linalg").attr("LinAlgError"); };
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const Cancelled& error) {
    py::set_error(py::module_::import("dnnbrain_cpp.exceptions").attr("Cancelled"), error.what());
  } catch (const NumericalError& error) {
    py::set_error(linalg_error(), error.what());
  } catch (const c10::LinAlgError& error) {
    py::set_error(linalg_error(), error.what_without_backtrace());
  } catch (const c10::IndexError& error) {
    py::set_error(PyExc_IndexError, error.what_without_backtrace());
  } catch (const c10::ValueError& error) {
    py::set_error(PyExc_ValueError, error.what_without_backtrace());
  } catch (const c10::TypeError& error) {
    py::set_error(PyExc_TypeError, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    py::set_error(PyExc_RuntimeError, error.what_without_backtrace());
  }
}

}  // namespace

void bind_boundary(py::module_& m) {
  py::register_exception_translator(&translate);
  m.def("build_facts", &build_facts);
  m.def("view_as_tensor", &view_as_tensor, py::arg("array").noconvert());
}

}  // namespace dnnbrain::bindings
