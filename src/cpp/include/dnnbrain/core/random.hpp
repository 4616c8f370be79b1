// Counter-based random numbers: draw number j of stream i under a seed is a pure function of
// (seed, i, j). Results are the same bits for any thread count and any block size.
//
// Generator: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011). The mapping below is versioned:
// changing it is a breaking change, pinned by tests on published vectors and on the first draws.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Version of the mapping from (seed, stream, draw) to bits.
inline constexpr int kRandomVersion = 1;

/// One Philox4x32-10 block: four 32-bit words from a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

/// Stream `stream` under `seed`. Key: the seed. Counter: block number, then stream number.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t stream);

  /// 32 uniform bits.
  std::uint32_t next();

  /// A uniform integer in [0, bound), without bias (Lemire 2019). bound > 0.
  std::uint32_t below(std::uint32_t bound);

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t stream_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  int used_ = 4;
};

/// Permutation number `index` under `seed`: Fisher-Yates on stream `index`.
void random_permutation(std::uint64_t seed,
                        std::uint64_t index,
                        std::span<std::int32_t> out);  // (n,), filled with 0 .. n-1 permuted

}  // namespace dnnbrain
