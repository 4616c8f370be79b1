#include "dnnbrain/kernels/bit_planes.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

// What this machine does not have falls back to what it has.
constexpr Simd kForms[] = {Simd::kPortable, Simd::kAvx2, Simd::kAvx512, Simd::kAvx512Vbmi2};

template <class T>
std::uint64_t inversions(BitPlanes<T>& planes, const std::vector<std::uint32_t>& values) {
  std::transform(values.begin(), values.end(), planes.values().begin(), [](std::uint32_t value) {
    return static_cast<T>(value);
  });
  return planes.inversions();
}

std::vector<std::uint32_t> permutation(std::size_t n, unsigned seed) {
  std::vector<std::uint32_t> values(n);
  std::iota(values.begin(), values.end(), 0u);
  std::shuffle(values.begin(), values.end(), std::mt19937(seed));
  return values;
}

/// Twice the counter's usual reach: by merging.
std::uint64_t by_merging(std::vector<std::uint32_t> values) {
  std::uint64_t found = 0;
  std::vector<std::uint32_t> merged(values.size());
  for (std::size_t width = 1; width < values.size(); width *= 2) {
    for (std::size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, values.size());
      const std::size_t end = std::min(begin + 2 * width, values.size());
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t out = begin; out < end; ++out) {
        if (right == end || (left < middle && values[left] < values[right])) {
          merged[out] = values[left++];
        } else {
          found += middle - left;
          merged[out] = values[right++];
        }
      }
    }
    values.swap(merged);
  }
  return found;
}

}  // namespace

TEST(merging_matches_the_count_over_all_pairs) {
  for (const std::size_t n : {1u, 2u, 3u, 64u, 100u, 1000u}) {
    const auto values = permutation(n, 1);
    CHECK_EQUAL(by_merging(values), naive::inversions(values));
  }
}

TEST(every_length_up_to_some_segments_matches_the_count_over_all_pairs) {
  for (std::size_t n = 0; n <= 330; ++n) {
    const auto values = permutation(n, static_cast<unsigned>(n));
    const std::uint64_t expected = naive::inversions(values);
    for (const Simd form : kForms) {
      BitPlanes<std::uint16_t> narrow(static_cast<Index>(n), form);
      BitPlanes<std::uint32_t> wide(static_cast<Index>(n), form);
      CHECK_EQUAL(inversions(narrow, values), expected);
      CHECK_EQUAL(inversions(wide, values), expected);
    }
  }
}

TEST(lengths_around_powers_of_two_match) {
  for (const std::size_t n :
       {511u, 512u, 513u, 1023u, 1025u, 4186u, 8191u, 8193u, 16385u, 20000u, 65535u, 65536u}) {
    const auto values = permutation(n, 3);
    const std::uint64_t expected = by_merging(values);
    for (const Simd form : kForms) {
      BitPlanes<std::uint16_t> narrow(static_cast<Index>(n), form);
      BitPlanes<std::uint32_t> wide(static_cast<Index>(n), form);
      CHECK_EQUAL(inversions(narrow, values), expected);
      CHECK_EQUAL(inversions(wide, values), expected);
    }
  }
}

TEST(lengths_beyond_16_bits_match) {
  for (const std::size_t n : {65537u, 131072u, 131073u, 196609u, 300000u}) {
    const auto values = permutation(n, 4);
    const std::uint64_t expected = by_merging(values);
    for (const Simd form : kForms) {
      BitPlanes<std::uint32_t> wide(static_cast<Index>(n), form);
      CHECK_EQUAL(inversions(wide, values), expected);
    }
  }
}

// In descending order every count is the largest that it can be.
TEST(descending_values_do_not_overflow) {
  for (const std::size_t n : {64u, 4186u, 65536u, 499500u}) {
    std::vector<std::uint32_t> values(n);
    std::iota(values.rbegin(), values.rend(), 0u);
    const std::uint64_t all = std::uint64_t{n} * (n - 1) / 2;
    for (const Simd form : kForms) {
      BitPlanes<std::uint32_t> wide(static_cast<Index>(n), form);
      CHECK_EQUAL(inversions(wide, values), all);
      if (n > 65536) continue;
      BitPlanes<std::uint16_t> narrow(static_cast<Index>(n), form);
      CHECK_EQUAL(inversions(narrow, values), all);
    }
  }
}

TEST(one_counter_counts_again_and_again) {
  for (const Simd form : kForms) {
    BitPlanes<std::uint16_t> planes(700, form);
    for (unsigned seed = 0; seed < 5; ++seed) {
      const auto values = permutation(700, seed);
      CHECK_EQUAL(inversions(planes, values), naive::inversions(values));
      CHECK_EQUAL(planes.inversions(), naive::inversions(values));
    }
  }
}

TEST(values_must_fit_their_type) { CHECK_THROWS(InvalidArgument, BitPlanes<std::uint16_t>(65537)); }
