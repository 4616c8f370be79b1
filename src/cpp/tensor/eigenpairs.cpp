#include "dnnbrain/tensor/eigenpairs.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/tensor/divide_and_conquer.hpp"
#include "dnnbrain/tensor/tridiagonal.hpp"

namespace dnnbrain {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// Below this order, and for more pairs than this part of them, all of them cost no more. Beyond
/// the other, all threads do better than one.
constexpr Index kSmallOrder = 100;
constexpr Index kFewOfThem = 3;
constexpr Index kLargeOrder = 2048;
constexpr Index kLargeOrderOfAll = 1024;

/// Eigenvalues that are looked for side by side.
constexpr Index kLanes = 16;
using Lanes = std::array<double, kLanes>;

/// Halvings of an interval: as many as a double has digits.
constexpr int kHalvings = 60;

/// Iterations from a random start; one would be enough but for a start that is all but orthogonal.
constexpr int kIterations = 2;

/// What a residual may be, in units of n eps |T|.
constexpr double kResidual = 1;

/// Eigenvalues below each x: negative pivots of T - x.
DNNBRAIN_CLONES void count_below(
    const double* diagonal, const double* off_sq, Index n, const Lanes& x, Lanes& count) {
  // A pivot of zero stands for a tiny one.
  constexpr double kTiny = 1e-290;
  double pivot[kLanes];
  double below[kLanes];
  for (Index lane = 0; lane < kLanes; ++lane) {
    const double p = diagonal[0] - x[static_cast<std::size_t>(lane)];
    pivot[lane] = std::abs(p) < kTiny ? -kTiny : p;
    below[lane] = pivot[lane] < 0 ? 1.0 : 0.0;
  }
  for (Index i = 1; i < n; ++i) {
#pragma omp simd
    for (Index lane = 0; lane < kLanes; ++lane) {
      const double p =
          diagonal[i] - x[static_cast<std::size_t>(lane)] - off_sq[i - 1] / pivot[lane];
      pivot[lane] = std::abs(p) < kTiny ? -kTiny : p;
      below[lane] += pivot[lane] < 0 ? 1.0 : 0.0;
    }
  }
  std::copy_n(below, kLanes, count.begin());
}

/// The largest sum of sizes in a row: no eigenvalue is larger in size.
double norm_of(const Tridiagonal& t) {
  double norm = 0;
  for (std::size_t i = 0; i < t.diagonal.size(); ++i) {
    norm = std::max(norm,
                    std::abs(t.diagonal[i]) + (i > 0 ? std::abs(t.off[i - 1]) : 0.0) +
                        (i < t.off.size() ? std::abs(t.off[i]) : 0.0));
  }
  return norm;
}

/// The k largest eigenvalues, descending, by bisection.
std::vector<double> largest_values(const Tridiagonal& t, Index k) {
  const Index n = t.size();
  std::vector<double> off_sq;
  for (const double off : t.off) off_sq.push_back(off * off);
  const double bound = norm_of(t) * (1 + 4 * kEps);
  std::vector<double> values;
  for (Index first = 0; first < k; first += kLanes) {
    Lanes low;
    Lanes high;
    low.fill(-bound);
    high.fill(bound);
    for (int halving = 0; halving < kHalvings; ++halving) {
      Lanes middle;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        middle[lane] = low[lane] + 0.5 * (high[lane] - low[lane]);
      }
      Lanes below;
      count_below(t.diagonal.data(), off_sq.data(), n, middle, below);
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        // The value with n - 1 - j below it.
        const auto j = static_cast<double>(first) + static_cast<double>(lane);
        (below[lane] > static_cast<double>(n) - 1 - j ? high : low)[lane] = middle[lane];
      }
    }
    for (std::size_t lane = 0; lane < kLanes && std::ssize(values) < k; ++lane) {
      values.push_back(low[lane] + 0.5 * (high[lane] - low[lane]));
    }
  }
  return values;
}

/// Vectors side by side, one row of lanes after another.
using Rows = std::vector<Lanes>;

