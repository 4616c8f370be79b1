#include "dnnbrain/kernels/strip_products.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "dnnbrain/core/error.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

constexpr Index kRows = 8;  // of a strip

/// Elements, each a digit of a column, that are turned together.
constexpr Index kBlock = 16;

constexpr Index kLine = 32;  // values

constexpr Index kValueBytes = sizeof(std::int16_t);

/// Conditions whose values are one digit.
constexpr Index kMostOfOneDigit = 128;

/// Relabellings that take their turn with a strip of b while it is in a cache.
constexpr Index kOrders = 16;

/// b that an inner loop multiplies with what it loads of a.
constexpr Index kGroup = 4;

/// Columns are met in whole groups of as many, the last of them with zeros of b.
constexpr Index kUnrolled = 8;

constexpr Index kMostOfSum = std::numeric_limits<std::int32_t>::max();

Index round_up(Index value, Index to) { return (value + to - 1) / to * to; }

/// Least k for which h 2^k + l, both digits of up to 2^(k - 1) in size, reaches `most`.
int log_base_for(Index most) {
  int k = 1;
  while ((Index{1} << (k - 1)) * ((Index{1} << k) + 1) < most) ++k;
  return k;
}

/// Where an element of a row lies in a table: turning by halves of registers leaves neighbours
/// side by side that come eight apart.
constexpr Index place_of(Index element) {
  const Index at = element % kBlock;
  return element - at + at % 2 * (kBlock / 2) + at / 2;
}

/// Eight rows of a table.
using Rows = std::array<const std::int16_t*, kRows>;

/// Holds what products of all ranks of 8,192 conditions add up to; 64 bits do so for 2,400.
__extension__ using Wide = __int128;

/// Sums of products. Of one digit: parts of one sum. Of two: the first half of the first four are
/// of low digits, the second of high ones; the last four are of a low and a high one.
template <int P>
struct alignas(32) Sums {
  std::int64_t of[P][4] = {};

  Wide total(int log_base) const {
    const auto sum = [](const std::int64_t* part) { return Wide{part[0]} + part[1]; };
    const Wide low = sum(of[0]);
    const Wide high = sum(of[0] + 2);
    if constexpr (P == 1) {
      return low + high;
    } else {
      const Wide base = Wide{1} << log_base;
      return (high * base + sum(of[1]) + sum(of[1] + 2)) * base + low;
    }
  }
};

/// A strip of a, and what its columns are multiplied with.
template <int P, std::size_t S>
struct Meeting {
  const std::int16_t* strip;
  const std::uint32_t* columns;  // (last,) of a: bytes from the strip's first
  Index first;                   // column of b, as last a multiple of kUnrolled
  Index last;
  Index most;                            // columns of one sum of 32 bits, likewise
  std::array<const std::int16_t*, S> b;  // strips
  Sums<P>* sums;                         // (S,), added to
};

/// Plain loops.
template <int P>
struct Plainly {
  static void turn(const Rows& rows, Index n_element, std::int16_t* to) {
    for (Index element = 0; element < n_element; ++element) {
      for (const std::int16_t* const row : rows) *to++ = row[place_of(element)];
    }
  }

  template <std::size_t S>
  static void multiply(const Meeting<P, S>& m) {
    for (Index j = m.first; j < m.last; ++j) {
      const std::int16_t* const x = m.strip + m.columns[j] / kValueBytes;
      for (std::size_t s = 0; s < S; ++s) {
        const std::int16_t* const y = m.b[s] + j * P * kRows;
        for (int k = 0; k < P; ++k) {
          for (int l = 0; l < P; ++l) {
            std::int64_t sum = 0;
            for (Index row = 0; row < kRows; ++row) {
              sum += std::int32_t{x[k * kRows + row]} * y[l * kRows + row];
            }
            m.sums[s].of[k != l][k & l ? 2 : 0] += sum;
          }
        }
      }
    }
  }
};

#ifdef __x86_64__

#define DNNBRAIN_TARGET [[gnu::target("avx2")]]
#define DNNBRAIN_INLINE DNNBRAIN_TARGET [[gnu::always_inline]] static inline

