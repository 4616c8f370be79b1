// Scores of models with subjects while the conditions of one side are relabelled: what a comparator
// offers to the permutation test, which knows nothing else about it.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <memory>

#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// Relabellings of the conditions, one per row: condition i of the relabelled RDM is condition
/// orders(row, i) of the given one.
using OrderMatrix =
    Eigen::Matrix<std::int32_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;  // (n_order,
                                                                                   // n_cond)
using OrderView = Eigen::Ref<const OrderMatrix>;

class PermutedScorer {
 public:
  /// Room for one thread's work.
  class Room {
   public:
    virtual ~Room() = default;
  };

  virtual ~PermutedScorer() = default;

  virtual std::unique_ptr<Room> room() const = 0;

  /// Score models [first_model, first_model + n_model), relabelled, with all subjects. A score is a
  /// pure function of model, subject and order: the same bits in whatever block it is asked for.
  virtual void score(const OrderView& orders,  // (n_order, n_cond)
                     Index first_model,
                     Index n_model,
                     Room& room,
                     Eigen::Ref<Matrix> out) const = 0;  // (n_order, n_model * n_subject)

  /// About how long one model under one permutation takes with all subjects, for blocks that are
  /// neither too short to share out nor too long to be interrupted.
  virtual double nanoseconds_per_model() const = 0;

  /// How far apart scores may lie that are equal but for rounding; 0 where scores are exact.
  virtual double rounding() const = 0;
};

}  // namespace dnnbrain
