// Principal-component regression, cross-validated from the Gram matrix, with the PCA inside the
// fold.
//
// With K the Gram matrix of the stimuli, J the centring of the training rows, and
//
//   J K_tr,tr J = U L U'            (top n_comp eigenpairs)
//   K_f = K_te,tr centred by the training means of rows and columns
//
// the held-out prediction of PCA(n_comp) followed by least squares is
//
//   Y_te = K_f U L^-1 U' (Y_tr - mean) + mean
//
// the same as refitting on the units in every fold, at a cost that does not depend on their number.
// Components whose eigenvalue is rounding weigh nothing, as in a pseudoinverse. K may be centred
// about any point. Cost per fold: one eigendecomposition of n_train, then 2 n_train (n_train +
// n_test) n_vox FLOP.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/fold.hpp"

namespace dnnbrain {

enum class Score { kPearson, kR2 };

/// Score of each held-out fold and target. A target that is constant in a fold scores NaN there.
at::Tensor cross_validate_pcr(const at::Tensor& gram,       // (n_stim, n_stim) fp64
                              const at::Tensor& responses,  // (n_stim, n_vox) fp32 or fp64
                              const std::vector<Fold>& folds,
                              Index n_comp,
                              Score score,
                              Monitor& monitor);  // -> (n_fold, n_vox) fp64

}  // namespace dnnbrain
