#include "dnnbrain/tensor/divide_and_conquer.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// Matrices up to this order are decomposed at once.
constexpr Index kLeaf = 32;

/// Steps to a root; a handful are needed.
constexpr int kMostSteps = 100;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// f(m) = 1 / rho + sum z_j^2 / (delta_j - m), poles before and after the root apart.
struct Secular {
  double value;   // f
  double size;    // the sum of the sizes of its terms
  double before;  // sum z_j^2 / (delta_j - m)^2 over poles before the root
  double after;
};

struct PartOfSum {
  double sum;
  double slope;
};

DNNBRAIN_CLONES PartOfSum
sum_poles(const double* delta, const double* z, Index first, Index last, double m) {
  double sum = 0;
  double slope = 0;
#pragma omp simd reduction(+ : sum, slope)
  for (Index j = first; j < last; ++j) {
    const double ratio = z[j] / (delta[j] - m);
    sum += z[j] * ratio;
    slope += ratio * ratio;
  }
  return {sum, slope};
}

Secular secular(
    const double* delta, const double* z, Index n, Index n_before, double inverse_rho, double m) {
  const PartOfSum before = sum_poles(delta, z, 0, n_before, m);
  const PartOfSum after = sum_poles(delta, z, n_before, n, m);
  return {inverse_rho + before.sum + after.sum,
          inverse_rho + std::abs(before.sum) + std::abs(after.sum),
          before.slope,
          after.slope};
}

/// d[j] - root of f after d[i], for all j.
void write_distances(const double* d,
                     const double* z,
                     Index n,
                     Index i,
                     double rho,
                     double length_sq,  // of z
                     std::vector<double>& delta,
                     double* distances) {
  if (n == 1) {
    distances[0] = -rho * length_sq;
    return;
  }
  const double inverse_rho = 1 / rho;
  const bool last = i + 1 == n;
  const double gap = last ? rho * length_sq : d[i + 1] - d[i];
  // Of poles before the root there is one at least; behind the last root there is none, and the
  // last two stand for both kinds.
  const Index n_before = last ? n - 1 : i + 1;
  double low = 0;
  double high = gap;
  double m = 0.5 * gap;
  Index origin = i;
  for (Index j = 0; j < n; ++j) delta[at(j)] = d[j] - d[i];
  Secular f = secular(delta.data(), z, n, n_before, inverse_rho, m);
  if (!last && f.value < 0) {
    // Nearer to the next pole.
    origin = i + 1;
    for (Index j = 0; j < n; ++j) delta[at(j)] = d[j] - d[origin];
    low = -gap;
    high = 0;
    m = -0.5 * gap;
  }
  const double* const pole =
      delta.data() + n_before - 1;  // the last of the first kind, and one more
  for (int step = 0; step < kMostSteps; ++step) {
    if (std::abs(f.value) <= 2 * kEps * f.size) break;
    (f.value < 0 ? low : high) = m;
    // Poles of either kind are stood for by one that has their value and their slope.
    const double one = pole[0] - m;
    const double two = pole[1] - m;
    const double c = f.value - one * f.before - two * f.after;
    const double a = (one + two) * f.value - one * two * (f.before + f.after);
    const double b = one * two * f.value;
    const double root = std::sqrt(std::max(0.0, a * a - 4 * b * c));
    double next = m;
    if (last) {
      next += a >= 0 ? (a + root) / (2 * std::abs(c)) : 2 * b / (a - root);
    } else {
      next += a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root);
    }
    // Written so that NaN is caught.
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    if (next == m || next == low || next == high) break;
    m = next;
    f = secular(delta.data(), z, n, n_before, inverse_rho, m);
  }
  for (Index j = 0; j < n; ++j) distances[j] = delta[at(j)] - m;
}

/// product[i] *= distances[i] / (d[i] - d[j]) but for i = j, where the denominator is 1.
DNNBRAIN_CLONES void multiply_ratios(
    const double* d, const double* distances, Index n, Index j, double* product) {
  const double own = product[j] * distances[j];
  const double pole = d[j];
#pragma omp simd
  for (Index i = 0; i < n; ++i) product[i] *= distances[i] / (d[i] - pole);
  product[j] = own;
}

DNNBRAIN_CLONES double write_vector(const double* z, const double* distances, Index n, double* to) {
  double sq = 0;
#pragma omp simd reduction(+ : sq)
  for (Index i = 0; i < n; ++i) {
    to[i] = z[i] / distances[i];
    sq += to[i] * to[i];
  }
  return sq;
}

/// Where the entries of a column may differ from zero: rows of the first half, of both, of the
/// second.
enum class Rows { kFirst, kBoth, kSecond };

