#include "dnnbrain/tensor/fold_map.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/symmetric.hpp"

namespace dnnbrain {

namespace {

/// Targets of a tile: its predictions and responses stay in cache, whatever the thread count.
constexpr Index kTile = 256;

/// Tiles between two looks at the monitor.
constexpr Index kTilesPerStep = 32;

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// w of the header.
at::Tensor component_weights(const FoldComponents& components, const MapOptions& options) {
  const at::Tensor& values = components.values;
  const double whitened = static_cast<double>(components.train.size(0) - 1);
  const at::Tensor weights = options.whiten
                                 ? whitened / (whitened + options.alpha) * values.reciprocal()
                                 : (values + options.alpha).reciprocal();
  return at::where(values > 0, weights, at::zeros_like(weights));
}

/// (K + alpha)^-1 of a symmetric matrix applied to the columns of `rhs`; nothing where K + alpha is
/// not positive definite to rounding.
std::optional<at::Tensor> ridge_solve(const at::Tensor& matrix,
                                      double alpha,
                                      const at::Tensor& rhs) {
  at::Tensor shifted = matrix.clone();
  shifted.diagonal() += alpha;
  const auto [factor, info] = at::linalg_cholesky_ex(shifted);
  if (info.item<int>() != 0) return std::nullopt;
  return at::cholesky_solve(rhs, factor);
}

/// One matrix where the product of two costs more per target.
FoldMap cheaper(FoldMap map) {
  const Index n_test = map.left.size(0);
  const Index rank = map.left.size(1);
  const Index n_train = map.right.size(1);
  if (rank * (n_test + n_train) < n_test * n_train) return map;
  return {at::matmul(map.left, map.right), {}};
}

/// Without components, where there is a shorter way than through all of them.
std::optional<FoldMap> direct_map(const FoldSource& source,
                                  const Fold& fold,
                                  const MapOptions& options) {
  if (options.n_comp > 0) return std::nullopt;
  if (!is_primal(source, fold)) {
    if (options.alpha == 0) return std::nullopt;
    const FoldKernels kernels = fold_kernels(source, fold);
    const auto solved = ridge_solve(kernels.train, options.alpha, kernels.test.t());
    if (!solved) return std::nullopt;
    return FoldMap{solved->t(), {}};
  }
  const FoldColumns x = fold_columns(source.data, fold, source.standardize);
  if (options.alpha == 0) {
    // Least squares keeps the digits that squaring the features would lose.
    const auto [u, s, vh] = at::linalg_svd(x.train, /*full_matrices=*/false);
    const double floor = static_cast<double>(x.train.size(0)) * kEpsilon * s[0].item<double>();
    const at::Tensor weights = at::where(s > floor, s.reciprocal(), at::zeros_like(s));
    return cheaper({at::matmul(x.test, vh.t()) * weights, u.t()});
  }
  const auto solved = ridge_solve(symmetric_product(x.train.t()), options.alpha, x.test.t());
  if (!solved) return std::nullopt;
  return cheaper({solved->t(), x.train.t()});
}

FoldMap make_map(const FoldSource& source, const Fold& fold, const MapOptions& options) {
  if (auto map = direct_map(source, fold, options)) return *std::move(map);
  const FoldComponents components = fold_components(source, fold, options.n_comp);
  return cheaper({components.test * component_weights(components, options), components.train.t()});
}

/// Responses of a tile, targets first, about the training mean.
struct TileFold {
  at::Tensor measured;   // (n_here, n_test)
  at::Tensor predicted;  // (n_here, n_test)
  at::Tensor mean;       // (n_here, 1)
  at::Tensor largest;    // (n_here,) of the training responses
};

TileFold predict_tile(const at::Tensor& tile, const FoldMap& map, const Fold& fold) {
  const at::Tensor train = tile.index_select(1, fold.train);
  const at::Tensor mean = train.mean(1, /*keepdim=*/true);
  const at::Tensor centred = train - mean;
  const at::Tensor reduced = map.right.defined() ? at::matmul(centred, map.right.t()) : centred;
  return {tile.index_select(1, fold.test) - mean,
          at::matmul(reduced, map.left.t()),
          mean,
          centred.abs().amax(1)};
}

/// Score of each row; NaN where the measured row is constant.
at::Tensor score_rows(const at::Tensor& measured,
                      const at::Tensor& predicted,
                      const at::Tensor& rounding,
                      FoldScore score) {
  const at::Tensor residual = measured - predicted;
  if (score == FoldScore::kMse) return (residual * residual).mean(1);
  const at::Tensor nan = at::full({}, std::numeric_limits<double>::quiet_NaN(), measured.options());
  // A constant row leaves the rounding of its mean.
  const at::Tensor varies = (measured != measured.narrow(1, 0, 1)).any(1);
  const at::Tensor y = measured - measured.mean(1, /*keepdim=*/true);
  const at::Tensor yy = (y * y).sum(1);
  if (score == FoldScore::kR2) {
    return at::where(varies, 1.0 - (residual * residual).sum(1) / yy, nan);
  }
  if (score == FoldScore::kExplainedVariance) {
    const at::Tensor centred = residual - residual.mean(1, /*keepdim=*/true);
    return at::where(varies, 1.0 - (centred * centred).sum(1) / yy, nan);
  }
  const at::Tensor p = predicted - predicted.mean(1, /*keepdim=*/true);
  const at::Tensor pp = (p * p).sum(1);
  // A constant prediction does not covary with anything: r = 0.
  const at::Tensor r = at::where(
      p.abs().amax(1) > rounding, (p * y).sum(1) / (pp.sqrt() * yy.sqrt()), at::zeros_like(pp));
  return at::where(varies, r.clamp(-1.0, 1.0), nan);
}

/// Scores of a tile: (n_fold or 1, n_here).
at::Tensor score_tile(const at::Tensor& tile,
                      const std::vector<FoldMap>& maps,
                      const std::vector<Fold>& folds,
                      FoldScore score,
                      bool pooled) {
  std::vector<at::Tensor> scores;
  std::vector<at::Tensor> measured;
  std::vector<at::Tensor> predicted;
  std::vector<at::Tensor> largest;
  // All held-out rows together are taken about one point, which no score depends on.
  const at::Tensor pilot = tile.mean(1, /*keepdim=*/true);
  for (std::size_t f = 0; f < folds.size(); ++f) {
    const TileFold part = predict_tile(tile, maps[f], folds[f]);
    if (pooled) {
      measured.push_back(tile.index_select(1, folds[f].test) - pilot);
      predicted.push_back(part.predicted + (part.mean - pilot));
      largest.push_back(part.largest);
    } else {
      scores.push_back(score_rows(part.measured, part.predicted, kRounding * part.largest, score));
    }
  }
  if (pooled) {
    const at::Tensor rounding = kRounding * at::stack(largest).amax(0);
    scores.push_back(score_rows(at::cat(measured, 1), at::cat(predicted, 1), rounding, score));
  }
  return at::stack(scores);
}

/// body(first, n_here) for every tile; tiles do not depend on the thread count.
template <class Body>
void for_each_tile(const at::Tensor& responses, Monitor& monitor, const Body& body) {
  const Index n_vox = responses.size(1);
  const Index n_tile = (n_vox + kTile - 1) / kTile;
  const auto run = [&](Index begin, Index end) {
    const at::NoGradGuard no_grad;
    for (Index tile = begin; tile < end; ++tile) {
      body(tile * kTile, std::min(kTile, n_vox - tile * kTile));
    }
  };
  monitor.start(n_vox);
  for (Index first = 0; first < n_tile; first += kTilesPerStep) {
    const Index last = std::min(n_tile, first + kTilesPerStep);
    if (responses.is_cpu()) {
      at::parallel_for(first, last, 1, run);
    } else {
      run(first, last);
    }
    monitor.step(std::min(n_vox, last * kTile) - first * kTile);
  }
}

at::Tensor tile_of(const at::Tensor& responses, Index first, Index n_here) {
  return responses.narrow(1, first, n_here).t().to(at::kDouble).contiguous();
}

void check_options(const FoldSource& source, const Fold& fold, const MapOptions& options) {
  DNNBRAIN_REQUIRE(options.alpha >= 0, "alpha must not be negative; got ", options.alpha, ".");
  const Index n_train = fold.train.numel();
  const Index most = std::min(source.data.size(1), n_train - 1);
  DNNBRAIN_REQUIRE(options.n_comp >= 0 && options.n_comp <= most,
                   "n_components must be at most ",
                   most,
                   " in a fold of ",
                   n_train,
                   " training stimuli; got ",
                   options.n_comp,
                   ".");
}

void check_maps(const std::vector<FoldMap>& maps,
                const at::Tensor& responses,
                const std::vector<Fold>& folds) {
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.is_floating_point(),
                   "responses must be a floating-point matrix of shape (n_stim, n_vox).");
  DNNBRAIN_REQUIRE(!folds.empty() && maps.size() == folds.size(),
                   "there must be one map per fold, and a fold at least; got ",
                   maps.size(),
                   " maps and ",
                   folds.size(),
                   " folds.");
  for (std::size_t f = 0; f < folds.size(); ++f) {
    const at::Tensor& input = maps[f].right.defined() ? maps[f].right : maps[f].left;
    DNNBRAIN_REQUIRE(
        maps[f].left.size(0) == folds[f].test.numel() && input.size(1) == folds[f].train.numel(),
        "the map of fold ",
        f,
        " does not fit its rows.");
  }
}

}  // namespace