/// AVX2. A register holds two elements of eight rows.
template <int P>
struct InRegisters {
  DNNBRAIN_INLINE __m256i load(const std::int16_t* values) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
  }

  /// Sixteen elements at a time: each half of a register turns 8 x 8 of them.
  DNNBRAIN_TARGET static void turn(const Rows& from, Index n_element, std::int16_t* to) {
    const Rows rows = from;  // which no store can change: they stay in registers
    for (Index at = 0; at < n_element; at += kBlock, to += kBlock * kRows) {
      __m256i a[8];
      __m256i b[8];
      for (std::size_t k = 0; k < 8; ++k) {
        __m256i row = load(rows[k] + at);
        asm("" : "+x"(row));  // once: GCC would load it for each of its two uses
        a[k] = row;
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
      auto* const out = reinterpret_cast<__m256i*>(to);
      for (int k = 0; k < 4; ++k) {
        _mm256_store_si256(out + 2 * k, _mm256_unpacklo_epi64(a[k], a[k + 4]));
        _mm256_store_si256(out + 2 * k + 1, _mm256_unpackhi_epi64(a[k], a[k + 4]));
      }
    }
  }

  /// One digit: two columns, to meet two columns of b. Two digits: a column's low and high ones.
  static constexpr int kAtOnce = 2 / P;

  DNNBRAIN_INLINE __m256i load_columns(const std::int16_t* strip, const std::uint32_t* columns) {
    const auto* const bytes = reinterpret_cast<const char*>(strip);
    if constexpr (P == 2) {
      return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes + *columns));
    } else {
      std::uint64_t two;  // one load: loads are what this loop waits for
      std::memcpy(&two, columns, sizeof two);
      const auto* const low =
          reinterpret_cast<const __m128i*>(bytes + static_cast<std::uint32_t>(two));
      const auto* const high = reinterpret_cast<const __m128i*>(bytes + (two >> 32));
      return _mm256_inserti128_si256(
          _mm256_castsi128_si256(_mm_load_si128(low)), _mm_load_si128(high), 1);
    }
  }

  /// Sums of 32 bits, two neighbours in each of 64.
  DNNBRAIN_INLINE __m256i widened(__m256i sums) {
    const __m256i one = _mm256_set1_epi64x(1);  // there is no shift that keeps the sign
    return _mm256_add_epi64(_mm256_mul_epi32(sums, one),
                            _mm256_mul_epi32(_mm256_srli_epi64(sums, 32), one));
  }

  template <std::size_t S>
  DNNBRAIN_TARGET static void multiply(const Meeting<P, S>& m) {
    for (Index first = m.first; first < m.last; first += m.most) {
      const Index last = std::min(first + m.most, m.last);
      __m256i sums[S][P];
      for (auto& of_b : sums) {
        for (__m256i& sum : of_b) sum = _mm256_setzero_si256();
      }
      for (Index j = first; j < last; j += kUnrolled) {
        for (int step = 0; step < kUnrolled / kAtOnce; ++step) {
          const Index column = j + step * kAtOnce;
          const __m256i x = load_columns(m.strip, m.columns + column);
          const __m256i other = P == 2 ? _mm256_permute4x64_epi64(x, 0x4E) : x;
          for (std::size_t s = 0; s < S; ++s) {
            const __m256i y = load(m.b[s] + column * P * kRows);
            sums[s][0] = _mm256_add_epi32(sums[s][0], _mm256_madd_epi16(x, y));
            if constexpr (P == 2) {
              sums[s][1] = _mm256_add_epi32(sums[s][1], _mm256_madd_epi16(other, y));
            }
          }
        }
      }
      for (std::size_t s = 0; s < S; ++s) {
        for (int k = 0; k < P; ++k) {
          auto* const to = reinterpret_cast<__m256i*>(m.sums[s].of[k]);
          _mm256_store_si256(to, _mm256_add_epi64(_mm256_load_si256(to), widened(sums[s][k])));
        }
      }
    }
  }
};

#endif

/// A value's digits, the lower first.
std::array<std::int16_t, 2> digits_of(std::int64_t value, const StripLayout& layout) {
  if (layout.n_digit == 1) return {static_cast<std::int16_t>(value), 0};
  const std::int64_t base = std::int64_t{1} << layout.log_base;
  const std::int64_t low = ((value + base / 2) & (base - 1)) - base / 2;
  return {static_cast<std::int16_t>(low), static_cast<std::int16_t>((value - low) / base)};
}

