#include "dnnbrain/kernels/bucket_ranks.hpp"

#include <limits>

#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

std::vector<double> ranks_of(const std::vector<double>& values) {
  BucketRanks ranks(static_cast<Index>(values.size()));
  std::vector<double> out(values.size());
  // Twice: a room is used for one vector after the other.
  ranks.average(std::vector<double>(values.rbegin(), values.rend()), out);
  ranks.average(values, out);
  return out;
}

}  // namespace

TEST(average_ranks_match_their_definition) {
  for (const std::size_t n : {1u, 2u, 3u, 17u, 200u, 1000u}) {
    for (const int n_level : {1, 2, 5, 100000}) {
      const auto values = naive::levels(n, n_level, static_cast<unsigned>(n) + 7);
      CHECK_EQUAL(ranks_of(values), naive::average_ranks(values));
    }
  }
}

TEST(values_that_share_one_bucket) {
  auto values = naive::levels(300, 100000, 1);
  values[17] = 1e300;
  CHECK_EQUAL(ranks_of(values), naive::average_ranks(values));
  values[18] = -std::numeric_limits<double>::max();
  values[17] = std::numeric_limits<double>::max();
  CHECK_EQUAL(ranks_of(values), naive::average_ranks(values));
}

TEST(ranges_of_denormals_and_signed_zeros) {
  const double least = std::numeric_limits<double>::denorm_min();
  const std::vector<double> tiny{2 * least, 0.0, least, -0.0, -least};
  CHECK_EQUAL(ranks_of(tiny), naive::average_ranks(tiny));
}
