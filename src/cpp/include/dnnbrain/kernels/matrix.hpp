// The currency of the kernels: row-major Eigen matrices, views in, values out.
#pragma once

#include <Eigen/Core>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using CountMatrix = Eigen::Matrix<Index, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixView = Eigen::Ref<const Matrix>;

}  // namespace dnnbrain
