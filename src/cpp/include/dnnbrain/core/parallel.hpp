// Parallel loops with an explicit thread count. The only header that includes <omp.h>.
#pragma once

#include <omp.h>

#include <algorithm>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Split [0, n) into one contiguous chunk per thread and call body(begin, end) on each.
/// A body owns its scratch space and writes to slots of its own: results then do not depend on
/// n_threads. The first exception of any chunk is thrown here.
template <class Body>
void parallel_chunks(Index n, int n_threads, const Body& body) {
  const Index n_chunk = std::clamp<Index>(n_threads, 1, std::max<Index>(n, 1));
  ErrorCollector errors;
#pragma omp parallel for num_threads(static_cast<int>(n_chunk)) schedule(static)
  for (Index chunk = 0; chunk < n_chunk; ++chunk) {
    errors.run([&] { body(n * chunk / n_chunk, n * (chunk + 1) / n_chunk); });
  }
  errors.rethrow();
}

}  // namespace dnnbrain
