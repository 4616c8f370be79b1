#include "dnnbrain/core/random.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "support/check.hpp"

using namespace dnnbrain;

using Words = std::array<std::uint32_t, 4>;

// Known answers published with Random123 (Salmon, Moraes, Dror & Shaw 2011), philox4x32, 10 rounds.
TEST(philox_gives_the_published_words) {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  CHECK(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(a_stream_is_the_blocks_of_its_counter) {
  const std::uint64_t seed = 0x0123456789abcdefULL;
  const std::uint64_t stream = 0xfedcba9876543210ULL;
  RandomStream draws(seed, stream);
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Words words = philox4x32({block, 0, 0x76543210, 0xfedcba98}, {0x89abcdef, 0x01234567});
    for (const std::uint32_t word : words) CHECK_EQUAL(draws.next(), word);
  }
}

TEST(seeds_and_streams_do_not_meet) {
  std::set<std::uint32_t> first;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    for (std::uint64_t stream = 0; stream < 40; ++stream) {
      first.insert(RandomStream(seed, stream).next());
    }
  }
  CHECK(first.size() >= 1599);  // of 1600; one collision of 32-bit words is likely enough
}

TEST(below_stays_below) {
  RandomStream draws(1, 0);
  for (const std::uint32_t bound : {1u, 2u, 3u, 1000u, 0x80000001u, 0xffffffffu}) {
    for (int i = 0; i < 1000; ++i) CHECK(draws.below(bound) < bound);
  }
}

// Plain multiplication would give thirds of this bound 2 : 1 : 1 of the words.
TEST(below_has_no_bias_for_a_bound_near_the_word_size) {
  constexpr std::uint32_t kBound = 0xC0000000u;
  constexpr int kDraws = 60000;
  std::array<int, 3> thirds{};
  std::array<int, 3> residues{};
  RandomStream draws(2, 0);
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t value = draws.below(kBound);
    ++thirds[value / (kBound / 3)];
    ++residues[value % 3];
  }
  for (const auto& counts : {thirds, residues}) {
    for (const int count : counts) CHECK_NEAR(count, kDraws / 3.0, 600);  // 5 sd
  }
}

TEST(permutations_are_permutations_and_pure) {
  std::vector<std::int32_t> expected(53);
  std::iota(expected.begin(), expected.end(), 0);
  std::vector<std::int32_t> again(53);
  for (std::uint64_t index = 0; index < 20; ++index) {
    std::vector<std::int32_t> order(53, -1);
    random_permutation(9, index, order);
    random_permutation(9, index, again);
    CHECK_EQUAL(order, again);
    CHECK(order != expected);
    std::sort(order.begin(), order.end());
    CHECK_EQUAL(order, expected);
  }
  std::vector<std::int32_t> one(1, -1);
  random_permutation(9, 0, one);
  CHECK_EQUAL(one.front(), 0);
  random_permutation(9, 0, {});
}

// In the longest, words are met that have to be drawn again.
TEST(permutations_are_fisher_yates_on_a_stream) {
  std::vector<std::size_t> sizes(200);
  std::iota(sizes.begin(), sizes.end(), std::size_t{1});
  sizes.insert(sizes.end(), {1000, 200000});
  for (const std::size_t size : sizes) {
    std::vector<std::int32_t> expected(size);
    std::iota(expected.begin(), expected.end(), 0);
    RandomStream stream(5, size);
    for (std::size_t last = size; last > 1; --last) {
      std::swap(expected[last - 1], expected[stream.below(static_cast<std::uint32_t>(last))]);
    }
    std::vector<std::int32_t> order(size);
    random_permutation(5, size, order);
    CHECK(order == expected);
  }
}

TEST(all_permutations_of_four_are_equally_likely) {
  constexpr int kDraws = 48000;
  std::array<int, 256> counts{};
  for (int index = 0; index < kDraws; ++index) {
    std::array<std::int32_t, 4> order{};
    random_permutation(3, static_cast<std::uint64_t>(index), order);
    ++counts[static_cast<std::size_t>(order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6)];
  }
  double chi_squared = 0;
  int n_seen = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++n_seen;
    chi_squared += (count - kDraws / 24.0) * (count - kDraws / 24.0) / (kDraws / 24.0);
  }
  CHECK_EQUAL(n_seen, 24);
  CHECK(chi_squared < 49.7);  // the 99.9th percentile, 23 degrees of freedom
}