/// What is multiplied under some relabellings.
struct Job {
  const StripLayout& layout;
  const std::int16_t* table;
  std::span<const StripDigits> b;
  std::span<const std::int32_t> orders;  // (n_order, n_cond)
};

/// Room for one thread.
template <int P>
struct Room {
  std::vector<StripDigits::Line> strip;
  std::vector<std::uint32_t> columns;  // (kOrders, n_column) bytes from the first of a strip
  std::vector<Sums<P>> sums;           // (kOrders, n_b)

  Room(const StripLayout& layout, Index n_b)
      : strip(static_cast<std::size_t>(layout.strip_size / kLine)),
        columns(static_cast<std::size_t>(kOrders * layout.n_column)),
        sums(static_cast<std::size_t>(kOrders * n_b)) {}
};

/// Sums of one strip of each b under relabellings whose columns are in `room`. Inlined into what is
/// compiled for a form.
template <class Form, int P>
[[gnu::always_inline]] inline void add_strip(const Job& job,
                                             Index first_row,
                                             Index n_order,
                                             Room<P>& room) {
  const StripLayout& layout = job.layout;
  const auto n_b = static_cast<Index>(job.b.size());
  const Index per_byte = layout.row_stride / (P * kRows * kValueBytes);
  const Index strip_at = first_row / kRows * layout.strip_size;
  std::int16_t* const strip = room.strip.front().of;
  for (Index order = 0; order < n_order; ++order) {
    const std::uint32_t* const columns = room.columns.data() + order * layout.n_column;
    Rows rows;
    for (std::size_t row = 0; row < kRows; ++row) {
      rows[row] = job.table + columns[static_cast<std::size_t>(first_row) + row] * per_byte;
    }
    Form::turn(rows, layout.n_column * P, strip);
    const auto multiply = [&]<std::size_t S>(Index first_b) {
      Meeting<P, S> meeting{.strip = strip,
                            .columns = columns,
                            .first = first_row,
                            .last = round_up(layout.n_cond, kUnrolled),
                            .most = layout.most_columns,
                            .b = {},
                            .sums = room.sums.data() + order * n_b + first_b};
      for (std::size_t s = 0; s < S; ++s) {
        meeting.b[s] = job.b[static_cast<std::size_t>(first_b) + s].lines.front().of + strip_at;
      }
      Form::multiply(meeting);
    };
    Index s = 0;
    for (; s + kGroup <= n_b; s += kGroup) multiply.template operator()<kGroup>(s);
    for (; s < n_b; ++s) multiply.template operator()<1>(s);
  }
}

template <int P>
void add_strip_plainly(const Job& job, Index first_row, Index n_order, Room<P>& room) {
  add_strip<Plainly<P>, P>(job, first_row, n_order, room);
}

#ifdef __x86_64__
template <int P>
[[gnu::target("avx2"), gnu::flatten]] void add_strip_in_registers(const Job& job,
                                                                  Index first_row,
                                                                  Index n_order,
                                                                  Room<P>& room) {
  add_strip<InRegisters<P>, P>(job, first_row, n_order, room);
}
#endif

/// What is left below the last whole strip, pair by pair.
template <int P>
void add_rest(const Job& job, Index first_row, std::span<const std::int32_t> order, Sums<P>* sums) {
  const StripLayout& layout = job.layout;
  const auto value = [&](const std::int16_t* digit, Index from, Index to) {
    return P == 1 ? std::int64_t{digit[from]}
                  : digit[from] + (std::int64_t{digit[to]} << layout.log_base);
  };
  for (Index i = first_row; i < layout.n_cond; ++i) {
    const std::int16_t* const row =
        job.table + order[static_cast<std::size_t>(i)] * layout.row_stride;
    for (Index j = i + 1; j < layout.n_cond; ++j) {
      const Index element = order[static_cast<std::size_t>(j)] * P;
      const std::int64_t x = value(row, place_of(element), place_of(element + P - 1));
      const Index in_b = first_row / kRows * layout.strip_size + j * P * kRows + i - first_row;
      for (std::size_t s = 0; s < job.b.size(); ++s) {
        sums[s].of[0][0] += x * value(job.b[s].lines.front().of + in_b, 0, kRows);
      }
    }
  }
}