/// Solves (T - x) z = b for kLanes x, by elimination with row exchanges.
struct Elimination {
  Rows diagonal;  // of the upper triangle
  Rows first;     // and above it
  Rows second;
  Rows factor;     // that is taken of a row's upper neighbour
  Rows exchanged;  // 1 where the two changed places, else 0
};

DNNBRAIN_CLONES void eliminate(
    const double* diagonal, const double* off, Index n, const Lanes& x, Elimination& out) {
  for (Index lane = 0; lane < kLanes; ++lane) {
    const auto l = static_cast<std::size_t>(lane);
    out.diagonal[0][l] = diagonal[0] - x[l];
    out.first[0][l] = n > 1 ? off[0] : 0.0;
    out.second[0][l] = 0;
  }
  for (Index i = 1; i < n; ++i) {
    const double below = off[i - 1];
    const double next = i + 1 < n ? off[i] : 0.0;
    Lanes& d0 = out.diagonal[static_cast<std::size_t>(i - 1)];
    Lanes& f0 = out.first[static_cast<std::size_t>(i - 1)];
    Lanes& s0 = out.second[static_cast<std::size_t>(i - 1)];
    Lanes& d1 = out.diagonal[static_cast<std::size_t>(i)];
    Lanes& f1 = out.first[static_cast<std::size_t>(i)];
    Lanes& s1 = out.second[static_cast<std::size_t>(i)];
    Lanes& factor = out.factor[static_cast<std::size_t>(i)];
    Lanes& exchanged = out.exchanged[static_cast<std::size_t>(i)];
#pragma omp simd
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double pivot = d0[l];
      const double beside = f0[l];
      const double own = diagonal[i] - x[l];
      const bool exchange = std::abs(pivot) < std::abs(below);
      const double upper = exchange ? below : (pivot == 0 ? kEps : pivot);
      const double lower = exchange ? pivot : below;
      const double ratio = lower / upper;
      d0[l] = upper;
      f0[l] = exchange ? own : beside;
      s0[l] = exchange ? next : 0.0;
      d1[l] = exchange ? beside - ratio * own : own - ratio * beside;
      f1[l] = exchange ? -ratio * next : next;
      s1[l] = 0;
      factor[l] = ratio;
      exchanged[l] = exchange ? 1.0 : 0.0;
    }
  }
  Lanes& last = out.diagonal[static_cast<std::size_t>(n - 1)];
  for (double& pivot : last) pivot = std::abs(pivot) < kEps ? kEps : pivot;
}

DNNBRAIN_CLONES void solve(const Elimination& e, Index n, Rows& z) {
  for (std::size_t i = 1; i < static_cast<std::size_t>(n); ++i) {
#pragma omp simd
    for (std::size_t l = 0; l < kLanes; ++l) {
      const bool exchanged = e.exchanged[i][l] > 0;
      const double upper = exchanged ? z[i][l] : z[i - 1][l];
      const double lower = exchanged ? z[i - 1][l] : z[i][l];
      z[i - 1][l] = upper;
      z[i][l] = lower - e.factor[i][l] * upper;
    }
  }
  const auto last = static_cast<std::size_t>(n - 1);
  Lanes one{};  // the row below, and the one below that
  Lanes two{};
  for (std::size_t i = last + 1; i-- > 0;) {
#pragma omp simd
    for (std::size_t l = 0; l < kLanes; ++l) {
      const double value =
          (z[i][l] - e.first[i][l] * one[l] - e.second[i][l] * two[l]) / e.diagonal[i][l];
      two[l] = one[l];
      one[l] = value;
      z[i][l] = value;
    }
  }
}

void normalise(Rows& z) {
  Lanes largest{};
  for (const Lanes& row : z) {
    for (std::size_t l = 0; l < kLanes; ++l) largest[l] = std::max(largest[l], std::abs(row[l]));
  }
  Lanes sq{};
  for (Lanes& row : z) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      row[l] /= largest[l];
      sq[l] += row[l] * row[l];
    }
  }
  for (double& length : sq) length = std::sqrt(length);
  for (Lanes& row : z) {
    for (std::size_t l = 0; l < kLanes; ++l) row[l] /= sq[l];
  }
}

