#include "dnnbrain/tensor/feature_ridge.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_pinv.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/target_tiles.hpp"

namespace dnnbrain {

namespace {

/// Rows of X that are squared at a time in fp64.
constexpr Index kRowChunk = 1024;

/// Rows of R that are multiplied at a time: what lies left of the triangle is skipped by block.
constexpr Index kTriangleBlock = 128;

/// Targets whose filtered weights are held at a time, within a tile.
constexpr Index kSubTile = 32;

/// A feature that varies less than this, relative to its size, does not vary.
constexpr double kNoVariance = 1e-26;

double skeleton_tolerance(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 1e-13; }

/// Sums over some rows, in fp64.
struct RowSums {
  at::Tensor xx;      // (p, p)
  at::Tensor zx;      // (z, p)
  at::Tensor zz;      // (z, z)
  double weight = 0;  // sum of ones^2

  RowSums& operator+=(const RowSums& other) {
    xx += other.xx;
    zx += other.zx;
    zz += other.zz;
    weight += other.weight;
    return *this;
  }
};

RowSums sum_rows(const at::Tensor& x,  // (n_row, p)
                 const at::Tensor& z,  // (n_row, z) fp64
                 const at::Tensor& ones) {
  const Index p = x.size(1);
  RowSums sums{at::zeros({p, p}, z.options()),
               at::zeros({z.size(1), p}, z.options()),
               at::mm(z.t(), z),
               (ones * ones).sum().item<double>()};
  for (Index first = 0; first < x.size(0); first += kRowChunk) {
    const Index n_row = std::min(kRowChunk, x.size(0) - first);
    const at::Tensor exact = x.narrow(0, first, n_row).to(at::kDouble);
    sums.xx.addmm_(exact.t(), exact);
    sums.zx.addmm_(z.narrow(0, first, n_row).t(), exact);
  }
  return sums;
}

/// The regression of X on Z over all rows, taken off: any such shift leaves results alone.
at::Tensor less_nuisance(const at::Tensor& x, const at::Tensor& nuisance) {
  if (nuisance.size(1) == 0) return x.contiguous();
  const at::Tensor fit = at::linalg_pinv(nuisance);  // (z, n)
  at::Tensor weights = at::zeros({nuisance.size(1), x.size(1)}, nuisance.options());
  for (Index first = 0; first < x.size(0); first += kRowChunk) {
    const Index n_row = std::min(kRowChunk, x.size(0) - first);
    weights.addmm_(fit.narrow(1, first, n_row), x.narrow(0, first, n_row).to(at::kDouble));
  }
  at::Tensor out = at::empty(x.sizes(), x.options());
  for (Index first = 0; first < x.size(0); first += kRowChunk) {
    const Index n_row = std::min(kRowChunk, x.size(0) - first);
    out.narrow(0, first, n_row)
        .copy_(x.narrow(0, first, n_row).to(at::kDouble) -
               at::mm(nuisance.narrow(0, first, n_row), weights));
  }
  return out;
}

/// The eigenproblem of a set of rows.
struct Spectrum {
  at::Tensor values;    // l (p,) fp64, those of rounding are 0
  at::Tensor rotation;  // D^-1 V (p, p) fp64
  at::Tensor zx_fit;    // (Z'Z)^-1 Z'X (z, p) fp64
  at::Tensor zz_inverse;
};

Spectrum decompose(const RowSums& sums, bool standardize) {
  Spectrum out;
  out.zz_inverse =
      sums.zz.size(0) > 0 ? at::linalg_pinv(sums.zz, /*rcond=*/1e-14, /*hermitian=*/true) : sums.zz;
  out.zx_fit = at::mm(out.zz_inverse, sums.zx);
  at::Tensor centred = sums.xx - at::mm(sums.zx.t(), out.zx_fit);
  centred = (centred + centred.t()) / 2;
  at::Tensor scale;
  if (standardize) {
    const at::Tensor variance = centred.diagonal() / sums.weight;
    const at::Tensor size = sums.xx.diagonal() / sums.weight;
    scale = at::where(variance > kNoVariance * size, variance.sqrt(), at::ones_like(variance));
    centred = centred / scale / scale.unsqueeze(1);
  }
  auto [values, vectors] = at::linalg_eigh(centred);
  const Index p = values.size(0);
  const double floor = static_cast<double>(p) * std::numeric_limits<double>::epsilon() *
                       std::max(0.0, values[p - 1].item<double>());
  out.values = at::where(values > floor, values, at::zeros_like(values));
  out.rotation = standardize ? vectors / scale.unsqueeze(1) : vectors;
  return out;
}

at::Tensor filters(const at::Tensor& values, const std::vector<double>& alphas) {
  const at::Tensor penalised = values + at::tensor(alphas, values.options()).unsqueeze(1);
  return at::where(penalised > 0, penalised.reciprocal(), at::zeros_like(penalised));
}

/// All that a fold needs while tiles go through it, in the responses' dtype.
struct FoldFactor {
  Spectrum spectrum;
  at::Tensor train;         // rows
  at::Tensor test;          // rows
  at::Tensor x_train;       // (n_train, p), unless sums over the folds do
  at::Tensor rotation;      // (p, p)
  at::Tensor filters;       // (n_member, p)
  at::Tensor triangle;      // R (n_row, p)
  at::Tensor basis;         // U (n_test, n_row)
  at::Tensor ones;          // (n_test,)
  at::Tensor rotated_ones;  // (n_row,)
  at::Tensor z_train;       // (n_train, z), likewise
  at::Tensor z_test;        // (n_test, z)
  at::Tensor z_inverse;     // (z, z)
  at::Tensor zx_fit;        // (z, p)
};

FoldFactor factor_fold(const RowSums& sums,
                       const Fold& fold,
                       const at::Tensor& x,
                       const at::Tensor& nuisance,
                       const at::Tensor& ones,
                       bool standardize) {
  const auto dtype = x.scalar_type();
  FoldFactor out;
  out.spectrum = decompose(sums, standardize);
  out.train = fold.train;
  out.test = fold.test;
  const at::Tensor z_test = nuisance.index_select(0, fold.test);
  const at::Tensor held_out =
      x.index_select(0, fold.test).to(at::kDouble) - at::mm(z_test, out.spectrum.zx_fit);
  const auto [basis, triangle] = at::linalg_qr(at::mm(held_out, out.spectrum.rotation), "reduced");
  const at::Tensor ones_test = ones.index_select(0, fold.test);
  out.rotation = out.spectrum.rotation.to(dtype);
  out.triangle = triangle.to(dtype);
  out.basis = basis.to(dtype);
  out.ones = ones_test.to(dtype);
  out.rotated_ones = basis.t().mv(ones_test).to(dtype);
  out.z_test = z_test.to(dtype);
  out.z_inverse = out.spectrum.zz_inverse.to(dtype);
  out.zx_fit = out.spectrum.zx_fit.to(dtype);
  return out;
}

/// What a tile's targets add up to with features and nuisance.
struct FoldTargets {
  at::Tensor y;   // (n_tile, n_test), a view
  at::Tensor xy;  // (n_tile, p)
  at::Tensor zy;  // (n_tile, z)
};

/// Sums over each fold's held-out rows, which lie side by side.
std::vector<FoldTargets> sums_of_folds(const at::Tensor& rows,  // (n_tile, n)
                                       const std::vector<FoldFactor>& factors,
                                       const std::vector<at::Tensor>& x_fold) {
  std::vector<FoldTargets> sums;
  Index begin = 0;
  for (std::size_t f = 0; f < factors.size(); ++f) {
    const Index n_test = factors[f].test.size(0);
    const at::Tensor y = rows.narrow(1, begin, n_test);
    sums.push_back({y, at::mm(y, x_fold[f]), at::mm(y, factors[f].z_test)});
    begin += n_test;
  }
  return sums;
}

/// Sums over all folds but one: never the whole less the fold. Of no such fold, over all.
FoldTargets sum_others(const std::vector<FoldTargets>& sums, std::size_t fold) {
  FoldTargets others;
  for (std::size_t f = 0; f < sums.size(); ++f) {
    if (f == fold) continue;
    if (!others.xy.defined()) {
      others.xy = sums[f].xy.clone();
      others.zy = sums[f].zy.clone();
    } else {
      others.xy += sums[f].xy;
      others.zy += sums[f].zy;
    }
  }
  return others;
}

/// (n_rows, p) x R' for R upper trapezoidal, by blocks of its rows.
void multiply_triangle(const at::Tensor& weights,   // (n_vector, p)
                       const at::Tensor& triangle,  // (n_row, p)
                       at::Tensor& out) {           // (n_vector, n_row)
  const Index n_row = triangle.size(0);
  const Index p = triangle.size(1);
  for (Index first = 0; first < n_row; first += kTriangleBlock) {
    const Index n_here = std::min(kTriangleBlock, n_row - first);
    at::Tensor block = out.narrow(1, first, n_here);
    at::mm_out(block,
               weights.narrow(1, first, p - first),
               triangle.narrow(0, first, n_here).narrow(1, first, p - first).t());
  }
}

void check(const at::Tensor& features, const at::Tensor& responses, const at::Tensor& nuisance) {
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.size(1) > 0,
                   "features must have shape (n, p) with p > 0.");
  DNNBRAIN_REQUIRE(features.scalar_type() == at::kFloat || features.scalar_type() == at::kDouble,
                   "features must be float32 or float64.");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.size(0) == features.size(0) &&
                       responses.scalar_type() == features.scalar_type(),
                   "responses must have shape (",
                   features.size(0),
                   ", n_target) and the dtype of the features.");
  DNNBRAIN_REQUIRE(nuisance.dim() == 2 && nuisance.size(0) == features.size(0) &&
                       nuisance.scalar_type() == at::kDouble,
                   "nuisance must be float64 of shape (",
                   features.size(0),
                   ", z).");
}

}  // namespace

