#include "dnnbrain/tensor/fold_gram.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/tensor/tasks.hpp"
#include "dnnbrain/tensor/tiles.hpp"

namespace dnnbrain {

namespace {

/// Bytes of a chunk of columns in fp64: stays in the last-level cache while all folds use it.
constexpr Index kChunkBytes = Index{4} << 20;

/// Rows of a block of a Gram matrix; blocks above the diagonal are left out.
constexpr Index kRowBlock = 128;

/// A mean this many standard deviations from the pilot leaves too few digits in a sum of squares.
constexpr double kFarMean = 10.0;

/// One pass over the data, in products with one vector: what memory-bound work loses to a GEMM.
constexpr Index kStreamPenalty = 20;

Index chunk_width(Index n) {
  return std::clamp<Index>(kChunkBytes / (8 * std::max<Index>(n, 1)), 64, 1024);
}

/// Columns in fp64, about their mean over all rows. Tiles are the same for any number of threads.
struct Chunk {
  at::Tensor centred;  // (n, c)
  at::Tensor pilot;    // (c,)
};

Chunk centred_chunk(const at::Tensor& data, Index first, Index count) {
  const at::Tensor x = data.narrow(1, first, count).to(at::kDouble);
  // About the first row before about the mean, so that a constant column leaves nothing at all.
  at::Tensor centred = x - x[0];
  const at::Tensor to_mean = centred.mean(0);
  centred -= to_mean;
  return {centred, x[0] + to_mean};
}

/// Training mean about the pilot, and sum of squares about the mean, of a chunk's columns; zero
/// exactly where a column does not vary.
std::pair<at::Tensor, at::Tensor> chunk_moments(const Chunk& chunk, const at::Tensor& counts) {
  const at::Tensor& x = chunk.centred;
  const at::Tensor n_train = counts.sum(1, /*keepdim=*/true);
  at::Tensor mean = times_columns(counts, x) / n_train;
  at::Tensor sq = times_columns(counts, x * x) - n_train * mean * mean;
  // Where the pilot is far from the training rows, as when the others are of another scale, and
  // where nothing varies: again, about a training row.
  const at::Tensor far = (n_train * mean * mean >= kFarMean * kFarMean * sq).logical_or(sq <= 0);
  if (far.any().item<bool>()) {
    for (Index f = 0; f < counts.size(0); ++f) {
      const at::Tensor columns = at::nonzero(far[f]).flatten();
      if (columns.numel() == 0) continue;
      const at::Tensor rows = at::nonzero(counts[f]).flatten();
      const at::Tensor weight = counts[f].index_select(0, rows).unsqueeze(1);
      const at::Tensor part = x.index_select(0, rows).index_select(1, columns);
      const at::Tensor about = part - part[0];
      const at::Tensor offset = (weight * about).sum(0) / n_train[f];
      const at::Tensor rest = about - offset;
      mean[f].index_copy_(0, columns, part[0] + offset);
      sq[f].index_copy_(0, columns, (weight * rest * rest).sum(0));
    }
  }
  return {mean, sq};
}

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
      out.push_back(rows_times(gram, weighted.unsqueeze(0)).select(1, 0));
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

at::Tensor training_counts(const std::vector<Fold>& folds, Index n) {
  const at::NoGradGuard no_grad;
  DNNBRAIN_REQUIRE(!folds.empty(), "there must be at least one fold.");
  at::Tensor counts =
      at::zeros({static_cast<Index>(folds.size()), n}, folds[0].train.options().dtype(at::kDouble));
  for (std::size_t f = 0; f < folds.size(); ++f) {
    const at::Tensor& rows = folds[f].train;
    counts[static_cast<Index>(f)].index_add_(0, rows, at::ones({rows.size(0)}, counts.options()));
  }
  return counts;
}

FoldScaling fold_scaling(const at::Tensor& data, const at::Tensor& counts, bool scale) {
  const at::NoGradGuard no_grad;
  const Index p = data.size(1);
  const at::Tensor n_train = counts.sum(1, /*keepdim=*/true);
  const at::Tensor first_row = (counts > 0).to(at::kLong).argmax(1);
  FoldScaling out{at::empty({counts.size(0), p}, counts.options()),
                  at::ones({counts.size(0), p}, counts.options()),
                  at::empty({counts.size(0), p}, counts.options())};
  const Index width = chunk_width(data.size(0));
  for (Index first = 0; first < p; first += width) {
    const Index count = std::min(width, p - first);
    const Chunk chunk = centred_chunk(data, first, count);
    const auto [mean, sq] = chunk_moments(chunk, counts);
    const at::Tensor varies = sq > 0;
    const at::Tensor value = data.narrow(1, first, count).index_select(0, first_row);
    const at::Tensor variance = at::where(varies, sq / (n_train - 1.0), at::ones_like(sq));
    out.mean.narrow(1, first, count)
        .copy_(at::where(varies, mean + chunk.pilot, value.to(at::kDouble)));
    if (scale) out.std.narrow(1, first, count).copy_(variance.sqrt());
    out.weight.narrow(1, first, count)
        .copy_(varies.to(at::kDouble) / (scale ? variance : at::ones_like(variance)));
  }
  return out;
}

at::Tensor standardised_columns(
    const at::Tensor& data, const FoldScaling& scaling, Index fold, Index first, Index count) {
  const at::NoGradGuard no_grad;
  at::Tensor z =
      data.narrow(1, first, count).to(at::kDouble) - scaling.mean[fold].narrow(0, first, count);
  z /= scaling.std[fold].narrow(0, first, count);
  return z;
}

std::vector<at::Tensor> fold_grams(const at::Tensor& data,
                                   const at::Tensor& counts,
                                   const FoldScaling& scaling,
                                   Monitor& monitor) {
  const at::NoGradGuard no_grad;
  const Index n = data.size(0);
  const Index p = data.size(1);
  const Index n_fold = counts.size(0);
  const Index n_block = (n + kRowBlock - 1) / kRowBlock;
  std::vector<at::Tensor> grams;
  for (Index f = 0; f < n_fold; ++f) grams.push_back(at::zeros({n, n}, counts.options()));

  const Index width = chunk_width(n);
  for (Index first = 0; first < p; first += width) {
    const Index count = std::min(width, p - first);
    const at::Tensor x = centred_chunk(data, first, count).centred;
    const at::Tensor weight = scaling.weight.narrow(1, first, count);
    // Scaled on one side only, so that the copy is a block of rows and stays in cache.
    for_each_task(n_fold * n_block, data.is_cpu(), [&](Index task) {
      const Index f = task / n_block;
      // From the longest block of rows to the shortest.
      const Index row = (n_block - 1 - task % n_block) * kRowBlock;
      const Index n_row = std::min(kRowBlock, n - row);
      const at::Tensor scaled = x.narrow(0, row, n_row) * weight[f];
      grams[static_cast<std::size_t>(f)]
          .narrow(0, row, n_row)
          .narrow(1, 0, row + n_row)
          .addmm_(scaled, x.narrow(0, 0, row + n_row).t());
    });
    monitor.step(0);
  }

  for (Index f = 0; f < n_fold; ++f) {
    at::Tensor& gram = grams[static_cast<std::size_t>(f)];
    gram = gram.tril() + gram.tril(-1).t();
    const at::Tensor n_train = counts[f].sum();
    const at::Tensor row_mean = rows_times(gram, counts.narrow(0, f, 1)).select(1, 0) / n_train;
    gram -= row_mean;
    gram -= row_mean.unsqueeze(1);
    gram += (counts[f] * row_mean).sum() / n_train;
  }
  return grams;
}

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
