// What a symmetric matrix needs only half of: X X', and its product with a vector.
//
// Cost of X X': n^2 m FLOP (row_panels.hpp). Cost of a product with a vector: n^2 / 2 values read,
// which is what such a product waits for. Both on the CPU; on a GPU the full product. Tiles do not
// depend on the number of threads, and neither do bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

namespace dnnbrain {

/// A matrix to be multiplied, Z_ik = (x_ik - row_shift_i - column_shift_k) column_scale_k. On the
/// CPU Z is formed as it is packed, and nothing of its size exists.
struct ShiftedMatrix {
  at::Tensor x;                  // (n, m) fp32 or fp64, any strides
  at::Tensor row_shift = {};     // (n,) fp64 contiguous, or undefined
  at::Tensor column_shift = {};  // (m,) likewise
  at::Tensor column_scale = {};  // (m,) likewise
};

/// totals[f] += Z diag(weights[f]) Z' on and below the diagonal; above it, totals are left in
/// disorder. Products are of the dtype of the weights, or of X where there are none; those of fp32
/// are added up in short runs.
void add_lower_products(std::span<const at::Tensor> totals,  // each (n, n) fp64, or products' dtype
                        const ShiftedMatrix& z,              // (n, m)
                        const at::Tensor& weights);  // (n_total, m), or undefined and one total

/// total += Z Z' the same way, in fp64.
void add_lower_product(const at::Tensor& total,  // (n, n) fp64
                       const ShiftedMatrix& z);  // (n, m)

/// Make a matrix symmetric that is right on and below the diagonal.
void mirror_lower(const at::Tensor& total);  // (n, n)

/// total += X X'. `total` must be symmetric and stays so.
void add_symmetric_product(const at::Tensor& total,  // (n, n) of the dtype of X, or fp64
                           const at::Tensor& x);     // (n, m), any strides

/// X X'.
at::Tensor symmetric_product(const at::Tensor& x);  // (n, m) -> (n, n)

/// A x for a symmetric A, of which what lies above the diagonal is not read.
at::Tensor symmetric_times(const at::Tensor& a,   // (n, n) fp64, rows contiguous
                           const at::Tensor& x);  // (n,) fp64 -> (n,)

}  // namespace dnnbrain
