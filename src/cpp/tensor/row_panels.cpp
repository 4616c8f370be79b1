#include "dnnbrain/tensor/row_panels.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <type_traits>

#include "dnnbrain/core/simd.hpp"

namespace dnnbrain {

namespace {

/// Registers side by side that a tile is wide.
constexpr Index kWide = 3;

/// Bytes of a line of the cache.
constexpr Index kLine = 64;

// total[i, j] += sum_k a[k, i] b[k, j], both of them panels.
//
// One body for several instruction sets. A macro, because GCC takes vectors apart for the
// instructions of a function before it inlines that function into another. `a - 0` is `a` whatever
// its sign, and becomes a plain broadcast; `a + 0` would be an addition.
#define DNNBRAIN_ADD_TILE(name, Value, Sum, n_lane, n_row)                                       \
  void name(const Value* a, const Value* b, Index n_col, Sum* total, Index stride, bool fresh) { \
    using Part [[gnu::vector_size(n_lane * sizeof(Value)),                                       \
                 gnu::may_alias,                                                                 \
                 gnu::aligned(sizeof(Value))]] = Value;                                          \
    using SumPart                                                                                \
        [[gnu::vector_size(n_lane * sizeof(Sum)), gnu::may_alias, gnu::aligned(sizeof(Sum))]] =  \
            Sum;                                                                                 \
    constexpr Index kSumsOfLine = kLine / static_cast<Index>(sizeof(Sum));                       \
    for (Index i = 0; i < n_row; ++i) {                                                          \
      for (Index j = 0; j < kWide * n_lane; j += kSumsOfLine) {                                  \
        __builtin_prefetch(total + i * stride + j, 1);                                           \
      }                                                                                          \
    }                                                                                            \
    Part sum[n_row][kWide] = {};                                                                 \
    for (Index k = 0; k < n_col; ++k, a += kWide * n_lane, b += kWide * n_lane) {                \
      Part y[kWide];                                                                             \
      for (Index j = 0; j < kWide; ++j) y[j] = *reinterpret_cast<const Part*>(b + j * n_lane);   \
      for (Index i = 0; i < n_row; ++i) {                                                        \
        const Part x = a[i] - Part{};                                                            \
        for (Index j = 0; j < kWide; ++j) sum[i][j] += x * y[j];                                 \
      }                                                                                          \
    }                                                                                            \
    _Pragma("GCC unroll 8") for (Index i = 0; i < n_row; ++i) {                                  \
      _Pragma("GCC unroll 8") for (Index j = 0; j < kWide; ++j) {                                \
        SumPart& to = *reinterpret_cast<SumPart*>(total + i * stride + j * n_lane);              \
        const SumPart found = __builtin_convertvector(sum[i][j], SumPart);                       \
        to = fresh ? found : to + found;                                                         \
      }                                                                                          \
    }                                                                                            \
  }

// out[k, i] = weight[k] a[k, i].
#define DNNBRAIN_WEIGHT_PANEL(name, Value, n_lane)                             \
  void name(const Value* a, const Value* weight, Index n_col, Value* out) {    \
    using Part [[gnu::vector_size(n_lane * sizeof(Value)),                     \
                 gnu::may_alias,                                               \
                 gnu::aligned(sizeof(Value))]] = Value;                        \
    for (Index k = 0; k < n_col; ++k) {                                        \
      const Part w = weight[k] - Part{};                                       \
      for (Index j = 0; j < kWide; ++j, a += n_lane, out += n_lane) {          \
        *reinterpret_cast<Part*>(out) = w * *reinterpret_cast<const Part*>(a); \
      }                                                                        \
    }                                                                          \
  }

// clang-format off
DNNBRAIN_ADD_TILE(add_baseline, double, double, 2, 2)
DNNBRAIN_ADD_TILE(add_baseline, float, double, 4, 2)
DNNBRAIN_ADD_TILE(add_baseline, float, float, 4, 2)
DNNBRAIN_WEIGHT_PANEL(weight_baseline, double, 2)
DNNBRAIN_WEIGHT_PANEL(weight_baseline, float, 4)

#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_ADD_TILE(add_avx2, double, double, 4, 4)
[[gnu::target("avx2,fma")]] DNNBRAIN_ADD_TILE(add_avx2, float, double, 8, 4)
[[gnu::target("avx2,fma")]] DNNBRAIN_ADD_TILE(add_avx2, float, float, 8, 4)
[[gnu::target("avx2,fma")]] DNNBRAIN_WEIGHT_PANEL(weight_avx2, double, 4)
[[gnu::target("avx2,fma")]] DNNBRAIN_WEIGHT_PANEL(weight_avx2, float, 8)
[[gnu::target("avx512f")]] DNNBRAIN_ADD_TILE(add_avx512, double, double, 8, 8)
[[gnu::target("avx512f")]] DNNBRAIN_ADD_TILE(add_avx512, float, double, 16, 8)
[[gnu::target("avx512f")]] DNNBRAIN_ADD_TILE(add_avx512, float, float, 16, 8)
[[gnu::target("avx512f")]] DNNBRAIN_WEIGHT_PANEL(weight_avx512, double, 8)
[[gnu::target("avx512f")]] DNNBRAIN_WEIGHT_PANEL(weight_avx512, float, 16)
#endif

#undef DNNBRAIN_ADD_TILE
#undef DNNBRAIN_WEIGHT_PANEL

/// What a tile in registers is made of: some rows of one panel, all rows of another.
template <class Value, class Sum>
struct Tile {
  Index width;  // rows of a panel
  Index rows;
  void (*add)(
      const Value* a, const Value* b, Index n_col, Sum* total, Index stride, bool fresh);
  void (*weight)(const Value* a, const Value* weight, Index n_col, Value* out);
};
// clang-format on

template <class Value, class Sum>
Tile<Value, Sum> choose_tile() {
  constexpr Index kLanes = 16 / sizeof(Value);
#ifdef __x86_64__
  if (widest_simd() >= Simd::kAvx512) return {4 * kLanes * kWide, 8, add_avx512, weight_avx512};
  if (widest_simd() >= Simd::kAvx2) return {2 * kLanes * kWide, 4, add_avx2, weight_avx2};
#endif
  return {kLanes * kWide, 2, add_baseline, weight_baseline};
}

template <class Value, class Sum>
const Tile<Value, Sum>& tile() {
  static const Tile<Value, Sum> chosen = choose_tile<Value, Sum>();
  return chosen;
}

/// Rows of a panel.
template <class Value>
Index panel_width() {
  return tile<Value, double>().width;
}

/// Columns that are packed together: a line of the cache of each row.
constexpr Index kPacked = 16;

/// Values of the largest tile.
constexpr Index kMostTile = 8 * 48;

/// Bytes of a panel that are multiplied at a time: one stays in the first cache while others pass.
constexpr Index kStripBytes = 24576;

/// Columns of a strip, all strips alike.
template <class Value>
Index strip_width(Index n_col, Index width) {
  const Index most = kStripBytes / (width * static_cast<Index>(sizeof(Value)));
  const Index n_strip = std::max<Index>(1, (n_col + most - 1) / most);
  return std::max<Index>(1, (n_col + n_strip - 1) / n_strip);
}

/// A few columns of a row.
template <class Given>
void read(const Rows<Given>& x, Index row, Index first, Index n_col, double* values) {
  const Given* const from = x.values + row * x.row_stride + first * x.column_stride;
  if (x.column_stride == 1) {
    for (Index k = 0; k < n_col; ++k) values[k] = static_cast<double>(from[k]);
  } else {
    for (Index k = 0; k < n_col; ++k) values[k] = static_cast<double>(from[k * x.column_stride]);
  }
  if (x.row_shift != nullptr) {
    for (Index k = 0; k < n_col; ++k) values[k] -= x.row_shift[row];
  }
  if (x.column_shift != nullptr) {
    for (Index k = 0; k < n_col; ++k) values[k] -= x.column_shift[first + k];
  }
  if (x.column_scale != nullptr) {
    for (Index k = 0; k < n_col; ++k) values[k] *= x.column_scale[first + k];
  }
}

}  // namespace

template <class Value>
RowPanels<Value>::RowPanels(Index n_row, Index n_col)
    : n_row_(n_row),
      capacity_(n_col),
      storage_(at::empty({n_block() * kBlock, n_col}, c10::CppTypeToScalarType<Value>::value)) {}

template <class Value>
Value* RowPanels<Value>::panel(Index row) const {
  return storage_.mutable_data_ptr<Value>() + row * capacity_;
}

template <class Value>
template <class Given>
void RowPanels<Value>::pack(Index block, const Rows<Given>& x, Index first, Index n_col) {
  const Index width = panel_width<Value>();
  for (Index row = block * kBlock; row < (block + 1) * kBlock; row += width) {
    Value* const to = panel(row);
    const Index n_here = std::clamp<Index>(n_row_ - row, 0, width);
    if (n_here < width) std::fill_n(to, n_col * width, Value{0});
    const bool plain = std::is_same_v<Given, Value> && x.row_shift == nullptr &&
                       x.column_shift == nullptr && x.column_scale == nullptr;
    // A few columns at a time, so that what is written stays in the first cache.
    for (Index begin = 0; begin < n_col; begin += kPacked) {
      const Index n_here_col = std::min(kPacked, n_col - begin);
      for (Index i = 0; i < n_here; ++i) {
        if (plain) {
          const Given* const from =
              x.values + (row + i) * x.row_stride + (first + begin) * x.column_stride;
          for (Index k = 0; k < n_here_col; ++k) {
            to[(begin + k) * width + i] = static_cast<Value>(from[k * x.column_stride]);
          }
          continue;
        }
        double values[kPacked];
        read(x, row + i, first + begin, n_here_col, values);
        for (Index k = 0; k < n_here_col; ++k) {
          to[(begin + k) * width + i] = static_cast<Value>(values[k]);
        }
      }
    }
  }
}

template <class Value, class Sum>
void add_products(const RowPanels<Value>& left,
                  Index block,
                  const RowPanels<Value>& right,
                  Index other,
                  Index n_col,
                  const Value* weight,
                  bool lower,
                  Sum* total,
                  Index stride,
                  bool fresh) {
  constexpr Index kBlock = RowPanels<Value>::kBlock;
  const Tile<Value, Sum>& shape = tile<Value, Sum>();
  alignas(64) Sum edge[kMostTile];
  alignas(64) Value weighted[kStripBytes / sizeof(Value)];
  const Index end = std::min(left.n_row(), (block + 1) * kBlock);
  const Index other_end = std::min(right.n_row(), (other + 1) * kBlock);
  const Index strip = strip_width<Value>(n_col, shape.width);
  for (Index k = 0; k < n_col; k += strip) {
    const Index n_here = std::min(strip, n_col - k);
    const bool in_place = fresh && k == 0;
    for (Index begin = block * kBlock; begin < end; begin += shape.width) {
      const Value* rows = left.panel(begin) + k * shape.width;
      if (weight != nullptr) {
        shape.weight(rows, weight + k, n_here, weighted);
        rows = weighted;
      }
      const Index rows_end = std::min(begin + shape.width, end);
      const Index columns_end = lower ? std::min(other_end, rows_end) : other_end;
      for (Index column = other * kBlock; column < columns_end; column += shape.width) {
        const Value* const columns = right.panel(column) + k * shape.width;
        const Index n_column = std::min(shape.width, right.n_row() - column);
        for (Index row = begin; row < rows_end; row += shape.rows) {
          if (lower && row + shape.rows <= column) continue;
          Sum* const to = total + row * stride + column;
          const Index n_row = std::min(shape.rows, rows_end - row);
          if (n_row == shape.rows && n_column == shape.width) {
            shape.add(rows + row - begin, columns, n_here, to, stride, in_place);
            continue;
          }
          shape.add(rows + row - begin, columns, n_here, edge, shape.width, /*fresh=*/true);
          for (Index i = 0; i < n_row; ++i) {
            for (Index j = 0; j < n_column; ++j) {
              Sum& one = to[i * stride + j];
              one = edge[i * shape.width + j] + (in_place ? Sum{0} : one);
            }
          }
        }
      }
    }
  }
}

namespace {

template <class Value>
RowPanels<Value> packed(const at::Tensor& x) {
  RowPanels<Value> panels(x.size(0), x.size(1));
  const Rows<Value> rows{x.const_data_ptr<Value>(), x.stride(0), x.stride(1)};
  for (Index block = 0; block < panels.n_block(); ++block) panels.pack(block, rows, 0, x.size(1));
  return panels;
}

/// out = left right', block by block.
template <class Value>
void multiply_all(const RowPanels<Value>& left,
                  const RowPanels<Value>& right,
                  Index n_col,
                  Value* out) {
  const Index stride = right.n_row();
  if (n_col == 0) std::fill_n(out, left.n_row() * stride, Value{0});
  for (Index other = 0; other < right.n_block(); ++other) {
    for (Index block = 0; block < left.n_block(); ++block) {
      add_products<Value, Value>(
          left, block, right, other, n_col, nullptr, /*lower=*/false, out, stride, /*fresh=*/true);
    }
  }
}

}  // namespace

PackedRows::PackedRows(const at::Tensor& x) : n_col_(x.size(1)) {
  if (!x.is_cpu()) {
    plain_ = x;
  } else if (x.scalar_type() == at::kDouble) {
    doubles_ = std::make_shared<const RowPanels<double>>(packed<double>(x));
  } else {
    floats_ = std::make_shared<const RowPanels<float>>(packed<float>(x));
  }
}

Index PackedRows::n_row() const {
  if (plain_.defined()) return plain_.size(0);
  return doubles_ != nullptr ? doubles_->n_row() : floats_->n_row();
}

void PackedRows::multiply(const at::Tensor& y, const at::Tensor& out) const {
  if (plain_.defined()) {
    out.copy_(at::mm(y, plain_.t()));
  } else if (doubles_ != nullptr) {
    multiply_all(packed<double>(y), *doubles_, n_col_, out.mutable_data_ptr<double>());
  } else {
    multiply_all(packed<float>(y), *floats_, n_col_, out.mutable_data_ptr<float>());
  }
}

void PackedRows::times(const at::Tensor& y, const at::Tensor& out) const {
  if (plain_.defined()) {
    out.copy_(at::mm(plain_, y.t()));
  } else if (doubles_ != nullptr) {
    multiply_all(*doubles_, packed<double>(y), n_col_, out.mutable_data_ptr<double>());
  } else {
    multiply_all(*floats_, packed<float>(y), n_col_, out.mutable_data_ptr<float>());
  }
}

template class RowPanels<double>;
template class RowPanels<float>;
template void RowPanels<double>::pack(Index, const Rows<double>&, Index, Index);
template void RowPanels<double>::pack(Index, const Rows<float>&, Index, Index);
template void RowPanels<float>::pack(Index, const Rows<double>&, Index, Index);
template void RowPanels<float>::pack(Index, const Rows<float>&, Index, Index);
template void add_products(const RowPanels<double>&,
                           Index,
                           const RowPanels<double>&,
                           Index,
                           Index,
                           const double*,
                           bool,
                           double*,
                           Index,
                           bool);
template void add_products(const RowPanels<float>&,
                           Index,
                           const RowPanels<float>&,
                           Index,
                           Index,
                           const float*,
                           bool,
                           double*,
                           Index,
                           bool);
template void add_products(const RowPanels<float>&,
                           Index,
                           const RowPanels<float>&,
                           Index,
                           Index,
                           const float*,
                           bool,
                           float*,
                           Index,
                           bool);

}  // namespace dnnbrain
