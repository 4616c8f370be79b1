// The three loops that add up products of relabelled RDMs, against the definition: whole numbers,
// so that not a bit may differ.
#include <algorithm>
#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/digit_products.hpp"
#include "dnnbrain/kernels/pair_table.hpp"
#include "dnnbrain/kernels/panel_products.hpp"
#include "dnnbrain/kernels/strip_products.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

/// Whole numbers up to the number of pairs in size, the extremes among them.
std::vector<std::int32_t> whole_numbers(Index n_cond, unsigned seed) {
  std::mt19937 generator(seed);
  const int most = static_cast<int>(pair_count(n_cond));
  std::uniform_int_distribution<int> draw(-most, most);
  std::vector<std::int32_t> out(static_cast<std::size_t>(most));
  for (auto& value : out) value = static_cast<std::int32_t>(draw(generator));
  out.front() = static_cast<std::int32_t>(most);
  out.back() = static_cast<std::int32_t>(-most);
  return out;
}

std::vector<double> real(const std::vector<std::int32_t>& values) {
  return {values.begin(), values.end()};
}

struct Data {
  Data(Index n, Index n_b, Index n_order) : n_cond(n), a(whole_numbers(n, 1)) {
    b.push_back(a);  // the largest sum there is, under the identity
    for (Index s = 1; s < n_b; ++s) b.push_back(whole_numbers(n, static_cast<unsigned>(s + 1)));
    for (Index p = 0; p < n_order; ++p) {
      std::vector<std::int32_t> order(static_cast<std::size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      if (p > 0) random_permutation(3, static_cast<std::uint64_t>(p), order);
      orders.insert(orders.end(), order.begin(), order.end());
      const auto relabelled = naive::relabel(real(a), order);
      for (const auto& other : b) {
        const auto y = real(other);
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < y.size(); ++k) {
          sum += static_cast<std::int64_t>(relabelled[k] * y[k]);
        }
        expected.push_back(sum);
      }
    }
  }

  Index n_cond;
  std::vector<std::int32_t> a;
  std::vector<std::vector<std::int32_t>> b;
  std::vector<std::int32_t> orders;
  std::vector<std::int64_t> expected;  // (n_order, n_b)
};

std::vector<std::int64_t> by_panels(const Data& data) {
  const auto n_pair = static_cast<Index>(data.a.size());
  Matrix b(static_cast<Index>(data.b.size()), n_pair);
  for (Index s = 0; s < b.rows(); ++s) {
    const auto& row = data.b[static_cast<std::size_t>(s)];
    std::copy(row.begin(), row.end(), b.row(s).data());
  }
  const std::vector<double> values(data.a.begin(), data.a.end());
  const auto table = square_table(std::span<const double>(values), data.n_cond);
  std::vector<double> out(data.expected.size());
  PanelProducts(b).run(std::span<const double>(table), data.orders, data.n_cond, out);
  return {out.begin(), out.end()};
}

template <class Products>
bool adds_up(const Products& products, const Data& data) {
  std::vector<typename Products::Digits> b;
  for (const auto& row : data.b) b.push_back(products.fixed(row));
  std::vector<typename Products::Sum> out(data.expected.size());
  products.run(products.table(data.a), b, data.orders, out);
  return std::equal(out.begin(), out.end(), data.expected.begin(), data.expected.end());
}

}  // namespace

TEST(panels_give_the_sum_of_products) {
  for (const Index n_cond : {2, 3, 9, 33, 64, 92, 200}) {
    for (const Index n_b : {1, 3, 4, 6}) {
      for (const Index n_order : {1, 4, 7}) {
        const Data data(n_cond, n_b, n_order);
        CHECK_EQUAL(by_panels(data), data.expected);
      }
    }
  }
}

