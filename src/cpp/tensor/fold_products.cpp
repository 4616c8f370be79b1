#include "dnnbrain/tensor/fold_products.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <utility>

#include "dnnbrain/tensor/symmetric.hpp"
#include "dnnbrain/tensor/tasks.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// One pass over the data, in products with one vector: what memory-bound work loses to a GEMM.
constexpr Index kStreamPenalty = 20;

double weighted_sum(const at::Tensor& counts, const at::Tensor& values) {
  return (counts * values).sum().item<double>();
}

/// What lies below this, relative to the largest eigenvalue, is rounding.
constexpr double kRank = 1e-13;

at::Tensor training_rows(const at::Tensor& counts) { return at::nonzero(counts).flatten(); }

/// Eigenvectors of a Gram matrix of training rows that are not rounding, and their eigenvalues.
std::pair<at::Tensor, at::Tensor> leading_pairs(const at::Tensor& gram) {
  const auto [values, vectors] = at::linalg_eigh(gram);
  const at::Tensor kept = at::nonzero(values > kRank * values[-1].clamp_min(0)).flatten();
  return {values.index_select(0, kept), vectors.index_select(1, kept)};
}

/// The range from a Gram matrix of all rows, about any centre.
at::Tensor range_of_gram(const at::Tensor& gram, const at::Tensor& counts) {
  const at::Tensor rows = training_rows(counts);
  const at::Tensor weight = counts.index_select(0, rows);
  at::Tensor part = gram.index_select(0, rows).index_select(1, rows);
  const at::Tensor mean = (part * weight).sum(1) / weight.sum();
  part = part - mean - mean.unsqueeze(1) + (weight * mean).sum() / weight.sum();
  const at::Tensor root = weight.sqrt();
  at::Tensor basis;
  for_each_task(1, gram.is_cpu(), [&](Index) {
    basis = leading_pairs(root.unsqueeze(1) * part * root).second;
  });
  return basis;
}

/// Z_f of each fold.
class ColumnProducts final : public FoldProducts {
 public:
  ColumnProducts(const at::Tensor& data, at::Tensor counts, const FoldScaling& scaling)
      : counts_(std::move(counts)) {
    for (Index f = 0; f < counts_.size(0); ++f) {
      columns_.push_back(standardised_columns(data, scaling, f, 0, data.size(1)));
      transposed_.push_back(columns_.back().t().contiguous());
    }
  }

  at::Tensor apply(const std::vector<Index>& folds, const at::Tensor& u) const override {
    std::vector<at::Tensor> out;
    for (std::size_t i = 0; i < folds.size(); ++i) {
      const auto f = static_cast<std::size_t>(folds[i]);
      const at::Tensor weighted = u[static_cast<Index>(i)] * counts_[folds[i]];
      const at::Tensor along = rows_times(transposed_[f], weighted.unsqueeze(0));
      out.push_back(rows_times(columns_[f], along.t().contiguous()).select(1, 0));
    }
    return at::stack(out);
  }

  bool batches() const override { return false; }

  Index width() const override { return columns_[0].size(1); }

  at::Tensor range(Index fold) const override {
    const at::Tensor rows = training_rows(counts_[fold]);
    const at::Tensor root = counts_[fold].index_select(0, rows).sqrt().unsqueeze(1);
    const at::Tensor z = root * columns_[static_cast<std::size_t>(fold)].index_select(0, rows);
    // Twice: directions of small eigenvalues are not yet orthogonal after the first.
    at::Tensor basis = z;
    for_each_task(1, z.is_cpu(), [&](Index) {
      for (int pass = 0; pass < 2; ++pass) {
        const auto [values, vectors] = leading_pairs(at::mm(basis.t(), basis));
        basis = at::mm(basis, vectors / values.sqrt());
      }
    });
    return basis;
  }

  double magnitude(Index fold) const override {
    const at::Tensor& z = columns_[static_cast<std::size_t>(fold)];
    return weighted_sum(counts_[fold], (z * z).sum(1));
  }

 private:
  at::Tensor counts_;
  std::vector<at::Tensor> columns_;     // each (n, p)
  std::vector<at::Tensor> transposed_;  // each (p, n)
};

/// Z_f Z_f' of each fold.
class GramProducts final : public FoldProducts {
 public:
  GramProducts(std::vector<at::Tensor> grams, at::Tensor counts, Index width)
      : grams_(std::move(grams)), counts_(std::move(counts)), width_(width) {}

  Index width() const override { return width_; }

  at::Tensor apply(const std::vector<Index>& folds, const at::Tensor& u) const override {
    std::vector<at::Tensor> out;
    for (std::size_t i = 0; i < folds.size(); ++i) {
      const at::Tensor weighted = u[static_cast<Index>(i)] * counts_[folds[i]];
      const at::Tensor& gram = grams_[static_cast<std::size_t>(folds[i])];
      out.push_back(symmetric_times(gram, weighted));
    }
    return at::stack(out);
  }

  bool batches() const override { return false; }

  at::Tensor range(Index fold) const override {
    return range_of_gram(grams_[static_cast<std::size_t>(fold)], counts_[fold]);
  }

  double magnitude(Index fold) const override {
    return weighted_sum(counts_[fold], grams_[static_cast<std::size_t>(fold)].diagonal());
  }

 private:
  std::vector<at::Tensor> grams_;  // each (n, n)
  at::Tensor counts_;
  Index width_;
};

