#include "dnnbrain/core/random.hpp"

#include <pybind11/numpy.h>

#include "bindings.hpp"
#include "dnnbrain/core/error.hpp"

namespace py = pybind11;

namespace dnnbrain::bindings {

namespace {

py::array_t<std::uint32_t> random_draws(std::uint64_t seed, std::uint64_t stream, Index count) {
  DNNBRAIN_REQUIRE(count >= 0, "count must not be negative; got ", count, ".");
  py::array_t<std::uint32_t> out(count);
  RandomStream draws(seed, stream);
  for (Index i = 0; i < count; ++i) out.mutable_at(i) = draws.next();
  return out;
}

py::array_t<std::int32_t> random_permutations(std::uint64_t seed,
                                              std::uint64_t first,
                                              Index count,
                                              Index n) {
  DNNBRAIN_REQUIRE(
      count >= 0 && n >= 0, "count and n must not be negative; got ", count, " and ", n, ".");
  py::array_t<std::int32_t> out({count, n});
  for (Index i = 0; i < count; ++i) {
    random_permutation(seed,
                       first + static_cast<std::uint64_t>(i),
                       {out.mutable_data(i, 0), static_cast<std::size_t>(n)});
  }
  return out;
}

}  // namespace

void bind_random(py::module_& m) {
  m.attr("RANDOM_VERSION") = kRandomVersion;
  m.def("random_draws", &random_draws, py::arg("seed"), py::arg("stream"), py::arg("count"));
  m.def("random_permutations",
        &random_permutations,
        py::arg("seed"),
        py::arg("first"),
        py::arg("count"),
        py::arg("n"));
}

}  // namespace dnnbrain::bindings
