// Fixed models against many RDMs that come one at a time, such as those of searchlights.
//
// Models are prepared once. Cost for each RDM: its ranks, where the comparator asks for them, and
// n_pair FLOP (n_pair log n_pair for Kendall) a model. Comparators: comparator.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/bucket_ranks.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/kendall.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

class RdmScorer {
 public:
  /// Room for one thread's work.
  class Room {
   public:
    explicit Room(const RdmScorer& scorer);

   private:
    friend class RdmScorer;
    BucketRanks ranks_;
    std::vector<double> values_;
    std::optional<std::variant<KendallCounter<std::uint16_t>, KendallCounter<std::uint32_t>>>
        counter_;
  };

  RdmScorer(const MatrixView& models,  // (n_model, n_pair) none of them constant
            Comparator comparator);

  Index n_model() const { return n_model_; }
  Index n_pair() const { return n_pair_; }

  /// Score one RDM with every model. NaN where the comparator is undefined for it: it is constant,
  /// or zero.
  void score(std::span<const double> rdm, Room& room, std::span<double> out) const;  // (n_model,)

 private:
  void score_dots(std::span<const double> rdm, Room& room, std::span<double> out) const;
  void score_whitened(std::span<const double> rdm, std::span<double> out) const;
  void score_kendall(std::span<const double> rdm, Room& room, std::span<double> out) const;

  Comparator comparator_;
  Index n_model_;
  Index n_pair_;
  Matrix prepared_;  // (n_model, n_pair), unless Kendall
  std::variant<std::vector<RankedVector<std::uint16_t>>, std::vector<RankedVector<std::uint32_t>>>
      ranked_;  // (n_model,), Kendall
};

}  // namespace dnnbrain
