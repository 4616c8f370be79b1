#include "dnnbrain/tensor/incremental_pca.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Parts of the columns whose Gram matrices are summed one by one, and then together in order.
constexpr Index kPart = 16;

/// Columns that are centred and multiplied at once.
constexpr Index kChunk = 512;

/// Rows of D D' that are formed at once, each with all rows before.
constexpr Index kStrip = 64;

/// Works on [0, n_feat) in parts that depend on n_feat alone.
template <class Body>
void for_each_chunk(Index n_feat, bool on_cpu, const Body& body) {
  for_each_task(kPart, on_cpu, [&](Index part) {
    const Index end = n_feat * (part + 1) / kPart;
    for (Index first = n_feat * part / kPart; first < end; first += kChunk) {
      body(part, first, std::min(kChunk, end - first));
    }
  });
}

class Step {
 public:
  Step(const IncrementalPcaState& old, const at::Tensor& batch, Index n_comp)
      : old_(old), batch_(batch), n_batch_(batch.size(0)), n_feat_(batch.size(1)) {
    const at::TensorOptions options = batch.options().dtype(at::kDouble);
    n_old_ = old.n_seen > 0 ? old.components.size(0) : 0;
    n_new_ = n_batch_ + (old.n_seen > 0 ? 1 : 0);
    n_comp_ = std::min({n_comp, n_old_ + n_new_, n_feat_});
    batch_mean_ = at::empty({n_feat_}, options);
    next_.n_seen = old.n_seen + n_batch_;
    next_.mean = at::empty({n_feat_}, options);
    next_.variance = at::empty({n_feat_}, options);
    next_.components = at::empty({n_comp_, n_feat_}, options);
    // Of each part: D D' on and below the diagonal of strips, then D V'.
    parts_ = at::zeros({kPart, n_new_, n_new_ + n_old_}, options);
  }

  IncrementalPcaState run() {
    const bool on_cpu = batch_.is_cpu();
    for_each_chunk(n_feat_, on_cpu, [this](Index part, Index first, Index width) {
      add_products(parts_[part], centre_and_describe(first, width), first, width);
    });
    decompose();
    for_each_chunk(n_feat_, on_cpu, [this](Index, Index first, Index width) {
      const at::Tensor out = next_.components.narrow(1, first, width);
      out.copy_(from_new_.mm(centre(first, width)));
      if (n_old_ > 0) out.addmm_(from_old_, old_.components.narrow(1, first, width));
    });
    return next_;
  }

 private:
  /// D: the batch about its mean, and the shift of the mean. Writes down the moments.
  at::Tensor centre_and_describe(Index first, Index width) const {
    const at::Tensor out = at::empty({n_new_, width}, batch_mean_.options());
    const at::Tensor rows = out.narrow(0, 0, n_batch_);
    const at::Tensor chunk = batch_.narrow(1, first, width);
    rows.copy_(chunk);
    // About the first row before about the mean: a column without variance leaves nothing.
    const at::Tensor origin = rows[0].clone();
    rows.sub_(origin);
    const at::Tensor to_mean = rows.mean(0);
    rows.sub_(to_mean);
    const at::Tensor mean = origin + to_mean;
    at::Tensor sq = at::linalg_vector_norm(rows, 2, at::IntArrayRef{0}).square();

    const auto n_batch = static_cast<double>(n_batch_);
    const auto n_seen = static_cast<double>(old_.n_seen);
    const double n_all = n_batch + n_seen;
    at::Tensor all_mean = mean;
    if (old_.n_seen > 0) {
      const at::Tensor shift = mean - old_.mean.narrow(0, first, width);
      out[n_batch_].copy_(shift * (-std::sqrt(n_seen * n_batch / n_all)));
      all_mean = old_.mean.narrow(0, first, width) + shift * (n_batch / n_all);
      sq += old_.variance.narrow(0, first, width) * n_seen +
            shift * shift * (n_seen * n_batch / n_all);
    }
    batch_mean_.narrow(0, first, width).copy_(mean);
    next_.mean.narrow(0, first, width).copy_(all_mean);
    next_.variance.narrow(0, first, width).copy_(sq / n_all);
    return out;
  }

