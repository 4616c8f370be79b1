#include "dnnbrain/kernels/searchlight.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/kernels/rdm_scorer.hpp"

namespace dnnbrain {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Work between two looks at the monitor, in FLOP of a thread: some 20 ms.
constexpr double kWorkAtOnce = 4e8;

void check_arguments(const LocalData& data,
                     const NeighbourhoodView& neighbourhoods,
                     const MatrixView& models,
                     const SearchlightOptions& options) {
  DNNBRAIN_REQUIRE(data.n_cond >= 3, "there must be at least 3 conditions; got ", data.n_cond, ".");
  DNNBRAIN_REQUIRE(data.metric == LocalMetric::kCrossnobis ? data.n_run >= 2 : data.n_run == 1,
                   "crossnobis needs at least 2 runs, other metrics 1; got ",
                   data.n_run,
                   ".");
  DNNBRAIN_REQUIRE(data.values.cols() == data.n_run * data.n_cond,
                   "a channel must have ",
                   data.n_run * data.n_cond,
                   " values; got ",
                   data.values.cols(),
                   ".");
  DNNBRAIN_REQUIRE(models.rows() == 0 || models.cols() == pair_count(data.n_cond),
                   "models of ",
                   data.n_cond,
                   " conditions must have ",
                   pair_count(data.n_cond),
                   " pairs; got ",
                   models.cols(),
                   ".");
  DNNBRAIN_REQUIRE(
      options.n_threads >= 1, "n_threads must be positive; got ", options.n_threads, ".");
  const auto& [starts, members] = neighbourhoods;
  DNNBRAIN_REQUIRE(!starts.empty() && starts.front() == 0 &&
                       starts.back() == static_cast<Index>(members.size()) &&
                       std::is_sorted(starts.begin(), starts.end()),
                   "starts must ascend from 0 to the number of members.");
  for (const std::int32_t channel : members) {
    DNNBRAIN_REQUIRE(channel >= 0 && channel < data.values.rows(),
                     "members must be channels from 0 to ",
                     data.values.rows() - 1,
                     "; got ",
                     channel,
                     ".");
  }
}

std::span<const std::int32_t> members_of(const NeighbourhoodView& neighbourhoods, Index centre) {
  const auto at = static_cast<std::size_t>(centre);
  const auto first = static_cast<std::size_t>(neighbourhoods.starts[at]);
  const auto end = static_cast<std::size_t>(neighbourhoods.starts[at + 1]);
  return neighbourhoods.members.subspan(first, end - first);
}

Index largest(const NeighbourhoodView& neighbourhoods) {
  Index most = 0;
  for (Index centre = 0; centre < neighbourhoods.n_centre(); ++centre) {
    most = std::max(most, static_cast<Index>(members_of(neighbourhoods, centre).size()));
  }
  return most;
}

/// One thread's room for an RDM and its scores.
struct Bench {
  Bench(const LocalData& data, const std::optional<RdmScorer>& scorer)
      : rdm(data), distances(static_cast<std::size_t>(pair_count(data.n_cond))) {
    if (scorer) room.emplace(*scorer);
  }

  LocalRdm rdm;
  std::vector<double> distances;
  std::optional<RdmScorer::Room> room;
};

/// FLOP of one task, roughly: the product, and ten for each value ranked and scored.
double work(const LocalData& data, double n_channel, Index n_model) {
  const double n = static_cast<double>(data.n_cond);
  return n * n * (n_channel * static_cast<double>(data.n_run) + 100 + static_cast<double>(n_model));
}

Index tasks_at_once(double work_of_one, int n_threads) {
  return std::max<Index>(1, static_cast<Index>(kWorkAtOnce / work_of_one)) * n_threads;
}

}  // namespace

