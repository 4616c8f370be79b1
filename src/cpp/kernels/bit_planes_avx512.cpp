// Values are parted by compression, a register at a time. The zeros of a register are counted lane
// by lane, and the counts weighted with the lanes' numbers at the end; its own position counts once
// for all of its zeros. Runs are multiples of 64 values, so that no register is part full and none
// holds values of two segments before segments are shorter than a register.
#include "dnnbrain/kernels/bit_planes_forms.hpp"

#if defined(__x86_64__)

// GCC 12 takes the intrinsics' own undefined registers for mistakes.
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <array>
#include <bit>
#include <utility>

#define DNNBRAIN_F [[gnu::target("avx512f,popcnt,bmi,bmi2")]]
#define DNNBRAIN_VBMI2 \
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt,bmi,bmi2")]]
#define DNNBRAIN_INLINE [[gnu::always_inline]] inline

namespace dnnbrain::bit_planes {

namespace {

/// The highest bit that some value below n has.
unsigned top_bit(std::size_t n) { return static_cast<unsigned>(std::bit_width(n - 1)) - 1; }

/// sum_lane lane * counts[lane]
template <class Count, std::size_t kLanes>
std::uint64_t weighted(const Count (&counts)[kLanes]) {
  std::uint64_t sum = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) sum += std::uint64_t{counts[lane]} * lane;
  return sum;
}

// Lanes of 32 bits.

DNNBRAIN_F DNNBRAIN_INLINE std::uint64_t part(const std::uint32_t* values,
                                              std::size_t n,
                                              unsigned bit,
                                              std::uint32_t*& zeros,
                                              std::uint32_t*& ones,
                                              __m512i& lanes) {
  const __m512i tested = _mm512_set1_epi32(static_cast<int>(1u << bit));
  const __m512i unit = _mm512_set1_epi32(1);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 16) {
    const __m512i value = _mm512_loadu_si512(values + i);
    const __mmask16 zero = _mm512_testn_epi32_mask(value, tested);
    const __mmask16 one = _mm512_test_epi32_mask(value, tested);
    lanes = _mm512_mask_add_epi32(lanes, zero, lanes, unit);
    _mm512_storeu_si512(zeros, _mm512_maskz_compress_epi32(zero, value));
    _mm512_storeu_si512(ones, _mm512_maskz_compress_epi32(one, value));
    const auto n_zero = static_cast<unsigned>(__builtin_popcount(zero));
    sum += i * n_zero;
    zeros += n_zero;
    ones += 16 - n_zero;
  }
  return sum;
}

DNNBRAIN_F DNNBRAIN_INLINE std::uint64_t lane_sum(const __m512i& lanes) {
  alignas(64) std::uint32_t counts[16];
  _mm512_store_si512(counts, lanes);
  return weighted(counts);
}

/// From the top bit down to `last`.
DNNBRAIN_F DNNBRAIN_INLINE Parted<std::uint32_t> part_down_to(unsigned last,
                                                              const std::uint32_t* values,
                                                              std::size_t n,
                                                              std::uint32_t* levels) {
  Parted<std::uint32_t> parted{{values, n, values, 0}, levels, 0};
  std::uint32_t* other = levels + level_size(n);
  __m512i lanes = _mm512_setzero_si512();
  for (unsigned bit = top_bit(n) + 1; bit-- > last;) {
    const std::size_t n_zero = zeros_below(n, bit);
    std::uint32_t* zeros = parted.free;
    std::uint32_t* ones = zeros + n_zero + kGap;
    const Level<std::uint32_t> next{zeros, n_zero, ones, n - n_zero};
    const Level<std::uint32_t> level = parted.level;
    parted.sum += part(level.zeros, level.n_zero, bit, zeros, ones, lanes);
    parted.sum += part(level.ones, level.n_one, bit, zeros, ones, lanes);
    parted.level = next;
    std::swap(parted.free, other);
  }
  parted.sum += lane_sum(lanes);
  return parted;
}

