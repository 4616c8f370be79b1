#include "dnnbrain/kernels/digit_products.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/simd.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

using Register = DigitRows::Register;

constexpr Index kLanes = 64;

constexpr Index kMostBlocks = DigitProducts::kMostConditions / (2 * kLanes);

/// Relabellings and b that an inner loop multiplies with each other, at most.
constexpr Index kGroup = 4;

/// Conditions whose values are words, and those whose values have two digits, offset or balanced.
constexpr Index kMostOfWords = 2 * kLanes;
constexpr Index kMostOfTwoDigits = 255;
static_assert(pair_count(kMostOfTwoDigits) <= 127 * 256 + 127);

/// Rows whose products of digits a sum of 32 bits holds: each register adds four of them for each
/// pair of digits that belongs to the sum.
constexpr Index kRowsPerSum = 512;
static_assert(kRowsPerSum * kMostBlocks * 4 * 3 * 255 * 128 <=
              std::numeric_limits<std::int32_t>::max());

/// Rows whose products of words it holds: two registers add two of them each.
Index rows_of_words(Index n_cond) {
  return std::numeric_limits<std::int32_t>::max() / (4 * pair_count(n_cond) * pair_count(n_cond));
}

/// A relabelling.
struct Order {
  const std::int32_t* rows;          // (n_cond,)
  std::vector<std::uint8_t> places;  // around the ring, from which of two registers and where
  std::vector<std::uint8_t> pairs;   // around the ring, of which pair of registers
};

/// What one call of the inner loop works on.
struct Problem {
  const Register* a;
  std::array<const Register*, kGroup> b;
  std::array<const Order*, kGroup> orders;
  Index n_cond;
  Index rows_per_sum;
  std::array<std::array<std::int64_t, kGroup>, kGroup>* out;  // by order, then b
};

#ifdef __x86_64__

#define DNNBRAIN_TARGET [[gnu::target("avx512f,avx512bw,avx512vbmi,avx512vnni")]]
#define DNNBRAIN_INLINE DNNBRAIN_TARGET [[gnu::always_inline]] inline

// GCC 12 takes the undefined operands inside its own intrinsics for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

/// 64 bytes of Q pairs of registers; in_upper[k]: where bit k of the pair's number is set.
template <int Q>
DNNBRAIN_INLINE __m512i fetch(const __m512i* row, __m512i places, const __mmask64* in_upper) {
  if constexpr (Q == 1) {
    return _mm512_permutex2var_epi8(row[0], places, row[1]);
  } else {
    constexpr int kLower = static_cast<int>(std::bit_floor(static_cast<unsigned>(Q - 1)));
    constexpr int kBit = std::countr_zero(static_cast<unsigned>(kLower));
    return _mm512_mask_blend_epi8(in_upper[kBit],
                                  fetch<kLower>(row, places, in_upper),
                                  fetch<Q - kLower>(row + 2 * kLower, places, in_upper));
  }
}

/// The digits of condition i with those that follow it, relabelled.
template <int Q, int P>
DNNBRAIN_INLINE void fetch_row(const Register* a,
                               const Order& order,
                               Index i,
                               __m512i (&out)[Q][P]) {
  constexpr int kBits = 3;
  const Register* from = a + Index{order.rows[i]} * (2 * Q * P);
  __mmask64 in_upper[Q][kBits];
  if constexpr (Q > 1) {
    for (int q = 0; q < Q; ++q) {
      const __m512i pairs = _mm512_loadu_si512(order.pairs.data() + i + 1 + q * kLanes);
      for (int bit = 0; bit < kBits; ++bit) {
        in_upper[q][bit] = _mm512_test_epi8_mask(pairs, _mm512_set1_epi8(1 << bit));
      }
    }
  }
  for (int digit = 0; digit < P; ++digit) {
    __m512i row[2 * Q];
    for (int k = 0; k < 2 * Q; ++k) row[k] = _mm512_load_si512(from + digit * 2 * Q + k);
    for (int q = 0; q < Q; ++q) {
      const __m512i places = _mm512_loadu_si512(order.places.data() + i + 1 + q * kLanes);
      out[q][digit] = fetch<Q>(row, places, in_upper[q]);
    }
  }
}

