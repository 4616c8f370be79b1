#include "dnnbrain/tensor/prediction_sums.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/simd.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

namespace {

/// Rows of all predictions that are formed at a time.
constexpr Index kRows = 8;

/// Predictions of a tile that stays in registers, and registers side by side.
constexpr Index kTile = 4;
constexpr Index kWide = 2;

// out[a, j] = sum_k c[a, k] b[k, j] for kTile a and n_col / (n_lane kWide) whole registers of j.
//
// One body for several instruction sets. A macro, because GCC takes vectors apart for the
// instructions of a function before it inlines that function into another.
#define DNNBRAIN_COMBINE(name, Value, n_byte)                                                     \
  Index name(const Value* c,                                                                      \
             Index n_product,                                                                     \
             const Value* b,                                                                      \
             Index stride,                                                                        \
             Index n_col,                                                                         \
             Value* out,                                                                          \
             Index out_stride) {                                                                  \
    using Part [[gnu::vector_size(n_byte), gnu::may_alias, gnu::aligned(sizeof(Value))]] = Value; \
    constexpr Index kLanes = n_byte / sizeof(Value);                                              \
    Index j = 0;                                                                                  \
    for (; j + kWide * kLanes <= n_col; j += kWide * kLanes) {                                    \
      Part sums[kTile][kWide] = {};                                                               \
      for (Index k = 0; k < n_product; ++k) {                                                     \
        const Value* const row = b + k * stride + j;                                              \
        const Part first = *reinterpret_cast<const Part*>(row);                                   \
        const Part second = *reinterpret_cast<const Part*>(row + kLanes);                         \
        for (Index a = 0; a < kTile; ++a) {                                                       \
          const Value weight = c[a * n_product + k];                                              \
          sums[a][0] += first * weight;                                                           \
          sums[a][1] += second * weight;                                                          \
        }                                                                                         \
      }                                                                                           \
      for (Index a = 0; a < kTile; ++a) {                                                         \
        for (Index w = 0; w < kWide; ++w) {                                                       \
          *reinterpret_cast<Part*>(out + a * out_stride + j + w * kLanes) = sums[a][w];           \
        }                                                                                         \
      }                                                                                           \
    }                                                                                             \
    return j;                                                                                     \
  }

// clang-format off
DNNBRAIN_COMBINE(combine_baseline, float, 16)
DNNBRAIN_COMBINE(combine_baseline, double, 16)
#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_COMBINE(combine_avx2, float, 32)
[[gnu::target("avx2,fma")]] DNNBRAIN_COMBINE(combine_avx2, double, 32)
[[gnu::target("avx512f")]] DNNBRAIN_COMBINE(combine_avx512, float, 64)
[[gnu::target("avx512f")]] DNNBRAIN_COMBINE(combine_avx512, double, 64)
#endif
// clang-format on

#undef DNNBRAIN_COMBINE

                template <class Value>
                using Combine =
                    Index (*)(const Value*, Index, const Value*, Index, Index, Value*, Index);

template <class Value>
Combine<Value> choose_combine() {
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx512) return combine_avx512;
  if (widest_simd() >= Simd::kAvx2) return combine_avx2;
#endif
  return combine_baseline;
}

/// out[a, j] = sum_k c[a, k] b[k, j], n_alpha in whole tiles.
template <class Value>
void combine_rows(const Value* c,
                  Index n_alpha,
                  Index n_product,
                  const Value* b,
                  Index stride,
                  Index n_col,
                  Value* out,
                  Index out_stride) {
  static const Combine<Value> combine = choose_combine<Value>();
  for (Index a = 0; a < n_alpha; a += kTile) {
    const Value* const own = c + a * n_product;
    Value* const to = out + a * out_stride;
    const Index done = combine(own, n_product, b, stride, n_col, to, out_stride);
    for (Index row = 0; row < kTile; ++row) {
      for (Index j = done; j < n_col; ++j) {
        Value sum = 0;
        for (Index k = 0; k < n_product; ++k) sum += own[row * n_product + k] * b[k * stride + j];
        to[row * out_stride + j] = sum;
      }
    }
  }
}

