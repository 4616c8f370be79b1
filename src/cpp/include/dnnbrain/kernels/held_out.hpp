// Permutation test of cross-validated predictions: how well would predictions score if what was
// measured had nothing to do with them?
//
// Only what is exchangeable under that hypothesis is exchanged, and always inside one fold, whose
// mean and norm stay what they are. With y and p centred inside fold f, the score of voxel v under
// permutation pi is then, for Pearson r and for R2 alike, one dot product over all rows,
//
//   T(pi) = c + sum_i a[pi(i)] b[i]      r:  a = y / |y|, b = p / |p| / n_fold,      c = 0
//                                        R2: a = y / |y|, b = 2 p / |y| / n_fold,    c the rest
//
// the mean over folds of the folds' scores. A fold where y is constant is left out of the mean of
// that voxel; a constant p scores r = 0.
//
//   kPermute   blocks of a fold change places; their rows stay together and in order
//   kCircular  each block is a time series and is rotated by a shift of its own
//   kSign      each block of centred y changes its sign or not (the norm of y is held)
//
// Permutation i is the same for all voxels: a pure function of (seed, i). All permutations of a
// tile of 8 voxels run while its rows are in cache, 4 at a time in registers. Cost: 2 n_row n_perm
// FLOP per voxel for kPermute; 2 n_row n_shift + n_block n_perm for kCircular, n_block n_perm for
// kSign. Sums in fp64, the same bits for any thread count. Memory: some 200 MB at most, whatever
// n_vox and n_perm.
#pragma once

#include <cstdint>
#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/permutation.hpp"

namespace dnnbrain {

enum class Exchange { kPermute, kCircular, kSign };

enum class Agreement { kPearson, kR2 };

/// Which rows belong together: positions in `rows` run fold after fold, block after block.
struct RowBlocks {
  std::vector<Index> rows;          // (n_row,) rows of the data
  std::vector<Index> block_starts;  // (n_block + 1,) positions
  std::vector<Index> fold_starts;   // (n_fold + 1,) blocks

  Index n_row() const { return static_cast<Index>(rows.size()); }
  Index n_block() const { return static_cast<Index>(block_starts.size()) - 1; }
  Index n_fold() const { return static_cast<Index>(fold_starts.size()) - 1; }
};

struct HeldOutOptions {
  Exchange exchange = Exchange::kPermute;
  Agreement agreement = Agreement::kPearson;
  Alternative alternative = Alternative::kGreater;
  Index min_shift = 0;  // kCircular: shifts lie in [min_shift, length - min_shift]
  Index n_perm = 0;
  std::uint64_t seed = 0;
  std::vector<double> quantiles;  // ascending, in [0, 1]
  int n_threads = 1;
};

struct HeldOutResult {
  Matrix scores;              // (1, n_vox) NaN where y is constant in every fold
  CountMatrix exceed;         // (1, n_vox) permutations at least as extreme
  CountMatrix family_exceed;  // (1, n_vox) permutations whose most extreme voxel is
  Matrix extremes;            // (1, n_perm) the most extreme score over voxels
  Matrix band;                // (n_quantile, n_vox) of the permuted scores, linear interpolation
};

template <class Real>
using RowMajor = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The test of every voxel, and of the largest score over voxels.
template <class Real>
HeldOutResult held_out_test(const Eigen::Ref<const RowMajor<Real>>& measured,   // (n_row, n_vox)
                            const Eigen::Ref<const RowMajor<Real>>& predicted,  // (n_row, n_vox)
                            const RowBlocks& blocks,
                            const HeldOutOptions& options,
                            Monitor& monitor);

}  // namespace dnnbrain
