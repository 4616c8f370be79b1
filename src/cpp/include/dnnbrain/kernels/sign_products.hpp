// Kendall's tau between short vectors, many with many, whose entries may come several times.
//
//   S = sum over k < l of t_k t_l sign(x_k - x_l) sign(y_k - y_l)
//
// with t_k how often entry k comes. Each vector's signs of differences, for one k at a time, are
// held side by side; S of two vectors is the product of their rows, and a vector's own S its untied
// pairs. O(m^2) for a vector, m^2 / 2 multiplications of 16 bits for two: for some hundred entries
// that is less than sorting them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

using VectorPairs = std::vector<std::pair<Index, Index>>;

/// tau-a or tau-b of chosen pairs of rows; tau-b with a constant row is 0. Exact integers but for
/// the last division.
std::vector<double> short_taus(const MatrixView& rows,           // (n_vector, m)
                               const std::vector<Index>& times,  // (m,), each below 2^15
                               const VectorPairs& pairs,         // rows to compare
                               Comparator comparator);

}  // namespace dnnbrain
