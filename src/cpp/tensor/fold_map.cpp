#include "dnnbrain/tensor/fold_map.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

/// Targets of a tile: its predictions and responses stay in cache, whatever the thread count.
constexpr Index kTile = 256;

/// Tiles between two looks at the monitor.
constexpr Index kTilesPerStep = 32;

/// Bytes of a chunk of columns in fp64.
constexpr Index kChunkBytes = Index{64} << 20;

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

/// Rounding of a sum of squares over many units, in units of the last place.
constexpr double kOffsetRounding = 256;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// Inner products about the training mean.
struct CentredGram {
  at::Tensor train;   // (n_train, n_train)
  at::Tensor test;    // (n_test, n_train)
  double offset = 0;  // square of what centring took off
};

/// Columns about their training mean, and over their training standard deviation if asked for.
struct CentredColumns {
  at::Tensor train;  // (n_train, n)
  at::Tensor test;   // (n_test, n)
};

CentredGram centred_gram(const at::Tensor& gram, const Fold& fold) {
  const at::Tensor train = gram.index_select(0, fold.train).index_select(1, fold.train);
  const at::Tensor test = gram.index_select(0, fold.test).index_select(1, fold.train);
  const at::Tensor column_mean = train.mean(0, /*keepdim=*/true);
  const at::Tensor grand_mean = column_mean.mean();
  return {train - column_mean - column_mean.t() + grand_mean,
          test - test.mean(1, /*keepdim=*/true) - column_mean + grand_mean,
          std::max(0.0, grand_mean.item<double>())};
}

/// A column without variance but for rounding keeps its scale, as in scikit-learn.
at::Tensor standard_deviation(const at::Tensor& centred, const at::Tensor& mean) {
  const double n = static_cast<double>(centred.size(0));
  const at::Tensor variance = (centred * centred).mean(0);
  const at::Tensor rounding = n * kEpsilon * mean;
  const at::Tensor varies = variance > n * kEpsilon * variance + rounding * rounding;
  return at::where(varies, variance.sqrt(), at::ones_like(variance));
}

CentredColumns centred_columns(const at::Tensor& columns, const Fold& fold, bool standardize) {
  const at::Tensor train = columns.index_select(0, fold.train).to(at::kDouble);
  // About the first row before about the mean, so that a constant column becomes exactly zero.
  const at::Tensor first = train[0];
  CentredColumns out{train - first, columns.index_select(0, fold.test).to(at::kDouble) - first};
  const at::Tensor to_mean = out.train.mean(0);
  out.train -= to_mean;
  out.test -= to_mean;
  if (standardize) {
    const at::Tensor scale = standard_deviation(out.train, first + to_mean);
    out.train /= scale;
    out.test /= scale;
  }
  return out;
}

CentredGram centred_gram_of_columns(const at::Tensor& features,
                                    const Fold& fold,
                                    bool standardize) {
  const Index n_train = fold.train.size(0);
  const Index n_test = fold.test.size(0);
  const Index step = std::max<Index>(1, kChunkBytes / (8 * (n_train + n_test)));
  const auto options = features.options().dtype(at::kDouble);
  CentredGram gram{at::zeros({n_train, n_train}, options), at::zeros({n_test, n_train}, options)};
  for (Index first = 0; first < features.size(1); first += step) {
    const Index n = std::min(step, features.size(1) - first);
    const CentredColumns chunk = centred_columns(features.narrow(1, first, n), fold, standardize);
    gram.train.addmm_(chunk.train, chunk.train.t());
    gram.test.addmm_(chunk.test, chunk.train.t());
  }
  return gram;
}

/// Eigenvalues, ascending, of at most this are rounding: a component without variance carries
/// nothing. What centring takes off leaves its own rounding, the same in all entries and so n_train
/// times as large in an eigenvalue.
double dual_floor(const at::Tensor& values, double offset) {
  const Index n_train = values.size(0);
  const double scale = std::max(0.0, values[n_train - 1].item<double>()) + kOffsetRounding * offset;
  return static_cast<double>(n_train) * kEpsilon * scale;
}

