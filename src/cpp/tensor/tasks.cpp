#include "dnnbrain/tensor/tasks.hpp"

// Of the MKL that torch may carry; other builds have no such function.
extern "C" __attribute__((weak)) int MKL_Set_Num_Threads_Local(int n_threads);

namespace dnnbrain {

namespace {

int set_library_threads(int n_threads) {
  return MKL_Set_Num_Threads_Local != nullptr ? MKL_Set_Num_Threads_Local(n_threads) : 0;
}

}  // namespace

OneThread::OneThread() {
  // ATen sets the number on a thread's first use of it, and would undo what is set here.
  at::get_num_threads();
  before_ = set_library_threads(1);
}

OneThread::~OneThread() { set_library_threads(before_); }

}  // namespace dnnbrain
