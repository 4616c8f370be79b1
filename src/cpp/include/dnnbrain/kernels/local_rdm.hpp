// The RDM of a few channels out of many: a searchlight, or the sensors of a time window.
//
// Data are channel-major: the row of a channel holds its n_run patterns of n_cond values end to
// end, so that a neighbourhood is gathered as whole rows. With P the prepared panel of a
// neighbourhood of p channels and G = P'P its Gram matrix,
//
//   correlation   d = 1 - G_ij                    columns of P: mean removed, unit norm
//   cosine        d = 1 - G_ij                    columns of P: unit norm
//   sqeuclidean   d = G_ii + G_jj - 2 G_ij        P as it comes
//   euclidean     its root
//   crossnobis    d as sqeuclidean, with G = (B'B - sum_r b_r'b_r) / (n_run (n_run - 1) p)
//
// where b_r is run r and B the sum of runs: the mean over ordered pairs of different runs. It may
// be negative. As in rsa.rdm, a distance below 1e-14 of the patterns' own squares is rounding and
// becomes 0, crossnobis apart.
//
// Differences lose digits to what all patterns of a channel have in common: callers should remove
// it, which changes no distance.
//
// Two panels P, Q of the same channels at two times give distances across times, by G = P'Q, its
// two triangles averaged: 1 - G_ij of the first two, (p_i - p_j)'(q_i - q_j) of the others (without
// a root). With P = Q they are the distances above.
//
// Cost: n^2 p FLOP, (1 + n_run) times that for crossnobis; across times, twice.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "dnnbrain/kernels/outer_products.hpp"

namespace dnnbrain {

enum class LocalMetric { kCorrelation, kCosine, kEuclidean, kSqEuclidean, kCrossnobis };

/// Channel-major patterns.
struct LocalData {
  MatrixView values;  // (n_chn, n_run * n_cond)
  Index n_cond;
  Index n_run;  // 1 but for crossnobis
  LocalMetric metric;
};

/// The prepared patterns of one neighbourhood.
class LocalPanel {
 public:
  LocalPanel(const LocalData& data, Index most_channels);

  /// Gather channels. False if a pattern has no direction (correlation, cosine).
  bool load(std::span<const std::int32_t> channels);

 private:
  friend class LocalRdm;

  void load_directions(std::span<const std::int32_t> channels);
  void load_differences(std::span<const std::int32_t> channels);

  const LocalData& data_;
  Index width_;
  Index n_slab_;  // the sum of runs, and then the runs
  Index n_channel_ = 0;
  std::vector<PaddedRows> slabs_;  // each (most_channels, width)
  std::vector<double> mean_;       // (n_cond,)
  std::vector<double> largest_;    // (n_cond,)
  std::vector<double> norm_;       // (n_cond,) squared
};

/// Room for the Gram matrix between panels.
class LocalRdm {
 public:
  explicit LocalRdm(const LocalData& data);

  /// Distances of one panel.
  void within(const LocalPanel& panel, std::span<double> out);  // (n_pair,)

  /// Distances across two panels of equally many channels.
  void across(const LocalPanel& left, const LocalPanel& right, std::span<double> out);

 private:
  void form_gram(const LocalPanel& left, const LocalPanel& right, bool upper);

  const LocalData& data_;
  Index width_;
  PaddedRows gram_;
  PaddedRows of_runs_;
};

}  // namespace dnnbrain
