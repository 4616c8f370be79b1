// Dissimilarities between the patterns x_i, x_j in R^p of two stimuli, from n x n moments alone.
//
//   correlation   1 - r(x_i, x_j) over features           0 .. 2
//   cosine        1 - x_i' x_j / (|x_i| |x_j|)            0 .. 2
//   sqeuclidean   |x_i - x_j|^2                           not divided by the number of features
//   euclidean     |x_i - x_j|
//
// A squared distance, or 1 - cosine, below 1e-14 of the patterns' own squares is rounding and
// becomes zero, so that equal patterns tie.
//
// Results are fp64 and condensed: pairs (0,1), (0,2) .. (n-2,n-1), SciPy's order. A pattern without
// variance (correlation) or length (cosine) has no direction: its entries are NaN, for the caller
// to name it.
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/tensor/gram.hpp"

namespace dnnbrain {

enum class Dissimilarity { kCorrelation, kCosine, kEuclidean, kSqEuclidean };

/// The pairs above the diagonal, in the order above.
at::Tensor upper_triangle(const at::Tensor& square);  // (n, n) -> (n_pair,)

/// From an array, in chunks of features. Rows are centred in fp64 before they are multiplied. Cost:
/// n_stim^2 n_feat FLOP.
at::Tensor dissimilarities(const at::Tensor& features,  // (n_stim, n_feat)
                           Dissimilarity metric,
                           Monitor& monitor);  // -> (n_pair,)

/// From moments that an extraction left, without the units.
at::Tensor dissimilarities(const GramMoments& moments, Dissimilarity metric);  // -> (n_pair,)

}  // namespace dnnbrain