/// Adds sums over rows of predictions and what was measured, targets side by side.
template <class Real>
[[gnu::always_inline]] inline void add_up(const Real* predicted,  // (n_row, n_tile)
                                          const Real* measured,   // (n_row, n_tile)
                                          const Real* ones,       // (n_row,)
                                          Index n_row,
                                          Index n_tile,
                                          double* sum,
                                          double* cross,
                                          double* sq) {
  for (Index row = 0; row < n_row; ++row) {
    const Real* const p = predicted + row * n_tile;
    const Real* const y = measured + row * n_tile;
    const auto one = static_cast<double>(ones[row]);
    for (Index t = 0; t < n_tile; ++t) {
      const auto value = static_cast<double>(p[t]);
      sum[t] += value * one;
      cross[t] += value * static_cast<double>(y[t]);
      sq[t] += value * value;
    }
  }
}

DNNBRAIN_CLONES void add_up_rows(const float* predicted,
                                 const float* measured,
                                 const float* ones,
                                 Index n_row,
                                 Index n_tile,
                                 double* sum,
                                 double* cross,
                                 double* sq) {
  add_up<float>(predicted, measured, ones, n_row, n_tile, sum, cross, sq);
}

DNNBRAIN_CLONES void add_up_rows(const double* predicted,
                                 const double* measured,
                                 const double* ones,
                                 Index n_row,
                                 Index n_tile,
                                 double* sum,
                                 double* cross,
                                 double* sq) {
  add_up<double>(predicted, measured, ones, n_row, n_tile, sum, cross, sq);
}

at::Tensor sums_on_device(const at::Tensor& combine,
                          const at::Tensor& products,
                          const at::Tensor& measured,
                          const at::Tensor& ones) {
  const at::Tensor predicted =
      combine.defined()
          ? at::matmul(combine, products.flatten(1)).view({-1, products.size(1), products.size(2)})
          : products;
  const at::Tensor exact = predicted.to(at::kDouble);
  const at::Tensor one = ones.to(at::kDouble).unsqueeze(1);
  return at::stack({(exact * one).sum(1),
                    (exact * measured.to(at::kDouble)).sum(1),
                    (exact * exact).sum(1)},
                   1)
      .cpu()
      .contiguous();
}

}  // namespace

at::Tensor prediction_sums(const at::Tensor& combine,
                           const at::Tensor& products,
                           const at::Tensor& measured,
                           const at::Tensor& ones,
                           at::Tensor& room) {
  if (!products.is_cpu()) return sums_on_device(combine, products, measured, ones);
  const Index n_product = products.size(0);
  const Index n_alpha = combine.defined() ? combine.size(0) : n_product;
  const Index n_row = products.size(1);
  const Index n_target = products.size(2);
  at::Tensor sums = at::zeros({n_alpha, 3, n_target}, products.options().dtype(at::kDouble));
  double* const out = sums.mutable_data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES(products.scalar_type(), "prediction_sums", [&] {
    const scalar_t* const all = products.const_data_ptr<scalar_t>();
    // In whole tiles of penalties; behind the last, none.
    const Index n_padded = (n_alpha + kTile - 1) / kTile * kTile;
    std::vector<scalar_t> weights;
    if (combine.defined()) {
      const scalar_t* const given = combine.const_data_ptr<scalar_t>();
      weights.assign(given, given + n_alpha * n_product);
      weights.resize(static_cast<std::size_t>(n_padded * n_product));
      if (!room.defined()) room = at::empty({0}, products.options());
      room.resize_({n_padded, kRows * n_target});
    }
    for (Index row = 0; row < n_row; row += kRows) {
      const Index n_here = std::min(kRows, n_row - row);
      const scalar_t* predicted = all + row * n_target;
      Index stride = n_row * n_target;
      if (combine.defined()) {
        combine_rows(weights.data(),
                     n_padded,
                     n_product,
                     predicted,
                     stride,
                     n_here * n_target,
                     room.mutable_data_ptr<scalar_t>(),
                     kRows * n_target);
        predicted = room.const_data_ptr<scalar_t>();
        stride = kRows * n_target;
      }
      for (Index a = 0; a < n_alpha; ++a) {
        double* const own = out + a * 3 * n_target;
        add_up_rows(predicted + a * stride,
                    measured.const_data_ptr<scalar_t>() + row * n_target,
                    ones.const_data_ptr<scalar_t>() + row,
                    n_here,
                    n_target,
                    own,
                    own + n_target,
                    own + 2 * n_target);
      }
    }
  });
  return sums;
}

}  // namespace dnnbrain
