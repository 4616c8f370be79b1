#include "dnnbrain/tensor/pair_design.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/triu_indices.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/huge_pages.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Large enough for products at full speed, small enough to be combined in cache.
constexpr Index kTile = 256;

/// A variance below this share of the mean square is rounding.
constexpr double kConstant = 1e-12;

bool is_difference(PairKind kind) { return kind == PairKind::kSquaredDifference; }

void check_patterns(const at::Tensor& x) {
  DNNBRAIN_REQUIRE(
      x.dim() == 2 && x.size(0) >= 2 && x.size(1) >= 1 && x.scalar_type() == at::kDouble,
      "patterns must be float64 of shape (n, p), with at least two conditions.");
}

/// Differences do not change when columns are centred; their sums become exact.
at::Tensor centred_for(const at::Tensor& x, PairKind kind) {
  return is_difference(kind) ? x - x.mean(0, /*keepdim=*/true) : x;
}

/// What all tiles of D'D are made of. What is linear in Q is one product: columns of `rest` with
/// each other are n Q'Q + s s', or Q'Q.
struct GramParts {
  at::Tensor x;     // (p, n): columns of X side by side
  at::Tensor rest;  // (p, n + 1) or (p, n)
  bool difference;

  GramParts(const at::Tensor& patterns, PairKind kind) : difference(is_difference(kind)) {
    const at::Tensor centred = centred_for(patterns, kind);
    x = centred.t().contiguous();
    const at::Tensor q = x * x;
    if (!difference) {
      rest = q;
      return;
    }
    const double root = std::sqrt(static_cast<double>(patterns.size(0)));
    rest = at::cat({q * root, q.sum(1, /*keepdim=*/true)}, 1);
  }
};

/// Room for tiles, kept so that memory is not asked for again for each.
class TileRoom {
 public:
  explicit TileRoom(const at::TensorOptions& options)
      : cross_(at::empty({kTile * kTile}, options)), sum_(at::empty({kTile * kTile}, options)) {}

  at::Tensor cross(Index n_row, Index n_column) const { return part(cross_, n_row, n_column); }
  at::Tensor sum(Index n_row, Index n_column) const { return part(sum_, n_row, n_column); }

 private:
  static at::Tensor part(const at::Tensor& room, Index n_row, Index n_column) {
    return room.narrow(0, 0, n_row * n_column).view({n_row, n_column});
  }

  at::Tensor cross_;
  at::Tensor sum_;
};

struct Span {
  Index first;
  Index count;

  at::Tensor of(const at::Tensor& tensor, Index axis = 0) const {
    return tensor.narrow(axis, first, count);
  }
};

void write_tile(const at::Tensor& out,
                const GramParts& parts,
                const PairScaling* scaling,
                double n_pair,
                Span row,
                Span column,
                const TileRoom& room) {
  at::Tensor cross = room.cross(row.count, column.count);
  at::Tensor sum = room.sum(row.count, column.count);
  at::mm_out(cross, row.of(parts.x), column.of(parts.x).t());
  at::mm_out(sum, row.of(parts.rest), column.of(parts.rest).t());
  if (parts.difference) {
    sum.addcmul_(cross, cross, 2.0);
  } else {
    sum.neg_().addcmul_(cross, cross).mul_(0.5);
  }
  if (scaling != nullptr) {
    const at::Tensor mean = row.of(scaling->mean).unsqueeze(1);
    const at::Tensor scale = row.of(scaling->inverse_scale).unsqueeze(1);
    sum.addmm_(mean, column.of(scaling->mean).unsqueeze(0), 1.0, -n_pair);
    sum.mul_(scale).mul_(column.of(scaling->inverse_scale));
  }
  column.of(row.of(out), 1).copy_(sum);
  if (row.first == column.first) return;
  // Turned in cache; a copy between strided tiles is several times slower.
  at::Tensor turned = room.cross(column.count, row.count);
  turned.copy_(sum.t());
  row.of(column.of(out), 1).copy_(turned);
}

at::Tensor gram(const at::Tensor& patterns, const PairScaling* scaling, PairKind kind) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns);
  const GramParts parts(patterns, kind);
  const Index p = patterns.size(1);
  const double n_pair = static_cast<double>(pair_count(patterns.size(0)));
  at::Tensor out = at::empty({p, p}, patterns.options());
  if (out.is_cpu()) prefer_huge_pages(out.data_ptr(), static_cast<Index>(out.nbytes()));
  const Index n_strip = (p + kTile - 1) / kTile;
  for_each_task(n_strip, patterns.is_cpu(), [&](Index task) {
    const Index first = (n_strip - 1 - task) * kTile;  // the longest first
    const Span row{first, std::min(kTile, p - first)};
    const TileRoom room(patterns.options());
    for (Index column = 0; column <= first; column += kTile) {
      const Span columns{column, std::min(kTile, p - column)};
      write_tile(out, parts, scaling, n_pair, row, columns, room);
    }
  });
  return out;
}

/// Rows of the pairs' first and second conditions.
std::pair<at::Tensor, at::Tensor> pairs_of(Index n, const at::Tensor& like) {
  const at::Tensor places = at::triu_indices(n, n, 1, like.options().dtype(at::kLong));
  return {places[0], places[1]};
}

}  // namespace