  /// D again.
  at::Tensor centre(Index first, Index width) const {
    const at::Tensor mean = batch_mean_.narrow(0, first, width);
    const at::Tensor out = at::empty({n_new_, width}, mean.options());
    const at::Tensor rows = out.narrow(0, 0, n_batch_);
    rows.copy_(batch_.narrow(1, first, width));
    rows.sub_(mean);
    if (old_.n_seen > 0) {
      const auto n_batch = static_cast<double>(n_batch_);
      const auto n_seen = static_cast<double>(old_.n_seen);
      const double scale = std::sqrt(n_seen * n_batch / (n_seen + n_batch));
      out[n_batch_].copy_((old_.mean.narrow(0, first, width) - mean) * scale);
    }
    return out;
  }

  void add_products(const at::Tensor& part,
                    const at::Tensor& rows,
                    Index first,
                    Index width) const {
    for (Index strip = 0; strip < n_new_; strip += kStrip) {
      const Index n_strip = std::min(kStrip, n_new_ - strip);
      const Index n_before = strip + n_strip;
      part.narrow(0, strip, n_strip)
          .narrow(1, 0, n_before)
          .addmm_(rows.narrow(0, strip, n_strip), rows.narrow(0, 0, n_before).t());
    }
    if (n_old_ > 0) {
      part.narrow(1, n_new_, n_old_).addmm_(rows, old_.components.narrow(1, first, width).t());
    }
  }

  /// Sums the parts; how the new components are made of the new rows and the old components.
  void decompose() {
    const at::Tensor sum = parts_.sum(0);
    const Index n_all = n_old_ + n_new_;
    // eigh reads what is on and below the diagonal.
    const at::Tensor gram = at::zeros({n_all, n_all}, sum.options());
    gram.narrow(0, n_old_, n_new_).narrow(1, n_old_, n_new_).copy_(sum.narrow(1, 0, n_new_));
    if (n_old_ > 0) {
      gram.narrow(0, 0, n_old_).narrow(1, 0, n_old_).diagonal().copy_(old_.values * old_.values);
      gram.narrow(0, n_old_, n_new_)
          .narrow(1, 0, n_old_)
          .copy_(sum.narrow(1, n_new_, n_old_) * old_.values);
    }
    const auto [squares, vectors] = at::linalg_eigh(gram, "L");
    const at::Tensor descending = squares.flip(0).clamp_min(0.0);
    const double floor = static_cast<double>(n_all) * std::numeric_limits<double>::epsilon() *
                         descending[0].item<double>();
    next_.values = at::where(descending > floor, descending, at::zeros_like(descending)).sqrt();
    const at::Tensor top = next_.values.narrow(0, 0, n_comp_).unsqueeze(1);
    const at::Tensor inverse = at::where(top > 0, top.reciprocal(), at::zeros_like(top));
    const at::Tensor weights = vectors.flip(1).narrow(1, 0, n_comp_).t() * inverse;
    from_new_ = weights.narrow(1, n_old_, n_new_).contiguous();
    if (n_old_ > 0) from_old_ = weights.narrow(1, 0, n_old_) * old_.values;
  }

  const IncrementalPcaState& old_;
  const at::Tensor& batch_;
  Index n_batch_;
  Index n_feat_;
  Index n_old_;
  Index n_new_;
  Index n_comp_;
  at::Tensor batch_mean_;  // (n_feat,)
  at::Tensor parts_;       // (kPart, n_new, n_new + n_old)
  at::Tensor from_new_;    // (n_comp, n_new)
  at::Tensor from_old_;    // (n_comp, n_old)
  IncrementalPcaState next_;
};

}  // namespace

IncrementalPcaState incremental_pca_step(const IncrementalPcaState& state,
                                         const at::Tensor& batch,
                                         Index n_comp) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(batch.dim() == 2 && batch.is_floating_point() && batch.numel() > 0,
                   "a batch must be a floating point matrix with rows and columns.");
  DNNBRAIN_REQUIRE(n_comp >= 1, "there must be at least one component; got ", n_comp, ".");
  DNNBRAIN_REQUIRE(state.n_seen == 0 || state.mean.size(0) == batch.size(1),
                   "every batch must have the columns of the first; got ",
                   batch.size(1),
                   ".");
  return Step(state, batch, n_comp).run();
}

}  // namespace dnnbrain
