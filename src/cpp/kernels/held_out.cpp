#include "dnnbrain/kernels/held_out.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/parallel.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/core/simd.hpp"

namespace dnnbrain {

namespace {

/// Voxels of a tile: one row of it is a cache line.
constexpr Index kLane = 8;

/// Permutations that share one pass over the predictions of a tile.
constexpr Index kAtOnce = 4;

/// A row of a tile.
struct alignas(kLane * sizeof(double)) Row {
  double of[kLane];
};

/// Voxels whose permuted scores and rows are held together.
constexpr Index kBytesHeld = Index{48} << 20;

/// Draws that stay in the second-level cache while all tiles use them.
constexpr Index kBytesOfDraws = Index{256} << 10;

/// Draws that are kept rather than drawn again for the next voxels.
constexpr Index kBytesKept = Index{64} << 20;

/// Additions of a thread between two looks at the monitor: about 0.1 s.
constexpr Index kTermsAtOnce = Index{1} << 30;

/// What predictions may vary by without meaning it, relative to the largest of them.
constexpr double kConstant = 1e-13;

/// Room for rounding when two scores are compared, relative to the largest score that the norms
/// allow: a permutation that leaves the data as they are must count.
constexpr double kRounding = 1e-12;

// ---- Draws: where each row, or each block, of a permuted score is found ---------------------

/// Rows of a table, counted in doubles: one addition finds a row.
using Draws = std::vector<std::uint32_t>;

std::uint32_t offset_of(Index row) { return static_cast<std::uint32_t>(row * kLane); }

class Drawer {
 public:
  Drawer(const RowBlocks& blocks, const HeldOutOptions& options)
      : blocks_(blocks), options_(options) {}

  /// Terms of the sum that is a score.
  Index n_term() const {
    return options_.exchange == Exchange::kPermute ? blocks_.n_row() : blocks_.n_block();
  }

  /// The order as it was measured.
  void identity(std::span<std::uint32_t> out) const {
    for (Index term = 0; term < n_term(); ++term) {
      Index row = term;
      if (options_.exchange == Exchange::kCircular) row = start(term);
      if (options_.exchange == Exchange::kSign) row = 2 * term;
      out[static_cast<std::size_t>(term)] = offset_of(row);
    }
  }

  void draw(Index permutation, std::span<std::uint32_t> out) const {
    RandomStream stream(options_.seed, static_cast<std::uint64_t>(permutation));
    switch (options_.exchange) {
      case Exchange::kPermute:
        return permute(stream, out);
      case Exchange::kCircular:
        for (Index block = 0; block < blocks_.n_block(); ++block) {
          const Index length = start(block + 1) - start(block);
          const Index first = std::min(options_.min_shift, length / 2);
          const Index n_shift = first == 0 ? length : length - 2 * first + 1;
          out[static_cast<std::size_t>(block)] =
              offset_of(start(block) + first + below(stream, n_shift));
        }
        return;
      case Exchange::kSign:
        for (Index block = 0; block < blocks_.n_block(); ++block) {
          out[static_cast<std::size_t>(block)] = offset_of(2 * block + below(stream, 2));
        }
        return;
    }
  }

 private:
  Index start(Index block) const { return blocks_.block_starts[static_cast<std::size_t>(block)]; }

  static Index below(RandomStream& stream, Index bound) {
    return static_cast<Index>(stream.below(static_cast<std::uint32_t>(bound)));
  }

  void permute(RandomStream& stream, std::span<std::uint32_t> out) const {
    std::vector<Index> order;
    std::size_t position = 0;
    for (Index fold = 0; fold < blocks_.n_fold(); ++fold) {
      const Index first = blocks_.fold_starts[static_cast<std::size_t>(fold)];
      const Index last = blocks_.fold_starts[static_cast<std::size_t>(fold) + 1];
      order.resize(static_cast<std::size_t>(last - first));
      std::iota(order.begin(), order.end(), first);
      for (std::size_t left = order.size(); left > 1; --left) {
        std::swap(order[left - 1],
                  order[static_cast<std::size_t>(below(stream, static_cast<Index>(left)))]);
      }
      for (const Index block : order) {
        for (Index row = start(block); row < start(block + 1); ++row) {
          out[position++] = offset_of(row);
        }
      }
    }
  }