GridScores cross_validate_feature_ridge(const at::Tensor& features,
                                        const at::Tensor& responses,
                                        const at::Tensor& nuisance,
                                        const at::Tensor& ones,
                                        const std::vector<Fold>& folds,
                                        const std::vector<double>& alphas,
                                        bool standardize,
                                        RidgeScore score,
                                        bool keep_folds,
                                        const at::Tensor& products,
                                        Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check(features, responses, nuisance);
  DNNBRAIN_REQUIRE(!alphas.empty() && !folds.empty(), "there must be an alpha and a fold.");
  const Index n = features.size(0);
  const Index p = features.size(1);
  const Index n_target = responses.size(1);
  const std::size_t n_fold = folds.size();
  const at::Tensor x = less_nuisance(features, nuisance);
  const bool partition = is_partition(folds, n);
  DNNBRAIN_REQUIRE(!products.defined() || partition,
                   "products are sums over folds that hold out every row once.");

  std::vector<RowSums> own;
  std::vector<at::Tensor> x_fold;
  if (partition) {
    for (const Fold& fold : folds) {
      x_fold.push_back(x.index_select(0, fold.test));
      own.push_back(sum_rows(
          x_fold.back(), nuisance.index_select(0, fold.test), ones.index_select(0, fold.test)));
    }
  }
  std::vector<FoldFactor> factors;
  double lowest = std::numeric_limits<double>::infinity();
  double highest = 0;
  for (std::size_t f = 0; f < n_fold; ++f) {
    RowSums train;
    if (partition) {
      train = {at::zeros_like(own[0].xx), at::zeros_like(own[0].zx), at::zeros_like(own[0].zz)};
      for (std::size_t other = 0; other < n_fold; ++other) {
        if (other != f) train += own[other];
      }
    } else {
      train = sum_rows(x.index_select(0, folds[f].train),
                       nuisance.index_select(0, folds[f].train),
                       ones.index_select(0, folds[f].train));
    }
    factors.push_back(factor_fold(train, folds[f], x, nuisance, ones, standardize));
    if (!partition) {
      factors.back().x_train = x.index_select(0, folds[f].train);
      factors.back().z_train = nuisance.index_select(0, folds[f].train).to(x.scalar_type());
    }
    const at::Tensor& values = factors.back().spectrum.values;
    const at::Tensor positive = values.masked_select(values > 0);
    if (positive.numel() > 0) {
      lowest = std::min(lowest, positive.min().item<double>());
      highest = std::max(highest, positive.max().item<double>());
    }
  }
  GridCollector collector(
      alpha_skeleton(
          alphas, std::min(lowest, highest), highest, skeleton_tolerance(features.scalar_type())),
      static_cast<Index>(alphas.size()),
      n_target,
      static_cast<Index>(n_fold),
      score,
      keep_folds);
  const Index n_member = collector.skeleton().n_member();
  std::vector<double> member_alphas;
  for (const Index member : collector.skeleton().members) {
    member_alphas.push_back(alphas[static_cast<std::size_t>(member)]);
  }
  for (FoldFactor& factor : factors) {
    factor.filters = filters(factor.spectrum.values, member_alphas).to(features.scalar_type());
    factor.spectrum = {};
  }
  // Held-out rows side by side: those of a fold are then a slice.
  std::vector<at::Tensor> tests;
  for (const Fold& fold : folds) tests.push_back(fold.test);
  const TargetTiles tiles(responses, nuisance, partition ? at::cat(tests) : at::Tensor());

  monitor.start(n_target);
  tiles.for_each(monitor, [&](Index first, Index n_tile) {
    const TargetTile targets = tiles.read(first, n_tile);
    const std::vector<FoldTargets> sums =
        partition ? sums_of_folds(targets.rows, factors, x_fold) : std::vector<FoldTargets>();
    if (products.defined()) {
      products.narrow(0, first, n_tile).copy_(sum_others(sums, n_fold).xy);
    }
    for (std::size_t f = 0; f < n_fold; ++f) {
      const FoldFactor& fold = factors[f];
      FoldTargets train;
      at::Tensor measured;
      if (partition) {
        train = sum_others(sums, f);
        measured = sums[f].y;
      } else {
        const at::Tensor y_train = targets.rows.index_select(1, fold.train);
        train.xy = at::mm(y_train, fold.x_train);
        train.zy = at::mm(y_train, fold.z_train);
        measured = targets.rows.index_select(1, fold.test);
      }
      at::Tensor xy = train.xy;
      if (fold.z_test.size(1) > 0) {
        xy -= at::mm(train.zy, fold.zx_fit);
        measured = measured - at::mm(at::mm(train.zy, fold.z_inverse), fold.z_test.t());
      }
      const at::Tensor rotated = at::mm(xy, fold.rotation);
      const at::Tensor reduced = at::mm(measured, fold.basis);
      const std::vector<HeldOut> held_out =
          describe_held_out(measured, fold.ones, targets.magnitudes);
      const Index n_row = fold.triangle.size(0);
      for (Index sub = 0; sub < n_tile; sub += kSubTile) {
        const Index n_sub = std::min(kSubTile, n_tile - sub);
        const at::Tensor weights =
            (rotated.narrow(0, sub, n_sub).unsqueeze(1) * fold.filters).view({-1, p});
        TileScores tile;
        tile.predicted = at::empty({n_sub, n_member, n_row}, x.options());
        at::Tensor flat = tile.predicted.view({-1, n_row});
        multiply_triangle(weights, fold.triangle, flat);
        tile.measured = reduced.narrow(0, sub, n_sub);
        tile.ones = fold.rotated_ones;
        tile.held_out.assign(held_out.begin() + sub, held_out.begin() + sub + n_sub);
        collector.add(static_cast<Index>(f), first + sub, tile);
      }
    }
  });
  return collector.finish();
}

