// Exact arrays only: the Python side has converted them, the binding refuses anything else.
#pragma once

#include <pybind11/numpy.h>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain::bindings {

using ArrayF64 = pybind11::array_t<double, pybind11::array::c_style>;

/// A view of a C-contiguous float64 matrix; no copy.
inline Eigen::Map<const Matrix> matrix_view(const ArrayF64& array, const char* name) {
  DNNBRAIN_REQUIRE(array.ndim() == 2, name, " must be 2-D; got ", array.ndim(), "-D.");
  return {array.data(), array.shape(0), array.shape(1)};
}

/// A NumPy array that owns a moved-in matrix.
template <class OwnedMatrix>
pybind11::array to_numpy(OwnedMatrix&& matrix) {
  using Value = std::remove_cvref_t<OwnedMatrix>;
  auto owner = std::make_unique<Value>(std::forward<OwnedMatrix>(matrix));
  Value* const data = owner.get();
  const pybind11::capsule keep(owner.release(),
                               [](void* pointer) { delete static_cast<Value*>(pointer); });
  return pybind11::array_t<typename Value::Scalar>(
      {data->rows(), data->cols()}, data->data(), keep);
}

}  // namespace dnnbrain::bindings