  const RowBlocks& blocks_;
  const HeldOutOptions& options_;
};

// ---- The inner loops: four permuted scores of eight voxels ----------------------------------

using Terms = std::array<const std::uint32_t*, kAtOnce>;  // each (n_term,)
using Sums = std::array<Row, kAtOnce>;

// out[k] = sum_i table[terms[k][i]] (x weights[i], where there are weights)
//
// One body for two instruction sets. A macro, because GCC takes vectors apart for the instructions
// of a function before it inlines that function into another.
#define DNNBRAIN_SUM_ROWS(name, register_bytes)                                                 \
  void name(const Row* table, const Row* weights, const Terms& terms, Index n, Sums& out) {     \
    using Part [[gnu::vector_size(register_bytes), gnu::may_alias]] = double;                   \
    constexpr std::size_t kPerPart = register_bytes / sizeof(double);                           \
    constexpr std::size_t kParts = kLane / kPerPart;                                            \
    const double* const first = table->of;                                                      \
    Part total[kAtOnce][kParts] = {};                                                           \
    if (weights == nullptr) {                                                                   \
      for (Index i = 0; i < n; ++i) {                                                           \
        for (std::size_t part = 0; part < kParts; ++part) {                                     \
          for (std::size_t k = 0; k < kAtOnce; ++k) {                                           \
            total[k][part] +=                                                                   \
                *reinterpret_cast<const Part*>(first + terms[k][i] + part * kPerPart);          \
          }                                                                                     \
        }                                                                                       \
      }                                                                                         \
    } else {                                                                                    \
      for (Index i = 0; i < n; ++i) {                                                           \
        for (std::size_t part = 0; part < kParts; ++part) {                                     \
          const Part weight = *reinterpret_cast<const Part*>(weights[i].of + part * kPerPart);  \
          for (std::size_t k = 0; k < kAtOnce; ++k) {                                           \
            total[k][part] +=                                                                   \
                *reinterpret_cast<const Part*>(first + terms[k][i] + part * kPerPart) * weight; \
          }                                                                                     \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
    for (std::size_t k = 0; k < kAtOnce; ++k) {                                                 \
      for (std::size_t part = 0; part < kParts; ++part) {                                       \
        *reinterpret_cast<Part*>(out[k].of + part * kPerPart) = total[k][part];                 \
      }                                                                                         \
    }                                                                                           \
  }

using SumRows = void (*)(const Row*, const Row*, const Terms&, Index, Sums&);

DNNBRAIN_SUM_ROWS(sum_rows_baseline, 16)

#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_SUM_ROWS(sum_rows_avx2, 32)
#endif

#undef DNNBRAIN_SUM_ROWS

    SumRows choose_sum_rows() {
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx2) return sum_rows_avx2;
#endif
  return sum_rows_baseline;
}

// ---- Tiles: eight voxels, centred and scaled so that scores are dot products -----------------

struct Tile {
  std::vector<Row> table;    // rows that draws point at
  std::vector<Row> weights;  // (n_row,) for kPermute, else empty
  Row offset;                // score = offset + sum
  Row slack;                 // rounding of a score
  Row observed;
};

/// Centre y and p in each fold; see the header for what a and b are.
template <class Real>
class Preparer {
 public:
  using View = Eigen::Ref<const RowMajor<Real>>;

  Preparer(const View& measured,
           const View& predicted,
           const RowBlocks& blocks,
           const HeldOutOptions& options,
           const Drawer& drawer,
           SumRows sum_rows)
      : measured_(measured),
        predicted_(predicted),
        blocks_(blocks),
        options_(options),
        drawer_(drawer),
        sum_rows_(sum_rows) {}

  /// Additions that a voxel asks for.
  Index n_term() const {
    Index terms = blocks_.n_row();
    if (options_.exchange != Exchange::kCircular) return terms;
    for (Index block = 0; block < blocks_.n_block(); ++block) {
      const auto length = static_cast<Index>(position_of(block + 1) - position_of(block));
      terms += length * length;
    }
    return terms;
  }

  Tile prepare(Index first_voxel) const {
    const auto n_row = static_cast<std::size_t>(blocks_.n_row());
    const Index n_here = std::min(kLane, measured_.cols() - first_voxel);
    std::vector<Row> y(n_row, Row{});
    std::vector<Row> p(n_row, Row{});
    for (std::size_t position = 0; position < n_row; ++position) {
      const Index row = blocks_.rows[position];
      for (Index v = 0; v < n_here; ++v) {
        y[position].of[v] = static_cast<double>(measured_(row, first_voxel + v));
        p[position].of[v] = static_cast<double>(predicted_(row, first_voxel + v));
      }
    }
    Tile tile{};
    Row n_scored{};
    for (Index fold = 0; fold < blocks_.n_fold(); ++fold) scale_fold(fold, y, p, tile, n_scored);
    for (Index v = 0; v < kLane; ++v) {
      const double folds = n_scored.of[v];
      const double share = folds > 0 ? 1.0 / folds : 0.0;
      tile.offset.of[v] =
          folds > 0 ? tile.offset.of[v] * share : std::numeric_limits<double>::quiet_NaN();
      tile.slack.of[v] *= share * kRounding;
      for (Row& row : p) row.of[v] *= share;
    }
    arrange(std::move(y), std::move(p), tile);
    observe(tile);
    return tile;
  }

 private:
  std::size_t position_of(Index block) const {
    return static_cast<std::size_t>(blocks_.block_starts[static_cast<std::size_t>(block)]);
  }

  void scale_fold(
      Index fold, std::vector<Row>& y, std::vector<Row>& p, Tile& tile, Row& n_scored) const {
    const std::size_t begin = position_of(blocks_.fold_starts[static_cast<std::size_t>(fold)]);
    const std::size_t end = position_of(blocks_.fold_starts[static_cast<std::size_t>(fold) + 1]);
    const double count = static_cast<double>(end - begin);
    for (std::size_t v = 0; v < static_cast<std::size_t>(kLane); ++v) {
      double y_mean = 0;
      double p_mean = 0;
      double p_largest = 0;
      bool y_varies = false;
      for (std::size_t i = begin; i < end; ++i) {
        y_mean += y[i].of[v];
        p_mean += p[i].of[v];
        p_largest = std::max(p_largest, std::abs(p[i].of[v]));
        y_varies |= y[i].of[v] != y[begin].of[v];
      }
      y_mean /= count;
      p_mean /= count;
      double yy = 0;
      double pp = 0;
      double p_swing = 0;
      for (std::size_t i = begin; i < end; ++i) {
        y[i].of[v] -= y_mean;
        p[i].of[v] -= p_mean;
        yy += y[i].of[v] * y[i].of[v];
        pp += p[i].of[v] * p[i].of[v];
        p_swing = std::max(p_swing, std::abs(p[i].of[v]));
      }
      // A constant prediction leaves the rounding of its mean.
      const bool p_varies = p_swing > kConstant * p_largest;
      const bool correlates = options_.agreement == Agreement::kPearson;
      double y_scale = 0;
      double p_scale = 0;
      if (y_varies) {
        n_scored.of[v] += 1;
        y_scale = 1.0 / std::sqrt(yy);
        if (!correlates) {
          const double bias = p_mean - y_mean;
          tile.offset.of[v] -= (pp + count * bias * bias) / yy;
        }
        if (p_varies) p_scale = correlates ? 1.0 / std::sqrt(pp) : 2.0 * y_scale;
        tile.slack.of[v] += p_scale * std::sqrt(pp);
      }
      for (std::size_t i = begin; i < end; ++i) {
        y[i].of[v] *= y_scale;
        p[i].of[v] *= p_scale;
      }
    }
  }

  /// Lay out the table that the draws point into.
  void arrange(std::vector<Row> y, std::vector<Row> p, Tile& tile) const {
    switch (options_.exchange) {
      case Exchange::kPermute:
        tile.table = std::move(y);
        tile.weights = std::move(p);
        return;
      case Exchange::kCircular:
        tile.table.resize(y.size());
        for (Index block = 0; block < blocks_.n_block(); ++block) rotate(block, y, p, tile);
        return;
      case Exchange::kSign:
        tile.table.resize(2 * static_cast<std::size_t>(blocks_.n_block()));
        for (Index block = 0; block < blocks_.n_block(); ++block) {
          Row product{};
          for (std::size_t i = position_of(block); i < position_of(block + 1); ++i) {
            for (std::size_t v = 0; v < static_cast<std::size_t>(kLane); ++v) {
              product.of[v] += y[i].of[v] * p[i].of[v];
            }
          }
          const auto entry = 2 * static_cast<std::size_t>(block);
          tile.table[entry] = product;
          for (std::size_t v = 0; v < static_cast<std::size_t>(kLane); ++v) {
            tile.table[entry + 1].of[v] = -product.of[v];
          }
        }
        return;
    }
  }

  /// Row s of a series' part of the table: sum_i y[(i + s) % length] p[i]. The series is laid out
  /// twice, so that a shift is a place to start from.
  void rotate(Index block, const std::vector<Row>& y, const std::vector<Row>& p, Tile& tile) const {
    const std::size_t begin = position_of(block);
    const std::size_t length = position_of(block + 1) - begin;
    std::vector<std::uint32_t> places(2 * length);
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i] = offset_of(static_cast<Index>(i % length));
    }
    for (std::size_t shift = 0; shift < length; shift += kAtOnce) {
      Terms terms;
      for (std::size_t k = 0; k < kAtOnce; ++k) {
        terms[k] = places.data() + std::min(shift + k, length - 1);
      }
      Sums sums;
      sum_rows_(y.data() + begin, p.data() + begin, terms, static_cast<Index>(length), sums);
      for (std::size_t k = 0; k < std::min<std::size_t>(kAtOnce, length - shift); ++k) {
        tile.table[begin + shift + k] = sums[k];
      }
    }
  }

  /// The score as measured, by the operations of the permuted ones.
  void observe(Tile& tile) const {
    Draws identity(static_cast<std::size_t>(drawer_.n_term()));
    drawer_.identity(identity);
    Terms terms;
    terms.fill(identity.data());
    Sums sums;
    sum_rows_(tile.table.data(),
              tile.weights.empty() ? nullptr : tile.weights.data(),
              terms,
              drawer_.n_term(),
              sums);
    for (std::size_t v = 0; v < static_cast<std::size_t>(kLane); ++v) {
      tile.observed.of[v] = tile.offset.of[v] + sums[0].of[v];
    }
  }

  const View& measured_;
  const View& predicted_;
  const RowBlocks& blocks_;
  const HeldOutOptions& options_;
  const Drawer& drawer_;
  SumRows sum_rows_;
};

// ---- From permuted scores to counts ----------------------------------------------------------

/// Larger is more extreme.
double extremity(double score, Alternative alternative) {
  if (alternative == Alternative::kTwoSided) return std::abs(score);
  return alternative == Alternative::kGreater ? score : -score;
}

/// Order statistics of many values: those of one bucket of a histogram are sorted, not all.
class OrderStatistics {
 public:
  explicit OrderStatistics(std::span<const double> values) : values_(values) {
    double largest = values.front();
    least_ = largest;
    for (const double value : values) {
      least_ = std::min(least_, value);
      largest = std::max(largest, value);
    }
    scale_ = static_cast<double>(kBuckets) / (largest - least_);
    // Too small a range to be divided: all in one bucket.
    if (!std::isfinite(scale_)) scale_ = 0.0;
    for (const double value : values) ++counts_[bucket_of(value)];
  }

