#include "dnnbrain/kernels/strip_products.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "dnnbrain/core/error.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

/// Rows of a strip, and columns that are turned together.
constexpr Index kRows = 16;

constexpr Index kLine = 32;  // values

/// Conditions whose values are one digit.
constexpr Index kMostOfOneDigit = 128;

/// Relabellings that take their turn with a strip of b while it is in a cache.
constexpr Index kOrders = 4;

/// b that an inner loop multiplies with what it loads of a.
constexpr Index kGroup = 4;

constexpr Index kMostOfSum = std::numeric_limits<std::int32_t>::max();

Index round_up(Index value, Index to) { return (value + to - 1) / to * to; }

/// Least k for which h 2^k + l, both digits of up to 2^(k - 1) in size, reaches `most`.
int log_base_for(Index most) {
  int k = 1;
  while ((Index{1} << (k - 1)) * ((Index{1} << k) + 1) < most) ++k;
  return k;
}

/// Sixteen rows of a table.
using Rows = std::array<const std::int16_t*, kRows>;

/// Sums of products by power of the base, in 64 bits.
template <int P>
using Sums = std::array<std::int64_t, 2 * P - 1>;

/// The part of a strip that is multiplied: columns first .. last of b's, and where a's are.
struct Columns {
  const std::int16_t* strip;    // (n_column, P, kRows) relabelled rows, a's columns
  const std::int32_t* columns;  // (n_cond,) of a, times P kRows
  Index first;
  Index last;
  Index most;  // columns of one sum of 32 bits
};

/// Plain loops.
template <int P>
struct Plainly {
  static void turn(const Rows& rows, Index n_column, std::int16_t* to) {
    for (Index digit = 0; digit < P; ++digit) {
      for (Index column = 0; column < n_column; ++column) {
        for (Index row = 0; row < kRows; ++row) {
          to[(column * P + digit) * kRows + row] =
              rows[static_cast<std::size_t>(row)][digit * n_column + column];
        }
      }
    }
  }

  template <int S>
  static void multiply(const Columns& c,
                       const std::array<const std::int16_t*, S>& b,
                       Sums<P>* sums) {
    for (Index j = c.first; j < c.last; ++j) {
      const std::int16_t* const x = c.strip + c.columns[j];
      for (std::size_t s = 0; s < S; ++s) {
        const std::int16_t* const y = b[s] + j * P * kRows;
        for (int k = 0; k < P; ++k) {
          for (int l = 0; l < P; ++l) {
            std::int64_t sum = 0;
            for (Index row = 0; row < kRows; ++row) {
              sum += std::int32_t{x[k * kRows + row]} * y[l * kRows + row];
            }
            sums[s][static_cast<std::size_t>(k + l)] += sum;
          }
        }
      }
    }
  }
};

#ifdef __x86_64__

#define DNNBRAIN_TARGET [[gnu::target("avx2")]]
#define DNNBRAIN_INLINE DNNBRAIN_TARGET [[gnu::always_inline]] static inline

