#include "dnnbrain/kernels/bit_planes.hpp"

#include <bit>
#include <limits>
#include <numeric>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/kernels/bit_planes_forms.hpp"

namespace dnnbrain {

namespace bit_planes {

namespace {

// Inlined into the clones below, so that each is compiled for its own machine.
template <class T>
[[gnu::always_inline]] inline std::uint64_t part(
    const T* values, std::size_t n, unsigned bit, T*& zeros, T*& ones) {
  std::uint64_t sum = 0;
  std::size_t n_one = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const T value = values[i];
    const std::size_t one = (value >> bit) & 1u;
    zeros[i - n_one] = value;
    ones[n_one] = value;
    sum += (one - 1) & i;
    n_one += one;
  }
  zeros += n - n_one;
  ones += n_one;
  return sum;
}

template <class T>
[[gnu::always_inline]] inline std::uint64_t count(const T* values, std::size_t n, T* levels) {
  std::uint64_t sum = 0;
  Level<T> level{values, n, values, 0};
  T* here = levels;
  T* there = levels + level_size(n);
  for (auto bit = static_cast<unsigned>(std::bit_width(n - 1)); bit-- > 6;) {
    const std::size_t n_zero = zeros_below(n, bit);
    T* zeros = here;
    T* ones = here + n_zero + kGap;
    const Level<T> next{zeros, n_zero, ones, n - n_zero};
    sum += part(level.zeros, level.n_zero, bit, zeros, ones);
    sum += part(level.ones, level.n_one, bit, zeros, ones);
    level = next;
    std::swap(here, there);
  }
  return sum + words(level.zeros, level.n_zero) + words(level.ones, level.n_one);
}

}  // namespace

DNNBRAIN_CLONES std::uint64_t portable(const std::uint16_t* values,
                                       std::size_t n,
                                       std::uint16_t* levels) {
  return count(values, n, levels);
}

DNNBRAIN_CLONES std::uint64_t portable(const std::uint32_t* values,
                                       std::size_t n,
                                       std::uint32_t* levels) {
  return count(values, n, levels);
}

namespace {

std::uint64_t positions(const std::uint16_t* values,
                        std::size_t n,
                        std::uint16_t* levels,
                        std::span<const std::size_t> /*segments*/,
                        Simd simd) {
#if defined(__x86_64__)
  if (simd == Simd::kAvx512Vbmi2) return avx512vbmi2(values, n, levels);
  if (simd >= Simd::kAvx2) return avx2(values, n, levels);
#endif
  return portable(values, n, levels);
}

std::uint64_t positions(const std::uint32_t* values,
                        std::size_t n,
                        std::uint32_t* levels,
                        std::span<const std::size_t> segments,
                        Simd simd) {
#if defined(__x86_64__)
  if (simd == Simd::kAvx512Vbmi2) return avx512vbmi2(values, n, levels, segments);
  if (simd == Simd::kAvx512) return avx512(values, n, levels);
  if (simd == Simd::kAvx2) return avx2(values, n, levels, segments);
#endif
  return portable(values, n, levels);
}

std::vector<std::size_t> segments_of_16_bits(std::size_t n) {
  std::vector<std::size_t> sizes{n};
  for (auto bit = static_cast<unsigned>(std::bit_width(n - 1)); bit-- > 16;) {
    std::vector<std::size_t> halves;
    const std::size_t half = std::size_t{1} << bit;
    for (const std::size_t size : sizes) halves.push_back(std::min(size, half));
    for (const std::size_t size : sizes) {
      if (size > half) halves.push_back(size - half);
    }
    sizes = std::move(halves);
  }
  return sizes;
}

}  // namespace

}  // namespace bit_planes

template <class T>
BitPlanes<T>::BitPlanes(Index n, Simd simd)
    : n_(static_cast<std::size_t>(n)),
      simd_(std::min(simd, widest_simd())),
      values_(std::max<std::size_t>(64, (n_ + 63) / 64 * 64)),
      levels_(2 * bit_planes::level_size(values_.size())) {
  DNNBRAIN_REQUIRE(values_.size() - 1 <= std::numeric_limits<T>::max(),
                   "there must be no more values than their type holds; got ",
                   n,
                   ".");
  segments_ = bit_planes::segments_of_16_bits(values_.size());
  std::iota(values_.begin(), values_.end(), T{0});
  positions_in_order_ = positions();
}

template <class T>
std::uint64_t BitPlanes<T>::positions() {
  return bit_planes::positions(values_.data(), values_.size(), levels_.data(), segments_, simd_);
}

template class BitPlanes<std::uint16_t>;
template class BitPlanes<std::uint32_t>;

}  // namespace dnnbrain