std::vector<FoldMap> make_fold_maps(const FoldSource& source,
                                    const std::vector<Fold>& folds,
                                    const MapOptions& options,
                                    Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_source(source);
  for (const Fold& fold : folds) check_options(source, fold, options);
  const auto n_fold = static_cast<Index>(folds.size());
  // Singular values, of least squares on few features, are found outside of parallel regions: a
  // process once stopped inside one there, for a reason that is not known.
  const bool by_svd = !source.is_gram && options.n_comp == 0 && options.alpha == 0;
  const FoldSchedule schedule = by_svd ? FoldSchedule{} : schedule_folds(source, folds);
  std::vector<FoldMap> maps(folds.size());
  monitor.start(n_fold);
  for (Index first = 0; first < n_fold; first += schedule.at_once) {
    const Index last = std::min(n_fold, first + schedule.at_once);
    for_each_fold(schedule, first, last, [&](Index fold) {
      const auto place = static_cast<std::size_t>(fold);
      maps[place] = make_map(source, folds[place], options);
    });
    monitor.step(last - first);
  }
  return maps;
}

at::Tensor score_fold_maps(const std::vector<FoldMap>& maps,
                           const at::Tensor& responses,
                           const std::vector<Fold>& folds,
                           FoldScore score,
                           bool pooled,
                           Monitor& monitor) {
  check_maps(maps, responses, folds);
  const Index n_row = pooled ? 1 : static_cast<Index>(folds.size());
  const at::Tensor scores =
      at::empty({n_row, responses.size(1)}, responses.options().dtype(at::kDouble));
  for_each_tile(responses, monitor, [&](Index first, Index n_here) {
    const at::Tensor tile = tile_of(responses, first, n_here);
    scores.narrow(1, first, n_here).copy_(score_tile(tile, maps, folds, score, pooled));
  });
  return scores;
}

at::Tensor predict_fold_maps(const std::vector<FoldMap>& maps,
                             const at::Tensor& responses,
                             const std::vector<Fold>& folds,
                             Monitor& monitor) {
  check_maps(maps, responses, folds);
  Index n_row = 0;
  for (const Fold& fold : folds) n_row += fold.test.numel();
  const at::Tensor out = at::empty({n_row, responses.size(1)}, responses.options());
  for_each_tile(responses, monitor, [&](Index first, Index n_here) {
    const at::Tensor tile = tile_of(responses, first, n_here);
    Index row = 0;
    for (std::size_t f = 0; f < folds.size(); ++f) {
      const TileFold part = predict_tile(tile, maps[f], folds[f]);
      const Index n_test = part.predicted.size(1);
      out.narrow(0, row, n_test).narrow(1, first, n_here).copy_((part.predicted + part.mean).t());
      row += n_test;
    }
  });
  return out;
}

}  // namespace dnnbrain
