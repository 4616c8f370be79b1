#include "dnnbrain/kernels/short_products.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/simd.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

constexpr Index kLanes = 32;

/// Relabellings that share the loads of b.
constexpr Index kOrders = 4;

/// What one call of the inner loop works on.
struct Problem {
  const ShortRows::Register* a;
  std::array<const ShortRows::Register*, 4> b;
  const ShortRows::Register* columns;             // (kOrders, R): the orders, 16 bits each
  std::array<const std::int32_t*, kOrders> rows;  // (n_cond,) the orders
  Index n_cond;
  Index rows_per_sum;                                     // that 32-bit sums can hold
  std::array<std::array<std::int64_t, 4>, kOrders>* out;  // by order, then b
};

#ifdef __x86_64__

#define DNNBRAIN_TARGET [[gnu::target("avx512f,avx512bw")]]

// GCC 12 takes the undefined operands inside its own intrinsics for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

/// Values of a row of R <= 5 registers at 32 places. Bits 0 to 5 of a place choose from two
/// registers, those above choose the two.
template <int R>
DNNBRAIN_TARGET inline __m512i fetch(const __m512i* row, __m512i places) {
  if constexpr (R == 1) {
    return _mm512_permutexvar_epi16(places, row[0]);
  } else {
    __m512i found = _mm512_permutex2var_epi16(row[0], places, row[1]);
    if constexpr (R > 2) {
      const __m512i upper = R > 3 ? _mm512_permutex2var_epi16(row[2], places, row[3])
                                  : _mm512_permutexvar_epi16(places, row[2]);
      const __mmask32 in_upper = _mm512_test_epi16_mask(places, _mm512_set1_epi16(64));
      found = _mm512_mask_mov_epi16(found, in_upper, upper);
    }
    if constexpr (R > 4) {
      const __m512i high = _mm512_permutexvar_epi16(places, row[4]);
      const __mmask32 in_high = _mm512_test_epi16_mask(places, _mm512_set1_epi16(128));
      found = _mm512_mask_mov_epi16(found, in_high, high);
    }
    return found;
  }
}

DNNBRAIN_TARGET inline __m512i widen_and_add(__m512i total, __m512i sum) {
  const __m512i lower = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum));
  const __m512i upper = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sum, 1));
  return _mm512_add_epi64(total, _mm512_add_epi64(lower, upper));
}

/// Products of S upper triangles with kOrders relabellings; R registers to a row.
template <int R, int S>
DNNBRAIN_TARGET void multiply(const Problem& problem) {
  __m512i total[kOrders][S];
  __m512i sum[kOrders][S];
  for (int p = 0; p < kOrders; ++p) {
    for (int s = 0; s < S; ++s) total[p][s] = _mm512_setzero_si512();
  }
  for (Index first = 0; first < problem.n_cond; first += problem.rows_per_sum) {
    const Index last = std::min(first + problem.rows_per_sum, problem.n_cond);
    for (int p = 0; p < kOrders; ++p) {
      for (int s = 0; s < S; ++s) sum[p][s] = _mm512_setzero_si512();
    }
    for (Index i = first; i < last; ++i) {
      const int first_register = static_cast<int>((i + 1) / kLanes);  // b is zero before
      __m512i fetched[kOrders][R];
      for (int p = 0; p < kOrders; ++p) {
        const ShortRows::Register* from = problem.a + Index{problem.rows[p][i]} * R;
        __m512i row[R];
        for (int k = 0; k < R; ++k) row[k] = _mm512_load_si512(from + k);
        for (int k = first_register; k < R; ++k) {
          fetched[p][k] = fetch<R>(row, _mm512_load_si512(problem.columns + p * R + k));
        }
      }
      for (int k = first_register; k < R; ++k) {
        for (int s = 0; s < S; ++s) {
          const __m512i other = _mm512_load_si512(problem.b[s] + i * R + k);
          for (int p = 0; p < kOrders; ++p) {
            sum[p][s] = _mm512_add_epi32(sum[p][s], _mm512_madd_epi16(fetched[p][k], other));
          }
        }
      }
    }
    for (int p = 0; p < kOrders; ++p) {
      for (int s = 0; s < S; ++s) total[p][s] = widen_and_add(total[p][s], sum[p][s]);
    }
  }
  for (int p = 0; p < kOrders; ++p) {
    for (int s = 0; s < S; ++s) (*problem.out)[p][s] = _mm512_reduce_add_epi64(total[p][s]);
  }
}

using Multiply = void (*)(const Problem&);

template <int S>
constexpr std::array<Multiply, 5> kMultiply{
    multiply<1, S>, multiply<2, S>, multiply<3, S>, multiply<4, S>, multiply<5, S>};

