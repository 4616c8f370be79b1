#include "dnnbrain/tensor/incremental_pca.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Parts of the columns whose Gram matrices are summed one by one, and then together in order.
constexpr Index kPart = 16;

/// Bytes of a row of the columns that are centred and multiplied at once.
constexpr Index kChunkBytes = 4096;

/// Rows of D D' that are formed at once, each with all rows before.
constexpr Index kStrip = 64;

/// sum += a b, for a sum in fp64: what a product in fp32 sums is as short as a chunk.
void add_product(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == at::kDouble) {
    sum.addmm_(a, b);
  } else {
    sum.add_(a.mm(b));
  }
}

class Step {
 public:
  Step(const IncrementalPcaState& old, const at::Tensor& batch, Index n_comp)
      : old_(old),
        batch_(batch),
        work_(batch.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        n_batch_(batch.size(0)),
        n_feat_(batch.size(1)) {
    const at::TensorOptions options = batch.options().dtype(at::kDouble);
    n_old_ = old.n_seen > 0 ? old.components.size(0) : 0;
    n_new_ = n_batch_ + (old.n_seen > 0 ? 1 : 0);
    n_comp_ = std::min({n_comp, n_old_ + n_new_, n_feat_});
    to_mean_ = at::empty({n_feat_}, batch.options().dtype(work_));
    next_.n_seen = old.n_seen + n_batch_;
    next_.mean = at::empty({n_feat_}, options);
    next_.variance = at::empty({n_feat_}, options);
    next_.components = at::empty({n_comp_, n_feat_}, options);
    // Of each part: D D' on and below the diagonal of strips, then D V'.
    parts_ = at::zeros({kPart, n_new_, n_new_ + n_old_}, options);
  }

  IncrementalPcaState run() {
    for_each_chunk([this](Index part,
                          const at::Tensor& rows,
                          const at::Tensor& scratch,
                          Index first,
                          Index width) {
      describe(rows, scratch, first, width);
      add_products(parts_[part], rows, first, width);
    });
    decompose();
    for_each_chunk(
        [this](Index, const at::Tensor& rows, const at::Tensor&, Index first, Index width) {
          centre(rows, first, width);
          const at::Tensor out = next_.components.narrow(1, first, width);
          out.copy_(from_new_.mm(rows));
          if (n_old_ > 0) out.addmm_(from_old_, old_.components.narrow(1, first, width));
        });
    return next_;
  }

 private:
  /// Calls body(part, rows, scratch, first, width) for chunks of columns, in parts that depend on
  /// their number alone. `rows` has the batch about its first row, so that a column without
  /// variance is zero and an offset costs no digits, and room for the shift of the mean.
  template <class Body>
  void for_each_chunk(const Body& body) const {
    const Index size = kChunkBytes / static_cast<Index>(to_mean_.element_size());
    for_each_task(kPart, batch_.is_cpu(), [&](Index part) {
      const Index end = n_feat_ * (part + 1) / kPart;
      const at::Tensor space = at::empty({2, n_new_, size}, to_mean_.options());
      for (Index first = n_feat_ * part / kPart; first < end; first += size) {
        const Index width = std::min(size, end - first);
        const at::Tensor rows = space[0].narrow(1, 0, width);
        const at::Tensor of_batch = rows.narrow(0, 0, n_batch_);
        of_batch.copy_(batch_.narrow(1, first, width));
        of_batch.sub_(of_batch[0].clone());
        body(part, rows, space[1].narrow(1, 0, width), first, width);
      }
    });
  }

  /// Turns these rows into D: the batch about its mean, and the shift of the mean.
  void centre(const at::Tensor& out, Index first, Index width) const {
    out.narrow(0, 0, n_batch_).sub_(to_mean_.narrow(0, first, width));
    if (old_.n_seen > 0) {
      const auto n_batch = static_cast<double>(n_batch_);
      const auto n_seen = static_cast<double>(old_.n_seen);
      const double scale = std::sqrt(n_seen * n_batch / (n_seen + n_batch));
      out[n_batch_].copy_((old_.mean.narrow(0, first, width) - batch_mean(first, width)) * scale);
    }
  }

  at::Tensor batch_mean(Index first, Index width) const {
    return batch_[0].narrow(0, first, width).to(at::kDouble) +
           to_mean_.narrow(0, first, width).to(at::kDouble);
  }

  /// Centres, and writes down the moments.
  void describe(const at::Tensor& out, const at::Tensor& scratch, Index first, Index width) const {
    const at::Tensor rows = out.narrow(0, 0, n_batch_);
    to_mean_.narrow(0, first, width).copy_(rows.mean(0));
    centre(out, first, width);
    at::Tensor squares = scratch.narrow(0, 0, n_batch_);
    at::Tensor sq = at::mul_out(squares, rows, rows).sum(0).to(at::kDouble);
    const auto n_batch = static_cast<double>(n_batch_);
    const auto n_seen = static_cast<double>(old_.n_seen);
    const double n_all = n_batch + n_seen;
    at::Tensor mean = batch_mean(first, width);
    if (old_.n_seen > 0) {
      const at::Tensor old_mean = old_.mean.narrow(0, first, width);
      const at::Tensor shift = mean - old_mean;
      mean = old_mean + shift * (n_batch / n_all);
      sq += old_.variance.narrow(0, first, width) * n_seen +
            shift * shift * (n_seen * n_batch / n_all);
    }
    next_.mean.narrow(0, first, width).copy_(mean);
    next_.variance.narrow(0, first, width).copy_(sq / n_all);
  }

  void add_products(const at::Tensor& part,
                    const at::Tensor& rows,
                    Index first,
                    Index width) const {
    for (Index strip = 0; strip < n_new_; strip += kStrip) {
      const Index n_strip = std::min(kStrip, n_new_ - strip);
      const Index n_before = strip + n_strip;
      add_product(part.narrow(0, strip, n_strip).narrow(1, 0, n_before),
                  rows.narrow(0, strip, n_strip),
                  rows.narrow(0, 0, n_before).t());
    }
    if (n_old_ > 0) {
      const at::Tensor old = old_.components.narrow(1, first, width).to(work_);
      add_product(part.narrow(1, n_new_, n_old_), rows, old.t());
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
    at::Tensor squares;
    at::Tensor vectors;
    // On one thread: the others have nothing to do but wait.
    for_each_task(
        1, gram.is_cpu(), [&](Index) { std::tie(squares, vectors) = at::linalg_eigh(gram, "L"); });
    const at::Tensor descending = squares.flip(0).clamp_min(0.0);
    const double floor = static_cast<double>(n_all) * std::numeric_limits<double>::epsilon() *
                         descending[0].item<double>();
    next_.values = at::where(descending > floor, descending, at::zeros_like(descending)).sqrt();
    const at::Tensor top = next_.values.narrow(0, 0, n_comp_).unsqueeze(1);
    const at::Tensor inverse = at::where(top > 0, top.reciprocal(), at::zeros_like(top));
    const at::Tensor weights = vectors.flip(1).narrow(1, 0, n_comp_).t() * inverse;
    from_new_ = weights.narrow(1, n_old_, n_new_).to(work_).contiguous();
    if (n_old_ > 0) from_old_ = weights.narrow(1, 0, n_old_) * old_.values;
  }

  const IncrementalPcaState& old_;
  const at::Tensor& batch_;
  at::ScalarType work_;  // of products with the batch
  Index n_batch_;
  Index n_feat_;
  Index n_old_;
  Index n_new_;
  Index n_comp_;
  at::Tensor to_mean_;   // (n_feat,) from the first row of the batch
  at::Tensor parts_;     // (kPart, n_new, n_new + n_old)
  at::Tensor from_new_;  // (n_comp, n_new)
  at::Tensor from_old_;  // (n_comp, n_old)
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
