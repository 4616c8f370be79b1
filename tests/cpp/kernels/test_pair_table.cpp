#include "dnnbrain/kernels/pair_table.hpp"

#include <numeric>

#include "dnnbrain/core/random.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

/// Relabelled values, and whether nothing behind the room was written.
template <class T>
void check_relabelling(Index n_cond, Simd form, std::uint64_t seed) {
  const auto n_pair = static_cast<std::size_t>(pair_count(n_cond));
  std::vector<T> values(n_pair);
  std::iota(values.begin(), values.end(), T{7});
  std::vector<std::int32_t> order(static_cast<std::size_t>(n_cond));
  random_permutation(seed, 0, order);
  const PairTable<T> table(values, n_cond, form);

  constexpr T kUntouched = 12345;
  std::vector<T> out(table.room() + 100, kUntouched);
  table.relabel(order, std::span(out).first(table.room()));

  const auto expected = naive::relabel(std::vector<double>(values.begin(), values.end()), order);
  CHECK_EQUAL(std::vector<double>(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n_pair)),
              expected);
  for (std::size_t i = table.room(); i < out.size(); ++i) CHECK_EQUAL(out[i], kUntouched);
}

}  // namespace

// Around multiples of 32, where another register is needed, and past the last that is.
TEST(relabelled_values_match_for_any_number_of_registers) {
  for (Index n_cond = 2; n_cond <= 165; ++n_cond) {
    for (const Simd form : {Simd::kPortable, Simd::kAvx512, Simd::kAvx512Vbmi2}) {
      check_relabelling<std::uint16_t>(n_cond, form, static_cast<std::uint64_t>(n_cond));
    }
  }
  check_relabelling<std::uint16_t>(300, Simd::kAvx512Vbmi2, 1);
}

TEST(wide_values_are_relabelled) {
  for (const Index n_cond : {2, 3, 31, 33, 92, 400}) {
    for (const Simd form : {Simd::kPortable, Simd::kAvx512, Simd::kAvx512Vbmi2}) {
      check_relabelling<std::uint32_t>(n_cond, form, 2);
    }
  }
}

TEST(square_tables_are_symmetric) {
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  CHECK_EQUAL(square_table(std::span<const double>(values), 4),
              (std::vector<double>{0, 1, 2, 3, 1, 0, 4, 5, 2, 4, 0, 6, 3, 5, 6, 0}));
}