  /// NumPy's default: linear interpolation between order statistics.
  double quantile(double share) {
    const double place = share * static_cast<double>(values_.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const double fraction = place - static_cast<double>(below);
    const double lower = at(below);
    return fraction == 0 ? lower : lower + fraction * (at(below + 1) - lower);
  }

 private:
  static constexpr std::size_t kBuckets = 512;

  std::size_t bucket_of(double value) const {
    return std::min(static_cast<std::size_t>((value - least_) * scale_), kBuckets - 1);
  }

  double at(std::size_t rank) {
    std::size_t bucket = 0;
    std::size_t before = 0;
    while (before + counts_[bucket] <= rank) before += counts_[bucket++];
    if (bucket != sorted_) {
      inside_.clear();
      for (const double value : values_) {
        if (bucket_of(value) == bucket) inside_.push_back(value);
      }
      std::sort(inside_.begin(), inside_.end());
      sorted_ = bucket;
    }
    return inside_[rank - before];
  }

  std::span<const double> values_;
  double least_ = 0;
  double scale_ = 0;
  std::array<std::size_t, kBuckets> counts_{};
  std::size_t sorted_ = kBuckets;
  std::vector<double> inside_;
};

void check_starts(const std::vector<Index>& starts, Index last, const char* name) {
  DNNBRAIN_REQUIRE(starts.size() >= 2 && starts.front() == 0 && starts.back() == last,
                   name,
                   " must run from 0 to ",
                   last,
                   ".");
  DNNBRAIN_REQUIRE(
      std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) == starts.end(),
      name,
      " must ascend.");
}

void check_arguments(Index n_row,
                     Index n_vox,
                     Index n_row_predicted,
                     Index n_vox_predicted,
                     const RowBlocks& blocks,
                     const HeldOutOptions& options) {
  DNNBRAIN_REQUIRE(n_row == n_row_predicted && n_vox == n_vox_predicted,
                   "measured and predicted must have one shape; got (",
                   n_row,
                   ", ",
                   n_vox,
                   ") and (",
                   n_row_predicted,
                   ", ",
                   n_vox_predicted,
                   ").");
  DNNBRAIN_REQUIRE(n_vox >= 1, "there must be at least one voxel.");
  constexpr Index kMostRows = Index{1} << 27;  // offsets are 32-bit
  DNNBRAIN_REQUIRE(blocks.n_row() >= 1 && blocks.n_row() < kMostRows,
                   "blocks must hold from 1 to ",
                   kMostRows - 1,
                   " rows; got ",
                   blocks.n_row(),
                   ".");
  for (const Index row : blocks.rows) {
    DNNBRAIN_REQUIRE(
        row >= 0 && row < n_row, "rows must be from 0 to ", n_row - 1, "; got ", row, ".");
  }
  check_starts(blocks.block_starts, blocks.n_row(), "block_starts");
  check_starts(blocks.fold_starts, blocks.n_block(), "fold_starts");
  DNNBRAIN_REQUIRE(options.n_perm >= 1, "n_perm must be positive; got ", options.n_perm, ".");
  DNNBRAIN_REQUIRE(
      options.min_shift >= 0, "min_shift must not be negative; got ", options.min_shift, ".");
  DNNBRAIN_REQUIRE(
      options.n_threads >= 1, "n_threads must be positive; got ", options.n_threads, ".");
  for (const double quantile : options.quantiles) {
    DNNBRAIN_REQUIRE(
        quantile >= 0 && quantile <= 1, "quantiles must be in [0, 1]; got ", quantile, ".");
  }
}

/// Sizes of the pieces of work.
struct Pieces {
  Index n_vox;       // voxels whose permuted scores are held together, a multiple of kLane
  Index n_perm;      // permutations between two looks at the monitor, a multiple of n_perm_hot
  Index n_perm_hot;  // permutations whose draws stay in cache, a multiple of kAtOnce

