#include "dnnbrain/core/random.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/simd.hpp"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

constexpr int kRounds = 10;
constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85;

constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
constexpr std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

/// Blocks of a stream that are made together: a loop over them fills the registers of any machine.
constexpr std::size_t kTogether = 8;
constexpr std::size_t kWordsTogether = 4 * kTogether;

/// Blocks first .. first + kTogether of a stream, as philox4x32 gives them one by one.
DNNBRAIN_CLONES void blocks_of_any_machine(std::uint64_t seed,
                                           std::uint64_t stream,
                                           std::uint64_t first,
                                           std::uint32_t* out) {
  std::uint32_t counter[4][kTogether];
  for (std::size_t i = 0; i < kTogether; ++i) {
    counter[0][i] = low(first + i);
    counter[1][i] = high(first + i);
    counter[2][i] = low(stream);
    counter[3][i] = high(stream);
  }
  std::uint32_t key0 = low(seed);
  std::uint32_t key1 = high(seed);
  for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
    for (std::size_t i = 0; i < kTogether; ++i) {
      const std::uint64_t product0 = kMultiplier0 * counter[0][i];
      const std::uint64_t product1 = kMultiplier1 * counter[2][i];
      counter[0][i] = high(product1) ^ counter[1][i] ^ key0;
      counter[1][i] = low(product1);
      counter[2][i] = high(product0) ^ counter[3][i] ^ key1;
      counter[3][i] = low(product0);
    }
  }
  for (std::size_t i = 0; i < kTogether; ++i) {
    for (std::size_t word = 0; word < 4; ++word) out[4 * i + word] = counter[word][i];
  }
}

#ifdef __x86_64__

// GCC 12 takes the undefined operands inside its own intrinsics for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

/// The same, a block in each lane of 64 bits: products of the lower halves are one instruction.
/// What rounds leave in the upper halves is never read.
[[gnu::target("avx512f")]] void blocks_avx512(std::uint64_t seed,
                                              std::uint64_t stream,
                                              std::uint64_t first,
                                              std::uint32_t* out) {
  static_assert(kTogether == 8);
  constexpr int kXorOfThree = 0x96;
  const __m512i multiplier0 = _mm512_set1_epi64(kMultiplier0);
  const __m512i multiplier1 = _mm512_set1_epi64(kMultiplier1);
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  __m512i word0 = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(first)), lanes);
  __m512i word1 = _mm512_srli_epi64(word0, 32);
  __m512i word2 = _mm512_set1_epi64(static_cast<long long>(stream));
  __m512i word3 = _mm512_srli_epi64(word2, 32);
  std::uint32_t key0 = low(seed);
  std::uint32_t key1 = high(seed);
  for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
    const __m512i product0 = _mm512_mul_epu32(word0, multiplier0);
    const __m512i product1 = _mm512_mul_epu32(word2, multiplier1);
    word0 = _mm512_ternarylogic_epi64(
        _mm512_srli_epi64(product1, 32), word1, _mm512_set1_epi64(key0), kXorOfThree);
    word1 = product1;
    word2 = _mm512_ternarylogic_epi64(
        _mm512_srli_epi64(product0, 32), word3, _mm512_set1_epi64(key1), kXorOfThree);
    word3 = product0;
  }
  // From a word of all blocks to all words of a block.
  constexpr auto kToUpper = static_cast<_MM_PERM_ENUM>(0xA0);
  constexpr __mmask16 kUpper = 0xAAAA;
  const __m512i words01 = _mm512_mask_shuffle_epi32(word0, kUpper, word1, kToUpper);
  const __m512i words23 = _mm512_mask_shuffle_epi32(word2, kUpper, word3, kToUpper);
  const __m512i even = _mm512_unpacklo_epi64(words01, words23);
  const __m512i odd = _mm512_unpackhi_epi64(words01, words23);
  const __m512i first_four = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
  const __m512i last_four = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi64(even, first_four, odd));
  _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi64(even, last_four, odd));
}

#pragma GCC diagnostic pop

