// Large results in large pages: touching 128 MiB of fresh memory 4 KiB at a time costs as much as
// the products of matrices that fill it.
#pragma once

#include "dnnbrain/core/types.hpp"

namespace dnnbrain {

/// Ask for large pages under memory that nobody has written to. A hint: does nothing to a few
/// megabytes, and where the system has no such thing.
void prefer_huge_pages(void* fresh, Index n_byte);

}  // namespace dnnbrain