/// A number from -1 to 1.
double draw(RandomStream& stream) { return static_cast<double>(stream.next()) * 0x1p-31 - 1.0; }

/// Vectors that belong to the values, (n, k), of which close ones are not orthogonal.
at::Tensor iterate_inversely(const Tridiagonal& t, const std::vector<double>& values) {
  const Index n = t.size();
  const auto k = static_cast<Index>(values.size());
  const auto n_row = static_cast<std::size_t>(n);
  const at::Tensor out = at::empty({n, k}, at::kDouble);
  double* const to = out.mutable_data_ptr<double>();
  Elimination e{Rows(n_row), Rows(n_row), Rows(n_row), Rows(n_row), Rows(n_row)};
  Rows z(n_row);
  for (Index first = 0; first < k; first += kLanes) {
    const Index width = std::min(kLanes, k - first);
    Lanes x;
    for (Index lane = 0; lane < kLanes; ++lane) {
      x[static_cast<std::size_t>(lane)] =
          values[static_cast<std::size_t>(first + std::min(lane, width - 1))];
    }
    RandomStream stream(0, static_cast<std::uint64_t>(first));
    for (Lanes& row : z) {
      for (double& value : row) value = draw(stream);
    }
    eliminate(t.diagonal.data(), t.off.data(), n, x, e);
    for (int iteration = 0; iteration < kIterations; ++iteration) {
      solve(e, n, z);
      normalise(z);
    }
    for (Index i = 0; i < n; ++i) {
      std::copy_n(z[static_cast<std::size_t>(i)].begin(), width, to + i * k + first);
    }
  }
  return out;
}

/// The largest entry of T X - X diag(values), and of NaN infinity.
DNNBRAIN_CLONES double largest_residual(const double* diagonal,
                                        const double* off,
                                        Index n,
                                        const double* x,  // (n, k)
                                        const double* values,
                                        Index k) {
  double largest = 0;
  const std::vector<double> zeros(static_cast<std::size_t>(k));
  for (Index i = 0; i < n; ++i) {
    const double* const own = x + i * k;
    const double* const above = i > 0 ? own - k : zeros.data();
    const double* const below = i + 1 < n ? own + k : zeros.data();
    const double to_above = i > 0 ? off[i - 1] : 0.0;
    const double to_below = i + 1 < n ? off[i] : 0.0;
#pragma omp simd reduction(max : largest)
    for (Index j = 0; j < k; ++j) {
      const double rest =
          std::abs((diagonal[i] - values[j]) * own[j] + to_above * above[j] + to_below * below[j]);
      const double one = rest <= std::numeric_limits<double>::max()
                             ? rest
                             : std::numeric_limits<double>::infinity();
      largest = std::max(largest, one);
    }
  }
  return largest;
}

double largest_residual(const Tridiagonal& t, const Eigenpairs& pairs) {
  const at::Tensor vectors = pairs.vectors.contiguous();
  const at::Tensor values = pairs.values.contiguous();
  return largest_residual(t.diagonal.data(),
                          t.off.data(),
                          t.size(),
                          vectors.const_data_ptr<double>(),
                          values.const_data_ptr<double>(),
                          values.size(0));
}

/// T times the columns of x.
at::Tensor tridiagonal_times(const Tridiagonal& t, const at::Tensor& x) {
  const Index n = t.size();
  const auto column = [&](const std::vector<double>& values) {
    return at::from_blob(const_cast<double*>(values.data()),
                         {std::ssize(values), 1},
                         at::TensorOptions().dtype(at::kDouble));
  };
  at::Tensor out = x * column(t.diagonal);
  const at::Tensor off = column(t.off);
  out.narrow(0, 0, n - 1) += off * x.narrow(0, 1, n - 1);
  out.narrow(0, 1, n - 1) += off * x.narrow(0, 0, n - 1);
  return out;
}

/// The largest entry in size, and nothing where there is none to divide by.
std::optional<double> size_of(const at::Tensor& matrix) {
  const double size = matrix.abs().max().item<double>();
  if (!(size > 0) || !std::isfinite(size)) return std::nullopt;
  return size;
}

