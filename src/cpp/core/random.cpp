#include "dnnbrain/core/random.hpp"

#include <numeric>
#include <utility>

#include "dnnbrain/core/clones.hpp"

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
constexpr std::size_t kTogether = 16;
constexpr std::size_t kWordsTogether = 4 * kTogether;

using Words = std::array<std::uint32_t, kWordsTogether>;

/// Blocks first .. first + kTogether of a stream, as philox4x32 gives them one by one.
DNNBRAIN_CLONES void philox_blocks(std::uint64_t seed,
                                   std::uint64_t stream,
                                   std::uint64_t first,
                                   Words& out) {
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

/// The words of a stream, for those who will read many.
class LongStream {
 public:
  LongStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  std::uint32_t next() {
    if (used_ == kWordsTogether) {
      philox_blocks(seed_, stream_, block_, words_);
      block_ += kTogether;
      used_ = 0;
    }
    return words_[used_++];
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t block_ = 0;
  std::size_t used_ = kWordsTogether;
  Words words_;
};

/// A uniform integer in [0, bound), without bias (Lemire 2019).
template <class Stream>
std::uint32_t uniform_below(Stream& stream, std::uint32_t bound) {
  std::uint64_t product = std::uint64_t{stream.next()} * bound;
  if (low(product) < bound) {
    const std::uint32_t threshold = (0u - bound) % bound;
    while (low(product) < threshold) product = std::uint64_t{stream.next()} * bound;
  }
  return high(product);
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

std::uint32_t RandomStream::below(std::uint32_t bound) { return uniform_below(*this, bound); }

void random_permutation(std::uint64_t seed, std::uint64_t index, std::span<std::int32_t> out) {
  std::iota(out.begin(), out.end(), 0);
  LongStream stream(seed, index);
  for (std::size_t last = out.size(); last > 1; --last) {
    std::swap(out[last - 1], out[uniform_below(stream, static_cast<std::uint32_t>(last))]);
  }
}

}  // namespace dnnbrain
