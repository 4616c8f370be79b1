#include "dnnbrain/core/huge_pages.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>

namespace dnnbrain {

namespace {

constexpr std::uintptr_t kHugePage = std::uintptr_t{1} << 21;
constexpr Index kWorthIt = Index{4} << 21;

}  // namespace

void prefer_huge_pages(void* fresh, Index n_byte) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (n_byte < kWorthIt) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(fresh);
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t end = (begin + static_cast<std::uintptr_t>(n_byte)) / kHugePage * kHugePage;
  // What it returns does not matter: it is a hint.
  (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#else
  (void)fresh;
  (void)n_byte;
#endif
}

}  // namespace dnnbrain
