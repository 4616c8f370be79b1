#include "dnnbrain/kernels/sign_products.hpp"

#include <cmath>

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
std::int32_t product(const std::int16_t* a, const std::int16_t* b, Index n) {
  std::int32_t sum = 0;
  for (Index l = 0; l < n; ++l) sum += a[l] * b[l];
  return sum;
}

}  // namespace

std::vector<double> short_taus(const MatrixView& rows,
                               const VectorPairs& pairs,
                               Comparator comparator) {
  DNNBRAIN_REQUIRE(counts_pairs(comparator), "signs are counted for tau-a and tau-b alone.");
  const Index n_vector = rows.rows();
  const Index m = rows.cols();
  Eigen::Matrix<std::int16_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> signs(n_vector, m);
  std::vector<Index> scores(pairs.size());
  std::vector<Index> untied(static_cast<std::size_t>(n_vector));
  for (Index k = 1; k < m; ++k) {
    for (Index v = 0; v < n_vector; ++v) {
      write_signs(rows(v, k), rows.row(v).data(), k, &signs(v, 0));
      untied[static_cast<std::size_t>(v)] += product(&signs(v, 0), &signs(v, 0), k);
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      scores[i] += product(&signs(pairs[i].first, 0), &signs(pairs[i].second, 0), k);
    }
  }
  std::vector<double> taus;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto x = static_cast<double>(untied[static_cast<std::size_t>(pairs[i].first)]);
    const auto y = static_cast<double>(untied[static_cast<std::size_t>(pairs[i].second)]);
    const double below = comparator == Comparator::kTauA ? static_cast<double>(pair_count(m))
                                                         : std::sqrt(x) * std::sqrt(y);
    taus.push_back(below > 0 ? static_cast<double>(scores[i]) / below : 0.0);
  }
  return taus;
}

}  // namespace dnnbrain
