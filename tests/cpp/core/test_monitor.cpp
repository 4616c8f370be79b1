#include "dnnbrain/core/monitor.hpp"

#include <stdexcept>
#include <thread>

#include "support/check.hpp"

using namespace dnnbrain;
using std::chrono::milliseconds;

TEST(nobody_listens) {
  Monitor monitor;
  monitor.start(2);
  monitor.step();
  monitor.step();
}

TEST(the_end_is_always_reported) {
  std::vector<Index> seen;
  Monitor monitor([&](Index done, Index total) {
    CHECK_EQUAL(total, 1000);
    seen.push_back(done);
    return true;
  });
  monitor.start(1000);
  for (int i = 0; i < 1000; ++i) monitor.step();
  CHECK(!seen.empty());
  CHECK_EQUAL(seen.back(), 1000);
}

TEST(calls_come_at_most_ten_times_a_second) {
  std::size_t calls = 0;
  Monitor monitor([&](Index, Index) {
    ++calls;
    return true;
  });
  const auto begin = Monitor::Clock::now();
  monitor.start(1 << 30);
  while (Monitor::Clock::now() - begin < milliseconds(350)) monitor.step();
  const auto elapsed = std::chrono::duration<double>(Monitor::Clock::now() - begin).count();
  CHECK(calls >= 1);
  CHECK(static_cast<double>(calls) <= elapsed * 10);
}

TEST(false_cancels) {
  Monitor monitor([](Index, Index) { return false; });
  monitor.start(2);
  monitor.step();  // too early to ask
  CHECK_THROWS(Cancelled, monitor.step());
  monitor.start(10);
  std::this_thread::sleep_for(milliseconds(120));
  CHECK_THROWS(Cancelled, monitor.step());
}

TEST(an_error_of_the_callback_comes_through) {
  Monitor monitor([](Index, Index) -> bool { throw std::out_of_range("theirs"); });
  monitor.start(1);
  CHECK_EQUAL(CHECK_THROWS(std::out_of_range, monitor.step()), "theirs");
}

TEST(a_monitor_serves_one_job_after_another) {
  std::vector<Index> totals;
  Monitor monitor([&](Index done, Index total) {
    CHECK_EQUAL(done, total);
    totals.push_back(total);
    return true;
  });
  for (const Index total : {3, 5}) {
    monitor.start(total);
    monitor.step(total);
  }
  CHECK_EQUAL(totals, (std::vector<Index>{3, 5}));
}
