// One function per topic; module.cpp calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace dnnbrain::bindings {

void bind_bootstrap(pybind11::module_& m);
void bind_boundary(pybind11::module_& m);
void bind_dissimilarity(pybind11::module_& m);
void bind_fold_map(pybind11::module_& m);
void bind_frac_ridge(pybind11::module_& m);
void bind_held_out(pybind11::module_& m);
void bind_nnls(pybind11::module_& m);
void bind_noise(pybind11::module_& m);
void bind_pair_ridge(pybind11::module_& m);
void bind_pca(pybind11::module_& m);
void bind_pcr(pybind11::module_& m);
void bind_pls(pybind11::module_& m);
void bind_projection(pybind11::module_& m);
void bind_random(pybind11::module_& m);
void bind_reweighting(pybind11::module_& m);
void bind_ridge(pybind11::module_& m);
void bind_rsa(pybind11::module_& m);
void bind_searchlight(pybind11::module_& m);
void bind_sign_flips(pybind11::module_& m);
void bind_simplex(pybind11::module_& m);
void bind_sink(pybind11::module_& m);
void bind_univariate(pybind11::module_& m);

}  // namespace dnnbrain::bindings