/// Nothing where a check fails.
std::optional<Eigenpairs> decompose_all(const at::Tensor& matrix) {
  const auto size = size_of(matrix);
  if (!size) return std::nullopt;
  const Index n = matrix.size(0);
  const Tridiagonalisation reduced((matrix / *size).contiguous());
  const Tridiagonal& t = reduced.tridiagonal();
  const auto [values, vectors] = divide_and_conquer(t);
  // What is orthogonal leaves any vector as it is.
  const at::Tensor probe = at::empty({n}, at::kDouble);
  RandomStream stream(1, 0);
  double* const entries = probe.mutable_data_ptr<double>();
  for (Index i = 0; i < n; ++i) entries[i] = draw(stream);
  const at::Tensor back = at::mv(vectors, at::mv(vectors.t(), probe)) - probe;
  const double allowed = kResidual * kEps * static_cast<double>(n);
  // Written so that NaN does not pass.
  const bool holds = largest_residual(t, {values, vectors}) <= allowed * norm_of(t) &&
                     back.abs().max().item<double>() <= allowed;
  if (!holds) return std::nullopt;
  reduced.rotate(vectors);
  return Eigenpairs{values * *size, vectors};
}

/// Nothing where a check fails.
std::optional<Eigenpairs> decompose_part(const at::Tensor& matrix, Index k) {
  const auto size = size_of(matrix);
  if (!size) return std::nullopt;
  const Index n = matrix.size(0);
  const Tridiagonalisation reduced((matrix / *size).contiguous());
  const Tridiagonal& t = reduced.tridiagonal();
  const std::vector<double> bisected = largest_values(t, k);
  const at::Tensor basis = std::get<0>(at::linalg_qr(iterate_inversely(t, bisected)));
  const at::Tensor image = tridiagonal_times(t, basis);
  const auto [ascending, rotation] = at::linalg_eigh(at::mm(basis.t(), image));
  const at::Tensor values = ascending.flip(0);
  const at::Tensor towards = rotation.flip(1);
  const at::Tensor vectors = at::mm(basis, towards);
  const double allowed = kResidual * kEps * static_cast<double>(n) * norm_of(t);
  const at::Tensor expected = at::from_blob(
      const_cast<double*>(bisected.data()), {k}, at::TensorOptions().dtype(at::kDouble));
  // Written so that NaN does not pass.
  const bool holds = largest_residual(t, {values, vectors}) <= allowed &&
                     (values - expected).abs().max().item<double>() <= allowed;
  if (!holds) return std::nullopt;
  reduced.rotate(vectors);
  return Eigenpairs{values * *size, vectors};
}

void check(const at::Tensor& matrix) {
  DNNBRAIN_REQUIRE(matrix.dim() == 2 && matrix.size(0) == matrix.size(1) && matrix.size(0) > 0 &&
                       matrix.scalar_type() == at::kDouble,
                   "matrix must be float64 of shape (n, n).");
}

}  // namespace

Eigenpairs all_eigenpairs(const at::Tensor& matrix) {
  const at::NoGradGuard no_grad;
  check(matrix);
  const Index n = matrix.size(0);
  if (matrix.is_cpu() && n > kSmallOrder && n <= kLargeOrderOfAll) {
    if (auto pairs = decompose_all(matrix)) return *pairs;
  }
  const auto [values, vectors] = at::linalg_eigh(matrix);
  return {values, vectors};
}

Eigenpairs top_eigenpairs(const at::Tensor& matrix, Index k) {
  const at::NoGradGuard no_grad;
  check(matrix);
  const Index n = matrix.size(0);
  DNNBRAIN_REQUIRE(k >= 1 && k <= n, "there are 1 to ", n, " eigenpairs; got ", k, ".");
  const bool few = n > kSmallOrder && n <= kLargeOrder && k * kFewOfThem <= n;
  if (matrix.is_cpu() && few) {
    if (auto pairs = decompose_part(matrix, k)) return *pairs;
  }
  const Eigenpairs all = all_eigenpairs(matrix);
  return {all.values.narrow(0, n - k, k).flip(0), all.vectors.narrow(1, n - k, k).flip(1)};
}

}  // namespace dnnbrain
