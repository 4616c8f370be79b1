"""Which channels a searchlight looks at: balls in a volume, neighbourhoods on a surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from dnnbrain_cpp._native import core
from dnnbrain_cpp.io import VolumeGeometry

__all__ = ["Neighbours", "in_ball", "on_surface"]

_SOURCES = 128  # of which the distances to all vertices are in memory at once


@dataclass(frozen=True)
class Neighbours:
    """Lists of channels end to end; list i is ``members[starts[i]:starts[i + 1]]``."""

    starts: NDArray[np.int64]
    members: NDArray[np.int32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Channels of each neighbourhood."""
        return np.diff(self.starts)

    def with_at_least(self, minimum: int) -> Neighbours:
        """Return the same with lists that are shorter made empty."""
        counts = self.counts
        kept = counts >= minimum
        if kept.all():
            return self
        starts = np.concatenate([[0], np.cumsum(np.where(kept, counts, 0))])
        return Neighbours(starts, self.members[np.repeat(kept, counts)])


def in_ball(geometry: VolumeGeometry, radius: float) -> Neighbours:
    """Return the voxels of the mask within `radius` mm of each, the bound included."""
    to_mm = np.asarray(geometry.affine, np.float64)[:3, :3]
    starts, members = core.ball_neighbourhoods(
        np.ascontiguousarray(geometry.inside), to_mm.ravel().tolist(), radius
    )
    return Neighbours(starts, members)


def on_surface(adjacency: Any, n_chn: int, radius: float | None) -> Neighbours:
    """Return each channel and its neighbours, or all within `radius` along the edges.

    Parameters
    ----------
    adjacency : array_like or sparse of shape (n_chn, n_chn)
        Not zero where two channels are neighbours; with `radius`, the length of the edge.
    n_chn : int
    radius : float or None
    """
    graph = sparse.csr_array(adjacency).astype(np.float64)
    if graph.shape != (n_chn, n_chn):
        raise ValueError(
            f"adjacency must have a row and a column for each of {n_chn} channels; got shape "
            f"{graph.shape}."
        )
    graph.eliminate_zeros()
    if len(graph.data) and not graph.data.min() > 0:
        raise ValueError("adjacency must not be negative or NaN; some entries are.")
    if radius is None:
        reached = (graph + sparse.eye_array(n_chn, format="csr")).tocsr()
        reached.sort_indices()
        return Neighbours(reached.indptr.astype(np.int64), reached.indices.astype(np.int32))
    starts, members = [0], []
    for first in range(0, n_chn, _SOURCES):
        sources = np.arange(first, min(first + _SOURCES, n_chn))
        distance = dijkstra(graph, directed=False, indices=sources, limit=radius * (1 + 1e-6))
        for row in distance:
            near = np.flatnonzero(np.isfinite(row))
            members.append(near.astype(np.int32))
            starts.append(starts[-1] + len(near))
    return Neighbours(np.array(starts, np.int64), np.concatenate(members))
