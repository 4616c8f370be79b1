#include "dnnbrain/tensor/sink.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>

#include <utility>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

Sink::Sink(at::Tensor out, Index batch_axis) : out_(std::move(out)), batch_axis_(batch_axis) {
  DNNBRAIN_REQUIRE(out_.dim() == 2 && out_.is_cpu() && out_.is_floating_point(),
                   "a sink writes to a floating-point CPU buffer of shape (n_stim, n_feat); got ",
                   out_.dim(),
                   " axes.");
  DNNBRAIN_REQUIRE(batch_axis >= 0, "batch_axis must not be negative; got ", batch_axis, ".");
}

void Sink::consume(const at::Tensor& activation) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(activation.dim() > batch_axis_,
                   "an activation must have a batch axis ",
                   batch_axis_,
                   "; got ",
                   activation.dim(),
                   " axes.");
  DNNBRAIN_REQUIRE(!activation.is_complex(),
                   "an activation must be real; got ",
                   activation.dtype().name(),
                   ". Take its real part or its modulus in the network.");
  at::Tensor batch = activation.movedim(batch_axis_, 0);
  if (batch.dim() == 1) batch = batch.unsqueeze(1);  // one number per stimulus is one channel
  const Index n_batch = batch.size(0);
  DNNBRAIN_REQUIRE(n_stim_ + n_batch <= out_.size(0),
                   "a sink for ",
                   out_.size(0),
                   " stimuli got ",
                   n_stim_ + n_batch,
                   ". Was the layer called more than once in a forward pass?");
  const at::Tensor reduced = reduce(batch);
  DNNBRAIN_REQUIRE(reduced.size(1) == out_.size(1),
                   "a layer must give the same number of features for every stimulus: ",
                   out_.size(1),
                   " in the first pass; got ",
                   reduced.size(1),
                   ". Do the stimuli differ in size?");
  out_.narrow(0, n_stim_, n_batch).copy_(reduced);
  n_stim_ += n_batch;
}

void Sink::rewind(Index n_stim) {
  DNNBRAIN_REQUIRE(n_stim >= 0 && n_stim <= n_stim_,
                   "a sink that holds ",
                   n_stim_,
                   " stimuli cannot go back to ",
                   n_stim,
                   ".");
  n_stim_ = n_stim;
}

KeepSink::KeepSink(at::Tensor out, Index batch_axis) : Sink(std::move(out), batch_axis) {}

at::Tensor KeepSink::reduce(const at::Tensor& batch) const {
  return batch.reshape({batch.size(0), -1});
}

PoolSink::PoolSink(at::Tensor out, Index batch_axis, Index channel_axis, Pooling pooling)
    : Sink(std::move(out), batch_axis), channel_axis_(channel_axis), pooling_(pooling) {
  DNNBRAIN_REQUIRE(
      channel_axis >= 1, "channel_axis must come behind the batch axis; got ", channel_axis, ".");
}

at::Tensor PoolSink::reduce(const at::Tensor& batch) const {
  DNNBRAIN_REQUIRE(channel_axis_ < batch.dim(),
                   "channel_axis must be below ",
                   batch.dim(),
                   "; got ",
                   channel_axis_,
                   ".");
  // Half-precision activations are summed in fp32.
  const at::Tensor x = batch.to(at::promoteTypes(batch.scalar_type(), at::kFloat));
  std::vector<Index> axes;
  for (Index axis = 1; axis < x.dim(); ++axis) {
    if (axis != channel_axis_) axes.push_back(axis);
  }
  const bool norm = pooling_ == Pooling::kL1 || pooling_ == Pooling::kL2;
  if (axes.empty()) return norm ? x.abs() : x;
  switch (pooling_) {
    case Pooling::kMean:
      return x.mean(axes);
    case Pooling::kMax:
      return at::amax(x, axes);
    case Pooling::kMin:
      return at::amin(x, axes);
    case Pooling::kL1:
      return at::linalg_vector_norm(x, 1, axes);
    case Pooling::kL2:
      return at::linalg_vector_norm(x, 2, axes);
  }
  return x;
}

GramSink::GramSink(at::Tensor spool, Index batch_axis) : Sink(std::move(spool), batch_axis) {}

at::Tensor GramSink::reduce(const at::Tensor& batch) const {
  return batch.reshape({batch.size(0), -1});
}

GramMoments GramSink::moments() const { return gram_moments(out_.narrow(0, 0, n_stim())); }

}  // namespace dnnbrain
