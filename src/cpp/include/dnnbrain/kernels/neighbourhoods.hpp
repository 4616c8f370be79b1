// Which voxels a searchlight at each voxel looks at.
//
// In a volume: voxels of the mask whose centres lie within `radius` mm, the bound included. The
// offsets of a ball are found once from the affine, and tried at every centre.
// Cost: n_vox times the voxels of a ball; 4 bytes for each that is found.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Lists of numbers end to end: list i is members[starts[i] .. starts[i + 1]).
struct Neighbourhoods {
  std::vector<Index> starts;          // (n_centre + 1,)
  std::vector<std::int32_t> members;  // (starts.back(),) ascending in each list
};

/// Balls truncated at the mask. Voxels are numbered in C order of the mask.
Neighbourhoods ball_neighbourhoods(std::span<const bool> mask,   // (n_x n_y n_z,) C order
                                   std::array<Index, 3> shape,   // n_x, n_y, n_z
                                   std::array<double, 9> to_mm,  // (3, 3) of the affine, C order
                                   double radius);               // mm

}  // namespace dnnbrain
