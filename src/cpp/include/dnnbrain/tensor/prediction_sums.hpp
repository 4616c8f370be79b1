// Sums over held-out rows of predictions and of what was measured, for a grid of penalties whose
// predictions are combinations of few products:
//
//   P_a = sum_k c_ak B_k          sum_i P_a,i 1_i     sum_i P_a,i y_i     sum_i P_a,i^2
//
// A few rows of all P_a are formed at a time and added up while they are in the cache: the
// predictions of a grid never exist as a whole. Products are read as they lie, without packing.
// Cost: 2 n_alpha n_product FLOP for each row and target.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

/// (n_alpha, 3, n_target) fp64 on the CPU: sum p, sum p y, sum p^2.
at::Tensor prediction_sums(const at::Tensor& combine,   // c (n_alpha, n_product) contiguous, of the
                                                        // products' dtype; undefined: P_k = B_k
                           const at::Tensor& products,  // B (n_product, n_row, n_target) contiguous
                           const at::Tensor& measured,  // (n_row, n_target) contiguous
                           const at::Tensor& ones,      // (n_row,)
                           at::Tensor& room);           // written over and over; may be undefined

}  // namespace dnnbrain
