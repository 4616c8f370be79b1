#include "dnnbrain/tensor/pls.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// Below this, relative to the sum of squares of the features, what is left of them is rounding.
constexpr double kExhausted = 100 * kEps;

/// A residual target below this everywhere is constant: scikit-learn's rule.
constexpr double kFlatTarget = 10 * kEps;

/// How much of an iterate may have leaked out of the basis.
constexpr double kLeak = 1e-13;

/// A direction with less of the features' sum of squares than this has lost digits, unless they
/// vary in all directions.
constexpr double kDoubtful = 1e-8;

/// What predictions may vary by without meaning it, relative to the largest training response.
constexpr double kRounding = 1e-13;

/// Beyond this many Lanczos steps the small problem is looked at in every eighth.
constexpr Index kOftenLooked = 32;

/// Lanczos steps that one component may be expected to take, for choosing between forms.
constexpr Index kTypicalSteps = 12;

constexpr Index kTargetBlock = 256;

double weighted_dot(const at::Tensor& counts, const at::Tensor& a, const at::Tensor& b) {
  return at::dot(counts * a, b).item<double>();
}

/// The responses as one fold sees them.
class Targets {
 public:
  Targets(const at::Tensor& data, const FoldScaling& scaling, Index fold)
      : data_(data), scaling_(scaling), fold_(fold) {}

  Index count() const { return data_.size(1); }

  at::Tensor columns(Index first, Index count) const {  // -> (n, count)
    return standardised_columns(data_, scaling_, fold_, first, count);
  }

  /// A fixed combination of all columns, in which nothing cancels but by design.
  at::Tensor mixture() const {  // -> (n,)
    at::Tensor out = at::zeros({data_.size(0)}, scaling_.mean.options());
    for (Index first = 0; first < count(); first += kTargetBlock) {
      const Index width = std::min(kTargetBlock, count() - first);
      const at::Tensor place = at::arange(first, first + width, scaling_.mean.options());
      out += at::mv(columns(first, width), at::sin(1.0 + place * place));
    }
    return out;
  }

 private:
  at::Tensor data_;  // (n, t)
  FoldScaling scaling_;
  Index fold_;
};

/// T of a Lanczos process: diagonal, and off-diagonal whose last entry leads out of the basis.
struct Tridiagonal {
  std::vector<double> diagonal;  // (d,)
  std::vector<double> off;       // (d,)

  Index size() const { return static_cast<Index>(diagonal.size()); }

  std::vector<double> times(const std::vector<double>& x) const {
    const std::size_t d = diagonal.size();
    std::vector<double> y(d);
    for (std::size_t i = 0; i < d; ++i) {
      y[i] = diagonal[i] * x[i];
      if (i > 0) y[i] += off[i - 1] * x[i - 1];
      if (i + 1 < d) y[i] += off[i] * x[i + 1];
    }
    return y;
  }
};

struct Ritz {
  double value = 0;
  double gap = 0;              // to the second
  std::vector<double> vector;  // (d,)
};

Ritz dominant_pair(const Tridiagonal& t) {
  const Index d = t.size();
  at::Tensor dense = at::zeros({d, d}, at::kDouble);
  auto entry = dense.accessor<double, 2>();
  for (Index i = 0; i < d; ++i) {
    entry[i][i] = t.diagonal[static_cast<std::size_t>(i)];
    if (i + 1 < d) entry[i + 1][i] = t.off[static_cast<std::size_t>(i)];
  }
  at::Tensor values;
  at::Tensor vectors;
  for_each_task(
      1, /*parallel=*/true, [&](Index) { std::tie(values, vectors) = at::linalg_eigh(dense); });
  const at::Tensor top = vectors.select(1, d - 1).contiguous();
  const double* first = top.const_data_ptr<double>();
  Ritz out;
  out.value = values[d - 1].item<double>();
  out.gap = d > 1 ? out.value - values[d - 2].item<double>() : out.value;
  out.vector.assign(first, first + d);
  return out;
}

/// A component in the coordinates of the basis.
struct Solution {
  std::vector<double> coefs;  // (d,)
  Index n_iter = 0;
};