/// Joins what is known of two halves.
class Merge {
 public:
  /// Q of the halves stand on the diagonal of `vectors`, their values one after the other.
  Merge(double* values, double* vectors, Index stride, Index n, Index n_first, double off)
      : values_(values), vectors_(vectors), stride_(stride), n_(n), n_first_(n_first) {
    z_.resize(at(n));
    const double sign = off < 0 ? -1.0 : 1.0;
    for (Index j = 0; j < n_first; ++j) z_[at(j)] = row(n_first - 1)[j];
    for (Index j = n_first; j < n; ++j) z_[at(j)] = sign * row(n_first)[j];
    rho_ = std::abs(off);
  }

  void run() {
    deflate();
    solve();
    write();
  }

 private:
  double* row(Index i) const { return vectors_ + i * stride_; }

  void rotate(Index one, Index other, double c, double s) {
    const bool first = place_[at(one)] != Rows::kSecond || place_[at(other)] != Rows::kSecond;
    const bool second = place_[at(one)] != Rows::kFirst || place_[at(other)] != Rows::kFirst;
    for (Index i = first ? 0 : n_first_; i < (second ? n_ : n_first_); ++i) {
      double* const r = row(i);
      const double x = r[one];
      r[one] = c * x + s * r[other];
      r[other] = c * r[other] - s * x;
    }
    const Rows both = first && second ? Rows::kBoth : place_[at(one)];
    place_[at(one)] = both;
    place_[at(other)] = both;
  }

  /// Splits the columns into those that are done and those that are kept, in ascending order.
  void deflate() {
    place_.assign(at(n_), Rows::kFirst);
    std::fill(place_.begin() + n_first_, place_.end(), Rows::kSecond);
    std::vector<Index> order(at(n_));
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(
        order.begin(), order.end(), [&](Index a, Index b) { return values_[a] < values_[b]; });
    double largest = 0;
    for (Index j = 0; j < n_; ++j) {
      largest = std::max({largest, std::abs(values_[j]), std::abs(z_[at(j)])});
    }
    const double tolerance = 8 * kEps * largest;
    Index before = -1;
    for (const Index j : order) {
      if (rho_ * std::abs(z_[at(j)]) <= tolerance) {
        done_.push_back(j);
        continue;
      }
      if (before >= 0) {
        const double length = std::hypot(z_[at(before)], z_[at(j)]);
        const double c = z_[at(j)] / length;
        const double s = -z_[at(before)] / length;
        if (std::abs((values_[j] - values_[before]) * c * s) <= tolerance) {
          rotate(before, j, c, s);
          const double low = values_[before];
          const double high = values_[j];
          values_[before] = low * c * c + high * s * s;
          values_[j] = low * s * s + high * c * c;
          z_[at(j)] = length;
          z_[at(before)] = 0;
          done_.push_back(before);
          kept_.pop_back();
        }
      }
      kept_.push_back(j);
      before = j;
    }
  }

  /// Values of the kept columns, and what takes these to their vectors.
  void solve() {
    const Index n = std::ssize(kept_);
    if (n == 0) return;
    std::vector<double> d;
    std::vector<double> z;
    double length_sq = 0;
    for (const Index j : kept_) {
      d.push_back(values_[j]);
      z.push_back(z_[at(j)]);
      length_sq += z.back() * z.back();
    }
    const at::Tensor distances = at::empty({n, n}, at::kDouble);  // by root
    double* const all = distances.mutable_data_ptr<double>();
    std::vector<double> room(at(n));
    std::vector<double> product(at(n), 1.0);
    for (Index i = 0; i < n; ++i) {
      double* const own = all + i * n;
      write_distances(d.data(), z.data(), n, i, rho_, length_sq, room, own);
      // From the nearer of the poles beside it.
      const bool next = i + 1 < n && std::abs(own[i + 1]) < std::abs(own[i]);
      roots_.push_back(next ? d[at(i + 1)] - own[i + 1] : d[at(i)] - own[i]);
      multiply_ratios(d.data(), own, n, i, product.data());
    }
    for (Index i = 0; i < n; ++i) {
      z[at(i)] = std::copysign(std::sqrt(std::abs(product[at(i)])), z[at(i)]);
    }
    // Rows of the same kind side by side.
    for (const Rows kind : {Rows::kFirst, Rows::kBoth, Rows::kSecond}) {
      for (Index i = 0; i < n; ++i) {
        if (place_[at(kept_[at(i)])] == kind) grouped_.push_back(i);
      }
      ends_.push_back(std::ssize(grouped_));
    }
    towards_ = at::empty({n, n}, at::kDouble);
    double* const out = towards_.mutable_data_ptr<double>();
    for (Index i = 0; i < n; ++i) {
      const double scale = 1 / std::sqrt(write_vector(z.data(), all + i * n, n, room.data()));
      for (Index j = 0; j < n; ++j) out[i * n + j] = room[at(grouped_[at(j)])] * scale;
    }
  }

