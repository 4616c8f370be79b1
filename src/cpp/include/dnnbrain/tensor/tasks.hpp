// Independent tasks on ATen's threads, each with single-threaded matrix products inside.
//
// One product on one core is faster than one product on all of them, and its bits do not depend on
// how many there are: a task does the same arithmetic wherever it runs.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// While it lives, this thread's calls of the linear algebra library use one thread. Inside a
/// parallel region they would anyway, but a decomposition that was planned for several gives other
/// last digits.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = 0;
};

/// Call body(task) for all tasks in [0, n_task), in no particular order. Threads take the next task
/// as they get free, so unequal tasks do not wait for each other; put long ones first. A body
/// writes to slots of its own. With `parallel` false, for tensors on a GPU, tasks run one by one.
template <class Body>
void for_each_task(Index n_task, bool parallel, const Body& body) {
  const Index n_worker = parallel ? at::get_num_threads() : 1;
  std::atomic<Index> next{0};
  // Over workers rather than tasks, so that even a single task runs inside the parallel region,
  // where products use one thread.
  at::parallel_for(0, n_worker, 1, [&](Index worker, Index end) {
    const at::NoGradGuard no_grad;
    const std::optional<OneThread> one = parallel ? std::make_optional<OneThread>() : std::nullopt;
    for (; worker < end; ++worker) {
      for (Index task = next++; task < n_task; task = next++) body(task);
    }
  });
}

}  // namespace dnnbrain