/// The iterate at which the power iteration stops; nothing if the basis is too small to tell.
std::optional<Solution> stopped_iterate(const Tridiagonal& t, const PlsOptions& options) {
  const double top = dominant_pair(t).value;
  std::vector<double> x(t.diagonal.size(), 0.0);
  x[0] = 1.0;
  double leaked = 0;
  for (Index iteration = 2; iteration <= options.max_iter; ++iteration) {
    std::vector<double> next = t.times(x);
    double norm = 0;
    for (const double value : next) norm += value * value;
    norm = std::sqrt(norm);
    if (norm == 0.0) return Solution{x, iteration};
    leaked = (top * leaked + t.off.back() * std::abs(x.back())) / norm;
    if (leaked > kLeak) return std::nullopt;
    double change = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      next[i] /= norm;
      change += (next[i] - x[i]) * (next[i] - x[i]);
    }
    x = std::move(next);
    if (change < options.tol) return Solution{x, iteration};
  }
  return Solution{x, options.max_iter};
}

/// The dominant eigenvector; nothing if the basis does not hold it yet.
std::optional<Solution> converged_vector(const Tridiagonal& t) {
  const Ritz ritz = dominant_pair(t);
  const double residual = t.off.back() * std::abs(ritz.vector.back());
  if (residual > std::max(kLeak * ritz.gap, 4 * kEps * ritz.value)) return std::nullopt;
  return Solution{ritz.vector, t.size()};
}

/// The components of one fold. It asks for one product at a time, so that a caller may serve many
/// folds with one pass over a matrix.
class PlsFold {
 public:
  enum class Wants { kX, kY, kNothing };

