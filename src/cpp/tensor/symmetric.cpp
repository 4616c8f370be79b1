#include "dnnbrain/tensor/symmetric.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/tensor/row_panels.hpp"
#include "dnnbrain/tensor/tasks.hpp"

namespace dnnbrain {

namespace {

/// Columns that are packed at a time: each section reads and writes all totals.
template <class Value>
constexpr Index kSection = Index{8192} / static_cast<Index>(sizeof(Value));

/// Rows and columns that are mirrored together, in cache.
constexpr Index kMirrored = 64;

/// Pairs of blocks on and below the diagonal, whole ones first.
std::vector<std::pair<Index, Index>> pairs_of_blocks(Index n_block) {
  std::vector<std::pair<Index, Index>> pairs;
  for (Index block = 1; block < n_block; ++block) {
    for (Index other = 0; other < block; ++other) pairs.emplace_back(block, other);
  }
  for (Index block = 0; block < n_block; ++block) pairs.emplace_back(block, block);
  return pairs;
}

template <class Value, class Sum, class Given>
void add_by_panels(std::span<const at::Tensor> totals,
                   const Rows<Given>& x,
                   Index n_row,
                   Index n_col,
                   const at::Tensor& weights) {
  const Index n_section = (n_col + kSection<Value> - 1) / kSection<Value>;
  RowPanels<Value> panels(n_row, (n_col + n_section - 1) / std::max<Index>(n_section, 1));
  const auto pairs = pairs_of_blocks(panels.n_block());
  const Index n_pair = std::ssize(pairs);
  for (Index section = 0; section < n_section; ++section) {
    const Index first = n_col * section / n_section;
    const Index width = n_col * (section + 1) / n_section - first;
    for_each_task(panels.n_block(), /*parallel=*/true, [&](Index block) {
      panels.pack(block, x, first, width);
    });
    for_each_task(std::ssize(totals) * n_pair, /*parallel=*/true, [&](Index task) {
      const auto [block, other] = pairs[static_cast<std::size_t>(task % n_pair)];
      const at::Tensor& total = totals[static_cast<std::size_t>(task / n_pair)];
      const Value* const weight =
          weights.defined() ? weights[task / n_pair].const_data_ptr<Value>() + first : nullptr;
      add_products(panels,
                   block,
                   panels,
                   other,
                   width,
                   weight,
                   /*lower=*/true,
                   total.mutable_data_ptr<Sum>(),
                   total.stride(0));
    });
  }
}

const double* data_of(const at::Tensor& values) {
  return values.defined() ? values.const_data_ptr<double>() : nullptr;
}

template <class Value, class Sum>
void add_shifted(std::span<const at::Tensor> totals,
                 const ShiftedMatrix& z,
                 const at::Tensor& weights) {
  const auto add = [&]<class Given>(const Given* values) {
    const Rows<Given> rows{values,
                           z.x.stride(0),
                           z.x.stride(1),
                           data_of(z.row_shift),
                           data_of(z.column_shift),
                           data_of(z.column_scale)};
    add_by_panels<Value, Sum>(totals, rows, z.x.size(0), z.x.size(1), weights);
  };
  if (z.x.scalar_type() == at::kDouble) {
    add(z.x.const_data_ptr<double>());
  } else {
    add(z.x.const_data_ptr<float>());
  }
}

/// Z itself.
at::Tensor formed(const ShiftedMatrix& z, at::ScalarType dtype) {
  at::Tensor values = z.x;
  if (z.row_shift.defined()) values = values - z.row_shift.unsqueeze(1);
  if (z.column_shift.defined()) values = values - z.column_shift;
  if (z.column_scale.defined()) values = values * z.column_scale;
  return values.to(dtype);
}

void add_lower(std::span<const at::Tensor> totals,
               const ShiftedMatrix& z,
               const at::Tensor& weights,
               at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const Index n = z.x.dim() == 2 ? z.x.size(0) : -1;
  DNNBRAIN_REQUIRE(n >= 0 && (z.x.scalar_type() == at::kDouble || z.x.scalar_type() == at::kFloat),
                   "X must be a float32 or float64 matrix.");
  for (const at::Tensor& total : totals) {
    DNNBRAIN_REQUIRE(total.dim() == 2 && total.size(0) == n && total.size(1) == n &&
                         total.stride(1) == 1 &&
                         (total.scalar_type() == dtype || total.scalar_type() == at::kDouble),
                     "the sum of X X' must be square, with as many rows as X, rows contiguous, and "
                     "of the dtype of X or float64.");
  }
  DNNBRAIN_REQUIRE(weights.defined()
                       ? weights.dim() == 2 && weights.size(0) == std::ssize(totals) &&
                             weights.size(1) == z.x.size(1) && weights.stride(1) == 1
                       : totals.size() == 1,
                   "weights must be one contiguous row for each sum.");
  if (totals.empty()) return;
  if (!z.x.is_cpu()) {
    const at::Tensor values = formed(z, dtype);
    for (std::size_t f = 0; f < totals.size(); ++f) {
      const at::Tensor left = weights.defined() ? values * weights[static_cast<Index>(f)] : values;
      totals[f].add_(at::mm(left, values.t()));
    }
  } else if (dtype == at::kDouble) {
    add_shifted<double, double>(totals, z, weights);
  } else if (totals.front().scalar_type() == at::kDouble) {
    add_shifted<float, double>(totals, z, weights);
  } else {
    add_shifted<float, float>(totals, z, weights);
  }
}

/// Rows of a product with a vector that are read by one thread.
constexpr Index kStrip = 128;

/// Rows that share one pass over what they add to.
constexpr Index kTogether = 4;

/// out += what rows [first, first + n_row) and their mirror images add to A x.
DNNBRAIN_CLONES void add_strip(
    const double* a, Index stride, Index first, Index n_row, const double* x, double* out) {
  Index row = first;
  for (; row + kTogether <= first + n_row; row += kTogether) {
    const double* const r0 = a + row * stride;
    const double* const r1 = r0 + stride;
    const double* const r2 = r1 + stride;
    const double* const r3 = r2 + stride;
    const double x0 = x[row];
    const double x1 = x[row + 1];
    const double x2 = x[row + 2];
    const double x3 = x[row + 3];
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (Index j = 0; j < row; ++j) {
      s0 += r0[j] * x[j];
      s1 += r1[j] * x[j];
      s2 += r2[j] * x[j];
      s3 += r3[j] * x[j];
      out[j] += (r0[j] * x0 + r1[j] * x1) + (r2[j] * x2 + r3[j] * x3);
    }
    // The small triangle on the diagonal.
    const double* const c = x + row;
    double* const o = out + row;
    o[0] += s0 + r0[row] * c[0] + r1[row] * c[1] + r2[row] * c[2] + r3[row] * c[3];
    o[1] += s1 + r1[row] * c[0] + r1[row + 1] * c[1] + r2[row + 1] * c[2] + r3[row + 1] * c[3];
    o[2] += s2 + r2[row] * c[0] + r2[row + 1] * c[1] + r2[row + 2] * c[2] + r3[row + 2] * c[3];
    o[3] += s3 + r3[row] * c[0] + r3[row + 1] * c[1] + r3[row + 2] * c[2] + r3[row + 3] * c[3];
  }
  for (; row < first + n_row; ++row) {
    const double* const r = a + row * stride;
    double sum = r[row] * x[row];
    for (Index j = 0; j < row; ++j) {
      sum += r[j] * x[j];
      out[j] += r[j] * x[row];
    }
    out[row] += sum;
  }
}

}  // namespace

void add_lower_products(std::span<const at::Tensor> totals,
                        const ShiftedMatrix& z,
                        const at::Tensor& weights) {
  add_lower(totals, z, weights, (weights.defined() ? weights : z.x).scalar_type());
}

void add_lower_product(const at::Tensor& total, const ShiftedMatrix& z) {
  add_lower({&total, 1}, z, at::Tensor(), at::kDouble);
}

void mirror_lower(const at::Tensor& total) {
  const at::NoGradGuard no_grad;
  const Index n = total.size(0);
  for_each_task((n + kMirrored - 1) / kMirrored, total.is_cpu(), [&](Index block) {
    const Index row = block * kMirrored;
    const Index n_row = std::min(kMirrored, n - row);
    for (Index column = 0; column < row; column += kMirrored) {
      total.narrow(0, column, kMirrored)
          .narrow(1, row, n_row)
          .copy_(total.narrow(0, row, n_row).narrow(1, column, kMirrored).t());
    }
    const at::Tensor own = total.narrow(0, row, n_row).narrow(1, row, n_row);
    own.copy_(own.tril() + own.tril(-1).t());
  });
}

void add_symmetric_product(const at::Tensor& total, const at::Tensor& x) {
  add_lower_products({&total, 1}, {x}, at::Tensor());
  mirror_lower(total);
}

at::Tensor symmetric_product(const at::Tensor& x) {
  const at::Tensor total = at::zeros({x.size(0), x.size(0)}, x.options());
  add_symmetric_product(total, x);
  return total;
}

at::Tensor symmetric_times(const at::Tensor& a, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  const Index n = x.size(0);
  DNNBRAIN_REQUIRE(a.dim() == 2 && a.size(0) == n && a.size(1) == n && a.stride(1) == 1 &&
                       a.scalar_type() == at::kDouble && x.scalar_type() == at::kDouble,
                   "a must be a square float64 matrix with contiguous rows, as long as x.");
  if (!a.is_cpu()) return a.mv(x);
  const Index n_strip = (n + kStrip - 1) / kStrip;
  const at::Tensor parts = at::zeros({n_strip, n}, x.options());
  const at::Tensor vector = x.contiguous();
  for_each_task(n_strip, /*parallel=*/true, [&](Index task) {
    const Index strip = n_strip - 1 - task;  // from the longest
    const Index first = strip * kStrip;
    add_strip(a.const_data_ptr<double>(),
              a.stride(0),
              first,
              std::min(kStrip, n - first),
              vector.const_data_ptr<double>(),
              parts[strip].mutable_data_ptr<double>());
  });
  return parts.sum(0);
}

}  // namespace dnnbrain
