// The currency of the kernels: row-major Eigen matrices, views in, values out.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <span>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using CountMatrix = Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixView = Eigen::Ref<const Matrix>;

inline std::span<const double> row_of(const MatrixView& matrix, Index row) {
  return {matrix.data() + row * matrix.outerStride(), static_cast<std::size_t>(matrix.cols())};
}

}  // namespace dnnbrain
