#include <pybind11/pybind11.h>

#include "bindings.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled core of dnnbrain_cpp; import it through dnnbrain_cpp._native.";
  dnnbrain::bindings::bind_boundary(m);
  dnnbrain::bindings::bind_dissimilarity(m);
  dnnbrain::bindings::bind_fold_map(m);
  dnnbrain::bindings::bind_frac_ridge(m);
  dnnbrain::bindings::bind_noise(m);
  dnnbrain::bindings::bind_nnls(m);
  dnnbrain::bindings::bind_pair_ridge(m);
  dnnbrain::bindings::bind_pca(m);
  dnnbrain::bindings::bind_pcr(m);
  dnnbrain::bindings::bind_pls(m);
  dnnbrain::bindings::bind_projection(m);
  dnnbrain::bindings::bind_random(m);
  dnnbrain::bindings::bind_ridge(m);
  dnnbrain::bindings::bind_rsa(m);
  dnnbrain::bindings::bind_held_out(m);
  dnnbrain::bindings::bind_bootstrap(m);
  dnnbrain::bindings::bind_reweighting(m);
  dnnbrain::bindings::bind_searchlight(m);
  dnnbrain::bindings::bind_sign_flips(m);
  dnnbrain::bindings::bind_simplex(m);
  dnnbrain::bindings::bind_sink(m);
  dnnbrain::bindings::bind_univariate(m);
}
