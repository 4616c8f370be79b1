#include "dnnbrain/tensor/skeleton.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

constexpr double kPointsPerDecade = 24;
constexpr Index kMaxPoints = 480;

/// Above this share of the grid, combining members costs more than it saves.
constexpr double kWorthwhile = 0.8;

using Columns = std::vector<std::vector<double>>;

std::vector<double> spectrum_points(double lambda_min, double lambda_max) {
  const double decades = std::log10(lambda_max / lambda_min);
  const Index n_point =
      std::clamp<Index>(static_cast<Index>(decades * kPointsPerDecade) + 2, 2, kMaxPoints);
  std::vector<double> points;
  for (Index i = 0; i < n_point; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(n_point - 1);
    points.push_back(lambda_min * std::pow(lambda_max / lambda_min, share));
  }
  points.push_back(0.0);
  return points;
}

double norm(const std::vector<double>& column) {
  return std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
}

double largest(const std::vector<double>& column) {
  double most = 0;
  for (const double value : column) most = std::max(most, std::abs(value));
  return most;
}

AlphaSkeleton whole_grid(Index n_alpha) {
  AlphaSkeleton all;
  all.members.resize(static_cast<std::size_t>(n_alpha));
  std::iota(all.members.begin(), all.members.end(), Index{0});
  all.coefs.assign(static_cast<std::size_t>(n_alpha * n_alpha), 0.0);
  for (Index i = 0; i < n_alpha; ++i) all.coefs[static_cast<std::size_t>(i * n_alpha + i)] = 1.0;
  return all;
}

}  // namespace

AlphaSkeleton alpha_skeleton(const std::vector<double>& alphas,
                             double lambda_min,
                             double lambda_max,
                             double tolerance) {
  const std::size_t n_alpha = alphas.size();
  for (const double alpha : alphas) {
    DNNBRAIN_REQUIRE(alpha > 0, "alphas of a skeleton must be positive; got ", alpha, ".");
  }
  if (n_alpha < 3 || !(lambda_max > 0)) return whole_grid(static_cast<Index>(n_alpha));
  const std::vector<double> points =
      spectrum_points(std::clamp(lambda_min, 1e-16 * lambda_max, lambda_max), lambda_max);

  Columns columns(n_alpha);
  std::vector<double> scales(n_alpha);
  std::vector<double> tops(n_alpha);
  for (std::size_t a = 0; a < n_alpha; ++a) {
    for (const double lambda : points) {
      columns[a].push_back(lambda / (lambda + alphas[a]));
    }
    scales[a] = norm(columns[a]);
    for (double& value : columns[a]) value /= scales[a];
    tops[a] = largest(columns[a]);
  }

  // Pivoted QR by modified Gram-Schmidt, each projection done twice: orthogonal to rounding.
  Columns basis;
  Columns r(n_alpha);  // r[a][k]: component of column a on basis vector k
  AlphaSkeleton skeleton;
  while (skeleton.members.size() < n_alpha) {
    std::size_t pivot = 0;
    double worst = 0;
    for (std::size_t a = 0; a < n_alpha; ++a) {
      const double off = largest(columns[a]) / tops[a];
      if (off > worst) {
        worst = off;
        pivot = a;
      }
    }
    if (worst <= tolerance) break;
    if (static_cast<double>(skeleton.members.size() + 1) >
        kWorthwhile * static_cast<double>(n_alpha)) {
      return whole_grid(static_cast<Index>(n_alpha));
    }
    std::vector<double> direction = columns[pivot];
    for (const auto& earlier : basis) {
      const double along =
          std::inner_product(direction.begin(), direction.end(), earlier.begin(), 0.0);
      for (std::size_t i = 0; i < direction.size(); ++i) direction[i] -= along * earlier[i];
    }
    const double length = norm(direction);
    for (double& value : direction) value /= length;
    skeleton.members.push_back(static_cast<Index>(pivot));
    for (std::size_t a = 0; a < n_alpha; ++a) {
      const double along =
          std::inner_product(direction.begin(), direction.end(), columns[a].begin(), 0.0);
      r[a].push_back(along);
      for (std::size_t i = 0; i < direction.size(); ++i) columns[a][i] -= along * direction[i];
    }
    basis.push_back(std::move(direction));
  }

  // Members' columns of r are triangular: solve for each alpha, undo the scaling.
  const std::size_t n_member = skeleton.members.size();
  skeleton.coefs.assign(n_alpha * n_member, 0.0);
  for (std::size_t a = 0; a < n_alpha; ++a) {
    std::vector<double> rest = r[a];
    for (std::size_t k = n_member; k-- > 0;) {
      const auto member = static_cast<std::size_t>(skeleton.members[k]);
      const double c = rest[k] / r[member][k];
      for (std::size_t i = 0; i < k; ++i) rest[i] -= c * r[member][i];
      skeleton.coefs[a * n_member + k] = c * scales[a] / scales[member];
    }
  }
  return skeleton;
}

}  // namespace dnnbrain
