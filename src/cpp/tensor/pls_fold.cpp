#include "dnnbrain/tensor/pls_fold.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace dnnbrain {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// Below this, relative to the sum of squares of the features, what is left of them is rounding.
constexpr double kExhausted = 100 * kEps;

/// A residual target below this everywhere is constant: scikit-learn's rule.
constexpr double kFlatTarget = 10 * kEps;

/// A direction with less of the features' sum of squares than this has lost digits, unless they
/// vary in all directions.
constexpr double kDoubtful = 1e-8;

/// Beyond this many Lanczos steps the small problem is looked at in every eighth.
constexpr Index kOftenLooked = 32;

/// Targets that are standardised at a time.
constexpr Index kTargetBlock = 256;

double weighted_dot(const at::Tensor& counts, const at::Tensor& a, const at::Tensor& b) {
  return at::dot(counts * a, b).item<double>();
}

}  // namespace

FoldTargets::FoldTargets(const at::Tensor& data, const FoldScaling& scaling, Index fold)
    : data_(data), scaling_(scaling), fold_(fold) {}

at::Tensor FoldTargets::columns(Index first, Index count) const {
  return standardised_columns(data_, scaling_, fold_, first, count);
}

at::Tensor FoldTargets::mixture() const {
  at::Tensor out = at::zeros({data_.size(0)}, scaling_.mean.options());
  for (Index first = 0; first < count(); first += kTargetBlock) {
    const Index width = std::min(kTargetBlock, count() - first);
    const at::Tensor place = at::arange(first, first + width, scaling_.mean.options());
    out += at::mv(columns(first, width), at::sin(1.0 + place * place));
  }
  return out;
}

PlsFold::PlsFold(Index fold,
                 at::Tensor counts,
                 FoldTargets targets,
                 const FoldProducts& x,
                 const PlsOptions& options)
    : fold_(fold),
      counts_(std::move(counts)),
      trains_((counts_ > 0).to(at::kDouble)),
      targets_(std::move(targets)),
      x_(&x),
      magnitude_(x.magnitude(fold)),
      options_(options) {
  const Index n = counts_.size(0);
  rank_ = static_cast<Index>(trains_.sum().item<double>()) - 1;
  scores_ = at::empty({options.n_comp, n}, counts_.options());
  averaging_ = at::empty({options.n_comp, n}, counts_.options());
  if (x.width() < rank_) settle_doubts(0.0, 1.0);
  if (!range_.defined()) start();
}

void PlsFold::receive(const at::Tensor& product) {  // (n,)
  const at::Tensor projected = without_scores(product);
  switch (phase_) {
    case Phase::kStart:
      return receive_start(projected);
    case Phase::kAnswer:
      return receive_answer(projected);
    case Phase::kImage:
      return receive_image(projected);
  }
}

PlsComponents PlsFold::components() const {
  const Index n = counts_.size(0);
  const auto rows = [&](const std::vector<at::Tensor>& parts) {
    return parts.empty() ? at::empty({0, n}, counts_.options()) : at::stack(parts);
  };
  return {scores_.narrow(0, 0, n_found_).clone(), rows(y_scores_), rows(duals_), n_iter_};
}

void PlsFold::ask(Wants wants, Phase phase, at::Tensor vector) {
  wants_ = wants;
  phase_ = phase;
  vector_ = wants == Wants::kX ? within_range(vector) : std::move(vector);
}

at::Tensor PlsFold::within_range(const at::Tensor& v) const {
  if (!range_.defined()) return v;
  const at::Tensor root = counts_.index_select(0, rows_).sqrt();
  const at::Tensor inside = at::mv(range_.t(), root * v.index_select(0, rows_));
  return at::zeros_like(v).index_copy_(0, rows_, at::mv(range_, inside) / root);
}

bool PlsFold::settle_doubts(double sq, double length) {
  if (!doubts_ || sq > kDoubtful * magnitude_ * length) return false;
  doubts_ = false;
  const at::Tensor range = x_->range(fold_);
  if (range.size(1) >= rank_) return false;
  rank_ = range.size(1);
  range_ = range;
  rows_ = at::nonzero(counts_).flatten();
  start();
  return true;
}

at::Tensor PlsFold::without_scores(const at::Tensor& z) const {
  if (n_found_ == 0) return z;
  const at::Tensor scores = scores_.narrow(0, 0, n_found_).t();
  const at::Tensor averaging = averaging_.narrow(0, 0, n_found_);
  const at::Tensor once = z - at::mv(scores, at::mv(averaging, z));
  return once - at::mv(scores, at::mv(averaging, once));
}

