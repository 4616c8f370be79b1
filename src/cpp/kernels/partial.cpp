#include "dnnbrain/kernels/partial.hpp"

#include <Eigen/Cholesky>
#include <cmath>

#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

/// Part of a squared norm that is rounding.
constexpr double kNothing = 1e-10;

}  // namespace

Partial::Partial(const Matrix& among_controls, const Matrix& with_subjects, Removal removal) {
  const Eigen::LLT<Matrix> factor(among_controls);
  const bool independent =
      factor.info() == Eigen::Success &&
      Eigen::VectorXd(Matrix(factor.matrixL()).diagonal()).cwiseAbs2().minCoeff() > kNothing;
  DNNBRAIN_REQUIRE(independent, "controls must not determine each other; leave one of them out.");
  inverse_ = factor.solve(Matrix::Identity(among_controls.rows(), among_controls.cols()));
  slopes_ = factor.solve(with_subjects);
  y_ = Eigen::RowVectorXd::Ones(with_subjects.cols());
  if (removal == Removal::kSemiPartial) return;
  y_ -= with_subjects.cwiseProduct(slopes_).colwise().sum();
  DNNBRAIN_REQUIRE(y_.minCoeff() > kNothing,
                   "controls must leave something of each subject's RDM; they determine that of "
                   "one.");
  y_ = y_.cwiseSqrt().eval();
}

double Partial::left_of(Eigen::Ref<const Eigen::RowVectorXd> scores) const {
  const auto with_controls = scores.tail(inverse_.rows());
  return 1.0 - with_controls * inverse_ * with_controls.transpose();
}

bool Partial::determined(Eigen::Ref<const Eigen::RowVectorXd> scores) const {
  return left_of(scores) <= kNothing;
}

void Partial::apply(Eigen::Ref<const Eigen::RowVectorXd> scores,
                    Eigen::Ref<Eigen::RowVectorXd> out) const {
  const double left = left_of(scores);
  if (left <= kNothing) {
    out.setZero();
    return;
  }
  out = (scores.head(out.size()) - scores.tail(inverse_.rows()) * slopes_)
            .cwiseQuotient(y_ * std::sqrt(left));
}

}  // namespace dnnbrain
