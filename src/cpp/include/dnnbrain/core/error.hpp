// Errors: what must hold, what came, what to do.
//
// InvalidArgument reaches Python as ValueError, NumericalError as numpy.linalg.LinAlgError. No
// exception may leave an OpenMP region, so ErrorCollector keeps the first and hands it on after.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace dnnbrain {

/// An argument breaks the contract of a function.
class InvalidArgument : public std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// A computation cannot give a meaningful number: no convergence, no rank.
class NumericalError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Join the parts of a message.
template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// The first exception of a parallel region, rethrown on the calling thread.
class ErrorCollector {
 public:
  /// Run body unless some thread has failed already; keep what it throws.
  template <class Body>
  void run(Body&& body) noexcept {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      std::forward<Body>(body)();
    } catch (...) {
      keep(std::current_exception());
    }
  }

  /// Throw the exception that was kept, if any. Call after the parallel region.
  void rethrow() const;

 private:
  void keep(std::exception_ptr error) noexcept;

  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace dnnbrain

/// Throw InvalidArgument with the joined message parts unless `condition` holds.
#define DNNBRAIN_REQUIRE(condition, ...)                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      throw ::dnnbrain::InvalidArgument(::dnnbrain::message(__VA_ARGS__)); \
    }                                                                      \
  } while (false)