PairScaling pair_scaling(const at::Tensor& patterns, PairKind kind) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns);
  const at::Tensor x = centred_for(patterns, kind);
  const double n = static_cast<double>(x.size(0));
  const double m = static_cast<double>(pair_count(x.size(0)));
  const at::Tensor q = x * x;
  const at::Tensor s = q.sum(0);
  const at::Tensor fourth = (q * q).sum(0);
  // Sums over pairs of the predictors and of their squares.
  const at::Tensor first = is_difference(kind) ? n * s : (x.sum(0).square() - s) / 2;
  const at::Tensor second =
      is_difference(kind) ? n * fourth + 3 * s.square() : (s.square() - fourth) / 2;
  at::Tensor mean = first / m;
  const at::Tensor square = second / m;
  const at::Tensor variance = square - mean.square();
  at::Tensor inverse = at::where(variance > kConstant * square, variance.rsqrt(), 0.0);
  return {std::move(mean), std::move(inverse)};
}

at::Tensor pair_gram(const at::Tensor& x, PairKind kind) { return gram(x, nullptr, kind); }

at::Tensor scaled_pair_gram(const at::Tensor& x, const PairScaling& scaling, PairKind kind) {
  return gram(x, &scaling, kind);
}

at::Tensor pair_products(const at::Tensor& patterns, const at::Tensor& rdms, PairKind kind) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns);
  const Index n = patterns.size(0);
  DNNBRAIN_REQUIRE(rdms.dim() == 3 && rdms.size(1) == n && rdms.size(2) == n,
                   "RDMs must have shape (T, ",
                   n,
                   ", ",
                   n,
                   ").");
  const at::Tensor x = centred_for(patterns, kind);
  at::Tensor out = at::empty({rdms.size(0), x.size(1)}, x.options());
  const at::Tensor q = is_difference(kind) ? x * x : at::Tensor();
  for_each_task(rdms.size(0), x.is_cpu(), [&](Index t) {
    at::Tensor row = out[t];
    row.copy_((at::mm(rdms[t], x).mul_(x)).sum(0));
    if (is_difference(kind)) {
      row.neg_().add_(q.t().mv(rdms[t].sum(1)));
    } else {
      row.div_(2);
    }
  });
  return out;
}

at::Tensor pair_kernel(const at::Tensor& patterns, const PairScaling& scaling, PairKind kind) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns);
  const at::Tensor x = centred_for(patterns, kind);
  const Index m = pair_count(x.size(0));
  const Index p = x.size(1);
  const auto [first, second] = pairs_of(x.size(0), x);
  at::Tensor kernel = at::zeros({m, m}, x.options());
  for (Index begin = 0; begin < p; begin += kTile) {
    const Index width = std::min(kTile, p - begin);
    const auto units = [&](const at::Tensor& of) { return of.narrow(0, begin, width); };
    const at::Tensor part = x.narrow(1, begin, width);
    at::Tensor design = part.index_select(0, first);
    const at::Tensor other = part.index_select(0, second);
    if (is_difference(kind)) {
      design.sub_(other).square_();
    } else {
      design.mul_(other);
    }
    design.sub_(units(scaling.mean)).mul_(units(scaling.inverse_scale));
    for_each_task((m + kTile - 1) / kTile, x.is_cpu(), [&](Index task) {
      const Index row = task * kTile;
      const Index n_row = std::min(kTile, m - row);
      kernel.narrow(0, row, n_row)
          .narrow(1, 0, row + n_row)
          .addmm_(design.narrow(0, row, n_row), design.narrow(0, 0, row + n_row).t());
    });
  }
  return kernel;
}

at::Tensor pair_predictions(const at::Tensor& patterns, const at::Tensor& weights, PairKind kind) {
  const at::NoGradGuard no_grad;
  check_patterns(patterns);
  DNNBRAIN_REQUIRE(weights.dim() == 2 && weights.size(1) == patterns.size(1),
                   "weights must have shape (b, ",
                   patterns.size(1),
                   ").");
  const at::Tensor x = centred_for(patterns, kind);
  const Index n = x.size(0);
  const auto [first, second] = pairs_of(n, x);
  const at::Tensor places = first * n + second;
  at::Tensor out = at::empty({weights.size(0), pair_count(n)}, x.options());
  for_each_task(weights.size(0), x.is_cpu(), [&](Index b) {
    at::Tensor products = at::mm(x * weights[b], x.t());
    if (is_difference(kind)) {
      const at::Tensor square = products.diagonal().clone();
      products.mul_(-2).add_(square.unsqueeze(1)).add_(square.unsqueeze(0));
    }
    out[b].copy_(products.view(-1).index_select(0, places));
  });
  return out;
}

at::Tensor square_of_pairs(const at::Tensor& condensed, Index n) {
  const auto [first, second] = pairs_of(n, condensed);
  at::Tensor out = at::zeros({condensed.size(0), n * n}, condensed.options());
  out.index_copy_(1, first * n + second, condensed);
  out.index_copy_(1, second * n + first, condensed);
  return out.view({condensed.size(0), n, n});
}

}  // namespace dnnbrain
