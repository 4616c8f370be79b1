#include "dnnbrain/tensor/resampled_moments.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Samples of one task: enough for a product at full speed, few enough to share among threads.
constexpr Index kTile = 128;

/// Samples between two looks at the monitor.
constexpr Index kBlock = 8 * kTile;

/// Pairs of one product.
constexpr Index kMostPairs = 4096;

/// Bytes of the products of RDMs that are held at once.
constexpr Index kProductBytes = Index{32} << 20;

/// Conditions [first, last) and the pairs of which they are the first member.
struct RowsOfPairs {
  Index first = 0;
  Index last = 0;
  Index pair = 0;    // number of the first pair
  Index n_pair = 0;  // may be more than was asked for when one condition alone has more
};

std::vector<RowsOfPairs> split_pairs(Index n_cond, Index most) {
  std::vector<RowsOfPairs> chunks;
  Index pair = 0;
  for (Index first = 0; first + 1 < n_cond;) {
    Index last = first;
    Index n_pair = 0;
    do {
      n_pair += n_cond - 1 - last++;
    } while (last + 1 < n_cond && n_pair + n_cond - 1 - last <= most);
    chunks.push_back({first, last, pair, n_pair});
    pair += n_pair;
    first = last;
  }
  return chunks;
}

/// Products of the RDMs' entries: models with subjects, models with themselves, subjects s <= t.
class EntryProducts {
 public:
  EntryProducts(at::Tensor models, at::Tensor subjects)
      : models_(std::move(models)), subjects_(std::move(subjects)) {}

  Index n_model() const { return models_.size(0); }
  Index n_subject() const { return subjects_.size(0); }
  Index count() const {
    return n_model() * n_subject() + n_model() + n_subject() * (n_subject() + 1) / 2;
  }

  /// (count, n_pair) for some of the pairs, in `buffer`.
  at::Tensor of(const RowsOfPairs& pairs, const at::Tensor& buffer) const {
    const at::Tensor x = models_.narrow(1, pairs.pair, pairs.n_pair);
    const at::Tensor y = subjects_.narrow(1, pairs.pair, pairs.n_pair);
    const at::Tensor out =
        buffer.narrow(0, 0, count() * pairs.n_pair).view({count(), pairs.n_pair});
    const Index n_cross = n_model() * n_subject();
    at::Tensor cross = out.narrow(0, 0, n_cross).view({n_model(), n_subject(), pairs.n_pair});
    at::mul_out(cross, x.unsqueeze(1), y.unsqueeze(0));
    at::Tensor own = out.narrow(0, n_cross, n_model());
    at::mul_out(own, x, x);
    Index row = n_cross + n_model();
    for (Index s = 0; s < n_subject(); ++s) {
      at::Tensor among = out.narrow(0, row, n_subject() - s);
      at::mul_out(among, y.narrow(0, s, n_subject() - s), y.narrow(0, s, 1));
      row += n_subject() - s;
    }
    return out;
  }

  /// Sums over pairs, back in their places.
  ResampledMoments unpack(const at::Tensor& sums) const {  // (n_boot, count)
    const Index n_boot = sums.size(0);
    const Index n_cross = n_model() * n_subject();
    ResampledMoments moments{
        sums.narrow(1, 0, n_cross).reshape({n_boot, n_model(), n_subject()}).contiguous(),
        sums.narrow(1, n_cross, n_model()).contiguous(),
        at::empty({n_boot, n_subject(), n_subject()}, sums.options())};
    Index column = n_cross + n_model();
    for (Index s = 0; s < n_subject(); ++s) {
      const at::Tensor among = sums.narrow(1, column, n_subject() - s);
      moments.among.select(1, s).narrow(1, s, n_subject() - s).copy_(among);
      moments.among.select(2, s).narrow(1, s, n_subject() - s).copy_(among);
      column += n_subject() - s;
    }
    return moments;
  }

 private:
  at::Tensor models_;
  at::Tensor subjects_;
};

