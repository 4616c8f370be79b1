#include "dnnbrain/kernels/neighbourhoods.hpp"

#include <cmath>
#include <random>

#include "dnnbrain/core/error.hpp"
#include "support/check.hpp"

using namespace dnnbrain;

namespace {

constexpr std::array<double, 9> kTurned{2.0, 0.3, 0.0, -0.5, 3.0, 0.1, 0.0, 0.2, -4.0};

}  // namespace

TEST(members_lie_in_the_ball_and_in_the_mask) {
  constexpr Index kX = 5, kY = 4, kZ = 6;
  std::mt19937 generator(0);
  bool mask[kX * kY * kZ];
  for (bool& inside : mask) inside = generator() % 3 != 0;
  std::vector<std::array<double, 3>> places;
  for (Index x = 0; x < kX; ++x) {
    for (Index y = 0; y < kY; ++y) {
      for (Index z = 0; z < kZ; ++z) {
        if (!mask[(x * kY + y) * kZ + z]) continue;
        const double at[3] = {
            static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)};
        std::array<double, 3> place{};
        for (std::size_t row = 0; row < 3; ++row) {
          for (std::size_t d = 0; d < 3; ++d) place[row] += kTurned[3 * row + d] * at[d];
        }
        places.push_back(place);
      }
    }
  }
  for (const double radius : {0.1, 2.5, 5.0, 100.0}) {
    const Neighbourhoods found = ball_neighbourhoods(mask, {kX, kY, kZ}, kTurned, radius);
    CHECK_EQUAL(found.starts.size(), places.size() + 1);
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::vector<std::int32_t> expected;
      for (std::size_t j = 0; j < places.size(); ++j) {
        double squared = 0;
        for (std::size_t d = 0; d < 3; ++d) {
          squared += (places[i][d] - places[j][d]) * (places[i][d] - places[j][d]);
        }
        if (std::sqrt(squared) <= radius) expected.push_back(static_cast<std::int32_t>(j));
      }
      const std::vector<std::int32_t> members(found.members.begin() + found.starts[i],
                                              found.members.begin() + found.starts[i + 1]);
      CHECK_EQUAL(members, expected);
    }
  }
}

TEST(places_without_volume_are_refused) {
  const bool mask[4] = {true, true, true, true};
  const std::array<double, 9> flat{1, 0, 0, 0, 1, 0, 0, 0, 0};
  CHECK_THROWS(InvalidArgument, ball_neighbourhoods(mask, {2, 2, 1}, flat, 1.0));
  CHECK_THROWS(InvalidArgument, ball_neighbourhoods(mask, {2, 2, 2}, kTurned, 1.0));
  CHECK_THROWS(InvalidArgument, ball_neighbourhoods(mask, {2, 2, 1}, kTurned, 0.0));
}
