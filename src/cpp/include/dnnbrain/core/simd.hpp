// Which instructions this machine has, for kernels that have a form of their own for them.
//
// A release is built for any machine: such a kernel is compiled by function attributes and chosen
// at run time. All forms of a kernel give the same results, but for the last digits of sums of
// floating-point products.
#pragma once

namespace dnnbrain {

/// In ascending order: a machine that runs one runs those before it.
enum class Simd {
  kPortable,
  kAvx2,         // and FMA
  kAvx512,       // F: of 32-bit lanes
  kAvx512Vbmi2,  // and BW, VL, VBMI, VBMI2, VNNI: of 8- and 16-bit lanes, permuted, multiplied
};

/// The widest that this machine has and the environment variable DNNBRAIN_SIMD allows: `portable`,
/// `avx2`, `avx512` or `avx512vbmi2`. Asked once per process.
Simd widest_simd();

}  // namespace dnnbrain