/// Weights c_i c_j of some of the pairs, one row per sample.
void fill_weights(const double* counts,
                  Index n_sample,
                  Index n_cond,
                  const RowsOfPairs& pairs,
                  double* out) {  // (n_sample, n_pair)
  for (Index sample = 0; sample < n_sample; ++sample, counts += n_cond) {
    for (Index i = pairs.first; i < pairs.last; ++i) {
      for (Index j = i + 1; j < n_cond; ++j) *out++ = counts[i] * counts[j];
    }
  }
}

/// (n_cond, n_rdm n_cond): square RDMs side by side.
at::Tensor side_by_side(const at::Tensor& models, const at::Tensor& subjects, Index n_cond) {
  const Index n_rdm = models.size(0) + subjects.size(0);
  at::Tensor squares = at::zeros({n_cond, n_rdm * n_cond}, models.options());
  double* const out = squares.mutable_data_ptr<double>();
  const auto fill = [&](const at::Tensor& rdms, Index first) {
    const double* value = rdms.const_data_ptr<double>();
    for (Index rdm = first; rdm < first + rdms.size(0); ++rdm) {
      for (Index i = 0; i < n_cond; ++i) {
        for (Index j = i + 1; j < n_cond; ++j, ++value) {
          out[(i * n_rdm + rdm) * n_cond + j] = *value;
          out[(j * n_rdm + rdm) * n_cond + i] = *value;
        }
      }
    }
  };
  fill(models, 0);
  fill(subjects, models.size(0));
  return squares;
}

/// (n_rdm, n_rdm): what the effects of rows and columns take from the products in one sample.
at::Tensor effects(const at::Tensor& row_sums,  // (n_rdm, n_cond)
                   const double* counts) {      // (n_cond,)
  const Index n_cond = row_sums.size(1);
  double n = 0;
  for (Index i = 0; i < n_cond; ++i) n += counts[i];
  at::Tensor share = at::zeros({n_cond}, row_sums.options());  // c / e
  double* const out = share.mutable_data_ptr<double>();
  double total = 0;
  Index singular = -1;  // the one condition, if any, that makes up half of the sample and one more
  for (Index i = 0; i < n_cond; ++i) {
    const double e = n + 2 - 2 * counts[i];
    if (counts[i] > 0 && e == 0) {
      singular = i;
      continue;
    }
    out[i] = counts[i] > 0 ? counts[i] / e : 0.0;
    total += out[i];
  }
  if (singular < 0) {
    const at::Tensor sums = row_sums.mv(share);
    return at::mm(row_sums * share, row_sums.t()).sub_(at::outer(sums, sums / (1 + total)));
  }
  // Its diagonal entry vanishes; solving its equation first leaves the others shifted by it.
  const at::Tensor own = row_sums.select(1, singular);
  const at::Tensor shifted = row_sums - own.unsqueeze(1);
  return at::mm(shifted * share, shifted.t()).add_(at::outer(own, own));
}

