// The order that sorts 64-bit keys, digit by digit from the lowest: O(n) for each digit of 11 bits
// in which keys differ. Several times faster than a comparison sort from some hundred keys on.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace dnnbrain {

/// A key that is ordered as the number is. -0 and 0 have one key; NaN has no place.
inline std::uint64_t ordered_key(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
  const std::uint64_t sign = std::uint64_t{1} << 63;
  return (bits & sign) != 0 ? ~bits : bits | sign;
}

/// Sorts again and again without taking memory again.
class RadixOrder {
 public:
  /// Indices that sort the keys, ascending; equal keys keep their order. Valid until the next call.
  std::span<const std::uint32_t> sort(std::span<const std::uint64_t> keys);  // (n,) -> (n,)

 private:
  static constexpr int kBits = 11;
  static constexpr std::size_t kDigits = std::size_t{1} << kBits;

  struct Item {
    std::uint64_t key;  // what is above the least key
    std::uint32_t index;
  };

  std::vector<Item> items_;
  std::vector<Item> other_;
  std::vector<std::uint32_t> order_;
  std::array<std::uint32_t, kDigits> starts_{};
};

}  // namespace dnnbrain
