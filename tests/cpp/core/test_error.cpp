#include "dnnbrain/core/error.hpp"

#include <stdexcept>
#include <thread>

#include "support/check.hpp"

using namespace dnnbrain;

TEST(require_joins_the_parts_of_its_message) {
  const auto refuse = [](int n) { DNNBRAIN_REQUIRE(n > 0, "n must be positive; got ", n, "."); };
  refuse(1);
  CHECK_EQUAL(CHECK_THROWS(InvalidArgument, refuse(-3)), "n must be positive; got -3.");
  CHECK_THROWS(std::invalid_argument, refuse(0));
}

TEST(collector_without_errors_throws_nothing) {
  ErrorCollector errors;
  int ran = 0;
  errors.run([&] { ++ran; });
  errors.rethrow();
  CHECK_EQUAL(ran, 1);
}

TEST(collector_keeps_the_first_error_and_stops_the_rest) {
  ErrorCollector errors;
  int ran = 0;
  errors.run([] { throw std::out_of_range("first"); });
  errors.run([] { throw std::logic_error("second"); });
  errors.run([&] { ++ran; });
  CHECK_EQUAL(CHECK_THROWS(std::out_of_range, errors.rethrow()), "first");
  CHECK_EQUAL(ran, 0);
}

TEST(collector_takes_errors_from_many_threads) {
  ErrorCollector errors;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { errors.run([] { throw NumericalError("one of eight"); }); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQUAL(CHECK_THROWS(NumericalError, errors.rethrow()), "one of eight");
}
