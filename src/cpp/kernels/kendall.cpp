#include "dnnbrain/kernels/kendall.hpp"

#include <algorithm>
#include <limits>

#include "dnnbrain/kernels/ranks.hpp"

namespace dnnbrain {

namespace {

Index pairs_of(Index count) { return count * (count - 1) / 2; }

}  // namespace

TiedRanks::TiedRanks(std::span<const double> values) : ranks(dense_ranks(values)) {
  if (ranks.empty()) return;
  n_rank = *std::max_element(ranks.begin(), ranks.end()) + 1;
  std::vector<Index> counts(n_rank);
  for (const std::uint32_t rank : ranks) ties += counts[rank]++;
}

KendallRoom::KendallRoom(Index n_pair) : in_group_(static_cast<std::size_t>(n_pair)) {
  if (n_pair > std::numeric_limits<std::uint16_t>::max()) {
    before_.emplace<GreaterBefore<std::uint32_t>>();
  }
}

KendallReference::KendallReference(std::span<const double> values) : order_(sorted_order(values)) {
  const auto at = [&](Index place) {
    return values[static_cast<std::size_t>(order_[static_cast<std::size_t>(place)])];
  };
  const Index n = static_cast<Index>(values.size());
  for (Index begin = 0; begin < n;) {
    Index end = begin + 1;
    while (end < n && at(end) == at(begin)) ++end;
    if (end - begin > 1) groups_.emplace_back(begin, end);
    ties_ += pairs_of(end - begin);
    begin = end;
  }
}

Index KendallReference::score(std::span<const std::uint32_t> ranks,
                              const TiedRanks& x,
                              KendallRoom& room) const {
  const auto at = [&](Index place) {
    return ranks[static_cast<std::size_t>(order_[static_cast<std::size_t>(place)])];
  };
  const Index n_pair = static_cast<Index>(order_.size());
  std::uint64_t discordant = 0;
  Index tied_in_both = 0;
  std::visit(
      [&](auto& before) {
        const auto untied = [&](Index begin, Index end) {
          for (Index place = begin; place < end; ++place) {
            const std::uint32_t rank = at(place);
            discordant += before.greater(rank);
            before.meet(rank);
          }
        };
        before.start(x.n_rank);
        Index done = 0;
        for (const auto& [begin, end] : groups_) {
          untied(done, begin);
          // Equals in y are not discordant: all are counted before any is met.
          for (Index place = begin; place < end; ++place) {
            const std::uint32_t rank = at(place);
            discordant += before.greater(rank);
            tied_in_both += room.in_group_[rank]++;
          }
          for (Index place = begin; place < end; ++place) {
            const std::uint32_t rank = at(place);
            before.meet(rank);
            room.in_group_[rank] = 0;
          }
          done = end;
        }
        untied(done, n_pair);
      },
      room.before_);
  return pairs_of(n_pair) - x.ties - ties_ + tied_in_both - 2 * static_cast<Index>(discordant);
}

}  // namespace dnnbrain
