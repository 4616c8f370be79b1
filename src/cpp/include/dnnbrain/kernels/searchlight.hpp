// RSA in many places: the RDM of each neighbourhood of channels, scored with every model, and
// dropped.
//
// Cost a neighbourhood: that of its RDM (local_rdm.hpp) and of its scores (rdm_scorer.hpp). Memory:
// the scores, and what one RDM of each thread needs; all RDMs only where they are asked for. Each
// neighbourhood is the work of one thread: the same bits for any number of them.
#pragma once

#include <cstdint>
#include <span>

#include "dnnbrain/core/monitor.hpp"
#include "dnnbrain/core/types.hpp"
#include "dnnbrain/kernels/comparator.hpp"
#include "dnnbrain/kernels/local_rdm.hpp"
#include "dnnbrain/kernels/matrix.hpp"

namespace dnnbrain {

/// Lists of channels end to end: list i is members[starts[i] .. starts[i + 1]).
struct NeighbourhoodView {
  std::span<const Index> starts;          // (n_centre + 1,)
  std::span<const std::int32_t> members;  // (starts.back(),)

  Index n_centre() const { return static_cast<Index>(starts.size()) - 1; }
};

struct SearchlightOptions {
  Comparator comparator = Comparator::kSpearman;
  bool keep_rdms = false;
  int n_threads = 1;
};

struct SearchlightResult {
  Matrix scores;  // (n_centre, n_model) NaN where the RDM or the comparator is undefined
  Matrix rdms;    // (n_centre, n_pair) NaN where undefined; empty unless kept
};

/// Score every neighbourhood. Empty ones are undefined. There may be no models if RDMs are kept.
SearchlightResult searchlight(const LocalData& data,
                              const NeighbourhoodView& neighbourhoods,
                              const MatrixView& models,  // (n_model, n_pair)
                              const SearchlightOptions& options,
                              Monitor& monitor);

/// Score distances across every pair of neighbourhoods (i, j), which must be equally large: the
/// sensors at two times. Symmetric in i and j.
Matrix generalisation(const LocalData& data,
                      const NeighbourhoodView& neighbourhoods,
                      const MatrixView& models,  // (n_model, n_pair)
                      const SearchlightOptions& options,
                      Monitor& monitor);  // -> (n_model, n_centre * n_centre)

}  // namespace dnnbrain