/// AVX2.
template <int P>
struct InRegisters {
  /// Eight columns of sixteen rows: each half of a register turns 8 x 8 of them.
  DNNBRAIN_INLINE void turn_block(const Rows& rows, Index at, std::int16_t* to) {
    const auto load = [&](std::size_t row) DNNBRAIN_TARGET {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + at));
    };
    __m256i a[8];
    __m256i b[8];
    for (std::size_t k = 0; k < 8; ++k) {
      a[k] = _mm256_inserti128_si256(_mm256_castsi128_si256(load(k)), load(k + 8), 1);
    }
    for (int k = 0; k < 4; ++k) {
      b[2 * k] = _mm256_unpacklo_epi16(a[2 * k], a[2 * k + 1]);
      b[2 * k + 1] = _mm256_unpackhi_epi16(a[2 * k], a[2 * k + 1]);
    }
    for (int k = 0; k < 8; k += 4) {
      for (int half = 0; half < 2; ++half) {
        a[k + 2 * half] = _mm256_unpacklo_epi32(b[k + half], b[k + 2 + half]);
        a[k + 2 * half + 1] = _mm256_unpackhi_epi32(b[k + half], b[k + 2 + half]);
      }
    }
    for (int k = 0; k < 4; ++k) {
      b[2 * k] = _mm256_unpacklo_epi64(a[k], a[k + 4]);
      b[2 * k + 1] = _mm256_unpackhi_epi64(a[k], a[k + 4]);
    }
    for (int k = 0; k < 8; ++k) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + k * P * kRows), b[k]);
    }
  }

  DNNBRAIN_TARGET static void turn(const Rows& rows, Index n_column, std::int16_t* to) {
    for (Index digit = 0; digit < P; ++digit) {
      for (Index column = 0; column < n_column; column += 8) {
        turn_block(rows, digit * n_column + column, to + (column * P + digit) * kRows);
      }
    }
  }

  DNNBRAIN_INLINE std::int64_t total(__m256i sums) {
    const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums)),
                                          _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums, 1)));
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    return _mm_extract_epi64(two, 0) + _mm_extract_epi64(two, 1);
  }

  template <int S>
  DNNBRAIN_TARGET static void multiply(const Columns& c,
                                       const std::array<const std::int16_t*, S>& b,
                                       Sums<P>* out) {
    for (Index first = c.first; first < c.last; first += c.most) {
      const Index last = std::min(first + c.most, c.last);
      __m256i sums[S][2 * P - 1];
      for (int s = 0; s < S; ++s) {
        for (int k = 0; k < 2 * P - 1; ++k) sums[s][k] = _mm256_setzero_si256();
      }
      for (Index j = first; j < last; ++j) {
        const auto* const x = reinterpret_cast<const __m256i*>(c.strip + c.columns[j]);
        for (int s = 0; s < S; ++s) {
          const auto* const y =
              reinterpret_cast<const __m256i*>(b[static_cast<std::size_t>(s)] + j * P * kRows);
          for (int k = 0; k < P; ++k) {
            for (int l = 0; l < P; ++l) {
              sums[s][k + l] = _mm256_add_epi32(
                  sums[s][k + l],
                  _mm256_madd_epi16(_mm256_load_si256(x + k), _mm256_load_si256(y + l)));
            }
          }
        }
      }
      for (int s = 0; s < S; ++s) {
        for (std::size_t k = 0; k < 2 * P - 1; ++k) {
          out[s][k] += total(sums[s][k]);
        }
      }
    }
  }
};

#else

template <int P>
using InRegisters = Plainly<P>;

#endif

/// A value's digits, `step` apart.
void put(std::int64_t value, const StripLayout& layout, Index step, std::int16_t* to) {
  if (layout.n_digit == 2) {
    const std::int64_t base = std::int64_t{1} << layout.log_base;
    const std::int64_t low = ((value + base / 2) & (base - 1)) - base / 2;
    to[step] = static_cast<std::int16_t>((value - low) / base);
    value = low;
  }
  to[0] = static_cast<std::int16_t>(value);
}

template <template <int> class Form, int P>
void run_form(const StripLayout& layout,
              const std::int16_t* a,
              std::span<const StripDigits> b,
              std::span<const std::int32_t> orders,
              std::span<std::int64_t> out) {
  using Strip = std::vector<StripDigits::Line>;
  const Index n_cond = layout.n_cond;
  const Index n_order = static_cast<Index>(orders.size()) / n_cond;
  const Index n_b = static_cast<Index>(b.size());
  Strip strip(static_cast<std::size_t>(layout.strip_size / kLine));
  std::int16_t* const turned = strip.front().of;
  std::vector<std::int32_t> columns(static_cast<std::size_t>(kOrders * n_cond));
  std::vector<Sums<P>> sums(static_cast<std::size_t>(kOrders * n_b));

  for (Index begin = 0; begin < n_order; begin += kOrders) {
    const Index n_here = std::min(kOrders, n_order - begin);
    const std::int32_t* const order = orders.data() + begin * n_cond;
    for (Index k = 0; k < n_here * n_cond; ++k) {
      columns[static_cast<std::size_t>(k)] = order[k] * std::int32_t{P * kRows};
    }
    std::fill(sums.begin(), sums.end(), Sums<P>{});
    for (Index first = 0; first + 1 < n_cond; first += kRows) {
      for (Index p = 0; p < n_here; ++p) {
        Rows rows;
        for (Index row = 0; row < kRows; ++row) {  // behind the last one any: b has zeros there
          const Index from = order[p * n_cond + std::min(first + row, n_cond - 1)];
          rows[static_cast<std::size_t>(row)] = a + from * layout.row_stride;
        }
        Form<P>::turn(rows, layout.n_column, turned);
        const Columns meet{.strip = turned,
                           .columns = columns.data() + p * n_cond,
                           .first = first + 1,
                           .last = n_cond,
                           .most = layout.most_columns};
        const auto of_b = [&](Index s) {
          return b[static_cast<std::size_t>(s)].lines.front().of +
                 first / kRows * layout.strip_size;
        };
        Sums<P>* const to = sums.data() + p * n_b;
        Index s = 0;
        for (; s + kGroup <= n_b; s += kGroup) {
          Form<P>::template multiply<kGroup>(
              meet, {of_b(s), of_b(s + 1), of_b(s + 2), of_b(s + 3)}, to + s);
        }
        for (; s < n_b; ++s) Form<P>::template multiply<1>(meet, {of_b(s)}, to + s);
      }
    }
    for (Index k = 0; k < n_here * n_b; ++k) {
      std::int64_t all = 0;
      const Sums<P>& of = sums[static_cast<std::size_t>(k)];
      for (auto sum = of.rbegin(); sum != of.rend(); ++sum) {
        all = all * (std::int64_t{1} << layout.log_base) + *sum;
      }
      out[static_cast<std::size_t>(begin * n_b + k)] = all;
    }
  }
}

