#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

void ErrorCollector::keep(std::exception_ptr error) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!first_) first_ = std::move(error);
  failed_.store(true, std::memory_order_relaxed);
}

void ErrorCollector::rethrow() const {
  if (first_) std::rethrow_exception(first_);
}

}  // namespace dnnbrain