// Lanes of 16 bits.

DNNBRAIN_VBMI2 DNNBRAIN_INLINE std::uint64_t part(const std::uint16_t* values,
                                                  std::size_t n,
                                                  unsigned bit,
                                                  std::uint16_t*& zeros,
                                                  std::uint16_t*& ones,
                                                  __m512i& lanes) {
  const __m512i tested = _mm512_set1_epi16(static_cast<short>(1u << bit));
  const __m512i unit = _mm512_set1_epi16(1);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 32) {
    const __m512i value = _mm512_loadu_si512(values + i);
    const __mmask32 zero = _mm512_testn_epi16_mask(value, tested);
    const __mmask32 one = _mm512_test_epi16_mask(value, tested);
    lanes = _mm512_mask_add_epi16(lanes, zero, lanes, unit);
    _mm512_storeu_si512(zeros, _mm512_maskz_compress_epi16(zero, value));
    _mm512_storeu_si512(ones, _mm512_maskz_compress_epi16(one, value));
    const auto n_zero = static_cast<unsigned>(__builtin_popcount(zero));
    sum += i * n_zero;
    zeros += n_zero;
    ones += 32 - n_zero;
  }
  return sum;
}

/// As `part`; of what is left of the values, bits 0 to 7, bytes are written.
DNNBRAIN_VBMI2 DNNBRAIN_INLINE std::uint64_t part_to_bytes(const std::uint16_t* values,
                                                           std::size_t n,
                                                           std::uint8_t*& zeros,
                                                           std::uint8_t*& ones,
                                                           __m512i& lanes) {
  const __m512i tested = _mm512_set1_epi16(1 << 8);
  const __m512i unit = _mm512_set1_epi16(1);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 32) {
    const __m512i value = _mm512_loadu_si512(values + i);
    const __m256i bytes = _mm512_cvtepi16_epi8(value);
    const __mmask32 zero = _mm512_testn_epi16_mask(value, tested);
    const __mmask32 one = _mm512_test_epi16_mask(value, tested);
    lanes = _mm512_mask_add_epi16(lanes, zero, lanes, unit);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(zeros), _mm256_maskz_compress_epi8(zero, bytes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(ones), _mm256_maskz_compress_epi8(one, bytes));
    const auto n_zero = static_cast<unsigned>(__builtin_popcount(zero));
    sum += i * n_zero;
    zeros += n_zero;
    ones += 32 - n_zero;
  }
  return sum;
}

// Lanes of 8 bits count up to 255: after as many registers they are emptied.
constexpr std::size_t kByteRun = 255 * 64;