  PlsFold(Index fold,
          at::Tensor counts,
          Targets targets,
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

  Index fold() const { return fold_; }
  Wants wants() const { return wants_; }
  const at::Tensor& vector() const { return vector_; }  // (n,)

  void receive(const at::Tensor& product) {  // (n,)
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

  PlsComponents components() const {
    const Index n = counts_.size(0);
    const auto rows = [&](const std::vector<at::Tensor>& parts) {
      return parts.empty() ? at::empty({0, n}, counts_.options()) : at::stack(parts);
    };
    return {scores_.narrow(0, 0, n_found_).clone(), rows(y_scores_), rows(duals_), n_iter_};
  }

 private:
  enum class Phase { kStart, kAnswer, kImage };

  void ask(Wants wants, Phase phase, at::Tensor vector) {
    wants_ = wants;
    phase_ = phase;
    vector_ = wants == Wants::kX ? within_range(vector) : std::move(vector);
  }

  /// The same X'v from the shortest v. What of v lies outside X's range adds nothing to v'Kv but
  /// rounding, and so much of it that a short X'v drowns.
  at::Tensor within_range(const at::Tensor& v) const {
    if (!range_.defined()) return v;
    const at::Tensor root = counts_.index_select(0, rows_).sqrt();
    const at::Tensor inside = at::mv(range_.t(), root * v.index_select(0, rows_));
    return at::zeros_like(v).index_copy_(0, rows_, at::mv(range_, inside) / root);
  }

  /// Whether the range had to be looked at; the component begins again.
  bool settle_doubts(double sq, double length) {
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

  /// Deflation of X and Y alike; twice, since once leaves the rounding of a large part.
  at::Tensor without_scores(const at::Tensor& z) const {
    if (n_found_ == 0) return z;
    const at::Tensor scores = scores_.narrow(0, 0, n_found_).t();
    const at::Tensor averaging = averaging_.narrow(0, 0, n_found_);
    const at::Tensor once = z - at::mv(scores, at::mv(averaging, z));
    return once - at::mv(scores, at::mv(averaging, once));
  }

  /// Begin a component from the first residual target that varies.
  void start() {
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

  void receive_start(const at::Tensor& image) {
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

  /// A vector of the basis, and the question what L answers to it.
  void extend(const at::Tensor& vector, const at::Tensor& image, double length) {
    basis_.push_back(vector / length);
    images_.push_back(image / length);
    ask(Wants::kY, Phase::kAnswer, images_.back());
  }

  void receive_answer(const at::Tensor& answer) {
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

  void receive_image(const at::Tensor& image) {
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

  std::optional<Solution> solution() const {
    if (targets_.count() == 1) return Solution{{1.0}, 1};
    if (options_.algorithm == PlsAlgorithm::kNipals) return stopped_iterate(t_, options_);
    return converged_vector(t_);
  }

  void finish(const Solution& found) {
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

  Index fold_;
  at::Tensor counts_;  // (n,)
  at::Tensor trains_;  // (n,) 1 or 0
  Targets targets_;
  const FoldProducts* x_;
  double magnitude_;
  PlsOptions options_;
  Index rank_ = 0;      // of the features, at most
  at::Tensor rows_;     // (n_row,) int64 and
  at::Tensor range_;    // (n_row, rank) basis of their range, once it is known that they need it
  bool doubts_ = true;  // whether the rank has yet to be looked at

  Wants wants_ = Wants::kNothing;
  Phase phase_ = Phase::kStart;
  at::Tensor vector_;
  bool mixed_ = false;

  // The component at work: v, P K v and P L P K v of each vector of the basis.
  std::vector<at::Tensor> basis_;
  std::vector<at::Tensor> images_;
  std::vector<at::Tensor> answers_;
  Tridiagonal t_;

  // The components that are done.
  Index n_found_ = 0;
  at::Tensor scores_;     // (n_comp, n)
  at::Tensor averaging_;  // (n_comp, n) counts o score / length: gives loadings
  std::vector<at::Tensor> duals_;
  std::vector<at::Tensor> y_scores_;
  std::vector<Index> n_iter_;
};

/// Serve all folds that want a product of this kind, in one call.
void serve(std::vector<PlsFold>& folds, PlsFold::Wants kind, const FoldProducts& products) {
  std::vector<PlsFold*> asking;
  std::vector<Index> which;
  std::vector<at::Tensor> vectors;
  for (PlsFold& fold : folds) {
    if (fold.wants() != kind) continue;
    asking.push_back(&fold);
    which.push_back(fold.fold());
    vectors.push_back(fold.vector());
  }
  if (asking.empty()) return;
  const at::Tensor answers = products.apply(which, at::stack(vectors));
  for_each_task(std::ssize(asking), answers.is_cpu(), [&](Index i) {
    asking[static_cast<std::size_t>(i)]->receive(answers[i]);
  });
}

void run_to_end(std::vector<PlsFold>& folds,
                const FoldProducts& x,
                const FoldProducts& y,
                Monitor& monitor) {
  const auto busy = [](const PlsFold& fold) { return fold.wants() != PlsFold::Wants::kNothing; };
  while (std::any_of(folds.begin(), folds.end(), busy)) {
    serve(folds, PlsFold::Wants::kX, x);
    serve(folds, PlsFold::Wants::kY, y);
    monitor.step(0);
  }
}

/// Components of all folds: together where a pass over a matrix serves many, else one by one, so
/// that the matrices of a fold stay in cache.
std::vector<PlsComponents> fold_components(const FoldProducts& x,
                                           const FoldProducts& y,
                                           const at::Tensor& counts,
                                           const at::Tensor& responses,
                                           const FoldScaling& y_scaling,
                                           const PlsOptions& options,
                                           Monitor& monitor) {
  const Index n_fold = counts.size(0);
  const bool together = x.batches() || y.batches();
  std::vector<PlsComponents> out;
  std::vector<PlsFold> running;
  for (Index f = 0; f < n_fold; ++f) {
    running.emplace_back(f, counts[f], Targets(responses, y_scaling, f), x, options);
    if (together && f + 1 < n_fold) continue;
    run_to_end(running, x, y, monitor);
    for (const PlsFold& fold : running) out.push_back(fold.components());
    running.clear();
  }
  return out;
}

Index expected_products(const PlsOptions& options, Index n_target) {
  return options.n_comp * (std::min(n_target, kTypicalSteps) + 1);
}

/// Weighted scores that turn standardised columns into loadings.
at::Tensor averaging_rows(const PlsComponents& found, const at::Tensor& counts) {
  const at::Tensor weighted = found.x_scores * counts;
  return weighted / (weighted * found.x_scores).sum(1, /*keepdim=*/true);
}

FoldScaling some_folds(const FoldScaling& scaling, Index first, Index count) {
  return {scaling.mean.narrow(0, first, count),
          scaling.std.narrow(0, first, count),
          scaling.weight.narrow(0, first, count)};
}

/// Scores, and predictions where wanted, of one fold's held-out rows.
void score_fold(const PlsComponents& found,
                const at::Tensor& counts,
                const at::Tensor& test,
                const at::Tensor& responses,
                const FoldScaling& scaling,
                Index fold,
                const PlsWanted& wanted,
                at::Tensor scores,       // (n_count, t)
                at::Tensor predictions)  // (n_test, t) or undefined
{
  const Index n_target = responses.size(1);
  const Index n_found = found.x_scores.size(0);
  const at::Tensor averaging = averaging_rows(found, counts);
  const at::Tensor test_scores = found.x_scores.index_select(1, test).t().contiguous();
  const at::Tensor trains = (counts > 0).to(at::kDouble).unsqueeze(1);
  const Index n_block = (n_target + kTargetBlock - 1) / kTargetBlock;
  for_each_task(n_block, responses.is_cpu(), [&](Index block) {
    const Index first = block * kTargetBlock;
    const Index width = std::min(kTargetBlock, n_target - first);
    const at::Tensor y = standardised_columns(responses, scaling, fold, first, width);
    const at::Tensor measured = y.index_select(0, test);
    const at::Tensor rounding = kRounding * (y * trains).abs().amax(0);
    const at::Tensor loadings = at::mm(averaging, y);
    at::Tensor predicted = at::zeros_like(measured);
    Index done = 0;
    for (std::size_t c = 0; c < wanted.counts.size(); ++c) {
      const Index upto = std::min(wanted.counts[c], n_found);
      predicted +=
          at::mm(test_scores.narrow(1, done, upto - done), loadings.narrow(0, done, upto - done));
      done = upto;
      scores[static_cast<Index>(c)]
          .narrow(0, first, width)
          .copy_(score_columns(measured, predicted, rounding, wanted.score));
    }
    if (predictions.defined()) {
      predictions.narrow(1, first, width)
          .copy_(predicted * scaling.std[fold].narrow(0, first, width) +
                 scaling.mean[fold].narrow(0, first, width));
    }
  });
}

void check_data(const at::Tensor& features, const at::Tensor& responses) {
  DNNBRAIN_REQUIRE(features.dim() == 2 && features.is_floating_point() && features.size(1) > 0,
                   "features must be floating point of shape (n, p); got ",
                   features.dim(),
                   " axes of ",
                   features.dtype().name(),
                   ".");
  DNNBRAIN_REQUIRE(responses.dim() == 2 && responses.is_floating_point() &&
                       responses.size(0) == features.size(0) && responses.size(1) > 0,
                   "responses must be floating point of shape (n, t) with n == ",
                   features.size(0),
                   "; got ",
                   responses.dim(),
                   " axes of ",
                   responses.dtype().name(),
                   ".");
}

void check_folds(const std::vector<Fold>& folds, Index n_comp, Index n_feat) {
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  for (std::size_t f = 0; f < folds.size(); ++f) {
    DNNBRAIN_REQUIRE(folds[f].test.numel() >= 1, "fold ", f, " holds out nothing.");
    const Index most = std::min(folds[f].train.numel() - 1, n_feat);
    DNNBRAIN_REQUIRE(n_comp >= 1 && n_comp <= most,
                     "n_components must be from 1 to ",
                     most,
                     ", the rank that the training set of fold ",
                     f,
                     " can have; got ",
                     n_comp,
                     ". Use fewer components.");
  }
}

void check_wanted(const PlsWanted& wanted, Index n_comp) {
  DNNBRAIN_REQUIRE(!wanted.counts.empty() && wanted.counts.front() >= 1 &&
                       wanted.counts.back() == n_comp &&
                       std::is_sorted(wanted.counts.begin(), wanted.counts.end()),
                   "component counts must ascend from 1 or more to ",
                   n_comp,
                   ".");
}

/// Bytes that the products of one fold keep for data of this width.
Index bytes_per_fold(Index n, Index width, bool scale) {
  if (2 * width <= n) return 16 * n * width;
  return scale ? 8 * n * n : 0;
}

/// Makes the products of the features for some of the folds.
using ProductsOf =
    std::function<std::unique_ptr<FoldProducts>(const at::Tensor& counts, Index first)>;

PlsHeldOut cross_validate(const ProductsOf& x_products,
                          const at::Tensor& responses,
                          const std::vector<Fold>& folds,
                          const PlsOptions& options,
                          const PlsWanted& wanted,
                          Index folds_at_once,
                          Monitor& monitor) {
  const Index n_fold = static_cast<Index>(folds.size());
  const Index n_target = responses.size(1);
  const at::Tensor counts = training_counts(folds, responses.size(0));
  const FoldScaling y_scaling = fold_scaling(responses, counts, options.scale);

  PlsHeldOut out;
  out.scores =
      at::empty({static_cast<Index>(wanted.counts.size()), n_fold, n_target}, counts.options());
  out.n_found = at::zeros({n_fold}, at::kLong);
  out.n_iter = at::zeros({n_fold, options.n_comp}, at::kLong);
  monitor.start(n_fold);
  for (Index first = 0; first < n_fold; first += folds_at_once) {
    const Index count = std::min(folds_at_once, n_fold - first);
    const at::Tensor some_counts = counts.narrow(0, first, count);
    const FoldScaling some_y = some_folds(y_scaling, first, count);
    const auto x = x_products(some_counts, first);
    const auto y = fold_products(responses,
                                 some_counts,
                                 some_y,
                                 options.scale,
                                 expected_products(options, n_target),
                                 monitor);
    const auto found = fold_components(*x, *y, some_counts, responses, some_y, options, monitor);
    for (Index i = 0; i < count; ++i) {
      const Index f = first + i;
      const PlsComponents& components = found[static_cast<std::size_t>(i)];
      const at::Tensor& test = folds[static_cast<std::size_t>(f)].test;
      at::Tensor predictions;
      if (wanted.predictions) {
        predictions = at::empty({test.size(0), n_target}, responses.options());
        out.predictions.push_back(predictions);
      }
      score_fold(components,
                 some_counts[i],
                 test,
                 responses,
                 some_y,
                 i,
                 wanted,
                 out.scores.select(1, f),
                 predictions);
      const Index n_found = static_cast<Index>(components.n_iter.size());
      out.n_found[f] = n_found;
      out.n_iter[f].narrow(0, 0, n_found).copy_(at::tensor(components.n_iter, at::kLong));
      monitor.step();
    }
  }
  return out;
}

}  // namespace

PlsModel fit_pls(const at::Tensor& features,
                 const at::Tensor& responses,
                 const PlsOptions& options,
                 Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_data(features, responses);
  const Index n = features.size(0);
  const Index p = features.size(1);
  const Index n_target = responses.size(1);
  DNNBRAIN_REQUIRE(options.n_comp >= 1 && options.n_comp <= std::min(n, p),
                   "`n_components` upper bound is ",
                   std::min(n, p),
                   ". Got ",
                   options.n_comp,
                   " instead. Reduce `n_components`.");
  const at::Tensor counts = at::ones({1, n}, features.options().dtype(at::kDouble));
  monitor.start(1);
  const FoldScaling x_scaling = fold_scaling(features, counts, options.scale);
  const FoldScaling y_scaling = fold_scaling(responses, counts, options.scale);
  const Index n_product = expected_products(options, n_target);
  const auto x = fold_products(features, counts, x_scaling, options.scale, n_product, monitor);
  const auto y = fold_products(responses, counts, y_scaling, options.scale, n_product, monitor);
  const PlsComponents found =
      fold_components(*x, *y, counts, responses, y_scaling, options, monitor)[0];

  const Index n_found = static_cast<Index>(found.n_iter.size());
  const at::Tensor averaging = averaging_rows(found, counts[0]);
  PlsModel model{x_scaling.mean[0],
                 x_scaling.std[0],
                 y_scaling.mean[0],
                 y_scaling.std[0],
                 at::empty({p, n_found}, counts.options()),
                 at::empty({p, n_found}, counts.options()),
                 at::empty({n_target, n_found}, counts.options()),
                 found.x_scores.t().contiguous(),
                 found.y_scores.t().contiguous(),
                 found.n_iter};
  const at::Tensor both = at::cat({found.duals, averaging});
  for (Index first = 0; first < p; first += kTargetBlock) {
    const Index width = std::min(kTargetBlock, p - first);
    const at::Tensor z = standardised_columns(features, x_scaling, 0, first, width);
    const at::Tensor parts = times_columns(both, z).t();
    model.x_weights.narrow(0, first, width).copy_(parts.narrow(1, 0, n_found));
    model.x_loadings.narrow(0, first, width).copy_(parts.narrow(1, n_found, n_found));
  }
  for (Index first = 0; first < n_target; first += kTargetBlock) {
    const Index width = std::min(kTargetBlock, n_target - first);
    const at::Tensor z = standardised_columns(responses, y_scaling, 0, first, width);
    model.y_loadings.narrow(0, first, width).copy_(times_columns(averaging, z).t());
  }
  if (n_found > 0) {
    const at::Tensor largest = model.x_weights.abs().argmax(0, /*keepdim=*/true);
    const at::Tensor sign = model.x_weights.gather(0, largest).sign();
    for (at::Tensor* part : {&model.x_weights,
                             &model.x_loadings,
                             &model.y_loadings,
                             &model.x_scores,
                             &model.y_scores}) {
      *part *= sign;
    }
  }
  monitor.step();
  return model;
}

PlsHeldOut cross_validate_pls(const at::Tensor& features,
                              const at::Tensor& responses,
                              const std::vector<Fold>& folds,
                              const PlsOptions& options,
                              const PlsWanted& wanted,
                              Index max_bytes,
                              Monitor& monitor) {
  const at::NoGradGuard no_grad;
  check_data(features, responses);
  check_folds(folds, options.n_comp, features.size(1));
  check_wanted(wanted, options.n_comp);
  const Index n = features.size(0);
  const Index n_product = expected_products(options, responses.size(1));
  const Index per_fold = bytes_per_fold(n, features.size(1), options.scale) +
                         bytes_per_fold(n, responses.size(1), options.scale) +
                         24 * features.size(1);
  const Index at_once =
      std::clamp<Index>(max_bytes / std::max<Index>(per_fold, 1), 1, std::ssize(folds));
  const auto products = [&](const at::Tensor& counts, Index) {
    const FoldScaling scaling = fold_scaling(features, counts, options.scale);
    return fold_products(features, counts, scaling, options.scale, n_product, monitor);
  };
  return cross_validate(products, responses, folds, options, wanted, at_once, monitor);
}

PlsHeldOut cross_validate_pls_gram(const at::Tensor& gram,
                                   const at::Tensor& responses,
                                   const std::vector<Fold>& folds,
                                   const PlsOptions& options,
                                   const PlsWanted& wanted,
                                   Index max_bytes,
                                   Monitor& monitor) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(
      gram.dim() == 2 && gram.size(0) == gram.size(1) && gram.scalar_type() == at::kDouble,
      "gram must be a square float64 matrix.");
  check_data(gram, responses);
  check_folds(folds, options.n_comp, std::numeric_limits<Index>::max());
  check_wanted(wanted, options.n_comp);
  const Index per_fold = bytes_per_fold(gram.size(0), responses.size(1), options.scale);
  const Index at_once =
      std::clamp<Index>(max_bytes / std::max<Index>(per_fold, 1), 1, std::ssize(folds));
  const auto products = [&](const at::Tensor& counts, Index) {
    return fold_products(gram, counts);
  };
  return cross_validate(products, responses, folds, options, wanted, at_once, monitor);
}

}  // namespace dnnbrain