  Pieces(Index n_row, Index n_term, Index all_perm, int n_threads) {
    const Index per_voxel = static_cast<Index>(sizeof(double)) * (all_perm + 2 * n_row);
    n_vox = std::max(kLane * n_threads, kBytesHeld / per_voxel / kLane * kLane);
    const Index per_perm = static_cast<Index>(sizeof(std::uint32_t)) * n_term;
    n_perm_hot = std::max(kAtOnce, kBytesOfDraws / per_perm / kAtOnce * kAtOnce);
    const Index most = std::min(kBytesKept / per_perm, kTermsAtOnce * n_threads / (n_term * n_vox));
    n_perm = std::max<Index>(1, most / n_perm_hot) * n_perm_hot;
  }
};

template <class Real>
class HeldOutTest {
 public:
  using View = Eigen::Ref<const RowMajor<Real>>;

  HeldOutTest(const View& measured,
              const View& predicted,
              const RowBlocks& blocks,
              const HeldOutOptions& options)
      : options_(options),
        n_vox_(measured.cols()),
        drawer_(blocks, options),
        sum_rows_(choose_sum_rows()),
        preparer_(measured, predicted, blocks, options, drawer_, sum_rows_),
        pieces_(blocks.n_row(), drawer_.n_term(), options.n_perm, options.n_threads),
        slack_(1, n_vox_) {
    const auto n_quantile = static_cast<Index>(options.quantiles.size());
    result_.scores.resize(1, n_vox_);
    result_.exceed.setZero(1, n_vox_);
    result_.family_exceed.setZero(1, n_vox_);
    result_.band.setConstant(n_quantile, n_vox_, std::numeric_limits<double>::quiet_NaN());
    // In terms of extremity until all voxels have been seen.
    result_.extremes.setConstant(1, options.n_perm, -std::numeric_limits<double>::infinity());
    const Index n_piece = (options.n_perm + pieces_.n_perm - 1) / pieces_.n_perm;
    const Index bytes =
        options.n_perm * drawer_.n_term() * static_cast<Index>(sizeof(std::uint32_t));
    kept_.resize(bytes <= kBytesKept ? static_cast<std::size_t>(n_piece) : 0);
  }