/// Adds (lane % size) * counts[lane] of 64 lanes to 16 sums; size is a power of two.
DNNBRAIN_VBMI2 DNNBRAIN_INLINE __m512i add_weighted(__m512i sums, __m512i counts, int size) {
  alignas(64) static constexpr auto kNumbers = [] {
    std::array<std::uint8_t, 64> numbers{};
    for (std::size_t lane = 0; lane < 64; ++lane) numbers[lane] = static_cast<std::uint8_t>(lane);
    return numbers;
  }();
  const __m512i weights = _mm512_and_si512(_mm512_load_si512(kNumbers.data()),
                                           _mm512_set1_epi8(static_cast<char>(size - 1)));
  const __m512i pairs = _mm512_maddubs_epi16(counts, weights);  // at most 2 * 255 * 63 < 2^15
  return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

DNNBRAIN_VBMI2 DNNBRAIN_INLINE std::uint64_t part(const std::uint8_t* values,
                                                  std::size_t n,
                                                  unsigned bit,
                                                  std::uint8_t*& zeros,
                                                  std::uint8_t*& ones,
                                                  __m512i& lane_sums) {
  const __m512i tested = _mm512_set1_epi8(static_cast<char>(1u << bit));
  const __m512i unit = _mm512_set1_epi8(1);
  std::uint64_t sum = 0;
  for (std::size_t done = 0; done < n; done += kByteRun) {
    __m512i lanes = _mm512_setzero_si512();
    for (std::size_t i = done; i < std::min(n, done + kByteRun); i += 64) {
      const __m512i value = _mm512_loadu_si512(values + i);
      const __mmask64 zero = _mm512_testn_epi8_mask(value, tested);
      const __mmask64 one = _mm512_test_epi8_mask(value, tested);
      lanes = _mm512_mask_add_epi8(lanes, zero, lanes, unit);
      _mm512_storeu_si512(zeros, _mm512_maskz_compress_epi8(zero, value));
      _mm512_storeu_si512(ones, _mm512_maskz_compress_epi8(one, value));
      const auto n_zero = static_cast<unsigned>(__builtin_popcountll(zero));
      sum += i * n_zero;
      zeros += n_zero;
      ones += 64 - n_zero;
    }
    lane_sums = add_weighted(lane_sums, lanes, 64);
  }
  return sum;
}

/// One bit of a register of bytes, which holds whole segments: all halves of zeros come to lie in
/// front of all halves of ones, as many of these as of those.
DNNBRAIN_VBMI2 DNNBRAIN_INLINE __m512i part_register(__m512i value, int bit, __m512i& lanes) {
  const __m512i tested = _mm512_set1_epi8(static_cast<char>(1 << bit));
  const __mmask64 zero = _mm512_testn_epi8_mask(value, tested);
  const __mmask64 one = _mm512_test_epi8_mask(value, tested);
  lanes = _mm512_mask_add_epi8(lanes, zero, lanes, _mm512_set1_epi8(1));
  return _mm512_inserti64x4(_mm512_maskz_compress_epi8(zero, value),
                            _mm512_castsi512_si256(_mm512_maskz_compress_epi8(one, value)),
                            1);
}

/// Bits 5 to 0 of segments of 64 values. A zero's position in its segment is its lane's lower bits.
DNNBRAIN_VBMI2 DNNBRAIN_INLINE __m512i part_segments(const std::uint8_t* values,
                                                     std::size_t n,
                                                     __m512i lane_sums) {
  for (std::size_t done = 0; done < n; done += kByteRun) {
    __m512i lanes5 = _mm512_setzero_si512();
    __m512i lanes4 = lanes5;
    __m512i lanes3 = lanes5;
    __m512i lanes2 = lanes5;
    __m512i lanes1 = lanes5;
    __m512i lanes0 = lanes5;
    for (std::size_t i = done; i < std::min(n, done + kByteRun); i += 64) {
      __m512i value = _mm512_loadu_si512(values + i);
      value = part_register(value, 5, lanes5);
      value = part_register(value, 4, lanes4);
      value = part_register(value, 3, lanes3);
      value = part_register(value, 2, lanes2);
      value = part_register(value, 1, lanes1);
      lanes0 = _mm512_mask_add_epi8(
          lanes0, _mm512_testn_epi8_mask(value, _mm512_set1_epi8(1)), lanes0, _mm512_set1_epi8(1));
    }
    lane_sums = add_weighted(lane_sums, lanes5, 64);
    lane_sums = add_weighted(lane_sums, lanes4, 32);
    lane_sums = add_weighted(lane_sums, lanes3, 16);
    lane_sums = add_weighted(lane_sums, lanes2, 8);
    lane_sums = add_weighted(lane_sums, lanes1, 4);
    lane_sums = add_weighted(lane_sums, lanes0, 2);
  }
  return lane_sums;
}

}  // namespace

DNNBRAIN_F std::uint64_t avx512(const std::uint32_t* values, std::size_t n, std::uint32_t* levels) {
  const Parted<std::uint32_t> parted = part_down_to(6, values, n, levels);
  return parted.sum + words(parted.level.zeros, parted.level.n_zero) +
         words(parted.level.ones, parted.level.n_one);
}

