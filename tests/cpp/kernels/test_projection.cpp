#include "dnnbrain/kernels/projection.hpp"

#include <cmath>

#include "dnnbrain/core/error.hpp"
#include "dnnbrain/core/random.hpp"
#include "dnnbrain/kernels/matrix.hpp"
#include "support/check.hpp"
#include "support/naive.hpp"

using namespace dnnbrain;

namespace {

constexpr Projection kCountSketch{7, 12, 0.0};
constexpr Projection kSparse{7, 40, 0.15};
constexpr Projection kDense{7, 12, 1.0};

/// Zero columns up to the next non-zero, by counting: how often 1 - density still exceeds a
/// uniform number when multiplied by itself.
Index leap(RandomStream& stream, double density) {
  const double uniform = (static_cast<double>(stream.next()) + 1.0) / 4294967296.0;
  Index zeros = 0;
  for (double tail = 1 - density; tail >= uniform; tail *= 1 - density) ++zeros;
  return zeros;
}

/// R, entry by entry from the definition.
Matrix naive_matrix(const Projection& projection, Index n_feat) {
  Matrix out = Matrix::Zero(n_feat, projection.n_comp);
  for (Index feature = 0; feature < n_feat; ++feature) {
    RandomStream stream(projection.seed, static_cast<std::uint64_t>(feature));
    const auto sign = [&] { return stream.next() % 2 == 1 ? -1.0 : 1.0; };
    if (projection.density == 0) {
      const Index column = stream.below(static_cast<std::uint32_t>(projection.n_comp));
      out(feature, column) = sign();
      continue;
    }
    const double size = 1 / std::sqrt(projection.density * static_cast<double>(projection.n_comp));
    if (projection.density == 1) {
      for (Index column = 0; column < projection.n_comp; ++column)
        out(feature, column) = size * sign();
      continue;
    }
    for (Index column = leap(stream, projection.density); column < projection.n_comp;
         column += 1 + leap(stream, projection.density)) {
      out(feature, column) = size * sign();
    }
  }
  return out;
}

/// R as the entries of its rows say.
Matrix listed_matrix(const Projection& projection, Index n_feat) {
  Matrix out = Matrix::Zero(n_feat, projection.n_comp);
  std::vector<ProjectionEntry> entries{{99, true}};  // to be overwritten
  for (Index feature = 0; feature < n_feat; ++feature) {
    projection_row(projection, feature, entries);
    for (const auto& [column, negative] : entries) {
      out(feature, column) = (negative ? -1 : 1) * projection_scale(projection);
    }
  }
  return out;
}

template <class Real>
using Rows = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Real>
Rows<Real> draw(Index n, Index n_feat) {
  const auto values = naive::levels(static_cast<std::size_t>(n * n_feat), 1000, 3);
  return Eigen::Map<const Matrix>(values.data(), n, n_feat).cast<Real>();
}

template <class Real>
Rows<Real> project(const Projection& projection, const Rows<Real>& x, int n_threads = 1) {
  Rows<Real> y(x.rows(), projection.n_comp);
  Monitor monitor;
  project_rows(projection, x.data(), x.rows(), x.cols(), y.data(), n_threads, monitor);
  return y;
}

}  // namespace

TEST(entries_match_their_definition) {
  for (const Projection& projection : {kCountSketch, kSparse, kDense, Projection{1, 1, 0.5}}) {
    CHECK(listed_matrix(projection, 300) == naive_matrix(projection, 300));
  }
}

TEST(products_match_the_matrix_that_is_never_formed) {
  // Sizes about a tile of 64 rows and a block of 4096 features.
  for (const Projection& projection : {kCountSketch, kSparse, kDense}) {
    for (const Index n : {1, 63, 64, 65, 130}) {
      const auto x = draw<double>(n, 90);
      const Matrix expected = x * naive_matrix(projection, 90);
      CHECK_NEAR((project(projection, x) - expected).cwiseAbs().maxCoeff(), 0.0, 1e-12 * 100);
    }
    const auto wide = draw<double>(3, 4100);
    const Matrix expected = wide * naive_matrix(projection, 4100);
    const double size = expected.cwiseAbs().maxCoeff();
    CHECK_NEAR((project(projection, wide) - expected).cwiseAbs().maxCoeff(), 0.0, 1e-12 * size);
    const Rows<float> low = wide.cast<float>();
    const Matrix error = project(projection, low).cast<double>() - expected;
    CHECK_NEAR(error.cwiseAbs().maxCoeff(), 0.0, 1e-4 * size);
  }
}

TEST(rows_do_not_depend_on_threads_or_on_other_rows) {
  const auto x = draw<double>(150, 200);
  for (const Projection& projection : {kCountSketch, kSparse, kDense}) {
    const auto whole = project(projection, x);
    CHECK(project(projection, x, 3) == whole);
    const Rows<double> part = x.middleRows(70, 20);
    CHECK(project(projection, part) == whole.middleRows(70, 20));
  }
}

TEST(seeds_give_matrices_of_their_own) {
  Projection other = kSparse;
  other.seed = 8;
  CHECK(listed_matrix(other, 50) != listed_matrix(kSparse, 50));
}

// The share of non-zeros is the density, and signs and lengths come out even: within five standard
// errors of what they should be on average.
TEST(moments_of_the_entries) {
  constexpr Index kFeat = 5000;
  const Matrix matrix = listed_matrix(kSparse, kFeat);
  const double n = static_cast<double>(matrix.size());
  const double non_zero = static_cast<double>((matrix.array() != 0).count());
  CHECK_NEAR(non_zero / n, kSparse.density, 5 * std::sqrt(kSparse.density / n));
  const double positive = static_cast<double>((matrix.array() > 0).count());
  CHECK_NEAR(positive / non_zero, 0.5, 2.5 / std::sqrt(non_zero));
  CHECK_NEAR(matrix.squaredNorm() / static_cast<double>(kFeat), 1.0, 0.05);
  // No column comes more often than another.
  const Eigen::VectorXd by_column =
      (matrix.array() != 0).cast<double>().colwise().sum().transpose();
  const double expected = kSparse.density * static_cast<double>(kFeat);
  CHECK_NEAR((by_column.array() - expected).abs().maxCoeff(), 0.0, 5 * std::sqrt(expected));
}

TEST(bad_projections_are_refused) {
  const auto x = draw<double>(2, 3);
  CHECK_THROWS(InvalidArgument, project(Projection{0, 0, 0.5}, x));
  for (const double density : {-0.1, 1.1}) {
    CHECK_THROWS(InvalidArgument, project(Projection{0, 4, density}, x));
  }
}