template <int P>
void run_digits(const Job& job, bool in_registers, std::span<double> out) {
  constexpr auto kColumnBytes = static_cast<std::uint32_t>(P * kRows * kValueBytes);
  const StripLayout& layout = job.layout;
  const Index n_order = static_cast<Index>(job.orders.size()) / layout.n_cond;
  const auto n_b = static_cast<Index>(job.b.size());
  auto* add = &add_strip_plainly<P>;
#ifdef __x86_64__
  if (in_registers) add = &add_strip_in_registers<P>;
#endif
  Room<P> room(layout, n_b);
  for (Index begin = 0; begin < n_order; begin += kOrders) {
    const Index n_here = std::min(kOrders, n_order - begin);
    for (Index p = 0; p < n_here; ++p) {
      const auto order = job.orders.begin() + (begin + p) * layout.n_cond;
      std::transform(order,
                     order + layout.n_cond,
                     room.columns.begin() + p * layout.n_column,
                     [](std::int32_t c) { return static_cast<std::uint32_t>(c) * kColumnBytes; });
    }
    std::fill(room.sums.begin(), room.sums.end(), Sums<P>{});
    Index first = 0;
    for (; first + kRows <= layout.n_cond; first += kRows) add(job, first, n_here, room);
    for (Index p = 0; p < n_here; ++p) {
      const auto order = job.orders.subspan(static_cast<std::size_t>((begin + p) * layout.n_cond),
                                            static_cast<std::size_t>(layout.n_cond));
      add_rest<P>(job, first, order, room.sums.data() + p * n_b);
    }
    for (Index k = 0; k < n_here * n_b; ++k) {
      out[static_cast<std::size_t>(begin * n_b + k)] =
          static_cast<double>(room.sums[static_cast<std::size_t>(k)].total(layout.log_base));
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
  layout.n_column = round_up(n_cond, kBlock);
  layout.strip_size = layout.n_column * layout.n_digit * kRows;
  // An odd number of lines, so that the rows of a strip do not meet in a few sets of a cache.
  layout.row_stride = round_up(layout.n_digit * layout.n_column, kLine);
  if (layout.row_stride / kLine % 2 == 0) layout.row_stride += kLine;
  const Index most = pair_count(n_cond);  // value
  layout.log_base = log_base_for(most);
  const Index most_digit = Index{1} << (layout.log_base - 1);
  // A sum of 32 bits adds two products at once: of two columns, or of a column's digits.
  const Index most_added =
      kMostOfSum / (layout.n_digit == 1 ? 2 * most * most : 2 * most_digit * most_digit);
  layout.most_columns = most_added * (2 / layout.n_digit) / kUnrolled * kUnrolled;
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
      const auto parts = digits_of(values[pair], layout_);
      for (Index digit = 0; digit < layout_.n_digit; ++digit) {
        const std::int16_t part = parts[static_cast<std::size_t>(digit)];
        to[i * layout_.row_stride + place_of(j * layout_.n_digit + digit)] = part;
        to[j * layout_.row_stride + place_of(i * layout_.n_digit + digit)] = part;
      }
    }
  }
  return digits;
}

StripDigits StripProducts::fixed(std::span<const std::int32_t> values) const {
  StripDigits digits;
  const Index n_strip = round_up(layout_.n_cond, kRows) / kRows;
  digits.lines.resize(static_cast<std::size_t>(n_strip * layout_.strip_size / kLine));
  std::int16_t* const to = digits.lines.front().of;
  std::size_t pair = 0;
  for (Index i = 0; i < layout_.n_cond; ++i) {
    std::int16_t* const row = to + i / kRows * layout_.strip_size + i % kRows;
    for (Index j = i + 1; j < layout_.n_cond; ++j, ++pair) {
      const auto parts = digits_of(values[pair], layout_);
      for (Index digit = 0; digit < layout_.n_digit; ++digit) {
        row[(j * layout_.n_digit + digit) * kRows] = parts[static_cast<std::size_t>(digit)];
      }
    }
  }
  return digits;
}

void StripProducts::run(const StripDigits& a,
                        std::span<const StripDigits> b,
                        std::span<const std::int32_t> orders,
                        std::span<double> out) const {
  const Job job{.layout = layout_, .table = a.lines.front().of, .b = b, .orders = orders};
  layout_.n_digit == 1 ? run_digits<1>(job, in_registers_, out)
                       : run_digits<2>(job, in_registers_, out);
}

}  // namespace dnnbrain