DNNBRAIN_INLINE __m512i widen(__m512i sums) {
  return _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums)),
                          _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1)));
}

/// Values of 16 bits, put together from their two bytes: few conditions, one sum.
struct Words {
  static constexpr int kDigits = 2;
  static constexpr int kSums = 1;

  DNNBRAIN_INLINE static void join(__m512i (&x)[kDigits]) {
    const __m512i low = x[0];
    x[0] = _mm512_unpacklo_epi8(low, x[1]);
    x[1] = _mm512_unpackhi_epi8(low, x[1]);
  }

  DNNBRAIN_INLINE static void add(__m512i (&sums)[kSums],
                                  const __m512i (&x)[kDigits],
                                  const Register* y) {
    for (int k = 0; k < kDigits; ++k) {
      sums[0] = _mm512_dpwssd_epi32(sums[0], x[k], _mm512_load_si512(y + k));
    }
  }

  DNNBRAIN_INLINE static __m512i total(const __m512i (&sums)[kSums]) { return widen(sums[0]); }
};

/// P digits, and a sum for each power of 256.
template <int P>
struct Digits {
  static constexpr int kDigits = P;
  static constexpr int kSums = 2 * P - 1;

  DNNBRAIN_INLINE static void join(__m512i (&)[kDigits]) {}

  DNNBRAIN_INLINE static void add(__m512i (&sums)[kSums],
                                  const __m512i (&x)[kDigits],
                                  const Register* y) {
    for (int l = 0; l < P; ++l) {
      const __m512i other = _mm512_load_si512(y + l);
      for (int k = 0; k < P; ++k) sums[k + l] = _mm512_dpbusd_epi32(sums[k + l], x[k], other);
    }
  }

  DNNBRAIN_INLINE static __m512i total(const __m512i (&sums)[kSums]) {
    __m512i all = _mm512_setzero_si512();
    for (int k = kSums - 1; k >= 0; --k) {
      all = _mm512_add_epi64(_mm512_slli_epi64(all, 8), widen(sums[k]));
    }
    return all;
  }
};

/// Products of O relabellings with S rings.
template <class Form, int Q, int O, int S>
DNNBRAIN_TARGET void multiply(const Problem& problem) {
  constexpr int P = Form::kDigits;
  __m512i total[O][S];
  for (int o = 0; o < O; ++o) {
    for (int s = 0; s < S; ++s) total[o][s] = _mm512_setzero_si512();
  }
  for (Index first = 0; first < problem.n_cond; first += problem.rows_per_sum) {
    const Index last = std::min(first + problem.rows_per_sum, problem.n_cond);
    __m512i sums[O][S][Form::kSums];
    for (int o = 0; o < O; ++o) {
      for (int s = 0; s < S; ++s) {
        for (int k = 0; k < Form::kSums; ++k) sums[o][s][k] = _mm512_setzero_si512();
      }
    }
    for (Index i = first; i < last; ++i) {
      for (int o = 0; o < O; ++o) {
        const Order& order = *problem.orders[o];
        __m512i x[Q][P];
        fetch_row<Q, P>(problem.a, order, i, x);
        for (int q = 0; q < Q; ++q) Form::join(x[q]);
        for (int s = 0; s < S; ++s) {
          const Register* y = problem.b[s] + i * (Q * P);
          for (int q = 0; q < Q; ++q) Form::add(sums[o][s], x[q], y + q * P);
        }
      }
    }
    for (int o = 0; o < O; ++o) {
      for (int s = 0; s < S; ++s) {
        total[o][s] = _mm512_add_epi64(total[o][s], Form::total(sums[o][s]));
      }
    }
  }
  for (int o = 0; o < O; ++o) {
    for (int s = 0; s < S; ++s) (*problem.out)[o][s] = _mm512_reduce_add_epi64(total[o][s]);
  }
}

