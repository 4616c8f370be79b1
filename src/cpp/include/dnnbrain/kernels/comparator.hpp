// Similarity of two RDMs x and y, as condensed vectors of m = n_pair dissimilarities.
//
//   corr      sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y|)      Pearson
//   cosine    sum x y / (|x| |y|)
//   spearman  corr of average ranks
//   rho-a     12 / (m^3 - m) sum (rank x - mean)(rank y - mean)               tie-free Spearman
//   tau-a     S / T                                                           S, T: kendall.hpp
//   tau-b     S / sqrt((T - Tx)(T - Ty))
//
// The first four are dot products of vectors that are prepared once and move as a whole when
// conditions are permuted. Names are rsatoolbox's (Schuett et al. 2023).
#pragma once

#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

enum class Comparator { kCorr, kCosine, kSpearman, kRhoA, kTauA, kTauB };

/// Whether the comparator is one of Kendall's.
constexpr bool counts_pairs(Comparator comparator) {
  return comparator == Comparator::kTauA || comparator == Comparator::kTauB;
}

/// The vector whose dot product with another so prepared is the similarity. corr, cosine,
/// spearman, rho-a only. Throws InvalidArgument where the similarity is undefined: a constant
/// vector (corr, spearman) or one of zeros (cosine).
std::vector<double> prepare_for_dot(std::span<const double> values,  // (n_pair,)
                                    Comparator comparator);

/// What S is divided by. Throws InvalidArgument where tau-b is undefined: a constant vector.
double kendall_denominator(Index n_pair, Index ties_x, Index ties_y, Comparator comparator);

}  // namespace dnnbrain
