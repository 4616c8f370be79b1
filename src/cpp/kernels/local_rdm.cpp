#include "dnnbrain/kernels/local_rdm.hpp"

#include <algorithm>
#include <cmath>

#include "dnnbrain/core/clones.hpp"

namespace dnnbrain {

namespace {

/// What sums of products may be wrong by, relative to the products; see tensor/dissimilarity.cpp.
constexpr double kRounding = 1e-14;

bool has_direction_only(LocalMetric metric) {
  return metric == LocalMetric::kCorrelation || metric == LocalMetric::kCosine;
}

DNNBRAIN_CLONES void add_row(const double* row, Index n, double* total) {
  for (Index i = 0; i < n; ++i) total[i] += row[i];
}

/// out = row - mean; its squares are added to `norm`, its largest to `largest`.
DNNBRAIN_CLONES void centre_row(
    const double* row, const double* mean, Index n, double* out, double* norm, double* largest) {
  for (Index i = 0; i < n; ++i) {
    const double value = row[i] - mean[i];
    out[i] = value;
    norm[i] += value * value;
    largest[i] = std::max(largest[i], std::abs(row[i]));
  }
}

DNNBRAIN_CLONES void scale_row(const double* factor, Index n, double* row) {
  for (Index i = 0; i < n; ++i) row[i] *= factor[i];
}

DNNBRAIN_CLONES void one_minus(const double* cosines, Index n, double* out) {
  for (Index i = 0; i < n; ++i) {
    const double distance = 1.0 - cosines[i];
    out[i] = distance < kRounding ? 0.0 : std::min(distance, 2.0);
  }
}

/// out_j = G_ii + G_jj - 2 G_ij, rounded to 0 below `rounding` of the squares.
DNNBRAIN_CLONES void differences(double own,
                                 const double* squares,
                                 const double* products,
                                 double rounding,
                                 Index n,
                                 double* out) {
  for (Index j = 0; j < n; ++j) {
    const double both = own + squares[j];
    const double distance = both - 2.0 * products[j];
    out[j] = std::abs(distance) <= rounding * both ? 0.0 : distance;
  }
}

}  // namespace

LocalPanel::LocalPanel(const LocalData& data, Index most_channels)
    : data_(data),
      width_(padded_width(data.n_cond)),
      n_slab_(data.metric == LocalMetric::kCrossnobis ? 1 + data.n_run : 1),
      mean_(static_cast<std::size_t>(data.n_cond)),
      largest_(static_cast<std::size_t>(data.n_cond)),
      norm_(static_cast<std::size_t>(data.n_cond)) {
  for (Index slab = 0; slab < n_slab_; ++slab) slabs_.emplace_back(most_channels, width_);
}

bool LocalPanel::load(std::span<const std::int32_t> channels) {
  n_channel_ = static_cast<Index>(channels.size());
  if (!has_direction_only(data_.metric)) {
    load_differences(channels);
    return true;
  }
  load_directions(channels);
  // A constant pattern leaves the rounding of its mean; that is not variance.
  const double n = static_cast<double>(n_channel_);
  bool defined = true;
  for (std::size_t i = 0; i < norm_.size(); ++i) {
    const double rounding =
        data_.metric == LocalMetric::kCorrelation ? kRounding * largest_[i] : 0.0;
    defined = defined && norm_[i] > n * rounding * rounding;
    norm_[i] = 1.0 / std::sqrt(norm_[i]);
  }
  if (!defined) return false;
  double* row = slabs_.front().data();
  for (Index v = 0; v < n_channel_; ++v, row += width_) scale_row(norm_.data(), data_.n_cond, row);
  return true;
}

void LocalPanel::load_directions(std::span<const std::int32_t> channels) {
  const Index n = data_.n_cond;
  std::fill(mean_.begin(), mean_.end(), 0.0);
  std::fill(norm_.begin(), norm_.end(), 0.0);
  std::fill(largest_.begin(), largest_.end(), 0.0);
  if (data_.metric == LocalMetric::kCorrelation) {
    for (const std::int32_t channel : channels) {
      add_row(data_.values.row(channel).data(), n, mean_.data());
    }
    for (double& mean : mean_) mean /= static_cast<double>(n_channel_);
  }
  double* out = slabs_.front().data();
  for (const std::int32_t channel : channels) {
    centre_row(
        data_.values.row(channel).data(), mean_.data(), n, out, norm_.data(), largest_.data());
    out += width_;
  }
}

void LocalPanel::load_differences(std::span<const std::int32_t> channels) {
  const Index n = data_.n_cond;
  for (Index v = 0; v < n_channel_; ++v) {
    const double* const row = data_.values.row(channels[static_cast<std::size_t>(v)]).data();
    double* const sum = slabs_.front().data() + v * width_;
    if (n_slab_ > 1) std::fill(sum, sum + n, 0.0);
    for (Index run = 0; run < data_.n_run; ++run) {
      const double* const pattern = row + run * n;
      if (n_slab_ == 1) {
        std::copy(pattern, pattern + n, sum);
        continue;
      }
      std::copy(
          pattern, pattern + n, slabs_[static_cast<std::size_t>(1 + run)].data() + v * width_);
      add_row(pattern, n, sum);
    }
  }
}

LocalRdm::LocalRdm(const LocalData& data)
    : data_(data),
      width_(padded_width(data.n_cond)),
      gram_(width_, width_),
      of_runs_(data.metric == LocalMetric::kCrossnobis ? width_ : 0, width_) {}

void LocalRdm::form_gram(const LocalPanel& left, const LocalPanel& right, bool upper) {
  const auto add = [&](std::size_t slab, PaddedRows& out) {
    add_outer_products(left.slabs_[slab].data(),
                       right.slabs_[slab].data(),
                       left.n_channel_,
                       data_.n_cond,
                       upper,
                       out.data());
  };
  const Index n_value = width_ * width_;
  std::fill(gram_.data(), gram_.data() + n_value, 0.0);
  add(0, gram_);
  if (data_.metric != LocalMetric::kCrossnobis) return;
  std::fill(of_runs_.data(), of_runs_.data() + n_value, 0.0);
  for (std::size_t slab = 1; slab < left.slabs_.size(); ++slab) add(slab, of_runs_);
  const Index n_term = data_.n_run * (data_.n_run - 1) * left.n_channel_;
  Eigen::Map<Eigen::ArrayXd> gram(gram_.data(), n_value);
  gram -= Eigen::Map<const Eigen::ArrayXd>(of_runs_.data(), n_value);
  gram /= static_cast<double>(n_term);
}

void LocalRdm::within(const LocalPanel& panel, std::span<double> out) {
  form_gram(panel, panel, /*upper=*/true);
  const Index n = data_.n_cond;
  const double* const gram = gram_.data();
  double* to = out.data();
  if (has_direction_only(data_.metric)) {
    for (Index i = 0; i + 1 < n; ++i) {
      one_minus(gram + i * width_ + i + 1, n - i - 1, to);
      to += n - i - 1;
    }
    return;
  }
  std::vector<double> squares(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) squares[static_cast<std::size_t>(i)] = gram[i * width_ + i];
  const double rounding = data_.metric == LocalMetric::kCrossnobis ? 0.0 : kRounding;
  for (Index i = 0; i + 1 < n; ++i) {
    differences(squares[static_cast<std::size_t>(i)],
                squares.data() + i + 1,
                gram + i * width_ + i + 1,
                rounding,
                n - i - 1,
                to);
    to += n - i - 1;
  }
  if (data_.metric == LocalMetric::kEuclidean) {
    for (double& distance : out) distance = std::sqrt(distance);
  }
}

void LocalRdm::across(const LocalPanel& left, const LocalPanel& right, std::span<double> out) {
  form_gram(left, right, /*upper=*/false);
  const Index n = data_.n_cond;
  const double* const gram = gram_.data();
  const bool direction_only = has_direction_only(data_.metric);
  double* to = out.data();
  for (Index i = 0; i + 1 < n; ++i) {
    for (Index j = i + 1; j < n; ++j) {
      const double both = gram[i * width_ + j] + gram[j * width_ + i];
      *to++ =
          direction_only ? 1.0 - 0.5 * both : gram[i * width_ + i] + gram[j * width_ + j] - both;
    }
  }
}

}  // namespace dnnbrain
