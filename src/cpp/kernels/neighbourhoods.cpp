#include "dnnbrain/kernels/neighbourhoods.hpp"

#include <Eigen/Core>
#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

/// Room for rounding of a distance that is meant to equal the radius, relative to it: affines are
/// often kept in float32.
constexpr double kRounding = 1e-6;

using Offset = std::array<Index, 3>;

/// Steps between voxels that are no longer than `radius`, in C order.
std::vector<Offset> ball(const std::array<double, 9>& to_mm,
                         const std::array<Index, 3>& shape,
                         double radius) {
  using Matrix3 = Eigen::Matrix<double, 3, 3, Eigen::RowMajor>;
  const Eigen::Map<const Matrix3> affine(to_mm.data());
  const Matrix3 inverse = affine.inverse();
  DNNBRAIN_REQUIRE(inverse.allFinite(),
                   "the affine must be invertible; its voxels have no volume.");
  // |offset_d| = |row d of the inverse . step| <= |row d| radius
  std::array<Index, 3> reach{};
  for (std::size_t d = 0; d < 3; ++d) {
    const double furthest = inverse.row(static_cast<Eigen::Index>(d)).norm() * radius;
    const double inside = static_cast<double>(shape[d] - 1);
    reach[d] = static_cast<Index>(std::min(std::floor(furthest * (1 + kRounding)), inside));
  }
  const double most = radius * radius * (1 + kRounding) * (1 + kRounding);
  std::vector<Offset> offsets;
  for (Index x = -reach[0]; x <= reach[0]; ++x) {
    for (Index y = -reach[1]; y <= reach[1]; ++y) {
      for (Index z = -reach[2]; z <= reach[2]; ++z) {
        const Eigen::Vector3d step(
            static_cast<double>(x), static_cast<double>(y), static_cast<double>(z));
        if ((affine * step).squaredNorm() <= most) offsets.push_back({x, y, z});
      }
    }
  }
  return offsets;
}

}  // namespace

Neighbourhoods ball_neighbourhoods(std::span<const bool> mask,
                                   std::array<Index, 3> shape,
                                   std::array<double, 9> to_mm,
                                   double radius) {
  const auto [n_x, n_y, n_z] = shape;
  DNNBRAIN_REQUIRE(static_cast<Index>(mask.size()) == n_x * n_y * n_z,
                   "the mask must have ",
                   n_x * n_y * n_z,
                   " voxels; got ",
                   mask.size(),
                   ".");
  DNNBRAIN_REQUIRE(radius > 0, "radius must be positive; got ", radius, ".");
  const std::vector<Offset> offsets = ball(to_mm, shape, radius);

  constexpr std::int32_t kOutside = -1;
  std::vector<std::int32_t> number(mask.size(), kOutside);
  std::int32_t n_vox = 0;
  for (std::size_t place = 0; place < mask.size(); ++place) {
    if (mask[place]) number[place] = n_vox++;
    DNNBRAIN_REQUIRE(n_vox < std::numeric_limits<std::int32_t>::max(), "the mask is too large.");
  }

  Neighbourhoods found;
  found.starts.reserve(static_cast<std::size_t>(n_vox) + 1);
  found.starts.push_back(0);
  for (Index x = 0; x < n_x; ++x) {
    for (Index y = 0; y < n_y; ++y) {
      for (Index z = 0; z < n_z; ++z) {
        if (!mask[static_cast<std::size_t>((x * n_y + y) * n_z + z)]) continue;
        for (const auto& [dx, dy, dz] : offsets) {
          const Index i = x + dx;
          const Index j = y + dy;
          const Index k = z + dz;
          if (i < 0 || i >= n_x || j < 0 || j >= n_y || k < 0 || k >= n_z) continue;
          const std::int32_t voxel = number[static_cast<std::size_t>((i * n_y + j) * n_z + k)];
          if (voxel != kOutside) found.members.push_back(voxel);
        }
        found.starts.push_back(static_cast<Index>(found.members.size()));
      }
    }
  }
  return found;
}

}  // namespace dnnbrain