void multiply_any(const Problem& problem, Index n_register, Index n_b) {
  const auto which = static_cast<std::size_t>(n_register - 1);
  (n_b == 1 ? kMultiply<1> : kMultiply<4>)[which](problem);
}

#pragma GCC diagnostic pop

#else

void multiply_any(const Problem&, Index, Index) {}

#endif

}  // namespace

bool ShortProducts::available() { return widest_simd() >= Simd::kAvx512Vbmi2; }

ShortProducts::ShortProducts(Index n_cond)
    : n_cond_(n_cond), n_register_((n_cond + kLanes - 1) / kLanes) {
  DNNBRAIN_REQUIRE(n_cond >= 2 && n_cond <= kMostConditions,
                   "rows of 16-bit values must be of 2 to ",
                   kMostConditions,
                   " conditions; got ",
                   n_cond,
                   ".");
}

ShortRows ShortProducts::empty_rows() const {
  ShortRows rows;
  rows.registers.resize(static_cast<std::size_t>(n_cond_ * n_register_));  // zeros
  return rows;
}

ShortRows ShortProducts::triangle(std::span<const std::int16_t> values) const {
  ShortRows rows = empty_rows();
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond_; ++i) {
    for (Index j = i + 1; j < n_cond_; ++j, ++pair) {
      rows.registers[static_cast<std::size_t>(i * n_register_ + j / kLanes)].of[j % kLanes] =
          values[pair];
      rows.largest = std::max<std::int64_t>(rows.largest, std::abs(int{values[pair]}));
    }
  }
  return rows;
}

ShortRows ShortProducts::table(std::span<const std::int16_t> values) const {
  ShortRows rows = triangle(values);
  for (Index i = 0; i < n_cond_; ++i) {
    for (Index j = i + 1; j < n_cond_; ++j) {
      rows.registers[static_cast<std::size_t>(j * n_register_ + i / kLanes)].of[i % kLanes] =
          rows.registers[static_cast<std::size_t>(i * n_register_ + j / kLanes)].of[j % kLanes];
    }
  }
  return rows;
}

void ShortProducts::run(const ShortRows& a,
                        std::span<const ShortRows> b,
                        std::span<const std::int32_t> orders,
                        std::span<std::int64_t> out) const {
  const Index n_order = static_cast<Index>(orders.size()) / n_cond_;
  const Index n_b = static_cast<Index>(b.size());
  std::int64_t largest = 1;
  for (const ShortRows& rows : b) largest = std::max(largest, a.largest * rows.largest);
  // Two products go into each sum for each register of a row.
  const Index rows_per_sum = std::numeric_limits<std::int32_t>::max() / (2 * n_register_ * largest);
  DNNBRAIN_REQUIRE(rows_per_sum >= 1, "values must be smaller for sums of 32 bits.");

  std::vector<ShortRows::Register> columns(static_cast<std::size_t>(kOrders * n_register_));
  std::array<std::array<std::int64_t, 4>, kOrders> found{};
  Problem problem{.a = a.registers.data(),
                  .b = {},
                  .columns = columns.data(),
                  .rows = {},
                  .n_cond = n_cond_,
                  .rows_per_sum = rows_per_sum,
                  .out = &found};
  for (Index first = 0; first < n_order; first += kOrders) {
    // Behind the last relabelling, the last again.
    for (Index p = 0; p < kOrders; ++p) {
      const std::int32_t* order = orders.data() + std::min(first + p, n_order - 1) * n_cond_;
      problem.rows[static_cast<std::size_t>(p)] = order;
      for (Index j = 0; j < n_cond_; ++j) {
        columns[static_cast<std::size_t>(p * n_register_ + j / kLanes)].of[j % kLanes] =
            static_cast<std::int16_t>(order[j]);
      }
    }
    for (Index begin = 0; begin < n_b;) {
      const Index n_here = n_b - begin == 1 ? 1 : 4;
      for (Index s = 0; s < n_here; ++s) {
        problem.b[static_cast<std::size_t>(s)] =
            b[static_cast<std::size_t>(std::min(begin + s, n_b - 1))].registers.data();
      }
      multiply_any(problem, n_register_, n_here);
      for (Index p = 0; p < std::min(kOrders, n_order - first); ++p) {
        for (Index s = 0; s < std::min(n_here, n_b - begin); ++s) {
          out[static_cast<std::size_t>((first + p) * n_b + begin + s)] =
              found[static_cast<std::size_t>(p)][static_cast<std::size_t>(s)];
        }
      }
      begin += n_here;
    }
  }
}

}  // namespace dnnbrain