  HeldOutResult run(Monitor& monitor) {
    const Index n_turn = (n_vox_ + pieces_.n_vox - 1) / pieces_.n_vox;
    const Index n_piece = (options_.n_perm + pieces_.n_perm - 1) / pieces_.n_perm;
    monitor.start(n_turn * n_piece);
    for (Index turn = 0; turn < n_turn; ++turn) {
      const Index first = turn * pieces_.n_vox;
      const Index n_here = std::min(pieces_.n_vox, n_vox_ - first);
      prepare(first, n_here, monitor);
      permuted_.resize(n_here, options_.n_perm);
      for (Index piece = 0; piece < n_piece; ++piece) {
        permute(piece, n_here);
        monitor.step();
      }
      reduce(first, n_here);
    }
    count_families();
    return std::move(result_);
  }

 private:
  void prepare(Index first, Index n_here, Monitor& monitor) {
    const Index n_tile = (n_here + kLane - 1) / kLane;
    tiles_.resize(static_cast<std::size_t>(n_tile));
    const Index n_look = std::max<Index>(
        options_.n_threads, kTermsAtOnce * options_.n_threads / (kLane * preparer_.n_term()));
    for (Index look = 0; look < n_tile; look += n_look) {
      const Index n_tile_here = std::min(n_look, n_tile - look);
      parallel_chunks(n_tile_here, options_.n_threads, [&](Index begin, Index end) {
        for (Index t = look + begin; t < look + end; ++t) {
          Tile& tile = tiles_[static_cast<std::size_t>(t)];
          tile = preparer_.prepare(first + t * kLane);
          for (Index v = 0; v < std::min(kLane, n_here - t * kLane); ++v) {
            result_.scores(0, first + t * kLane + v) = tile.observed.of[v];
            slack_(0, first + t * kLane + v) = tile.slack.of[v];
          }
        }
      });
      monitor.step(0);
    }
  }