at::Tensor solve_feature_ridge(const at::Tensor& features,
                               const at::Tensor& responses,
                               const at::Tensor& nuisance,
                               const at::Tensor& ones,
                               const at::Tensor& alphas,
                               const at::Tensor& products,
                               bool standardize) {
  const at::NoGradGuard no_grad;
  check(features, responses, nuisance);
  const auto dtype = features.scalar_type();
  const at::Tensor x = less_nuisance(features, nuisance);
  const Spectrum spectrum = decompose(sum_rows(x, nuisance, ones), standardize);
  const at::Tensor rotation = spectrum.rotation.to(dtype);
  const TargetTiles tiles(responses, nuisance);
  at::Tensor weights = at::empty({features.size(1), responses.size(1)}, features.options());
  Monitor quiet;
  tiles.for_each(quiet, [&](Index first, Index n_tile) {
    const at::Tensor xy = products.defined() ? products.narrow(0, first, n_tile)
                                             : at::mm(tiles.read(first, n_tile).rows, x);
    const at::Tensor penalised = spectrum.values + alphas.narrow(0, first, n_tile).unsqueeze(1);
    const at::Tensor inverse =
        at::where(penalised > 0, penalised.reciprocal(), at::zeros_like(penalised)).to(dtype);
    weights.narrow(1, first, n_tile)
        .copy_(at::mm(at::mm(xy, rotation).mul_(inverse), rotation.t()).t());
  });
  return weights;
}

}  // namespace dnnbrain
