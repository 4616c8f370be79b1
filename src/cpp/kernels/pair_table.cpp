#include "dnnbrain/kernels/pair_table.hpp"

#include <algorithm>
#include <array>

#if defined(__x86_64__)
// GCC 12 takes the intrinsics' own undefined registers for mistakes.
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

namespace dnnbrain {

namespace {

constexpr std::size_t kLanes = 32;
constexpr std::size_t kMostRegisters = 5;

#if defined(__x86_64__)

#define DNNBRAIN_BW [[gnu::target("avx512f,avx512bw")]]

/// Rows in kRegisters registers. The places of 32 columns in a row are a register too: 5 bits of
/// lane, one that chooses in a pair of registers, and the number of the pair.
template <std::size_t kRegisters>
DNNBRAIN_BW void relabel_in_registers(const std::uint16_t* table,
                                      std::span<const std::int32_t> order,
                                      std::uint16_t* out) {
  const std::size_t n_cond = order.size();
  alignas(64) std::uint16_t places[kRegisters * kLanes] = {};
  std::copy(order.begin(), order.end(), places);
  __m512i place[kRegisters];
  __mmask32 in_second[kRegisters];
  __mmask32 in_third[kRegisters];
  for (std::size_t k = 0; k < kRegisters; ++k) {
    place[k] = _mm512_load_si512(places + k * kLanes);
    in_second[k] = _mm512_cmpge_epu16_mask(place[k], _mm512_set1_epi16(2 * kLanes));
    in_third[k] = _mm512_cmpge_epu16_mask(place[k], _mm512_set1_epi16(4 * kLanes));
  }
  for (std::size_t i = 0; i + 1 < n_cond; ++i) {
    const std::uint16_t* const from = table + static_cast<std::size_t>(order[i]) * n_cond;
    __m512i row[kRegisters];
    for (std::size_t k = 0; k < kRegisters; ++k) row[k] = _mm512_loadu_si512(from + k * kLanes);
    // Where column 0 would come to lie: rows are cut off at the diagonal.
    std::uint16_t* const to = out - (i + 1);
    for (std::size_t k = (i + 1) / kLanes; k < kRegisters; ++k) {
      __m512i value = kRegisters == 1
                          ? _mm512_permutexvar_epi16(place[k], row[0])
                          : _mm512_permutex2var_epi16(row[0], place[k], row[1 % kRegisters]);
      if constexpr (kRegisters == 3) {
        value = _mm512_mask_permutexvar_epi16(value, in_second[k], place[k], row[2]);
      }
      if constexpr (kRegisters > 3) {
        value = _mm512_mask_mov_epi16(
            value, in_second[k], _mm512_permutex2var_epi16(row[2], place[k], row[3]));
      }
      if constexpr (kRegisters > 4) {
        value =
            _mm512_mask_mov_epi16(value, in_third[k], _mm512_permutexvar_epi16(place[k], row[4]));
      }
      const std::size_t column = k * kLanes;
      if (column <= i) {
        _mm512_mask_storeu_epi16(to + column, ~__mmask32{0} << (i + 1 - column), value);
      } else {
        _mm512_storeu_si512(to + column, value);
      }
    }
    out += n_cond - 1 - i;
  }
}

constexpr std::array<void (*)(const std::uint16_t*, std::span<const std::int32_t>, std::uint16_t*),
                     kMostRegisters>
    kRelabel{relabel_in_registers<1>,
             relabel_in_registers<2>,
             relabel_in_registers<3>,
             relabel_in_registers<4>,
             relabel_in_registers<5>};

void relabel_short(const std::uint16_t* table,
                   std::span<const std::int32_t> order,
                   std::uint16_t* out) {
  kRelabel[(order.size() - 1) / kLanes](table, order, out);
}

#else

void relabel_short(const std::uint16_t*, std::span<const std::int32_t>, std::uint16_t*) {}

#endif

// Only 16 bits have a form in registers.
void relabel_short(const std::uint32_t*, std::span<const std::int32_t>, std::uint32_t*) {}

}  // namespace

template <class T>
PairTable<T>::PairTable(std::span<const T> condensed, Index n_cond, Simd simd)
    : n_cond_(n_cond),
      in_registers_(sizeof(T) == 2 && n_cond <= kMostInRegisters &&
                    std::min(simd, widest_simd()) == Simd::kAvx512Vbmi2),
      table_(square_table(condensed, n_cond)) {
  static_assert(kMostRegisters * kLanes == kMostInRegisters);
  // Whole registers are read, also at the last row's end.
  if (in_registers_) table_.resize(table_.size() + kMostRegisters * kLanes);
}

template <class T>
std::size_t PairTable<T>::room() const {
  return static_cast<std::size_t>(pair_count(n_cond_)) + (in_registers_ ? kLanes : 0);
}

template <class T>
void PairTable<T>::relabel(std::span<const std::int32_t> order, std::span<T> out) const {
  if (in_registers_) return relabel_short(table_.data(), order, out.data());
  T* next = out.data();
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    const auto others = order.subspan(i + 1);
    gather(table_.data() + static_cast<std::size_t>(order[i]) * order.size(), others, next);
    next += others.size();
  }
}

template class PairTable<std::uint16_t>;
template class PairTable<std::uint32_t>;

}  // namespace dnnbrain