void project_effects(const at::Tensor& counts,
                     const at::Tensor& models,
                     const at::Tensor& subjects,
                     ResampledMoments& moments,
                     Monitor& monitor) {
  const Index n_boot = counts.size(0);
  const Index n_cond = counts.size(1);
  const Index n_model = models.size(0);
  const Index n_subject = subjects.size(0);
  const Index n_rdm = n_model + n_subject;
  const at::Tensor squares = side_by_side(models, subjects, n_cond);
  // Row sums of a tile are as large as so many square RDMs.
  const Index tile = std::clamp<Index>(kProductBytes / (8 * n_rdm * n_cond), 1, kTile);
  const Index n_tile = (n_boot + tile - 1) / tile;
  const Index per_block = std::max<Index>(1, kBlock / kTile);
  for (Index block = 0; block < n_tile; block += per_block) {
    const Index n_here = std::min(per_block, n_tile - block);
    for_each_task(n_here, /*parallel=*/true, [&](Index task) {
      const Index first = (block + task) * tile;
      const Index n_sample = std::min(tile, n_boot - first);
      const at::Tensor row_sums =
          at::mm(counts.narrow(0, first, n_sample), squares).view({n_sample, n_rdm, n_cond});
      const double* const c = counts.const_data_ptr<double>() + first * n_cond;
      for (Index sample = 0; sample < n_sample; ++sample) {
        const at::Tensor taken = effects(row_sums.select(0, sample), c + sample * n_cond);
        const at::Tensor of_models = taken.narrow(0, 0, n_model);
        const Index b = first + sample;
        moments.cross.select(0, b).sub_(of_models.narrow(1, n_model, n_subject));
        moments.own.select(0, b).sub_(of_models.narrow(1, 0, n_model).diagonal());
        moments.among.select(0, b).sub_(
            taken.narrow(0, n_model, n_subject).narrow(1, n_model, n_subject));
      }
    });
    monitor.step(std::min(n_here * tile, n_boot - block * tile));
  }
}

void check_rdms(const at::Tensor& rdms, const char* name, Index n_cond) {
  DNNBRAIN_REQUIRE(rdms.is_cpu() && rdms.scalar_type() == at::kDouble && rdms.dim() == 2 &&
                       rdms.is_contiguous() && rdms.size(0) > 0 &&
                       rdms.size(1) == pair_count(n_cond),
                   name,
                   " must be float64, contiguous, on the CPU, of shape (n, ",
                   pair_count(n_cond),
                   ") with n > 0.");
}

}  // namespace

ResampledMoments resampled_moments(const at::Tensor& counts,
                                   const at::Tensor& models,
                                   const at::Tensor& subjects,
                                   InnerProduct product,
                                   Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(counts.is_cpu() && counts.scalar_type() == at::kDouble && counts.dim() == 2 &&
                       counts.is_contiguous() && counts.size(1) >= 3,
                   "counts must be float64, contiguous, on the CPU, of shape (n_boot, n_cond) with "
                   "n_cond >= 3.");
  const Index n_boot = counts.size(0);
  const Index n_cond = counts.size(1);
  check_rdms(models, "models", n_cond);
  check_rdms(subjects, "subjects", n_cond);
  const bool whitened = product == InnerProduct::kWhitened;
  const EntryProducts products(models, subjects);
  const auto chunks = split_pairs(
      n_cond, std::clamp<Index>(kProductBytes / (8 * products.count()), 64, kMostPairs));
  Index widest = 0;
  for (const RowsOfPairs& pairs : chunks) widest = std::max(widest, pairs.n_pair);
  const at::Tensor buffer = at::empty({products.count() * widest}, models.options());
  const at::Tensor sums = at::zeros({n_boot, products.count()}, models.options());
  monitor.start(n_boot * (static_cast<Index>(chunks.size()) + (whitened ? 1 : 0)));
  for (Index block = 0; block < n_boot; block += kBlock) {
    const Index n_block = std::min(kBlock, n_boot - block);
    for (const RowsOfPairs& pairs : chunks) {
      const at::Tensor entries = products.of(pairs, buffer);
      for_each_task((n_block + kTile - 1) / kTile, /*parallel=*/true, [&](Index task) {
        const Index first = block + task * kTile;
        const Index n_sample = std::min(kTile, block + n_block - first);
        const at::Tensor weights = at::empty({n_sample, pairs.n_pair}, models.options());
        fill_weights(counts.const_data_ptr<double>() + first * n_cond,
                     n_sample,
                     n_cond,
                     pairs,
                     weights.mutable_data_ptr<double>());
        sums.narrow(0, first, n_sample).addmm_(weights, entries.t());
      });
      monitor.step(n_block);
    }
  }
  ResampledMoments moments = products.unpack(sums);
  if (whitened) project_effects(counts, models, subjects, moments, monitor);
  return moments;
}

}  // namespace dnnbrain
