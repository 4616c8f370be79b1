#include "dnnbrain/kernels/outer_products.hpp"

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

PaddedRows rows(Index n_row, Index n, unsigned seed) {
  const Index width = padded_width(n);
  PaddedRows out(n_row, width);
  const auto values = naive::levels(static_cast<std::size_t>(n_row * n), 2000, seed);
  for (Index v = 0; v < n_row; ++v) {
    for (Index i = 0; i < n; ++i) {
      out.data()[v * width + i] = values[static_cast<std::size_t>(v * n + i)] - 1000;
    }
  }
  return out;
}

}  // namespace

// Whole numbers: every form gives every bit.
TEST(every_form_gives_the_sum_of_products) {
  for (const Index n : {1, 3, 8, 23, 24, 25, 92, 118}) {
    for (const Index n_row : {1, 39, 40, 41, 130}) {
      const Index width = padded_width(n);
      const PaddedRows a = rows(n_row, n, 1);
      const PaddedRows b = rows(n_row, n, 2);
      std::vector<double> expected(static_cast<std::size_t>(n * n), 3.0);
      for (Index v = 0; v < n_row; ++v) {
        for (Index i = 0; i < n; ++i) {
          for (Index j = 0; j < n; ++j) {
            expected[static_cast<std::size_t>(i * n + j)] +=
                a.data()[v * width + i] * b.data()[v * width + j];
          }
        }
      }
      for (const Simd form : {Simd::kPortable, Simd::kAvx2, Simd::kAvx512}) {
        for (const bool upper : {false, true}) {
          PaddedRows out(width, width);
          std::fill(out.data(), out.data() + width * width, 3.0);
          add_outer_products(a.data(), b.data(), n_row, n, upper, out.data(), form);
          Index wrong = 0;
          for (Index i = 0; i < n; ++i) {
            for (Index j = upper ? i : 0; j < n; ++j) {
              wrong += out.data()[i * width + j] != expected[static_cast<std::size_t>(i * n + j)];
            }
          }
          CHECK_EQUAL(wrong, Index{0});
        }
      }
    }
  }
}
