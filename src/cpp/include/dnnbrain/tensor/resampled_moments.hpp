// Inner products of RDMs in many samples of the conditions at once, as one matrix product.
//
// A sample that holds condition i c_i times weighs the pair (i, j) by w_ij = c_i c_j; copies of one
// condition against each other are no pair. Products of RDMs x and y are then
//
//   plain      <x, y> = sum_{i<j} w_ij x_ij y_ij
//   whitened   <x, y> = sum_{i<j} w_ij x_ij y_ij - (c o r_x)' (diag(c o e) + c c')^-1 (c o r_y)
//              r_x,i = sum_j c_j x_ij,   e_i = n + 2 - 2 c_i,   n = sum c
//
// The whitened one is half the product of the Gram matrices -x/2 and -y/2 (zero diagonals) after
// the effects of rows and columns have been projected out of the entries that the sample has. With
// c = 1 it is that of doubly centred Gram matrices: the numerator of linear CKA and of the
// comparators whitened for independent noise (Diedrichsen et al. 2021). The inverse is one of a
// diagonal and a rank.
//
// Cost: 2 n_boot n_pair (n_model n_subject + n_subject^2 / 2) FLOP; whitened, 2 n_boot n_cond^2 for
// each RDM besides. Memory: tens of MB beyond the result. The same bits for any thread count.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

enum class InnerProduct { kPlain, kWhitened };

struct ResampledMoments {
  at::Tensor cross;  // (n_boot, n_model, n_subject) models with subjects
  at::Tensor own;    // (n_boot, n_model) models with themselves
  at::Tensor among;  // (n_boot, n_subject, n_subject) subjects with subjects
};

/// All fp64, on the CPU.
ResampledMoments resampled_moments(const at::Tensor& counts,    // (n_boot, n_cond) whole numbers
                                   const at::Tensor& models,    // (n_model, n_pair)
                                   const at::Tensor& subjects,  // (n_subject, n_pair)
                                   InnerProduct product,
                                   Monitor& monitor);

}  // namespace dnnbrain
