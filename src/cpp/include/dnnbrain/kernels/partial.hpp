// Similarities of models with subjects when what both share with control RDMs is taken out.
//
//   partial       (r_xy - r_xz R^-1 r_zy) / sqrt((1 - r_xz R^-1 r_zx)(1 - r_yz R^-1 r_zy))
//   semi-partial  (r_xy - r_xz R^-1 r_zy) / sqrt(1 - r_xz R^-1 r_zx)      taken out of x alone
//
// R are the similarities of the controls z with each other. For corr and spearman these are
// correlations of residuals; for tau-b Kendall's own partial coefficient, for several controls.
// Needs a similarity of 1 with oneself: all comparators but tau-a and rho-a of RDMs with ties.
// Relabelling moves x against y and z, which stay in place (Legendre 2000).
#pragma once

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

enum class Removal { kPartial, kSemiPartial };

class Partial {
 public:
  /// Throws InvalidArgument where controls determine each other or a subject.
  Partial(const Matrix& among_controls,  // (n_control, n_control) similarities
          const Matrix& with_subjects,   // (n_control, n_subject)
          Removal removal);

  /// Scores with subjects and controls of one model become scores with subjects. A model that is
  /// determined by the controls has none: 0.
  void apply(Eigen::Ref<const Eigen::RowVectorXd> scores,  // (n_subject + n_control,)
             Eigen::Ref<Eigen::RowVectorXd> out) const;    // (n_subject,)

  /// Whether controls determine the model.
  bool determined(Eigen::Ref<const Eigen::RowVectorXd> scores) const;  // (n_subject + n_control,)

 private:
  double left_of(Eigen::Ref<const Eigen::RowVectorXd> scores) const;

  Matrix inverse_;        // (n_control, n_control) R^-1
  Matrix slopes_;         // (n_control, n_subject) R^-1 r_zy
  Eigen::RowVectorXd y_;  // (n_subject,) what subjects' residuals are divided by
};

}  // namespace dnnbrain
