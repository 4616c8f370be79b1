#include "dnnbrain/kernels/outer_products.hpp"

#include <algorithm>

namespace dnnbrain {

namespace {

/// Widest tile of any instruction set below; the others' widths and heights divide it.
constexpr Index kTileColumns = 24;

/// Rows of a chunk: with 96 columns, 30 KB.
constexpr Index kChunkRows = 40;

// One body for three instruction sets. A macro, because GCC takes vectors apart for the
// instructions of a function before it inlines that function into another.
#define DNNBRAIN_ADD_CHUNK(name, register_bytes, tile_rows, tile_parts)                         \
  void name(const double* a,                                                                    \
            const double* b,                                                                    \
            Index n_row,                                                                        \
            Index n,                                                                            \
            Index width,                                                                        \
            bool upper,                                                                         \
            double* out) {                                                                      \
    using Part [[gnu::vector_size(register_bytes), gnu::may_alias]] = double;                   \
    constexpr Index kPerPart = register_bytes / sizeof(double);                                 \
    constexpr Index kColumns = tile_parts * kPerPart;                                           \
    for (Index i = 0; i < n; i += tile_rows) {                                                  \
      for (Index j = upper ? i / kColumns * kColumns : 0; j < n; j += kColumns) {               \
        Part total[tile_rows][tile_parts] = {};                                                 \
        const double* a_row = a + i;                                                            \
        const double* b_row = b + j;                                                            \
        for (Index v = 0; v < n_row; ++v, a_row += width, b_row += width) {                     \
          Part right[tile_parts];                                                               \
          _Pragma("GCC unroll 8") for (Index part = 0; part < tile_parts; ++part) right[part] = \
              *reinterpret_cast<const Part*>(b_row + part * kPerPart);                          \
          _Pragma("GCC unroll 8") for (Index row = 0; row < tile_rows; ++row) {                 \
            _Pragma("GCC unroll 8") for (Index part = 0; part < tile_parts; ++part) {           \
              total[row][part] += a_row[row] * right[part];                                     \
            }                                                                                   \
          }                                                                                     \
        }                                                                                       \
        _Pragma("GCC unroll 8") for (Index row = 0; row < tile_rows; ++row) {                   \
          _Pragma("GCC unroll 8") for (Index part = 0; part < tile_parts; ++part) {             \
            *reinterpret_cast<Part*>(out + (i + row) * width + j + part * kPerPart) +=          \
                total[row][part];                                                               \
          }                                                                                     \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
  }

using AddChunk = void (*)(const double*, const double*, Index, Index, Index, bool, double*);

DNNBRAIN_ADD_CHUNK(add_chunk_baseline, 16, 4, 2)

#ifdef __x86_64__
[[gnu::target("avx2,fma")]] DNNBRAIN_ADD_CHUNK(add_chunk_avx2, 32, 4, 3)
    [[gnu::target("avx512f")]] DNNBRAIN_ADD_CHUNK(add_chunk_avx512, 64, 8, 3)
#endif

#undef DNNBRAIN_ADD_CHUNK

        AddChunk kernel_of(Simd simd) {
#ifdef __x86_64__
  if (simd >= Simd::kAvx512) return add_chunk_avx512;
  if (simd >= Simd::kAvx2) return add_chunk_avx2;
#else
  (void)simd;
#endif
  return add_chunk_baseline;
}

}  // namespace

Index padded_width(Index n) { return (n + kTileColumns - 1) / kTileColumns * kTileColumns; }

void add_outer_products(
    const double* a, const double* b, Index n_row, Index n, bool upper, double* out, Simd simd) {
  const AddChunk add_chunk = kernel_of(std::min(simd, widest_simd()));
  const Index width = padded_width(n);
  for (Index first = 0; first < n_row; first += kChunkRows) {
    add_chunk(a + first * width,
              b + first * width,
              std::min(kChunkRows, n_row - first),
              n,
              width,
              upper,
              out);
  }
}

}  // namespace dnnbrain
