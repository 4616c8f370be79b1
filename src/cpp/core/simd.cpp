#include "dnnbrain/core/simd.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

Simd machine() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Simd::kPortable;
  if (!__builtin_cpu_supports("avx512f")) return Simd::kAvx2;
  const bool narrow = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vbmi") &&
                      __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni");
  return narrow ? Simd::kAvx512Vbmi2 : Simd::kAvx512;
#else
  return Simd::kPortable;
#endif
}

Simd allowed() {
  const char* const variable = std::getenv("DNNBRAIN_SIMD");
  const std::string_view name = variable == nullptr ? "" : variable;
  if (name == "portable") return Simd::kPortable;
  if (name == "avx2") return Simd::kAvx2;
  if (name == "avx512") return Simd::kAvx512;
  DNNBRAIN_REQUIRE(name.empty() || name == "avx512vbmi2",
                   "DNNBRAIN_SIMD must be portable, avx2, avx512 or avx512vbmi2; got '",
                   name,
                   "'.");
  return Simd::kAvx512Vbmi2;
}

}  // namespace

Simd widest_simd() {
  static const Simd widest = std::min(machine(), allowed());
  return widest;
}

}  // namespace dnnbrain
