#include "dnnbrain/tensor/tridiagonal.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/simd.hpp"

namespace dnnbrain {

namespace {

/// Reflections of a block, and rows of A that its product is applied to at a time.
constexpr Index kBlock = 32;
constexpr Index kRows = 96;

/// Reflections that are applied to vectors together.
constexpr Index kTurn = 64;

/// Rows whose products with a vector are formed together.
constexpr Index kTogether = 4;

DNNBRAIN_CLONES double dot(const double* x, const double* y, Index n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

DNNBRAIN_CLONES void add_scaled(double scale, const double* x, Index n, double* y) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) y[i] += scale * x[i];
}

// y += A x for the symmetric A whose lower triangle is given, of n / kTogether * kTogether rows:
// each row is read once for both of its halves.
//
// One body for several instruction sets. A macro, because GCC takes vectors apart for the
// instructions of a function before it inlines that function into another.
#define DNNBRAIN_ADD_SYMMETRIC_TIMES(name, n_lane)                                         \
  void name(const double* a, Index stride, Index n, const double* x, double* y) {          \
    using Part [[gnu::vector_size(n_lane * 8), gnu::may_alias, gnu::aligned(8)]] = double; \
    for (Index i = 0; i + kTogether <= n; i += kTogether) {                                \
      const double* const rows = a + i * stride;                                           \
      const double* const own = x + i;                                                     \
      Part sums[kTogether] = {};                                                           \
      Index j = 0;                                                                         \
      for (; j + n_lane <= i; j += n_lane) {                                               \
        const Part beside = *reinterpret_cast<const Part*>(x + j);                         \
        Part& to = *reinterpret_cast<Part*>(y + j);                                        \
        Part even = to;                                                                    \
        Part odd{};                                                                        \
        for (Index k = 0; k < kTogether; k += 2) {                                         \
          const Part first = *reinterpret_cast<const Part*>(rows + k * stride + j);        \
          const Part second = *reinterpret_cast<const Part*>(rows + (k + 1) * stride + j); \
          sums[k] += first * beside;                                                       \
          sums[k + 1] += second * beside;                                                  \
          even += first * own[k];                                                          \
          odd += second * own[k + 1];                                                      \
        }                                                                                  \
        to = even + odd;                                                                   \
      }                                                                                    \
      for (Index k = 0; k < kTogether; ++k) {                                              \
        const double* const row = rows + k * stride;                                       \
        double sum = 0;                                                                    \
        for (Index lane = 0; lane < n_lane; ++lane) sum += sums[k][lane];                  \
        for (Index rest = j; rest < i + k; ++rest) {                                       \
          sum += row[rest] * x[rest];                                                      \
          y[rest] += row[rest] * own[k];                                                   \
        }                                                                                  \
        y[i + k] += sum + row[i + k] * own[k];                                             \
      }                                                                                    \
    }                                                                                      \
  }

// clang-format off
DNNBRAIN_ADD_SYMMETRIC_TIMES(add_rows_baseline, 2)
#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_ADD_SYMMETRIC_TIMES(add_rows_avx2, 4)
[[gnu::target("avx512f")]] DNNBRAIN_ADD_SYMMETRIC_TIMES(add_rows_avx512, 8)
#endif
// clang-format on

#undef DNNBRAIN_ADD_SYMMETRIC_TIMES

        using AddRows = void (*)(const double*, Index, Index, const double*, double*);

AddRows choose_add_rows() {
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx512) return add_rows_avx512;
  if (widest_simd() >= Simd::kAvx2) return add_rows_avx2;
#endif
  return add_rows_baseline;
}

void add_symmetric_times(const double* a, Index stride, Index n, const double* x, double* y) {
  static const AddRows add_rows = choose_add_rows();
  add_rows(a, stride, n, x, y);
  for (Index i = n / kTogether * kTogether; i < n; ++i) {
    const double* const row = a + i * stride;
    y[i] += dot(row, x, i) + row[i] * x[i];
    add_scaled(x[i], row, i, y);
  }
}

/// Turns x into v of I - tau v v' that leaves nothing of x but its last entry. Returns tau and that
/// entry.
struct Reflection {
  double tau;
  double last;
};

Reflection reflect(double* x, Index n) {
  const double last = x[n - 1];
  double largest = 0;
  for (Index i = 0; i + 1 < n; ++i) largest = std::max(largest, std::abs(x[i]));
  if (largest == 0) {
    x[n - 1] = 1;
    return {0, last};
  }
  // To size 1 before anything is squared.
  const double size = std::max(largest, std::abs(last));
  double sq = 0;
  for (Index i = 0; i < n; ++i) sq += (x[i] / size) * (x[i] / size);
  const double length = size * std::sqrt(sq);
  const double beta = last > 0 ? -length : length;
  const double lead = last - beta;
  for (Index i = 0; i + 1 < n; ++i) x[i] /= lead;
  x[n - 1] = 1;
  return {(beta - last) / beta, beta};
}

}  // namespace

