// Distances of which the two factors come from different measurements, or are different functions
// of one.
//
//   one sample      d_ij = (a_i - a_j)' (c_i - c_j) / p
//   crossvalidated  d_ij = mean over ordered pairs of runs r != s of
//                          (a_i^r - a_j^r)' (c_i^s - c_j^s) / p
//
// With a = c = whitened patterns, the second is the squared crossnobis distance (Walther et al.
// 2016), whose mean is zero where patterns do not differ. With rates a and their logarithms c, the
// first is the symmetrised Kullback-Leibler divergence of Poisson variables, and the second its
// crossvalidated form (Schuett et al. 2023): that of the mean of the training rates with the test
// logarithms, averaged over folds.
//
// With every condition in every run, the sum over pairs of runs is A C' - sum_r a^r c^r', where A
// and C are sums over runs: 1 + M products in place of M (M - 1). A condition that a run lacks
// takes the products of that run out of its own pairs alone.
//
// fp64 throughout; patterns are centred over conditions before they are multiplied, which no
// distance depends on.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/monitor.hpp"

namespace dnnbrain {

/// Cost: 2 n^2 p FLOP, half of it if `second` is undefined and stands for `first`. Distances within
/// rounding of zero become zero.
at::Tensor product_distances(const at::Tensor& first,    // a (n, p) fp64
                             const at::Tensor& second);  // c (n, p) fp64 -> (n_pair,)

/// Cost: 2 (1 + M) n^2 p FLOP, half of it if `second` is undefined and stands for `first`; 2 M (M -
/// 1) n^2 p if conditions are missing. A pair that no two runs share is NaN.
at::Tensor crossvalidated_distances(const at::Tensor& first,    // a (M, n, p) fp64
                                    const at::Tensor& second,   // c (M, n, p) fp64, or undefined: a
                                    const at::Tensor& present,  // (M, n) bool, or undefined: all
                                    Monitor& monitor);          // -> (n_pair,)

/// Linear discriminant t (Nili et al. 2014; Walther et al. 2016): the difference of two conditions
/// in one run along the discriminant that another gives, over its standard error,
///
///   t_ij = mean over r != s of  d_r'd_s / sqrt(d_r'd_r (1/n_is + 1/n_js)),   d_r = a_i^r - a_j^r
///
/// for patterns whitened by the covariance of single observations, of which a cell averages n_is.
/// Cost: 2 M (M - 1) n^2 p FLOP. A pair that no two runs share, or without a discriminant, is NaN.
at::Tensor discriminant_t(const at::Tensor& patterns,  // a (M, n, p) fp64
                          const at::Tensor& counts,    // n_is (M, n) fp64, 0 where missing
                          Monitor& monitor);           // -> (n_pair,)

}  // namespace dnnbrain
