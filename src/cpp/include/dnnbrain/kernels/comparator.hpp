// Similarity of two RDMs x and y, as condensed vectors of m = n_pair dissimilarities.
//
//   corr          sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y|)      Pearson
//   cosine        sum x y / (|x| |y|)
//   spearman      corr of average ranks
//   rho-a         12 / (m^3 - m) sum (rank x - mean)(rank y - mean)               tie-free Spearman
//   cosine_cov    x' V^-1 y / sqrt(x' V^-1 x  y' V^-1 y)                          whitened
//   corr_cov      the same of x - mean x, y - mean y
//   cka-unbiased  <U(x), U(y)> / (|U(x)| |U(y)|)                                  see below
//   tau-a         S / T                                                           S, T: kendall.hpp
//   tau-b         S / sqrt((T - Tx)(T - Ty))
//
// All but the last two are dot products of vectors that are prepared once and move as a whole when
// conditions are permuted. Names are rsatoolbox's (Schuett et al. 2023).
//
// V is the covariance of distances whose patterns carry independent noise: 4 on the diagonal, 1 for
// two pairs that share a condition, else 0 (Diedrichsen et al. 2020). An RDM is the sum of three
// parts, x_ij = mean + (a_i + a_j) + u_ij with sum_i a_i = sum_j u_ij = 0, and these are V's
// eigenspaces, of eigenvalues 2n, n and 2: whitening costs O(m), without a matrix.
// cosine_cov is also linear CKA of the double-centred inner products that belong to x and y as
// squared distances (Kornblith et al. 2019), and the part u is what their unbiased estimate of HSIC
// keeps (Song et al. 2012; the U-centring of Szekely & Rizzo 2014): cka-unbiased is its cosine.
#pragma once

#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

enum class Comparator {
  kCorr,
  kCosine,
  kSpearman,
  kRhoA,
  kTauA,
  kTauB,
  kCosineCov,
  kCorrCov,
  kCkaUnbiased
};

/// Whether the comparator is one of Kendall's.
constexpr bool counts_pairs(Comparator comparator) {
  return comparator == Comparator::kTauA || comparator == Comparator::kTauB;
}

/// Similarity = scale_x scale_y sum values_x values_y.
struct DotForm {
  std::vector<double> values;  // (n_pair,); spearman, rho-a: whole numbers, at most n_pair - 1
  double scale = 1.0;
};

/// The form of an RDM; all but tau-a, tau-b. Throws InvalidArgument where the similarity is
/// undefined: a constant vector (corr, spearman, corr_cov), one of zeros (cosine, cosine_cov) or
/// one without a part u (cka-unbiased, which needs 4 conditions).
DotForm dot_form(std::span<const double> values,  // (n_pair,)
                 Comparator comparator);

/// Its values times its scale.
std::vector<double> prepare_for_dot(std::span<const double> values,  // (n_pair,)
                                    Comparator comparator);

/// What S is divided by. Throws InvalidArgument where tau-b is undefined: a constant vector.
double kendall_denominator(Index n_pair, Index ties_x, Index ties_y, Comparator comparator);

}  // namespace dnnbrain
