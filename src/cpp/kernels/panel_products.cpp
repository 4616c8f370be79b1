#include "dnnbrain/kernels/panel_products.hpp"

#include <algorithm>
#include <array>

#include "dnnbrain/core/simd.hpp"

namespace dnnbrain {

namespace {

/// Relabellings and RDMs that an inner loop multiplies with each other.
constexpr Index kOrders = 4;
constexpr Index kGroup = 4;

/// Lanes of a sum, on any machine.
constexpr Index kLanes = 8;

/// Values of a panel, for each relabelling: a few rows of a small RDM, one row of a large one.
constexpr Index kPanel = 512;

/// Tables beyond this many bytes are not in the second-level cache: the next row is called early.
constexpr Index kCached = Index{512} << 10;

struct Panel {
  std::array<const double*, kOrders> of;  // (length,)
  Index length;                           // in whole kLanes
};

using Sums = std::array<std::array<double, kGroup>, kOrders>;

// sums[p][s] += sum_k panel.of[p][k] * b[s * stride + k], for kOrders p and n_b s.
//
// One body for several instruction sets. A macro, because GCC takes vectors apart for the
// instructions of a function before it inlines that function into another.
#define DNNBRAIN_MULTIPLY(name, n_lane, n_b)                                               \
  void name(const Panel& panel, const double* b, Index stride, Sums& sums) {               \
    using Part [[gnu::vector_size(n_lane * 8), gnu::may_alias, gnu::aligned(8)]] = double; \
    constexpr Index kParts = kLanes / n_lane;                                              \
    constexpr Index kTogether = n_lane == kLanes ? n_b : 1;                                \
    for (Index first = 0; first < n_b; first += kTogether) {                               \
      Part total[kOrders][kTogether][kParts] = {};                                         \
      for (Index k = 0; k < panel.length; k += kLanes) {                                   \
        for (Index part = 0; part < kParts; ++part) {                                      \
          const Index at = k + part * n_lane;                                              \
          Part x[kOrders];                                                                 \
          for (Index p = 0; p < kOrders; ++p) {                                            \
            const double* from = panel.of[static_cast<std::size_t>(p)] + at;               \
            x[p] = *reinterpret_cast<const Part*>(from);                                   \
          }                                                                                \
          for (Index s = 0; s < kTogether; ++s) {                                          \
            const Part y = *reinterpret_cast<const Part*>(b + (first + s) * stride + at);  \
            for (Index p = 0; p < kOrders; ++p) total[p][s][part] += x[p] * y;             \
          }                                                                                \
        }                                                                                  \
      }                                                                                    \
      for (Index p = 0; p < kOrders; ++p) {                                                \
        for (Index s = 0; s < kTogether; ++s) {                                            \
          double sum = 0;                                                                  \
          for (Index part = 0; part < kParts; ++part) {                                    \
            for (Index lane = 0; lane < n_lane; ++lane) sum += total[p][s][part][lane];    \
          }                                                                                \
          sums[static_cast<std::size_t>(p)][static_cast<std::size_t>(first + s)] += sum;   \
        }                                                                                  \
      }                                                                                    \
    }                                                                                      \
  }

// clang-format off
DNNBRAIN_MULTIPLY(one_baseline, 2, 1)
DNNBRAIN_MULTIPLY(group_baseline, 2, kGroup)

#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_MULTIPLY(one_avx2, 4, 1)
[[gnu::target("avx2,fma")]] DNNBRAIN_MULTIPLY(group_avx2, 4, kGroup)
[[gnu::target("avx512f")]] DNNBRAIN_MULTIPLY(one_avx512, 8, 1)
[[gnu::target("avx512f")]] DNNBRAIN_MULTIPLY(group_avx512, 8, kGroup)
#endif

#undef DNNBRAIN_MULTIPLY

struct Multiply {
  using Function = void (*)(const Panel&, const double*, Index, Sums&);
  Function one;    // one b
  Function group;  // kGroup of them
};
// clang-format on

Multiply choose_multiply() {
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx512) return {one_avx512, group_avx512};
  if (widest_simd() >= Simd::kAvx2) return {one_avx2, group_avx2};
#endif
  return {one_baseline, group_baseline};
}

Index round_up(Index value, Index to) { return (value + to - 1) / to * to; }

}  // namespace

PanelProducts::PanelProducts(const MatrixView& b)
    : n_b_(b.rows()), b_(Matrix::Zero(round_up(b.rows(), kGroup), b.cols() + kLanes)) {
  b_.topLeftCorner(b.rows(), b.cols()) = b;
}

void PanelProducts::run(std::span<const double> a,
                        std::span<const std::int32_t> orders,
                        Index n_cond,
                        std::span<double> out) const {
  static const Multiply multiply = choose_multiply();
  const Index n_order = static_cast<Index>(orders.size()) / n_cond;
  const bool far = static_cast<Index>(a.size_bytes()) > kCached;
  const Index width = kPanel + round_up(n_cond, kLanes);
  std::vector<double> room(static_cast<std::size_t>(kOrders * width));
  std::vector<Sums> sums(static_cast<std::size_t>(b_.rows() / kGroup));

  for (Index first = 0; first < n_order; first += kOrders) {
    std::fill(sums.begin(), sums.end(), Sums{});
    const Index n_here = std::min(kOrders, n_order - first);
    Panel panel{};
    for (Index p = 0; p < kOrders; ++p) {
      // Behind the last relabelling the panel keeps what it has: nobody reads those sums.
      panel.of[static_cast<std::size_t>(p)] = room.data() + p * width;
    }
    Index column = 0;  // of b, where the panel begins
    for (Index row = 0; row + 1 < n_cond;) {
      Index length = 0;
      Index end = row;
      do {
        length += n_cond - 1 - end++;
      } while (end + 1 < n_cond && length < kPanel);
      panel.length = round_up(length, kLanes);
      for (Index p = 0; p < n_here; ++p) {
        const std::int32_t* order = orders.data() + (first + p) * n_cond;
        double* to = room.data() + p * width;
        for (Index i = row; i < end; ++i) {
          const double* from = a.data() + Index{order[i]} * n_cond;
          if (far) {
            const char* next =
                reinterpret_cast<const char*>(a.data() + Index{order[i + 1]} * n_cond);
            for (Index byte = 0; byte < n_cond * Index{sizeof(double)}; byte += 64) {
              __builtin_prefetch(next + byte, 0, 2);
            }
          }
          for (Index j = i + 1; j < n_cond; ++j) *to++ = from[order[j]];
        }
        std::fill(to, room.data() + p * width + panel.length, 0.0);
      }
      for (Index group = 0; group < b_.rows() / kGroup; ++group) {
        const bool alone = n_b_ - group * kGroup == 1;
        (alone ? multiply.one : multiply.group)(panel,
                                                b_.data() + group * kGroup * b_.cols() + column,
                                                b_.cols(),
                                                sums[static_cast<std::size_t>(group)]);
      }
      column += length;
      row = end;
    }
    for (Index p = 0; p < n_here; ++p) {
      for (Index s = 0; s < n_b_; ++s) {
        out[static_cast<std::size_t>((first + p) * n_b_ + s)] =
            sums[static_cast<std::size_t>(s / kGroup)][static_cast<std::size_t>(p)]
                [static_cast<std::size_t>(s % kGroup)];
      }
    }
  }
}

}  // namespace dnnbrain