  const Draws& draws_of(Index piece) {
    const Index first = piece * pieces_.n_perm;
    const Index n_here = std::min(pieces_.n_perm, options_.n_perm - first);
    Draws& draws = kept_.empty() ? drawn_ : kept_[static_cast<std::size_t>(piece)];
    const auto n_term = static_cast<std::size_t>(drawer_.n_term());
    if (!kept_.empty() && !draws.empty()) return draws;
    draws.resize(static_cast<std::size_t>(n_here) * n_term);
    parallel_chunks(n_here, options_.n_threads, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        drawer_.draw(first + i, {draws.data() + static_cast<std::size_t>(i) * n_term, n_term});
      }
    });
    return draws;
  }

  void permute(Index piece, Index n_vox_here) {
    const Draws& draws = draws_of(piece);
    const Index n_term = drawer_.n_term();
    const Index first = piece * pieces_.n_perm;
    const Index n_here = std::min(pieces_.n_perm, options_.n_perm - first);
    parallel_chunks(
        static_cast<Index>(tiles_.size()), options_.n_threads, [&](Index begin, Index end) {
          for (Index hot = 0; hot < n_here; hot += pieces_.n_perm_hot) {
            const Index n_hot = std::min(pieces_.n_perm_hot, n_here - hot);
            const std::uint32_t* const places = draws.data() + hot * n_term;
            for (Index t = begin; t < end; ++t) {
              permute_tile(t, places, first + hot, n_hot, std::min(kLane, n_vox_here - t * kLane));
            }
          }
        });
  }