Tridiagonalisation::Tridiagonalisation(at::Tensor matrix)
    : n_(matrix.size(0)), reflections_(std::move(matrix)), taus_(static_cast<std::size_t>(n_)) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(reflections_.dim() == 2 && reflections_.size(1) == n_ && n_ >= 1 &&
                       reflections_.is_cpu() && reflections_.scalar_type() == at::kDouble &&
                       reflections_.is_contiguous(),
                   "matrix must be float64 of shape (n, n), contiguous, on the CPU.");
  t_.diagonal.resize(static_cast<std::size_t>(n_));
  t_.off.resize(static_cast<std::size_t>(n_ - 1));
  double* const a = reflections_.mutable_data_ptr<double>();
  // Of a block, row k of the first half is v of its k-th reflection and of the second what A
  // becomes by it: A -= v w' + w v'.
  const at::Tensor pairs = at::empty({2 * kBlock, n_}, reflections_.options());
  double* const v = pairs.mutable_data_ptr<double>();
  double* const w = v + kBlock * n_;

  for (Index end = n_; end > 1;) {
    const Index begin = std::max<Index>(1, end - kBlock);
    for (Index i = end - 1; i >= begin; --i) {
      double* const row = a + i * n_;
      const Index k = end - 1 - i;  // reflections of this block that are known
      for (Index l = 0; l < k; ++l) {
        add_scaled(-v[l * n_ + i], w + l * n_, i + 1, row);
        add_scaled(-w[l * n_ + i], v + l * n_, i + 1, row);
      }
      t_.diagonal[static_cast<std::size_t>(i)] = row[i];
      const Reflection found = reflect(row, i);
      taus_[static_cast<std::size_t>(i)] = found.tau;
      t_.off[static_cast<std::size_t>(i - 1)] = found.last;
      double* const own_v = v + k * n_;
      double* const own_w = w + k * n_;
      std::copy_n(row, i, own_v);
      std::fill_n(own_v + i, n_ - i, 0.0);
      std::fill_n(own_w, n_, 0.0);
      if (found.tau == 0) continue;
      add_symmetric_times(a, n_, i, own_v, own_w);
      for (Index l = 0; l < k; ++l) {
        const double along_w = dot(w + l * n_, own_v, i);
        const double along_v = dot(v + l * n_, own_v, i);
        add_scaled(-along_w, v + l * n_, i, own_w);
        add_scaled(-along_v, w + l * n_, i, own_w);
      }
      for (Index j = 0; j < i; ++j) own_w[j] *= found.tau;
      add_scaled(-0.5 * found.tau * dot(own_w, own_v, i), own_v, i, own_w);
    }
    const Index known = end - begin;
    const at::Tensor first = pairs.narrow(0, 0, known).narrow(1, 0, begin);
    const at::Tensor second = pairs.narrow(0, kBlock, known).narrow(1, 0, begin);
    const at::Tensor one = at::cat({first, second}).t().contiguous();  // (begin, 2 known)
    const at::Tensor other = at::cat({second, first});                 // (2 known, begin)
    for (Index top = 0; top < begin; top += kRows) {
      const Index bottom = std::min(top + kRows, begin);
      at::Tensor block = reflections_.narrow(0, top, bottom - top).narrow(1, 0, bottom);
      block.addmm_(one.narrow(0, top, bottom - top), other.narrow(1, 0, bottom), 1, -1);
    }
    end = begin;
  }
  t_.diagonal[0] = a[0];
}

void Tridiagonalisation::rotate(const at::Tensor& vectors) const {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(vectors.dim() == 2 && vectors.size(0) == n_ && vectors.is_cpu() &&
                       vectors.scalar_type() == at::kDouble && vectors.is_contiguous(),
                   "vectors must be float64 of shape (",
                   n_,
                   ", k), contiguous, on the CPU.");
  const double* const all = reflections_.const_data_ptr<double>();
  for (Index begin = 1; begin < n_; begin += kTurn) {
    const Index end = std::min(begin + kTurn, n_);
    const Index count = end - begin;
    const Index width = end - 1;
    // H_(end-1) .. H_begin = I - V' M V.
    const at::Tensor block = at::zeros({count, width}, vectors.options());
    for (Index i = begin; i < end; ++i) {
      std::copy_n(all + i * n_, i, block.mutable_data_ptr<double>() + (i - begin) * width);
    }
    const at::Tensor inner = at::mm(block, block.t());
    const at::Tensor triangle = at::zeros({count, count}, vectors.options());
    const double* const s = inner.const_data_ptr<double>();
    double* const m = triangle.mutable_data_ptr<double>();
    for (Index k = 0; k < count; ++k) {
      const double tau = taus_[static_cast<std::size_t>(begin + k)];
      m[k * count + k] = tau;
      for (Index j = 0; j < k; ++j) {
        double sum = 0;
        for (Index l = j; l < k; ++l) sum += s[k * count + l] * m[l * count + j];
        m[k * count + j] = -tau * sum;
      }
    }
    at::Tensor part = vectors.narrow(0, 0, width);
    const at::Tensor along = at::mm(triangle, at::mm(block, part));
    part.addmm_(block.t(), along, 1, -1);
  }
}

}  // namespace dnnbrain
