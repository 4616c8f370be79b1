// Eight values are parted by a shuffle that a table knows for each of the 256 ways in which zeros
// and ones may lie. Zeros are counted lane by lane, and the counts weighted with the lanes' numbers
// at the end; a register's own position counts once for all of its zeros.
#include "dnnbrain/kernels/bit_planes_forms.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <bit>
#include <utility>

#define DNNBRAIN_TARGET [[gnu::target("avx2,popcnt,bmi,bmi2")]]
#define DNNBRAIN_INLINE DNNBRAIN_TARGET [[gnu::always_inline]] inline

namespace dnnbrain::bit_planes {

namespace {

/// Bytes of the chosen lanes, in order and in front. kSize: bytes of a lane.
template <std::size_t kSize>
struct Shuffles {
  alignas(16) std::array<std::array<std::uint8_t, 8 * kSize>, 256> of{};

  constexpr Shuffles() {
    for (std::size_t chosen = 0; chosen < 256; ++chosen) {
      std::size_t at = 0;
      for (std::size_t lane = 0; lane < 8; ++lane) {
        if ((chosen >> lane & 1u) == 0) continue;
        for (std::size_t byte = 0; byte < kSize; ++byte) {
          of[chosen][at++] = static_cast<std::uint8_t>(kSize * lane + byte);
        }
      }
    }
  }
};

constexpr Shuffles<1> kLanes;       // numbers of lanes of 32 bits
constexpr Shuffles<2> kBytesOfTwo;  // bytes of lanes of 16 bits

DNNBRAIN_INLINE __m128i compress(const std::uint16_t* values, unsigned chosen) {
  return _mm_shuffle_epi8(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(values)),
      _mm_load_si128(reinterpret_cast<const __m128i*>(kBytesOfTwo.of[chosen].data())));
}

DNNBRAIN_INLINE void store(std::uint16_t* to, __m128i values) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), values);
}

/// Lanes count up to 65535.
DNNBRAIN_INLINE std::uint64_t part(const std::uint16_t* values,
                                   std::size_t n,
                                   unsigned bit,
                                   std::uint16_t*& zeros,
                                   std::uint16_t*& ones,
                                   __m256i& lanes) {
  const __m256i tested = _mm256_set1_epi16(static_cast<short>(1u << bit));
  const __m256i none = _mm256_setzero_si256();
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 16) {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    const __m256i zero = _mm256_cmpeq_epi16(_mm256_and_si256(value, tested), none);
    lanes = _mm256_sub_epi16(lanes, zero);
    // Bits 0 to 7 and 16 to 23.
    const auto mask = static_cast<unsigned>(_mm256_movemask_epi8(_mm256_packs_epi16(zero, none)));
    const unsigned first = mask & 255u;
    const unsigned second = mask >> 16;
    const auto n_first = static_cast<unsigned>(__builtin_popcount(first));
    const auto n_zero = static_cast<unsigned>(__builtin_popcount(mask));
    store(zeros, compress(values + i, first));
    store(zeros + n_first, compress(values + i + 8, second));
    store(ones, compress(values + i, first ^ 255u));
    store(ones + 8 - n_first, compress(values + i + 8, second ^ 255u));
    zeros += n_zero;
    ones += 16 - n_zero;
    sum += i * n_zero;
  }
  return sum;
}

DNNBRAIN_INLINE __m256i compress(__m256i values, unsigned chosen) {
  const auto* const lanes = reinterpret_cast<const __m128i*>(kLanes.of[chosen].data());
  return _mm256_permutevar8x32_epi32(values, _mm256_cvtepu8_epi32(_mm_loadl_epi64(lanes)));
}

DNNBRAIN_INLINE std::uint64_t part(const std::uint32_t* values,
                                   std::size_t n,
                                   unsigned bit,
                                   std::uint32_t*& zeros,
                                   std::uint32_t*& ones,
                                   __m256i& lanes) {
  const __m256i tested = _mm256_set1_epi32(static_cast<int>(1u << bit));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    const __m256i zero =
        _mm256_cmpeq_epi32(_mm256_and_si256(value, tested), _mm256_setzero_si256());
    lanes = _mm256_sub_epi32(lanes, zero);
    const auto mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(zero)));
    const auto n_zero = static_cast<unsigned>(__builtin_popcount(mask));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(zeros), compress(value, mask));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(ones), compress(value, mask ^ 255u));
    zeros += n_zero;
    ones += 8 - n_zero;
    sum += i * n_zero;
  }
  return sum;
}

/// sum_lane lane * counts[lane]
template <class Count>
DNNBRAIN_INLINE std::uint64_t weighted(const __m256i& lanes) {
  constexpr std::size_t kCounts = 32 / sizeof(Count);
  alignas(32) Count counts[kCounts];
  _mm256_store_si256(reinterpret_cast<__m256i*>(counts), lanes);
  std::uint64_t sum = 0;
  for (std::size_t lane = 0; lane < kCounts; ++lane) sum += std::uint64_t{counts[lane]} * lane;
  return sum;
}

/// From the top bit down to `last`.
template <class T>
DNNBRAIN_INLINE Parted<T> part_down_to(unsigned last, const T* values, std::size_t n, T* levels) {
  Parted<T> parted{{values, n, values, 0}, levels, 0};
  T* other = levels + level_size(n);
  __m256i lanes = _mm256_setzero_si256();
  for (auto bit = static_cast<unsigned>(std::bit_width(n - 1)); bit-- > last;) {
    const std::size_t n_zero = zeros_below(n, bit);
    T* zeros = parted.free;
    T* ones = zeros + n_zero + kGap;
    const Level<T> next{zeros, n_zero, ones, n - n_zero};
    const Level<T> level = parted.level;
    parted.sum += part(level.zeros, level.n_zero, bit, zeros, ones, lanes);
    parted.sum += part(level.ones, level.n_one, bit, zeros, ones, lanes);
    parted.level = next;
    std::swap(parted.free, other);
  }
  parted.sum += weighted<T>(lanes);
  return parted;
}

}  // namespace

DNNBRAIN_TARGET std::uint64_t avx2(const std::uint16_t* values,
                                   std::size_t n,
                                   std::uint16_t* levels) {
  const Parted<std::uint16_t> parted = part_down_to(6, values, n, levels);
  return parted.sum + words(parted.level.zeros, parted.level.n_zero) +
         words(parted.level.ones, parted.level.n_one);
}

DNNBRAIN_TARGET std::uint64_t avx2(const std::uint32_t* values,
                                   std::size_t n,
                                   std::uint32_t* levels,
                                   std::span<const std::size_t> segments) {
  const Parted<std::uint32_t> parted = part_down_to(16, values, n, levels);
  // Of what is left, 16 bits are written over the level that held the rest.
  auto* end = reinterpret_cast<std::uint16_t*>(parted.free);
  for (const auto& [run, size] : {std::pair{parted.level.zeros, parted.level.n_zero},
                                  std::pair{parted.level.ones, parted.level.n_one}}) {
    for (std::size_t i = 0; i < size; ++i) *end++ = static_cast<std::uint16_t>(run[i]);
  }
  return sum_with_segments(parted,
                           levels,
                           n,
                           segments,
                           [](const std::uint16_t* of, std::size_t size, std::uint16_t* room) {
                             return avx2(of, size, room);
                           });
}

}  // namespace dnnbrain::bit_planes

#endif