/// One Gram matrix about any centre; each product is centred by the fold's training rows.
class SharedProducts final : public FoldProducts {
 public:
  SharedProducts(at::Tensor gram, at::Tensor counts, Index width)
      : gram_(std::move(gram)),
        counts_(std::move(counts)),
        width_(width),
        n_train_(counts_.sum(1, /*keepdim=*/true)) {}

  at::Tensor apply(const std::vector<Index>& folds, const at::Tensor& u) const override {
    const at::Tensor which = at::tensor(folds, at::kLong).to(counts_.device());
    const at::Tensor counts = counts_.index_select(0, which);
    const at::Tensor n_train = n_train_.index_select(0, which);
    at::Tensor weighted = u * counts;
    weighted -= counts * (weighted.sum(1, /*keepdim=*/true) / n_train);
    const at::Tensor z = rows_times(gram_, weighted).t();
    return z - (z * counts).sum(1, /*keepdim=*/true) / n_train;
  }

  bool batches() const override { return true; }

  Index width() const override { return width_; }

  at::Tensor range(Index fold) const override { return range_of_gram(gram_, counts_[fold]); }

  double magnitude(Index fold) const override {
    return weighted_sum(counts_[fold], gram_.diagonal());
  }

 private:
  at::Tensor gram_;  // (n, n)
  at::Tensor counts_;
  Index width_;
  at::Tensor n_train_;
};

/// The data themselves, read again for every product.
class StreamedProducts final : public FoldProducts {
 public:
  StreamedProducts(at::Tensor data, at::Tensor counts, FoldScaling scaling)
      : data_(std::move(data)), counts_(std::move(counts)), scaling_(std::move(scaling)) {
    magnitude_.assign(static_cast<std::size_t>(counts_.size(0)), 0.0);
    const Index width = chunk_width(data_.size(0));
    for (Index first = 0; first < data_.size(1); first += width) {
      const Index count = std::min(width, data_.size(1) - first);
      for (Index f = 0; f < counts_.size(0); ++f) {
        const at::Tensor z = standardised_columns(data_, scaling_, f, first, count);
        magnitude_[static_cast<std::size_t>(f)] += weighted_sum(counts_[f], (z * z).sum(1));
      }
    }
  }

  at::Tensor apply(const std::vector<Index>& folds, const at::Tensor& u) const override {
    const at::Tensor which = at::tensor(folds, at::kLong).to(counts_.device());
    const at::Tensor counts = counts_.index_select(0, which);
    const at::Tensor n_train = counts.sum(1, /*keepdim=*/true);
    at::Tensor weighted = u * counts;
    weighted -= counts * (weighted.sum(1, /*keepdim=*/true) / n_train);
    at::Tensor out = at::zeros({data_.size(0), u.size(0)}, u.options());
    const Index width = chunk_width(data_.size(0));
    for (Index first = 0; first < data_.size(1); first += width) {
      const Index count = std::min(width, data_.size(1) - first);
      const at::Tensor x = data_.narrow(1, first, count).to(at::kDouble) -
                           scaling_.mean[folds[0]].narrow(0, first, count);
      const at::Tensor weight = scaling_.weight.narrow(1, first, count).index_select(0, which);
      out += rows_times(x, times_columns(weighted, x) * weight);
    }
    const at::Tensor z = out.t();
    return z - (z * counts).sum(1, /*keepdim=*/true) / n_train;
  }

  bool batches() const override { return true; }

  Index width() const override { return data_.size(1); }

  at::Tensor range(Index fold) const override {
    const FoldScaling scaling{scaling_.mean.narrow(0, fold, 1),
                              scaling_.std.narrow(0, fold, 1),
                              scaling_.weight.narrow(0, fold, 1)};
    Monitor silent;
    const at::Tensor counts = counts_.narrow(0, fold, 1);
    return range_of_gram(fold_grams(data_, counts, scaling, silent)[0], counts_[fold]);
  }

  double magnitude(Index fold) const override { return magnitude_[static_cast<std::size_t>(fold)]; }

 private:
  at::Tensor data_;  // (n, p)
  at::Tensor counts_;
  FoldScaling scaling_;
  std::vector<double> magnitude_;
};

}  // namespace

std::unique_ptr<FoldProducts> fold_products(const at::Tensor& data,
                                            const at::Tensor& counts,
                                            const FoldScaling& scaling,
                                            bool scale,
                                            Index n_product,
                                            Monitor& monitor) {
  const at::NoGradGuard no_grad;
  const Index n = data.size(0);
  const Index p = data.size(1);
  if (2 * p <= n) return std::make_unique<ColumnProducts>(data, counts, scaling);
  if (kStreamPenalty * n_product < n) {
    return std::make_unique<StreamedProducts>(data, counts, scaling);
  }
  if (scale) {
    return std::make_unique<GramProducts>(fold_grams(data, counts, scaling, monitor), counts, p);
  }
  const at::Tensor all = at::ones({1, n}, counts.options());
  const at::Tensor ones = at::ones({1, p}, counts.options());
  const FoldScaling plain{at::zeros_like(ones), ones, ones};
  return std::make_unique<SharedProducts>(fold_grams(data, all, plain, monitor)[0], counts, p);
}

std::unique_ptr<FoldProducts> fold_products(const at::Tensor& gram, const at::Tensor& counts) {
  return std::make_unique<SharedProducts>(gram, counts, std::numeric_limits<Index>::max());
}

}  // namespace dnnbrain
