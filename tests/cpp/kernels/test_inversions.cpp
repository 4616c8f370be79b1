#include "dnnbrain/kernels/inversions.hpp"

#include <numeric>

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

template <class Count>
std::uint64_t inversions(GreaterBefore<Count>& before,
                         const std::vector<std::uint32_t>& values,
                         std::uint32_t n_value) {
  std::uint64_t found = 0;
  before.start(n_value);
  for (const std::uint32_t value : values) {
    found += before.greater(value);
    before.meet(value);
  }
  return found;
}

}  // namespace

TEST(inversions_match_the_count_over_all_pairs) {
  std::mt19937 generator(5);
  GreaterBefore<std::uint16_t> narrow;  // one of each, started again and again
  GreaterBefore<std::uint32_t> wide;
  for (const std::size_t n : {0u, 1u, 2u, 15u, 16u, 17u, 127u, 500u}) {
    // Numbers of values around the powers of 16, where a digit is added.
    for (const std::uint32_t n_value : {1u, 2u, 15u, 16u, 17u, 256u, 257u, 4096u, 4097u, 70000u}) {
      std::uniform_int_distribution<std::uint32_t> draw(0, n_value - 1);
      std::vector<std::uint32_t> values(n);
      for (auto& value : values) value = draw(generator);
      if (n > 2) values[1] = n_value - 1;  // the largest that is allowed
      CHECK_EQUAL(inversions(narrow, values, n_value), naive::inversions(values));
      CHECK_EQUAL(inversions(wide, values, n_value), naive::inversions(values));
    }
  }
}

TEST(as_many_values_as_the_counter_can_hold) {
  std::vector<std::uint32_t> values(65535);
  std::iota(values.rbegin(), values.rend(), 0u);
  GreaterBefore<std::uint16_t> before;
  CHECK_EQUAL(inversions(before, values, 65535), std::uint64_t{65535} * 65534 / 2);
}

TEST(inversions_do_not_overflow_32_bits) {
  std::vector<std::uint32_t> values(200000);
  std::iota(values.rbegin(), values.rend(), 0u);
  GreaterBefore<std::uint32_t> before;
  CHECK_EQUAL(inversions(before, values, 200000), std::uint64_t{200000} * 199999 / 2);
}

TEST(equal_values_are_not_inversions) {
  const std::vector<std::uint32_t> values(300, 7u);
  GreaterBefore<std::uint16_t> before;
  CHECK_EQUAL(inversions(before, values, 8), 0u);
}