  /// Rows [first, last) of the kept columns grouped_[begin, end), times their part of `towards_`.
  at::Tensor product(Index first, Index last, Index begin, Index end) const {
    const at::Tensor columns = at::empty({last - first, end - begin}, at::kDouble);
    double* to = columns.mutable_data_ptr<double>();
    for (Index i = first; i < last; ++i) {
      for (Index j = begin; j < end; ++j) *to++ = row(i)[kept_[at(grouped_[at(j)])]];
    }
    return at::mm(columns, towards_.narrow(1, begin, end - begin).t());
  }

  /// Values and vectors in ascending order, in place of those of the halves.
  void write() {
    const Index n_kept = std::ssize(kept_);
    std::vector<double> found = roots_;
    for (const Index j : done_) found.push_back(values_[j]);
    std::vector<Index> order(at(n_));
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(
        order.begin(), order.end(), [&](Index a, Index b) { return found[at(a)] < found[at(b)]; });
    at::Tensor halves[2];
    if (n_kept > 0) {
      halves[0] = product(0, n_first_, 0, ends_[1]);
      halves[1] = product(n_first_, n_, ends_[0], n_kept);
    }
    std::vector<double> before(at(n_));
    for (Index i = 0; i < n_; ++i) {
      const bool second = i >= n_first_;
      const double* const own = n_kept == 0 ? nullptr
                                            : halves[second ? 1 : 0].const_data_ptr<double>() +
                                                  (second ? i - n_first_ : i) * n_kept;
      double* const to = row(i);
      std::copy_n(to, n_, before.begin());
      for (Index j = 0; j < n_; ++j) {
        const Index from = order[at(j)];
        to[j] = from < n_kept ? own[from] : before[at(done_[at(from - n_kept)])];
      }
    }
    for (Index j = 0; j < n_; ++j) values_[j] = found[at(order[at(j)])];
  }

  double* values_;
  double* vectors_;
  Index stride_;
  Index n_;
  Index n_first_;
  double rho_;
  std::vector<double> z_;
  std::vector<Rows> place_;
  std::vector<Index> done_;     // columns whose pairs are known
  std::vector<Index> kept_;     // the others, by ascending value
  std::vector<double> roots_;   // their new values
  std::vector<Index> grouped_;  // of the kept, by the rows that they fill
  std::vector<Index> ends_;     // of the groups
  at::Tensor towards_;          // (n_kept, n_kept) a new vector each, in the order of grouped_
};

void decompose_leaf(const double* diagonal,
                    const double* off,
                    Index n,
                    double* values,
                    double* vectors,
                    Index stride) {
  const at::Tensor dense = at::zeros({n, n}, at::kDouble);
  double* const entries = dense.mutable_data_ptr<double>();
  for (Index i = 0; i < n; ++i) {
    entries[i * n + i] = diagonal[i];
    if (i > 0) entries[i * n + i - 1] = off[i - 1];
  }
  const auto [found, columns] = at::linalg_eigh(dense, "L");
  const at::Tensor rows = columns.contiguous();
  std::copy_n(found.const_data_ptr<double>(), n, values);
  for (Index i = 0; i < n; ++i) {
    std::copy_n(rows.const_data_ptr<double>() + i * n, n, vectors + i * stride);
  }
}

/// `diagonal` is changed. Off the diagonal blocks, `vectors` must be zero.
void decompose(
    double* diagonal, const double* off, Index n, double* values, double* vectors, Index stride) {
  if (n <= kLeaf) return decompose_leaf(diagonal, off, n, values, vectors, stride);
  const Index half = n / 2;
  const double beside = off[half - 1];
  diagonal[half - 1] -= std::abs(beside);
  diagonal[half] -= std::abs(beside);
  decompose(diagonal, off, half, values, vectors, stride);
  decompose(
      diagonal + half, off + half, n - half, values + half, vectors + half * stride + half, stride);
  Merge(values, vectors, stride, n, half, beside).run();
}

}  // namespace

TridiagonalEigenpairs divide_and_conquer(const Tridiagonal& t) {
  const at::NoGradGuard no_grad;
  const Index n = t.size();
  const at::Tensor values = at::empty({n}, at::kDouble);
  const at::Tensor vectors = at::zeros({n, n}, at::kDouble);
  std::vector<double> diagonal = t.diagonal;
  decompose(diagonal.data(),
            t.off.data(),
            n,
            values.mutable_data_ptr<double>(),
            vectors.mutable_data_ptr<double>(),
            n);
  return {values, vectors};
}

}  // namespace dnnbrain