/// Several digits and blocks: one b with kGroup relabellings, or one relabelling with kGroup b.
template <class Form, int Q>
void multiply_digits(const Problem& problem, Index n_order) {
  n_order == 1 ? multiply<Form, Q, 1, kGroup>(problem) : multiply<Form, Q, kGroup, 1>(problem);
}

void multiply_any(const Problem& problem, Index n_block, Index n_digit, Index n_order) {
  using Multiply = void (*)(const Problem&, Index);
  static constexpr std::array<Multiply, kMostBlocks - 1> kOfThreeDigits{
      multiply_digits<Digits<3>, 2>,
      multiply_digits<Digits<3>, 3>,
      multiply_digits<Digits<3>, 4>,
      multiply_digits<Digits<3>, 5>,
      multiply_digits<Digits<3>, 6>,
      multiply_digits<Digits<3>, 7>,
      multiply_digits<Digits<3>, 8>};
  if (n_block == 1) {
    n_order == 2 ? multiply<Words, 1, 2, kGroup>(problem) : multiply<Words, 1, kGroup, 1>(problem);
  } else if (n_digit == 2) {
    multiply_digits<Digits<2>, 2>(problem, n_order);
  } else {
    kOfThreeDigits[static_cast<std::size_t>(n_block - 2)](problem, n_order);
  }
}

#pragma GCC diagnostic pop

#else

void multiply_any(const Problem&, Index, Index, Index) {}

#endif

/// out = of(rows), again and again.
template <class Of>
void go_around(const std::int32_t* rows, Index n_cond, Of of, std::vector<std::uint8_t>& out) {
  const Index n_out = std::ssize(out);
  if (n_out == 0) return;
  for (Index at = 0; at < n_cond; ++at) {
    out[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(of(rows[at]));
  }
  for (Index at = n_cond; at < n_out; at += n_cond) {
    std::copy_n(out.data(), std::min(n_cond, n_out - at), out.data() + at);
  }
}

/// Where Words::join leaves byte `place`: of each 16 bytes, the first 8 and the last 8 apart.
void put_word(std::int64_t value, Index place, std::span<Register> to) {
  const Index at = place / 16 * 8 + place % 8;
  Register& half = to[static_cast<std::size_t>(place / 8 % 2)];
  half.of[2 * at] = static_cast<std::uint8_t>(value);
  half.of[2 * at + 1] = static_cast<std::uint8_t>(value >> 8);
}

void put_digits(std::int64_t value, Index place, std::span<Register> to) {
  for (Register& digit : to) {
    const auto balanced = static_cast<std::int8_t>(value);  // the rest is a multiple of 256
    digit.of[place] = static_cast<std::uint8_t>(balanced);
    value = (value - balanced) / 256;
  }
}

}  // namespace

bool DigitProducts::available() { return widest_simd() >= Simd::kAvx512Vbmi2; }

DigitProducts::DigitProducts(Index n_cond)
    : n_cond_(n_cond),
      n_digit_(n_cond <= kMostOfTwoDigits ? 2 : 3),
      n_block_((n_cond + 2 * kLanes - 1) / (2 * kLanes)) {
  DNNBRAIN_REQUIRE(n_cond >= 2 && n_cond <= kMostConditions,
                   "RDMs in registers must be of 2 to ",
                   kMostConditions,
                   " conditions; got ",
                   n_cond,
                   ".");
}

bool DigitProducts::words() const { return n_cond_ <= kMostOfWords; }

Index DigitProducts::offset() const { return words() ? 0 : pair_count(n_cond_); }

DigitRows DigitProducts::table(std::span<const std::int32_t> values) const {
  DigitRows rows;
  rows.registers.resize(static_cast<std::size_t>(n_cond_ * n_digit_ * 2 * n_block_));  // zeros
  const auto put = [&](Index i, Index j, std::int64_t value) {
    for (Index digit = 0; digit < n_digit_; ++digit, value >>= 8) {
      const Index at = (i * n_digit_ + digit) * 2 * n_block_ + j / kLanes;
      rows.registers[static_cast<std::size_t>(at)].of[j % kLanes] =
          static_cast<std::uint8_t>(value);
    }
  };
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond_; ++i) {
    for (Index j = i + 1; j < n_cond_; ++j, ++pair) {
      put(i, j, values[pair] + offset());
      put(j, i, values[pair] + offset());
    }
  }
  return rows;
}