  void permute_tile(
      Index t, const std::uint32_t* places, Index first, Index n_here, Index n_vox_here) {
    const Tile& tile = tiles_[static_cast<std::size_t>(t)];
    const Row* const weights = tile.weights.empty() ? nullptr : tile.weights.data();
    const Index n_term = drawer_.n_term();
    for (Index i = 0; i < n_here; i += kAtOnce) {
      Terms terms;
      for (Index k = 0; k < kAtOnce; ++k) {
        terms[static_cast<std::size_t>(k)] = places + std::min(i + k, n_here - 1) * n_term;
      }
      Sums sums;
      sum_rows_(tile.table.data(), weights, terms, n_term, sums);
      for (Index v = 0; v < n_vox_here; ++v) {
        for (Index k = 0; k < std::min(kAtOnce, n_here - i); ++k) {
          permuted_(t * kLane + v, first + i + k) =
              tile.offset.of[v] + sums[static_cast<std::size_t>(k)].of[v];
        }
      }
    }
  }

  /// Count over permutations, and keep the most extreme voxel of each.
  void reduce(Index first, Index n_here) {
    const auto scored = [&](Index v) { return !std::isnan(result_.scores(0, first + v)); };
    parallel_chunks(options_.n_perm, options_.n_threads, [&](Index begin, Index end) {
      for (Index v = 0; v < n_here; ++v) {
        if (!scored(v)) continue;
        for (Index i = begin; i < end; ++i) {
          double& most = result_.extremes(0, i);
          most = std::max(most, extremity(permuted_(v, i), options_.alternative));
        }
      }
    });
    parallel_chunks(n_here, options_.n_threads, [&](Index begin, Index end) {
      for (Index v = begin; v < end; ++v) {
        if (!scored(v)) continue;
        const double least = threshold(first + v);
        Index exceed = 0;
        for (Index i = 0; i < options_.n_perm; ++i) {
          exceed += extremity(permuted_(v, i), options_.alternative) >= least;
        }
        result_.exceed(0, first + v) = exceed;
        if (options_.quantiles.empty()) continue;
        OrderStatistics ordered({&permuted_(v, 0), static_cast<std::size_t>(options_.n_perm)});
        for (std::size_t q = 0; q < options_.quantiles.size(); ++q) {
          result_.band(static_cast<Index>(q), first + v) = ordered.quantile(options_.quantiles[q]);
        }
      }
    });
  }

  double threshold(Index v) const {
    return extremity(result_.scores(0, v), options_.alternative) - slack_(0, v);
  }

  void count_families() {
    std::vector<double> extremes(result_.extremes.data(),
                                 result_.extremes.data() + options_.n_perm);
    std::sort(extremes.begin(), extremes.end());
    for (Index v = 0; v < n_vox_; ++v) {
      if (std::isnan(result_.scores(0, v))) continue;
      result_.family_exceed(0, v) =
          extremes.end() - std::lower_bound(extremes.begin(), extremes.end(), threshold(v));
    }
    if (options_.alternative == Alternative::kLess) result_.extremes *= -1.0;
  }

  const HeldOutOptions& options_;
  Index n_vox_;
  Drawer drawer_;
  SumRows sum_rows_;
  Preparer<Real> preparer_;
  Pieces pieces_;
  Matrix slack_;  // (1, n_vox)
  std::vector<Tile> tiles_;
  std::vector<Draws> kept_;
  Draws drawn_;
  Matrix permuted_;  // (voxels at a time, n_perm)
  HeldOutResult result_;
};

}  // namespace

template <class Real>
HeldOutResult held_out_test(const Eigen::Ref<const RowMajor<Real>>& measured,
                            const Eigen::Ref<const RowMajor<Real>>& predicted,
                            const RowBlocks& blocks,
                            const HeldOutOptions& options,
                            Monitor& monitor) {
  check_arguments(
      measured.rows(), measured.cols(), predicted.rows(), predicted.cols(), blocks, options);
  return HeldOutTest<Real>(measured, predicted, blocks, options).run(monitor);
}

template HeldOutResult held_out_test<float>(const Eigen::Ref<const RowMajor<float>>&,
                                            const Eigen::Ref<const RowMajor<float>>&,
                                            const RowBlocks&,
                                            const HeldOutOptions&,
                                            Monitor&);
template HeldOutResult held_out_test<double>(const Eigen::Ref<const RowMajor<double>>&,
                                             const Eigen::Ref<const RowMajor<double>>&,
                                             const RowBlocks&,
                                             const HeldOutOptions&,
                                             Monitor&);

}  // namespace dnnbrain