void PlsFold::start() {
  basis_.clear();
  images_.clear();
  answers_.clear();
  t_ = {};
  Index width = 1;
  for (Index at = 0; at < targets_.count(); at += width, width = kTargetBlock) {
    width = std::min(width, targets_.count() - at);
    at::Tensor columns = targets_.columns(at, width) * trains_.unsqueeze(1);
    if (n_found_ > 0) {
      const at::Tensor loadings = at::mm(averaging_.narrow(0, 0, n_found_), columns);
      columns -= at::mm(scores_.narrow(0, 0, n_found_).t(), loadings) * trains_.unsqueeze(1);
    }
    const at::Tensor varies = columns.abs().amax(0) >= kFlatTarget;
    if (!varies.any().item<bool>()) continue;
    const Index place = varies.to(at::kLong).argmax().item<int64_t>();
    return ask(Wants::kX, Phase::kStart, without_scores(columns.select(1, place)));
  }
  wants_ = Wants::kNothing;
}

void PlsFold::receive_start(const at::Tensor& image) {
  const double length = weighted_dot(counts_, vector_, vector_);
  const double shared = weighted_dot(counts_, vector_, image);
  if (settle_doubts(shared, length)) return;
  if (shared > kExhausted * magnitude_ * length) return extend(vector_, image, std::sqrt(shared));
  if (mixed_) {
    wants_ = Wants::kNothing;  // what is left of X, if anything, has nothing in common with Y
    return;
  }
  // The first target may be unrelated to the features where others are not.
  mixed_ = true;
  ask(Wants::kX, Phase::kStart, without_scores(targets_.mixture() * trains_));
}

void PlsFold::extend(const at::Tensor& vector, const at::Tensor& image, double length) {
  basis_.push_back(vector / length);
  images_.push_back(image / length);
  ask(Wants::kY, Phase::kAnswer, images_.back());
}

void PlsFold::receive_answer(const at::Tensor& answer) {
  answers_.push_back(answer);
  const at::Tensor basis = at::stack(basis_);
  const at::Tensor images = at::stack(images_) * counts_;
  const at::Tensor along = at::mv(images, answer);
  at::Tensor rest = answer - at::mv(basis.t(), along);
  const at::Tensor again = at::mv(images, rest);
  rest -= at::mv(basis.t(), again);
  t_.diagonal.push_back((along[-1] + again[-1]).item<double>());
  if (t_.size() < std::min(targets_.count(), rank_ - n_found_))
    return ask(Wants::kX, Phase::kImage, rest);
  t_.off.push_back(0.0);
  finish(*solution());
}

void PlsFold::receive_image(const at::Tensor& image) {
  const double sq = weighted_dot(counts_, vector_, image);
  const double size = weighted_dot(counts_, vector_, vector_);
  if (settle_doubts(sq, size)) return;
  // A direction in which the features do not vary: the basis is complete.
  const bool complete = sq <= kExhausted * magnitude_ * size;
  const double length = complete ? 0.0 : std::sqrt(sq);
  t_.off.push_back(length);
  if (complete || t_.size() <= kOftenLooked || t_.size() % 8 == 0) {
    if (const auto found = solution()) return finish(*found);
  }
  extend(vector_, image, length);
}

std::optional<KrylovVector> PlsFold::solution() const {
  if (targets_.count() == 1) return KrylovVector{{1.0}, 1};
  if (options_.algorithm == PlsAlgorithm::kNipals)
    return stopped_iterate(t_, options_.max_iter, options_.tol);
  return converged_vector(t_);
}

void PlsFold::finish(const KrylovVector& found) {
  const at::Tensor coefs = at::tensor(found.coefs, at::kDouble).to(counts_.device());
  const at::Tensor score = at::mv(at::stack(images_).t(), coefs);
  const at::Tensor answer = at::mv(at::stack(answers_).t(), coefs);
  const double length = weighted_dot(counts_, score, score);
  const double shared = weighted_dot(counts_, score, answer);
  scores_[n_found_].copy_(score);
  averaging_[n_found_].copy_(counts_ * score / length);
  duals_.push_back(counts_ * at::mv(at::stack(basis_).t(), coefs));
  y_scores_.push_back(answer * trains_ * (length / shared));
  n_iter_.push_back(found.n_iter);
  ++n_found_;
  mixed_ = false;
  if (n_found_ < options_.n_comp) return start();
  wants_ = Wants::kNothing;
}

}  // namespace dnnbrain
