// Leave-one-out scores of ridge from a kernel, without leaving anything out.
//
// With the decomposition of kernel_ridge.hpp, R = W diag(alpha / (l + alpha)) W' and R Y what is
// left when all rows are fitted,
//
//   e_i = (R Y)_i / R_ii
//
// is what is left of row i when it is held out. R Y is combined from a few functions of each
// stretch of the spectrum (filter_stretches.hpp), not formed for each penalty.
//
// Cost per target: 2 n^2 FLOP to rotate, 2 k n^2 for k functions a stretch, and 2 n per penalty and
// function. Memory: some 32 MiB per thread. Source: Allen (1974), Golub, Heath & Wahba (1979).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/tensor/kernel_ridge.hpp"

namespace dnnbrain {

/// Mean leave-one-out score of every penalty and target. `ones` is sqrt(w), or 1.
GridScores leave_one_out_kernel_ridge(const KernelFactor& factor,
                                      const at::Tensor& responses,  // (n, n_target) fp32 or fp64
                                      const at::Tensor& ones,       // (n,) fp64
                                      const std::vector<double>& alphas,  // > 0
                                      RidgeScore score,
                                      Monitor& monitor);

}  // namespace dnnbrain
