#include "dnnbrain/core/monitor.hpp"

#include <utility>

namespace dnnbrain {

Monitor::Monitor(Callback callback) : callback_(std::move(callback)) {}

void Monitor::start(Index total) {
  done_ = 0;
  total_ = total;
  last_call_ = Clock::now();
}

void Monitor::step(Index count) {
  done_ += count;
  if (!callback_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_call_ < kInterval && done_ < total_) return;
  last_call_ = now;
  if (!callback_(done_, total_)) throw Cancelled();
}

}  // namespace dnnbrain
