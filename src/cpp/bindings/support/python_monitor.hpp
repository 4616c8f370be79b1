// A Monitor that speaks to Python: signals first, then the user's callback.
//
// The order in every binding of a long call: convert arguments, build the monitor, release the GIL,
// call the core, take the GIL back, wrap the result.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <utility>

#include "dnnbrain/core/monitor.hpp"

namespace dnnbrain::bindings {

/// Runs core(monitor) without the GIL. A KeyboardInterrupt, or whatever the callback raised, comes
/// out as itself, after the core has unwound.
template <class Core>
auto run_monitored(const pybind11::object& progress, const Core& core) {
  std::exception_ptr raised;
  Monitor monitor([&](Index done, Index total) {
    const pybind11::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
      if (progress.is_none()) return true;
      return !progress(done, total).is(pybind11::bool_(false));
    } catch (...) {
      raised = std::current_exception();
      return false;
    }
  });
  try {
    const pybind11::gil_scoped_release no_gil;
    return core(monitor);
  } catch (const Cancelled&) {
    if (raised) std::rethrow_exception(raised);
    throw;
  }
}

}  // namespace dnnbrain::bindings
