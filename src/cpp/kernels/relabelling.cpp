#include "dnnbrain/kernels/relabelling.hpp"

#include <algorithm>
#include <numeric>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"

namespace dnnbrain {

Relabellings Relabellings::drawn(Index n_perm, std::uint64_t seed) {
  DNNBRAIN_REQUIRE(n_perm >= 0, "n_perm must not be negative; got ", n_perm, ".");
  return {n_perm + 1, seed, false};
}

Relabellings Relabellings::all(Index n_cond) {
  DNNBRAIN_REQUIRE(n_cond <= kMostExhausted,
                   "all relabellings can be gone through for at most ",
                   kMostExhausted,
                   " conditions; got ",
                   n_cond,
                   ".");
  return {factorial(n_cond), 0, true};
}

void Relabellings::write(Index number, std::span<std::int32_t> out) const {
  if (!exhaustive_ && number > 0) {
    random_permutation(seed_, static_cast<std::uint64_t>(number - 1), out);
    return;
  }
  std::iota(out.begin(), out.end(), 0);
  // Digits in the factorial base say which of those that are left comes next.
  for (std::size_t place = 0; number > 0; ++place) {
    const Index rest = factorial(static_cast<Index>(out.size() - place) - 1);
    const auto chosen = out.begin() + static_cast<std::ptrdiff_t>(place) + number / rest;
    std::rotate(out.begin() + static_cast<std::ptrdiff_t>(place), chosen, chosen + 1);
    number %= rest;
  }
}

}  // namespace dnnbrain
