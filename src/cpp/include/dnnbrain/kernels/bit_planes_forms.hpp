// The forms of what bit_planes.hpp counts: sums of the positions of zeros, which differ from the
// inversions by a number that depends on n alone.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace dnnbrain::bit_planes {

/// Room behind each run of a level: whole registers are written, of which a part counts.
inline constexpr std::size_t kGap = 64;

/// Elements of a level.
constexpr std::size_t level_size(std::size_t n) { return n + 2 * kGap; }

/// Values below n whose bit is not set.
constexpr std::size_t zeros_below(std::size_t n, unsigned bit) {
  const std::size_t half = std::size_t{1} << bit;
  return (n >> (bit + 1)) * half + std::min(n & (2 * half - 1), half);
}

/// A level: the zeros of all segments, then the ones of all.
template <class T>
struct Level {
  const T* zeros;
  std::size_t n_zero;
  const T* ones;
  std::size_t n_one;
};

/// What parting leaves.
template <class T>
struct Parted {
  Level<T> level;
  T* free;  // the level that is not in use
  std::uint64_t sum;
};

/// The sum with those of segments of 16 bits, which stand in the free level. Segment by segment,
/// what remains to be done stays in the cache; count(values, n, levels) does it.
template <class Count>
[[gnu::always_inline]] inline std::uint64_t sum_with_segments(const Parted<std::uint32_t>& parted,
                                                              std::uint32_t* levels,
                                                              std::size_t n,
                                                              std::span<const std::size_t> segments,
                                                              const Count& count) {
  auto* const room =
      reinterpret_cast<std::uint16_t*>(parted.free == levels ? levels + level_size(n) : levels);
  const auto* begin = reinterpret_cast<const std::uint16_t*>(parted.free);
  std::uint64_t sum = parted.sum;
  for (const std::size_t size : segments) {
    sum += count(begin, size, room);
    begin += size;
  }
  return sum;
}

/// Segments of 64 values, four at a time: their words do not wait for each other.
template <class T>
[[gnu::always_inline]] inline std::uint64_t words(const T* values, std::size_t n) {
  constexpr std::size_t kWords = 4;
  std::uint64_t sum = 0;
  const auto insert = [&sum](T value, std::uint64_t& met) {
    const unsigned place = value & 63u;
    sum += static_cast<std::uint64_t>(std::popcount(met >> place));
    met |= std::uint64_t{1} << place;
  };
  std::size_t done = 0;
  for (; done + 64 * kWords <= n; done += 64 * kWords) {
    std::uint64_t met[kWords] = {};
    for (std::size_t i = done; i < done + 64; ++i) {
      for (std::size_t word = 0; word < kWords; ++word) insert(values[i + 64 * word], met[word]);
    }
  }
  for (; done < n; done += 64) {
    std::uint64_t met = 0;
    for (std::size_t i = done; i < done + 64; ++i) insert(values[i], met);
  }
  return sum;
}

// Each takes n values, n a multiple of 64, and room for two levels.

std::uint64_t portable(const std::uint16_t* values, std::size_t n, std::uint16_t* levels);
std::uint64_t portable(const std::uint32_t* values, std::size_t n, std::uint32_t* levels);

#if defined(__x86_64__)
std::uint64_t avx2(const std::uint16_t* values, std::size_t n, std::uint16_t* levels);
std::uint64_t avx512(const std::uint32_t* values, std::size_t n, std::uint32_t* levels);
std::uint64_t avx512vbmi2(const std::uint16_t* values, std::size_t n, std::uint16_t* levels);

// `segments`: the sizes of the segments of 16 bits, in the order in which levels place them.

std::uint64_t avx2(const std::uint32_t* values,
                   std::size_t n,
                   std::uint32_t* levels,
                   std::span<const std::size_t> segments);
std::uint64_t avx512vbmi2(const std::uint32_t* values,
                          std::size_t n,
                          std::uint32_t* levels,
                          std::span<const std::size_t> segments);
#endif

}  // namespace dnnbrain::bit_planes