DNNBRAIN_VBMI2 std::uint64_t avx512vbmi2(const std::uint16_t* values,
                                         std::size_t n,
                                         std::uint16_t* levels) {
  std::uint64_t sum = 0;
  std::uint16_t* here = levels;
  std::uint16_t* there = levels + level_size(n);
  Level<std::uint16_t> level{values, n, values, 0};
  __m512i lanes =
      _mm512_setzero_si512();  // at most 2^11 registers in each of 8 levels: no overflow
  unsigned bit = top_bit(n);
  for (; bit > 8; --bit) {
    const std::size_t n_zero = zeros_below(n, bit);
    std::uint16_t* zeros = here;
    std::uint16_t* ones = here + n_zero + kGap;
    const Level<std::uint16_t> next{zeros, n_zero, ones, n - n_zero};
    sum += part(level.zeros, level.n_zero, bit, zeros, ones, lanes);
    sum += part(level.ones, level.n_one, bit, zeros, ones, lanes);
    level = next;
    std::swap(here, there);
  }

  auto* bytes_here = reinterpret_cast<std::uint8_t*>(here);
  auto* bytes_there = reinterpret_cast<std::uint8_t*>(there);
  Level<std::uint8_t> bytes{bytes_here, n, bytes_here, 0};
  if (bit == 8) {
    const std::size_t n_zero = zeros_below(n, bit);
    std::uint8_t* zeros = bytes_here;
    std::uint8_t* ones = bytes_here + n_zero + kGap;
    bytes = {zeros, n_zero, ones, n - n_zero};
    sum += part_to_bytes(level.zeros, level.n_zero, zeros, ones, lanes);
    sum += part_to_bytes(level.ones, level.n_one, zeros, ones, lanes);
    --bit;
  } else {
    for (std::size_t i = 0; i < n; ++i) bytes_here[i] = static_cast<std::uint8_t>(values[i]);
  }
  std::swap(bytes_here, bytes_there);

  __m512i lane_sums = _mm512_setzero_si512();
  for (; bit > 5; --bit) {
    const std::size_t n_zero = zeros_below(n, bit);
    std::uint8_t* zeros = bytes_here;
    std::uint8_t* ones = bytes_here + n_zero + kGap;
    const Level<std::uint8_t> next{zeros, n_zero, ones, n - n_zero};
    sum += part(bytes.zeros, bytes.n_zero, bit, zeros, ones, lane_sums);
    sum += part(bytes.ones, bytes.n_one, bit, zeros, ones, lane_sums);
    bytes = next;
    std::swap(bytes_here, bytes_there);
  }
  lane_sums = part_segments(bytes.zeros, bytes.n_zero, lane_sums);
  lane_sums = part_segments(bytes.ones, bytes.n_one, lane_sums);

  alignas(64) std::uint16_t counts[32];
  _mm512_store_si512(counts, lanes);
  return sum + weighted(counts) + static_cast<std::uint64_t>(_mm512_reduce_add_epi32(lane_sums));
}

DNNBRAIN_VBMI2 std::uint64_t avx512vbmi2(const std::uint32_t* values,
                                         std::size_t n,
                                         std::uint32_t* levels,
                                         std::span<const std::size_t> segments) {
  const Parted<std::uint32_t> parted = part_down_to(16, values, n, levels);
  // Of what is left, 16 bits are written over the level that held the rest.
  auto* end = reinterpret_cast<std::uint16_t*>(parted.free);
  for (const auto& [run, size] : {std::pair{parted.level.zeros, parted.level.n_zero},
                                  std::pair{parted.level.ones, parted.level.n_one}}) {
    for (std::size_t i = 0; i < size; i += 16, end += 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(end),
                          _mm512_cvtepi32_epi16(_mm512_loadu_si512(run + i)));
    }
  }
  return sum_with_segments(parted,
                           levels,
                           n,
                           segments,
                           [](const std::uint16_t* of, std::size_t size, std::uint16_t* room) {
                             return avx512vbmi2(of, size, room);
                           });
}

}  // namespace dnnbrain::bit_planes

#endif
