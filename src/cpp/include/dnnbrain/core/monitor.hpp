// Progress and cancellation, without Python.
//
// A kernel of more than a few milliseconds is an outer loop over blocks on the calling thread, with
// a parallel loop inside each block. It calls step() between blocks, never inside a parallel
// region.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// The caller asked the work to stop. No result exists and no state has changed.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled by the caller") {}
};

/// Tells a callback how far the work is, at most ten times a second, and stops when it says so.
class Monitor {
 public:
  /// Called with (done, total); returning false stops the work.
  using Callback = std::function<bool(Index done, Index total)>;
  using Clock = std::chrono::steady_clock;

  /// A monitor that nobody listens to.
  Monitor() = default;
  explicit Monitor(Callback callback);

  /// Begin a job of `total` units of work.
  void start(Index total);

  /// Report `count` more units as done. Throws Cancelled when the callback says so.
  void step(Index count = 1);

 private:
  static constexpr std::chrono::milliseconds kInterval{100};

  Callback callback_;
  Index done_ = 0;
  Index total_ = 0;
  Clock::time_point last_call_{};
};

}  // namespace dnnbrain