SearchlightResult searchlight(const LocalData& data,
                              const NeighbourhoodView& neighbourhoods,
                              const MatrixView& models,
                              const SearchlightOptions& options,
                              Monitor& monitor) {
  check_arguments(data, neighbourhoods, models, options);
  const Index n_centre = neighbourhoods.n_centre();
  const Index n_model = models.rows();
  const Index n_pair = pair_count(data.n_cond);
  const Index most = largest(neighbourhoods);
  std::optional<RdmScorer> scorer;
  if (n_model > 0) scorer.emplace(models, options.comparator);
  SearchlightResult result{Matrix::Constant(n_centre, n_model, kNaN),
                           Matrix(options.keep_rdms ? n_centre : 0, n_pair)};
  result.rdms.setConstant(kNaN);

  const Index at_once =
      tasks_at_once(work(data, static_cast<double>(most), n_model), options.n_threads);
  monitor.start(n_centre);
  for (Index first = 0; first < n_centre; first += at_once) {
    const Index n_here = std::min(at_once, n_centre - first);
    parallel_chunks(n_here, options.n_threads, [&](Index begin, Index end) {
      LocalPanel panel(data, most);
      Bench bench(data, scorer);
      for (Index centre = first + begin; centre < first + end; ++centre) {
        const auto members = members_of(neighbourhoods, centre);
        if (members.empty() || !panel.load(members)) continue;
        bench.rdm.within(panel, bench.distances);
        if (options.keep_rdms) {
          std::copy(bench.distances.begin(), bench.distances.end(), result.rdms.row(centre).data());
        }
        if (scorer) {
          scorer->score(bench.distances,
                        *bench.room,
                        {result.scores.row(centre).data(), static_cast<std::size_t>(n_model)});
        }
      }
    });
    monitor.step(n_here);
  }
  return result;
}

Matrix generalisation(const LocalData& data,
                      const NeighbourhoodView& neighbourhoods,
                      const MatrixView& models,
                      const SearchlightOptions& options,
                      Monitor& monitor) {
  check_arguments(data, neighbourhoods, models, options);
  const Index n_time = neighbourhoods.n_centre();
  const Index n_model = models.rows();
  const Index n_channel = largest(neighbourhoods);
  DNNBRAIN_REQUIRE(n_model >= 1, "there must be a model.");
  for (Index time = 0; time < n_time; ++time) {
    DNNBRAIN_REQUIRE(static_cast<Index>(members_of(neighbourhoods, time).size()) == n_channel,
                     "all times must have equally many channels.");
  }
  DNNBRAIN_REQUIRE(data.metric != LocalMetric::kEuclidean,
                   "Euclidean distances across times may have no root; use their squares.");
  std::optional<RdmScorer> scorer;
  scorer.emplace(models, options.comparator);
  Matrix scores = Matrix::Constant(n_model, n_time * n_time, kNaN);

  std::vector<std::pair<Index, Index>> pairs;  // row by row, so that a thread keeps the left panel
  for (Index i = 0; i < n_time; ++i) {
    for (Index j = i; j < n_time; ++j) pairs.emplace_back(i, j);
  }
  const Index n_pair = static_cast<Index>(pairs.size());
  const Index at_once =
      tasks_at_once(2 * work(data, static_cast<double>(n_channel), n_model), options.n_threads);
  monitor.start(n_pair);
  for (Index first = 0; first < n_pair; first += at_once) {
    const Index n_here = std::min(at_once, n_pair - first);
    parallel_chunks(n_here, options.n_threads, [&](Index begin, Index end) {
      LocalPanel left(data, n_channel);
      LocalPanel right(data, n_channel);
      Bench bench(data, scorer);
      std::vector<double> out(static_cast<std::size_t>(n_model));
      Index held = -1;
      bool defined = false;
      for (Index task = first + begin; task < first + end; ++task) {
        const auto [i, j] = pairs[static_cast<std::size_t>(task)];
        if (i != held) defined = left.load(members_of(neighbourhoods, i));
        held = i;
        if (!defined || !right.load(members_of(neighbourhoods, j))) continue;
        bench.rdm.across(left, right, bench.distances);
        scorer->score(bench.distances, *bench.room, out);
        for (Index model = 0; model < n_model; ++model) {
          scores(model, i * n_time + j) = out[static_cast<std::size_t>(model)];
          scores(model, j * n_time + i) = out[static_cast<std::size_t>(model)];
        }
      }
    });
    monitor.step(n_here);
  }
  return scores;
}

}  // namespace dnnbrain
