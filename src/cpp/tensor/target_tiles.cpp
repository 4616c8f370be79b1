#include "dnnbrain/tensor/target_tiles.hpp"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_pinv.h>
#include <ATen/ops/mm.h>

#include <cmath>
#include <utility>

namespace dnnbrain {

namespace {

/// Side of the blocks that are transposed at a time: a few cache lines both ways.
constexpr Index kTransposeBlock = 16;

/// One pass down the rows for the regression on Z, one more to shift and transpose.
template <class Real>
TargetTile read_on_cpu(const at::Tensor& responses,
                       const at::Tensor& nuisance,
                       const at::Tensor& fit,
                       const at::Tensor& order,
                       Index first,
                       Index n_tile) {
  const Index n = responses.size(0);
  const Index z = nuisance.size(1);
  const Index row_stride = responses.stride(0);
  const Index column_stride = responses.stride(1);
  const Real* const data = responses.const_data_ptr<Real>() + first * column_stride;
  const double* const fits = fit.const_data_ptr<double>();
  const double* const sides = nuisance.const_data_ptr<double>();
  const Index* const places = order.defined() ? order.const_data_ptr<Index>() : nullptr;

  TargetTile tile;
  tile.magnitudes.assign(static_cast<std::size_t>(n_tile), 0.0);
  std::vector<double> weights(static_cast<std::size_t>(z * n_tile), 0.0);
  for (Index i = 0; i < n; ++i) {
    const Real* const row = data + i * row_stride;
    for (Index t = 0; t < n_tile; ++t) {
      double& most = tile.magnitudes[static_cast<std::size_t>(t)];
      most = std::max(most, std::abs(static_cast<double>(row[t * column_stride])));
    }
    for (Index k = 0; k < z; ++k) {
      double* const sum = weights.data() + k * n_tile;
      const double factor = fits[k * n + i];
      for (Index t = 0; t < n_tile; ++t) {
        sum[t] += factor * static_cast<double>(row[t * column_stride]);
      }
    }
  }

  tile.rows = at::empty({n_tile, n}, responses.options());
  Real* const out = tile.rows.mutable_data_ptr<Real>();
  double shifted[kTransposeBlock][kTransposeBlock];
  for (Index begin = 0; begin < n; begin += kTransposeBlock) {
    const Index n_row = std::min(kTransposeBlock, n - begin);
    for (Index left = 0; left < n_tile; left += kTransposeBlock) {
      const Index n_column = std::min(kTransposeBlock, n_tile - left);
      for (Index i = 0; i < n_row; ++i) {
        const Index place = places == nullptr ? begin + i : places[begin + i];
        const Real* const row = data + place * row_stride + left * column_stride;
        for (Index t = 0; t < n_column; ++t) {
          shifted[i][t] = static_cast<double>(row[t * column_stride]);
        }
        for (Index k = 0; k < z; ++k) {
          const double* const weight = weights.data() + k * n_tile + left;
          const double side = sides[place * z + k];
          for (Index t = 0; t < n_column; ++t) shifted[i][t] -= side * weight[t];
        }
      }
      for (Index t = 0; t < n_column; ++t) {
        for (Index i = 0; i < n_row; ++i) {
          out[(left + t) * n + begin + i] = static_cast<Real>(shifted[i][t]);
        }
      }
    }
  }
  return tile;
}

TargetTile read_on_device(const at::Tensor& responses,
                          const at::Tensor& nuisance,
                          const at::Tensor& fit,
                          const at::Tensor& order,
                          Index first,
                          Index n_tile) {
  const at::Tensor raw = responses.narrow(1, first, n_tile).t().to(at::kDouble);
  const at::Tensor most = raw.abs().amax(1).cpu();
  at::Tensor rows = raw - at::mm(at::mm(raw, fit.t()), nuisance.t());
  if (order.defined()) rows = rows.index_select(1, order);
  const double* const magnitudes = most.const_data_ptr<double>();
  return {rows.to(responses.scalar_type()).contiguous(),
          std::vector<double>(magnitudes, magnitudes + n_tile)};
}

}  // namespace

TargetTiles::TargetTiles(at::Tensor responses, const at::Tensor& nuisance, at::Tensor order)
    : responses_(std::move(responses)),
      nuisance_(nuisance.contiguous()),
      fit_(nuisance.size(1) > 0 ? at::linalg_pinv(nuisance).contiguous()
                                : nuisance.t().contiguous()),
      order_(std::move(order)) {}

TargetTile TargetTiles::read(Index first, Index n_tile) const {
  if (!responses_.is_cpu()) {
    return read_on_device(responses_, nuisance_, fit_, order_, first, n_tile);
  }
  TargetTile tile;
  AT_DISPATCH_FLOATING_TYPES(responses_.scalar_type(), "TargetTiles", [&] {
    tile = read_on_cpu<scalar_t>(responses_, nuisance_, fit_, order_, first, n_tile);
  });
  return tile;
}

}  // namespace dnnbrain
