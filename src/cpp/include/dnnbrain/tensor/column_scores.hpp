// Scores of held-out predictions, one per target.
#pragma once

#include <ATen/core/Tensor.h>

namespace dnnbrain {

/// kMse is negative, so that more is better for all.
enum class Score { kPearson, kR2, kMse };

/// Score of each column; r and R2 are NaN where the measured column is constant. Predictions that
/// vary by no more than `rounding` are constant, and r is 0: they do not covary with anything.
at::Tensor score_columns(const at::Tensor& measured,   // (n_test, t) fp64
                         const at::Tensor& predicted,  // (n_test, t) fp64
                         const at::Tensor& rounding,   // (t,) fp64
                         Score score);                 // -> (t,) fp64

}  // namespace dnnbrain
