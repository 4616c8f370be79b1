// Sinks take a layer's activation inside the forward hook and reduce it at once, so that nothing is
// kept that was not asked for, and an in-place operation after the layer cannot change what was
// taken.
//
// A sink writes the rows of each batch behind those of the batch before, on the CPU, as the
// caller's buffer wants them; any batch size will do. Activations may lie on any device and in any
// memory format; flattening is in the logical order (channel, row, column).
#pragma once

#include <ATen/core/Tensor.h>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/gram.hpp"

namespace dnnbrain {

class Sink {
 public:
  virtual ~Sink() = default;

  /// Take the next batch: `batch_axis` counts stimuli.
  void consume(const at::Tensor& activation);

  /// Stimuli taken so far.
  Index n_stim() const { return n_stim_; }

  /// Forget the rows behind the first `n_stim`: a batch that failed half-way is taken again.
  void rewind(Index n_stim);

 protected:
  Sink(at::Tensor out, Index batch_axis);

  /// (n_batch, ...) -> (n_batch, n_feat)
  virtual at::Tensor reduce(const at::Tensor& batch) const = 0;

  at::Tensor out_;  // (n_stim, n_feat), the caller's memory

 private:
  Index batch_axis_;
  Index n_stim_ = 0;
};

/// All units: (n_batch, ...) -> (n_batch, product of ...).
class KeepSink final : public Sink {
 public:
  KeepSink(at::Tensor out,  // (n_stim, n_feat)
           Index batch_axis);

 private:
  at::Tensor reduce(const at::Tensor& batch) const override;
};

/// What is taken over all axes but batch and channel. L1 and L2 are entrywise norms.
enum class Pooling { kMean, kMax, kMin, kL1, kL2 };

/// One number per channel: (n_batch, n_chn, ...) -> (n_batch, n_chn).
class PoolSink final : public Sink {
 public:
  PoolSink(at::Tensor out,  // (n_stim, n_chn)
           Index batch_axis,
           Index channel_axis,  // counted with the batch axis moved to the front, so >= 1
           Pooling pooling);

 private:
  at::Tensor reduce(const at::Tensor& batch) const override;

  Index channel_axis_;
  Pooling pooling_;
};

/// The n x n moments of all units. A row batch alone cannot give them, so units wait in the
/// caller's buffer (memory, or a memory-mapped file) until all stimuli have come.
class GramSink final : public Sink {
 public:
  GramSink(at::Tensor spool,  // (n_stim, n_feat)
           Index batch_axis);

  GramMoments moments() const;

 private:
  at::Tensor reduce(const at::Tensor& batch) const override;
};

}  // namespace dnnbrain
