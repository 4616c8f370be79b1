#include "dnnbrain/kernels/sign_products.hpp"

#include <cmath>
#include <limits>

#include "dnnbrain/core/clones.hpp"
#include "dnnbrain/core/error.hpp"

namespace dnnbrain {

namespace {

/// Signs of value - others[l].
DNNBRAIN_CLONES
void write_signs(double value, const double* others, Index n, std::int16_t* signs) {
  for (Index l = 0; l < n; ++l) {
    signs[l] = static_cast<std::int16_t>((value > others[l]) - (value < others[l]));
  }
}

DNNBRAIN_CLONES
void multiply(const std::int16_t* a, const std::int16_t* b, Index n, std::int16_t* out) {
  for (Index l = 0; l < n; ++l) out[l] = static_cast<std::int16_t>(a[l] * b[l]);
}

DNNBRAIN_CLONES
std::int32_t dot(const std::int16_t* a, const std::int16_t* b, Index n) {
  std::int32_t sum = 0;
  for (Index l = 0; l < n; ++l) sum += a[l] * b[l];
  return sum;
}

}  // namespace

std::vector<double> short_taus(const MatrixView& rows,
                               const std::vector<Index>& times,
                               const VectorPairs& pairs,
                               Comparator comparator) {
  DNNBRAIN_REQUIRE(counts_pairs(comparator), "signs are counted for tau-a and tau-b alone.");
  const Index n_vector = rows.rows();
  const Index m = rows.cols();
  DNNBRAIN_REQUIRE(static_cast<Index>(times.size()) == m, "each entry must have its number.");
  std::vector<std::int16_t> weights;
  Index total = 0;
  for (const Index count : times) {
    DNNBRAIN_REQUIRE(count >= 0 && count <= std::numeric_limits<std::int16_t>::max(),
                     "an entry must come less than 32768 times; got ",
                     count,
                     ".");
    weights.push_back(static_cast<std::int16_t>(count));
    total += count;
  }
  using Signs = Eigen::Matrix<std::int16_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Signs signs(n_vector, m);
  Signs weighted(n_vector, m);
  std::vector<Index> scores(pairs.size());
  std::vector<Index> untied(static_cast<std::size_t>(n_vector));
  for (Index k = 1; k < m; ++k) {
    const Index here = weights[static_cast<std::size_t>(k)];
    for (Index v = 0; v < n_vector; ++v) {
      write_signs(rows(v, k), rows.row(v).data(), k, &signs(v, 0));
      multiply(&signs(v, 0), weights.data(), k, &weighted(v, 0));
      untied[static_cast<std::size_t>(v)] += here * dot(&signs(v, 0), &weighted(v, 0), k);
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const auto [a, b] = pairs[i];
      scores[i] += here * dot(&signs(a, 0), &weighted(b, 0), k);
    }
  }
  std::vector<double> taus;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto x = static_cast<double>(untied[static_cast<std::size_t>(pairs[i].first)]);
    const auto y = static_cast<double>(untied[static_cast<std::size_t>(pairs[i].second)]);
    const double below = comparator == Comparator::kTauA ? static_cast<double>(pair_count(total))
                                                         : std::sqrt(x) * std::sqrt(y);
    taus.push_back(below > 0 ? static_cast<double>(scores[i]) / below : 0.0);
  }
  return taus;
}

}  // namespace dnnbrain