DigitRows DigitProducts::fixed(std::span<const std::int32_t> values) const {
  DigitRows rows;
  rows.sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
  rows.registers.resize(static_cast<std::size_t>(n_cond_ * n_block_ * n_digit_));  // zeros
  std::size_t pair = 0;
  for (Index i = 0; i < n_cond_; ++i) {
    for (Index j = i + 1; j < n_cond_; ++j, ++pair) {
      const Index ahead = j - i;  // around the ring, the shorter way
      const bool forwards = 2 * ahead <= n_cond_;
      const Index row = forwards ? i : j;
      const Index place = (forwards ? ahead : n_cond_ - ahead) - 1;
      Register* const to = rows.registers.data() + (row * n_block_ + place / kLanes) * n_digit_;
      (words() ? put_word : put_digits)(values[pair], place % kLanes, {to, to + n_digit_});
    }
  }
  return rows;
}

void DigitProducts::run(const DigitRows& a,
                        std::span<const DigitRows> b,
                        std::span<const std::int32_t> orders,
                        std::span<std::int64_t> out) const {
  const Index n_order = static_cast<Index>(orders.size()) / n_cond_;
  const Index n_b = static_cast<Index>(b.size());
  const Index around = n_cond_ + n_block_ * kLanes;
  std::array<Order, kGroup> group;
  for (Order& order : group) {
    order.places.resize(static_cast<std::size_t>(around));
    if (n_block_ > 1) order.pairs.resize(static_cast<std::size_t>(around));
  }
  std::array<std::array<std::int64_t, kGroup>, kGroup> found{};
  Problem problem{.a = a.registers.data(),
                  .b = {},
                  .orders = {},
                  .n_cond = n_cond_,
                  .rows_per_sum = words() ? rows_of_words(n_cond_) : kRowsPerSum,
                  .out = &found};
  for (Index first = 0; first < n_order; first += kGroup) {
    const Index n_here = std::min(kGroup, n_order - first);
    for (Index o = 0; o < n_here; ++o) {
      Order& order = group[static_cast<std::size_t>(o)];
      order.rows = orders.data() + (first + o) * n_cond_;
      go_around(order.rows, n_cond_, [](Index row) { return row % (2 * kLanes); }, order.places);
      go_around(order.rows, n_cond_, [](Index row) { return row / (2 * kLanes); }, order.pairs);
    }
    for (Index begin = 0; begin < n_b; begin += kGroup) {
      const Index n_b_here = std::min(kGroup, n_b - begin);
      // Behind the last relabelling and the last b, the last again.
      for (Index s = 0; s < kGroup; ++s) {
        problem.b[static_cast<std::size_t>(s)] =
            b[static_cast<std::size_t>(begin + std::min(s, n_b_here - 1))].registers.data();
      }
      const Index n_together = n_b_here == 1 ? kGroup : n_block_ == 1 ? 2 : 1;
      for (Index o = 0; o < n_here; o += n_together) {
        for (Index p = 0; p < n_together; ++p) {
          problem.orders[static_cast<std::size_t>(p)] =
              &group[static_cast<std::size_t>(std::min(o + p, n_here - 1))];
        }
        multiply_any(problem, n_block_, n_digit_, n_together);
        for (Index p = 0; p < std::min(n_together, n_here - o); ++p) {
          for (Index s = 0; s < n_b_here; ++s) {
            out[static_cast<std::size_t>((first + o + p) * n_b + begin + s)] =
                found[static_cast<std::size_t>(p)][static_cast<std::size_t>(s)] -
                offset() * b[static_cast<std::size_t>(begin + s)].sum;
          }
        }
      }
    }
  }
}

}  // namespace dnnbrain