StripLayout layout_for(Index n_cond) {
  DNNBRAIN_REQUIRE(n_cond >= 2 && n_cond <= StripProducts::kMostConditions,
                   "RDMs in strips must be of 2 to ",
                   StripProducts::kMostConditions,
                   " conditions; got ",
                   n_cond,
                   ".");
  StripLayout layout{};
  layout.n_cond = n_cond;
  layout.n_digit = n_cond <= kMostOfOneDigit ? 1 : 2;
  layout.n_column = round_up(n_cond, kRows);
  layout.strip_size = layout.n_column * layout.n_digit * kRows;
  // An odd number of lines, so that the rows of a strip do not meet in a few sets of a cache.
  layout.row_stride = round_up(layout.n_digit * layout.n_column, kLine);
  if (layout.row_stride / kLine % 2 == 0) layout.row_stride += kLine;
  const Index most = pair_count(n_cond);  // value
  layout.log_base = log_base_for(most);
  const Index most_digit = Index{1} << (layout.log_base - 1);
  // A lane of 32 bits adds two products of neighbours: once for one digit, for two digits twice.
  layout.most_columns = layout.n_digit == 1 ? kMostOfSum / (2 * most * most)
                                            : kMostOfSum / (4 * most_digit * most_digit);
  return layout;
}

}  // namespace

StripProducts::StripProducts(Index n_cond, Simd simd)
    : layout_(layout_for(n_cond)), in_registers_(std::min(simd, widest_simd()) >= Simd::kAvx2) {}

StripDigits StripProducts::table(std::span<const std::int32_t> values) const {
  StripDigits digits;
  digits.lines.resize(static_cast<std::size_t>(layout_.n_cond * layout_.row_stride / kLine));
  std::int16_t* const to = digits.lines.front().of;
  std::size_t pair = 0;
  for (Index i = 0; i < layout_.n_cond; ++i) {
    for (Index j = i + 1; j < layout_.n_cond; ++j, ++pair) {
      put(values[pair], layout_, layout_.n_column, to + i * layout_.row_stride + j);
      put(values[pair], layout_, layout_.n_column, to + j * layout_.row_stride + i);
    }
  }
  return digits;
}

StripDigits StripProducts::fixed(std::span<const std::int32_t> values) const {
  StripDigits digits;
  const Index n_strip = layout_.n_column / kRows;
  digits.lines.resize(static_cast<std::size_t>(n_strip * layout_.strip_size / kLine));
  std::int16_t* const to = digits.lines.front().of;
  std::size_t pair = 0;
  for (Index i = 0; i < layout_.n_cond; ++i) {
    std::int16_t* const row = to + i / kRows * layout_.strip_size + i % kRows;
    for (Index j = i + 1; j < layout_.n_cond; ++j, ++pair) {
      put(values[pair], layout_, kRows, row + j * layout_.n_digit * kRows);
    }
  }
  return digits;
}

void StripProducts::run(const StripDigits& a,
                        std::span<const StripDigits> b,
                        std::span<const std::int32_t> orders,
                        std::span<std::int64_t> out) const {
  const std::int16_t* const table = a.lines.front().of;
  if (layout_.n_digit == 1) {
    in_registers_ ? run_form<InRegisters, 1>(layout_, table, b, orders, out)
                  : run_form<Plainly, 1>(layout_, table, b, orders, out);
  } else {
    in_registers_ ? run_form<InRegisters, 2>(layout_, table, b, orders, out)
                  : run_form<Plainly, 2>(layout_, table, b, orders, out);
  }
}

}  // namespace dnnbrain