double primal_floor(const at::Tensor& values, Index n_train) {
  const Index n_feat = values.size(0);
  return static_cast<double>(std::max(n_train, n_feat)) * kEpsilon *
         std::max(0.0, values[n_feat - 1].item<double>());
}

/// w of the header. `values` are L in ascending order; what is below the floor is rounding.
at::Tensor component_weights(const at::Tensor& values,
                             double floor,
                             Index n_train,
                             const MapOptions& options) {
  const double whitened = static_cast<double>(n_train - 1);
  const at::Tensor weights = options.whiten
                                 ? whitened / (whitened + options.alpha) * values.reciprocal()
                                 : (values + options.alpha).reciprocal();
  return at::where(values > floor, weights, at::zeros_like(weights));
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

FoldMap dual_map(const CentredGram& gram, const MapOptions& options) {
  const Index n_train = gram.train.size(0);
  if (options.n_comp == 0 && options.alpha > 0) {
    if (const auto solved = ridge_solve(gram.train, options.alpha, gram.test.t())) {
      return {solved->t(), {}};
    }
  }
  const auto [values, vectors] = at::linalg_eigh(gram.train);
  const Index n_comp = options.n_comp == 0 ? n_train : options.n_comp;
  const at::Tensor top = values.narrow(0, n_train - n_comp, n_comp);
  const at::Tensor u = vectors.narrow(1, n_train - n_comp, n_comp);
  const double floor = dual_floor(values, gram.offset);
  const at::Tensor weights = component_weights(top, floor, n_train, options);
  return cheaper({at::matmul(gram.test, u) * weights, u.t()});
}

FoldMap primal_map(const CentredColumns& x, const MapOptions& options) {
  const Index n_train = x.train.size(0);
  const Index n_feat = x.train.size(1);
  const double size = static_cast<double>(std::max(n_train, n_feat));
  if (options.n_comp == 0 && options.alpha == 0) {
    // Least squares keeps the digits that squaring the features would lose.
    const auto [u, s, vh] = at::linalg_svd(x.train, /*full_matrices=*/false);
    const double floor = size * kEpsilon * s[0].item<double>();
    const at::Tensor weights = at::where(s > floor, s.reciprocal(), at::zeros_like(s));
    return cheaper({at::matmul(x.test, vh.t()) * weights, u.t()});
  }
  const at::Tensor covariance = at::matmul(x.train.t(), x.train);
  if (options.n_comp == 0) {
    if (const auto solved = ridge_solve(covariance, options.alpha, x.test.t())) {
      return cheaper({solved->t(), x.train.t()});
    }
  }
  const auto [values, vectors] = at::linalg_eigh(covariance);
  const Index n_comp = options.n_comp == 0 ? n_feat : options.n_comp;
  const at::Tensor top = values.narrow(0, n_feat - n_comp, n_comp);
  const at::Tensor v = vectors.narrow(1, n_feat - n_comp, n_comp);
  const double floor = primal_floor(values, n_train);
  const at::Tensor weights = component_weights(top, floor, n_train, options);
  return cheaper({at::matmul(x.test, v) * weights, at::matmul(x.train, v).t()});
}

/// Components in descending order; those of rounding zero.
FoldComponents finished(const at::Tensor& train,
                        const at::Tensor& test,
                        const at::Tensor& kept,
                        const MapOptions& options) {
  at::Tensor scale = at::where(kept, at::ones_like(train[0]), at::zeros_like(train[0]));
  if (options.whiten) {
    const at::Tensor variance = (train * train).sum(0) / static_cast<double>(train.size(0) - 1);
    scale = at::where(kept, variance.rsqrt(), at::zeros_like(variance));
  }
  return {(train * scale).flip(1).contiguous(), (test * scale).flip(1).contiguous()};
}

FoldComponents dual_components(const CentredGram& gram, const MapOptions& options) {
  const Index n_train = gram.train.size(0);
  const auto [values, vectors] = at::linalg_eigh(gram.train);
  const at::Tensor top = values.narrow(0, n_train - options.n_comp, options.n_comp);
  const at::Tensor u = vectors.narrow(1, n_train - options.n_comp, options.n_comp);
  const at::Tensor kept = top > dual_floor(values, gram.offset);
  const at::Tensor length = at::where(kept, top, at::ones_like(top)).sqrt();
  return finished(u * length, at::matmul(gram.test, u) / length, kept, options);
}

FoldComponents primal_components(const CentredColumns& x, const MapOptions& options) {
  const Index n_feat = x.train.size(1);
  const auto [values, vectors] = at::linalg_eigh(at::matmul(x.train.t(), x.train));
  const at::Tensor v = vectors.narrow(1, n_feat - options.n_comp, options.n_comp);
  const at::Tensor top = values.narrow(0, n_feat - options.n_comp, options.n_comp);
  const at::Tensor kept = top > primal_floor(values, x.train.size(0));
  return finished(at::matmul(x.train, v), at::matmul(x.test, v), kept, options);
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

void check_options(const MapOptions& options, Index n_train, Index most) {
  DNNBRAIN_REQUIRE(options.alpha >= 0, "alpha must not be negative; got ", options.alpha, ".");
  DNNBRAIN_REQUIRE(options.n_comp >= 0 && options.n_comp <= most && options.n_comp < n_train,
                   "n_components must be at most ",
                   std::min(most, n_train - 1),
                   " in a fold of ",
                   n_train,
                   " training stimuli; got ",
                   options.n_comp,
                   ".");
}

void check_gram(const at::Tensor& gram, const Fold& fold, const MapOptions& options) {
  DNNBRAIN_REQUIRE(
      gram.dim() == 2 && gram.size(0) == gram.size(1) && gram.scalar_type() == at::kDouble,
      "gram must be a square float64 matrix.");
  DNNBRAIN_REQUIRE(!options.standardize, "standardising needs the features, not their Gram.");
  check_options(options, fold.train.numel(), gram.size(0));
}

void check_features(const at::Tensor& features, const Fold& fold, const MapOptions& options) {
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.size(1) > 0 && features.is_floating_point(),
                   "features must be a floating-point matrix of shape (n_stim, n_feat).");
  check_options(options, fold.train.numel(), features.size(1));
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

FoldMap gram_fold_map(const at::Tensor& gram, const Fold& fold, const MapOptions& options) {
  const at::NoGradGuard no_grad;
  check_gram(gram, fold, options);
  return dual_map(centred_gram(gram, fold), options);
}

FoldMap feature_fold_map(const at::Tensor& features, const Fold& fold, const MapOptions& options) {
  const at::NoGradGuard no_grad;
  check_features(features, fold, options);
  if (features.size(1) < fold.train.numel()) {
    return primal_map(centred_columns(features, fold, options.standardize), options);
  }
  return dual_map(centred_gram_of_columns(features, fold, options.standardize), options);
}

FoldComponents gram_fold_components(const at::Tensor& gram,
                                    const Fold& fold,
                                    const MapOptions& options) {
  const at::NoGradGuard no_grad;
  check_gram(gram, fold, options);
  return dual_components(centred_gram(gram, fold), options);
}

FoldComponents feature_fold_components(const at::Tensor& features,
                                       const Fold& fold,
                                       const MapOptions& options) {
  const at::NoGradGuard no_grad;
  check_features(features, fold, options);
  if (features.size(1) < fold.train.numel()) {
    return primal_components(centred_columns(features, fold, options.standardize), options);
  }
  return dual_components(centred_gram_of_columns(features, fold, options.standardize), options);
}

FoldKernels gram_fold_kernels(const at::Tensor& gram, const Fold& fold) {
  const at::NoGradGuard no_grad;
  check_gram(gram, fold, {});
  const CentredGram centred = centred_gram(gram, fold);
  return {centred.train, centred.test};
}

FoldKernels feature_fold_kernels(const at::Tensor& features, const Fold& fold, bool standardize) {
  const at::NoGradGuard no_grad;
  check_features(features, fold, {});
  const CentredGram centred = centred_gram_of_columns(features, fold, standardize);
  return {centred.train, centred.test};
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
