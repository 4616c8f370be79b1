// Inversions of a sequence, one value at a time: how many of those that came before are greater.
//
// Values are written in base 16. A node stands for all values that agree in their upper digits, and
// holds for each digit j how many of those met so far have a digit greater than j in its place. The
// values greater than v are then found in one entry per digit of v; meeting v adds one to a run of
// entries per digit: a loop of fixed length without branches, which compilers vectorise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dnnbrain {

/// `Count` must be able to hold the number of values met.
template <class Count>
class GreaterBefore {
 public:
  GreaterBefore() {
    for (std::uint32_t digit = 0; digit < kBase; ++digit) {
      for (std::uint32_t j = 0; j < kBase; ++j) below_[digit][j] = j < digit ? 1 : 0;
    }
  }

  /// Forget what was met, and be ready for values below n_value. O(n_value).
  void start(std::uint32_t n_value) {
    std::size_t n_node = n_value;
    std::size_t end = 0;
    n_digit_ = 0;
    do {
      n_node = (n_node + kBase - 1) / kBase;
      first_[n_digit_++] = end;
      end += n_node * kBase;
    } while (n_node > 1);
    counts_.assign(end, 0);
  }

  /// How many of the values met so far are greater. O(digits).
  std::uint64_t greater(std::uint32_t value) const {
    std::uint64_t found = 0;
    for (std::size_t place = 0; place < n_digit_; ++place, value /= kBase) {
      found += counts_[first_[place] + value];
    }
    return found;
  }

  /// Meet one more value. O(16 digits).
  void meet(std::uint32_t value) {
    for (std::size_t place = 0; place < n_digit_; ++place) {
      const std::uint32_t digit = value % kBase;
      value /= kBase;
      add(&counts_[first_[place] + std::size_t{value} * kBase], below_[digit].data());
    }
  }

 private:
  static constexpr std::uint32_t kBase = 16;
  static constexpr std::size_t kMostDigits = 8;  // of a 32-bit value
  using Node = std::array<Count, kBase>;

  /// Left to themselves, compilers unroll this loop before they would vectorise it.
  static void add(Count* __restrict__ node, const Count* __restrict__ step) {
#pragma omp simd
    for (std::uint32_t j = 0; j < kBase; ++j) node[j] = static_cast<Count>(node[j] + step[j]);
  }

  std::array<Node, kBase> below_;                 // (digit, j): whether j < digit
  std::array<std::size_t, kMostDigits> first_{};  // of each digit's entries, lowest digit first
  std::size_t n_digit_ = 0;
  std::vector<Count> counts_;
};

}  // namespace dnnbrain