[[gnu::target("avx2")]] void blocks_avx2(std::uint64_t seed,
                                         std::uint64_t stream,
                                         std::uint64_t first,
                                         std::uint32_t* out) {
  constexpr int kParts = 2;
  static_assert(kTogether == 4 * kParts);
  const __m256i multiplier0 = _mm256_set1_epi64x(kMultiplier0);
  const __m256i multiplier1 = _mm256_set1_epi64x(kMultiplier1);
  __m256i word0[kParts];
  __m256i word1[kParts];
  __m256i word2[kParts];
  __m256i word3[kParts];
  for (int part = 0; part < kParts; ++part) {
    word0[part] = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(first) + 4 * part),
                                   _mm256_set_epi64x(3, 2, 1, 0));
    word1[part] = _mm256_srli_epi64(word0[part], 32);
    word2[part] = _mm256_set1_epi64x(static_cast<long long>(stream));
    word3[part] = _mm256_srli_epi64(word2[part], 32);
  }
  std::uint32_t key0 = low(seed);
  std::uint32_t key1 = high(seed);
  for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
    for (int part = 0; part < kParts; ++part) {
      const __m256i product0 = _mm256_mul_epu32(word0[part], multiplier0);
      const __m256i product1 = _mm256_mul_epu32(word2[part], multiplier1);
      word0[part] = _mm256_xor_si256(_mm256_srli_epi64(product1, 32),
                                     _mm256_xor_si256(word1[part], _mm256_set1_epi64x(key0)));
      word1[part] = product1;
      word2[part] = _mm256_xor_si256(_mm256_srli_epi64(product0, 32),
                                     _mm256_xor_si256(word3[part], _mm256_set1_epi64x(key1)));
      word3[part] = product0;
    }
  }
  for (int part = 0; part < kParts; ++part) {
    constexpr int kUpper = 0xAA;
    const __m256i words01 =
        _mm256_blend_epi32(word0[part], _mm256_slli_epi64(word1[part], 32), kUpper);
    const __m256i words23 =
        _mm256_blend_epi32(word2[part], _mm256_slli_epi64(word3[part], 32), kUpper);
    const __m256i even = _mm256_unpacklo_epi64(words01, words23);
    const __m256i odd = _mm256_unpackhi_epi64(words01, words23);
    auto* const to = reinterpret_cast<__m256i*>(out + 16 * part);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
  }
}

#endif

using PhiloxBlocks = void (*)(std::uint64_t, std::uint64_t, std::uint64_t, std::uint32_t*);

PhiloxBlocks choose_philox_blocks() {
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx512) return blocks_avx512;
  if (widest_simd() >= Simd::kAvx2) return blocks_avx2;
#endif
  return blocks_of_any_machine;
}

/// Fisher-Yates with one word for each number. False, where a word would have to be looked at again
/// for its number to be without bias, which is once in about 2^33 / n^2 permutations.
bool permute_quickly(std::uint64_t seed, std::uint64_t index, std::span<std::int32_t> out) {
  static const PhiloxBlocks philox_blocks = choose_philox_blocks();
  std::iota(out.begin(), out.end(), 0);
  std::array<std::uint32_t, 3 * kWordsTogether> words;
  std::uint64_t block = 0;
  bool doubtful = false;
  for (std::size_t last = out.size(); last > 1;) {
    const std::size_t n_word = std::min(last - 1, words.size());
    for (std::size_t at = 0; at < n_word; at += kWordsTogether, block += kTogether) {
      philox_blocks(seed, index, block, words.data() + at);
    }
    for (std::size_t k = 0; k < n_word; ++k, --last) {
      const std::uint64_t product = std::uint64_t{words[k]} * last;
      doubtful |= low(product) < last;
      std::swap(out[last - 1], out[high(product)]);
    }
  }
  return !doubtful;
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high(product1) ^ counter[1] ^ key[0],
               low(product1),
               high(product0) ^ counter[3] ^ key[1],
               low(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomStream::RandomStream(std::uint64_t seed, std::uint64_t stream)
    : key_{low(seed), high(seed)}, stream_(stream) {}

std::uint32_t RandomStream::next() {
  if (used_ == 4) {
    words_ = philox4x32({low(block_), high(block_), low(stream_), high(stream_)}, key_);
    ++block_;
    used_ = 0;
  }
  return words_[static_cast<std::size_t>(used_++)];
}

std::uint32_t RandomStream::below(std::uint32_t bound) {
  std::uint64_t product = std::uint64_t{next()} * bound;
  if (low(product) < bound) {
    const std::uint32_t threshold = (0u - bound) % bound;
    while (low(product) < threshold) product = std::uint64_t{next()} * bound;
  }
  return high(product);
}

void random_permutation(std::uint64_t seed, std::uint64_t index, std::span<std::int32_t> out) {
  if (permute_quickly(seed, index, out)) return;
  std::iota(out.begin(), out.end(), 0);
  RandomStream stream(seed, index);
  for (std::size_t last = out.size(); last > 1; --last) {
    std::swap(out[last - 1], out[stream.below(static_cast<std::uint32_t>(last))]);
  }
}

}  // namespace dnnbrain