TEST(registers_give_the_sum_of_products) {
  if (!DigitProducts::available()) return;
  for (const Index n_cond : {2, 3, 4, 63, 64, 65, 92, 127, 128, 129, 130, 255, 256, 257}) {
    for (const Index n_b : {1, 3, 4, 6}) {
      for (const Index n_order : {1, 4, 7}) {
        const Data data(n_cond, n_b, n_order);
        CHECK(adds_up(DigitProducts(n_cond), data));
      }
    }
  }
  for (const Index n_cond : {400, 600, 700, 775, 900, 1024}) {
    const Data data(n_cond, 2, 5);
    CHECK(adds_up(DigitProducts(n_cond), data));
  }
}

TEST(strips_give_the_sum_of_products) {
  for (const Simd form : {Simd::kPortable, Simd::kAvx2}) {
    for (const Index n_cond : {2, 3, 15, 16, 17, 31, 33, 64, 92, 127, 128, 129, 130, 200, 257}) {
      for (const Index n_b : {1, 3, 4, 6}) {
        for (const Index n_order : {1, 4, 7}) {
          const Data data(n_cond, n_b, n_order);
          CHECK(adds_up(StripProducts(n_cond, form), data));
        }
      }
    }
    for (const Index n_cond : {775, 1024, 1500, 2100}) {
      const Data data(n_cond, 1, 2);
      CHECK(adds_up(StripProducts(n_cond, form), data));
    }
  }
}

TEST(strips_add_up_what_64_bits_do_not_hold) {
  constexpr Index kCond = 3000;
  constexpr Index kPair = pair_count(kCond);
  std::vector<std::int32_t> ranks(static_cast<std::size_t>(kPair));
  for (Index k = 0; k < kPair; ++k) {
    ranks[static_cast<std::size_t>(k)] = static_cast<std::int32_t>(2 * k + 1 - kPair);
  }
  std::vector<std::int32_t> order(static_cast<std::size_t>(kCond));
  std::iota(order.begin(), order.end(), 0);
  const auto m = static_cast<double>(kPair);
  for (const Simd form : {Simd::kPortable, Simd::kAvx2}) {
    const StripProducts products(kCond, form);
    const std::vector<StripDigits> b{products.fixed(ranks)};
    std::vector<double> out(1);
    products.run(products.table(ranks), b, order, out);
    CHECK_NEAR(out.front() / (m * (m * m - 1) / 3), 1.0, 1e-15);
  }
}

TEST(a_sum_does_not_depend_on_its_company) {
  const auto values = naive::levels(static_cast<std::size_t>(6 * pair_count(50)), 100000, 4);
  Matrix b(6, pair_count(50));
  std::copy(values.begin(), values.end(), b.data());
  b /= 3.0;
  const auto a = naive::levels(static_cast<std::size_t>(pair_count(50)), 100000, 5);
  const auto table = square_table(std::span<const double>(a), 50);
  std::vector<std::int32_t> orders(5 * 50);
  for (std::size_t p = 0; p < 5; ++p) random_permutation(1, p, {orders.data() + 50 * p, 50});
  std::vector<double> together(5 * 6);
  PanelProducts(b).run(std::span<const double>(table), orders, 50, together);
  for (std::size_t p = 0; p < 5; ++p) {
    for (Index s = 0; s < 6; ++s) {
      std::vector<double> alone(1);
      PanelProducts(b.row(s)).run(
          std::span<const double>(table), {orders.data() + 50 * p, 50}, 50, alone);
      CHECK_EQUAL(alone.front(), together[6 * p + static_cast<std::size_t>(s)]);
    }
  }
}

TEST(there_are_so_many_conditions_at_most) {
  CHECK_THROWS(InvalidArgument, DigitProducts(DigitProducts::kMostConditions + 1));
  CHECK_THROWS(InvalidArgument, DigitProducts(1));
  CHECK_THROWS(InvalidArgument, StripProducts(StripProducts::kMostConditions + 1));
  CHECK_THROWS(InvalidArgument, StripProducts(1));
}
