#include "dnnbrain/core/parallel.hpp"

#include <atomic>
#include <stdexcept>

#include "support/check.hpp"

using namespace dnnbrain;

TEST(every_index_is_visited_once) {
  for (const Index n : {0, 1, 2, 7, 64, 1009}) {
    for (const int n_threads : {1, 2, 3, 8, 2000}) {
      std::vector<int> visits(static_cast<std::size_t>(n), 0);
      parallel_chunks(n, n_threads, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      CHECK_EQUAL(visits, std::vector<int>(static_cast<std::size_t>(n), 1));
    }
  }
}

TEST(the_thread_count_is_the_one_asked_for) {
  for (const int n_threads : {1, 2, 4}) {
    std::atomic<int> chunks{0};
    std::atomic<int> team{0};
    parallel_chunks(100, n_threads, [&](Index, Index) {
      ++chunks;
      team = omp_get_num_threads();
    });
    CHECK_EQUAL(chunks.load(), n_threads);
    CHECK_EQUAL(team.load(), n_threads);
  }
}

TEST(an_error_of_a_chunk_is_thrown_on_the_calling_thread) {
  for (const int n_threads : {1, 2}) {
    const std::string text =
        CHECK_THROWS(InvalidArgument, parallel_chunks(50, n_threads, [](Index begin, Index end) {
                       DNNBRAIN_REQUIRE(end < 50, "the last chunk fails: ", begin, " to ", end);
                     }));
    CHECK(text.find("the last chunk fails") == 0);
  }
}
