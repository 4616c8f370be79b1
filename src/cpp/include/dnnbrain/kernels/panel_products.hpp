// Products of two RDMs, one of them under many relabellings of its conditions:
//
//   out[p, s] = sum_{i < j} a[order_p[i], order_p[j]] b_s[i, j]                    sums in fp64
//
// Rows of a are read in the order of each relabelling into a panel that stays in the first-level
// cache, and the panel is multiplied with all b: what is fetched once serves every b, and a row of
// b every relabelling of the panel. Each sum has an order of its own, so that its bits do not
// depend on what else is computed beside it.
// Cost per relabelling: n_pair reads, and n_pair multiply-adds with each b.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

class PanelProducts {
 public:
  explicit PanelProducts(const MatrixView& b);  // (n_b, n_pair)

  Index n_b() const { return n_b_; }

  void run(std::span<const double> a,             // (n_cond, n_cond) symmetric
           std::span<const std::int32_t> orders,  // (n_order, n_cond)
           Index n_cond,
           std::span<double> out) const;  // (n_order, n_b)

 private:
  Index n_b_;
  Matrix b_;  // padded with zeros: rows to whole groups, columns to whole registers
};

}  // namespace dnnbrain
