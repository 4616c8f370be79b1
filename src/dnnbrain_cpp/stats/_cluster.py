"""Clusters of neighbouring places, tested over subjects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.stats import t as student_t

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import as_array, check_choice
from dnnbrain_cpp.stats._flips import ALTERNATIVES, SubjectMaps, make_plan, subject_maps

__all__ = ["ClusterResult", "cluster_test", "grid_adjacency"]

_FORMING_P = 0.05
_EXTENT, _HEIGHT, _STEP = 0.5, 2.0, 0.1


@dataclass(frozen=True, repr=False, eq=False)
class ClusterResult:
    """Clusters, and how likely chance is to give one as large.

    Attributes
    ----------
    t : ndarray
        In the shape of a subject's map; NaN where some subject has no value.
    labels : ndarray of int
        The cluster of each place, from 1; 0 for none. In the shape of a map. With TFCE, clusters
        are what is connected and significant at 0.05 on the same side.
    mass : ndarray of shape (n_cluster,)
        Sum of t over each cluster.
    p : ndarray of shape (n_cluster,)
        ``(1 + b) / (1 + n_perm)`` with b flips that have a cluster at least as large somewhere:
        corrected for all clusters. With TFCE, the smallest `p_map` of the cluster.
    p_map : ndarray
        The p of each place's cluster, 1 in none; with TFCE the corrected p of each place. NaN where
        some subject has no value.
    null_extremes : ndarray of shape (n_perm,)
        The largest absolute mass (with TFCE: enhanced value) of each flip.
    enhanced : ndarray or None
        With TFCE: the enhanced map.
    threshold : float or None
        Of t; None with TFCE.
    alternative : str
    n_perm : int
        Flips besides the identity.
    exact : bool
        Whether these are all flips.
    seed : int or None
        None if exact.
    """

    t: NDArray[np.float64]
    labels: NDArray[np.int64]
    mass: NDArray[np.float64]
    p: NDArray[np.float64]
    p_map: NDArray[np.float64]
    null_extremes: NDArray[np.float64]
    enhanced: NDArray[np.float64] | None
    threshold: float | None
    alternative: str
    n_perm: int
    exact: bool
    seed: int | None

    def significant(self, level: float = 0.05) -> NDArray[np.bool_]:
        """Return which places are significant, in the shape of a map."""
        return np.asarray(self.p_map <= level)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per cluster: number, size, mass, place of its largest t, p."""
        flat = self.labels.ravel()
        places = np.flatnonzero(flat)
        places = places[np.lexsort((-np.abs(self.t.ravel()[places]), flat[places]))]
        first = places[np.unique(flat[places], return_index=True)[1]]
        peaks = np.stack(np.unravel_index(first, np.atleast_1d(self.t).shape), axis=1)
        return pd.DataFrame(
            {
                "cluster": np.arange(1, len(self.mass) + 1),
                "size": np.bincount(flat, minlength=len(self.mass) + 1)[1:],
                "mass": self.mass,
                "peak": [tuple(peak) for peak in peaks.tolist()],
                "p": self.p,
            }
        )

    def __repr__(self) -> str:
        how = "TFCE" if self.threshold is None else f"|t| > {self.threshold:.4g}"
        flips = f"all {self.n_perm + 1} flips" if self.exact else f"{self.n_perm} flips"
        return (
            f"ClusterResult: {self.t.size} places, {how}, {self.alternative}, {flips}; "
            f"{len(self.mass)} clusters, {int((self.p <= 0.05).sum())} with p <= 0.05"
        )


def cluster_test(
    maps: ArrayLike,
    *,
    threshold: float | str | None = None,
    adjacency: Any | None = None,
    n_perm: int = 10_000,
    alternative: str = "two-sided",
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> ClusterResult:
    """Test whether clusters of neighbouring places differ from zero over subjects.

    Parameters
    ----------
    maps : array_like of shape (n_subject, ...)
        Scores over time, over pairs of times, over voxels, or differences between two. Places where
        a subject has NaN are left out, and nothing is connected through them.
    threshold : float or "tfce", optional
        Of t, positive: neighbouring places beyond it are a cluster. By default that of p = 0.05 at
        one place (two-sided, or one-sided with a one-sided alternative). ``"tfce"``: no threshold,
        but the enhancement of Smith & Nichols (2009), E 0.5, H 2, in steps of 0.1.
    adjacency : sparse or array_like of shape (n_place, n_place), optional
        Not zero where two places of the flattened map are neighbours. By default neighbours are one
        step apart on one axis of the map.
    n_perm : int
        Random flips of whole subjects; all ``2**n_subject`` where they are no more than that.
    alternative : {"two-sided", "greater", "less"}
        Two-sided, places above the threshold and below its negative form clusters of their own.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    ClusterResult

    Raises
    ------
    ValueError
        For fewer than 2 subjects, a threshold that is not positive, or an adjacency of another
        size.

    Notes
    -----
    Mass of clusters against the largest one of each flip (Maris & Oostenveld 2007), as MNE's
    ``permutation_cluster_1samp_test`` does it with the same threshold. A small p says that there is
    an effect, not that each place of the cluster has one, nor where it begins.

    Cost of a flip: 2 n_subject FLOP a place, and a walk over the places beyond the threshold.
    """
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    of_subjects = subject_maps(maps)
    n_subject = len(of_subjects.values)
    graph = _graph(of_subjects, adjacency)
    plan = make_plan(n_subject, n_perm, random_state)
    starts, neighbours = graph.indptr.astype(np.int64), graph.indices.astype(np.int32)
    side = ALTERNATIVES[alternative]
    seed, threads = plan.seed or 0, resolve_n_threads(n_threads)
    enhanced = None
    with progress_callback(progress, f"{plan.n_flip} sign flips") as report:
        if isinstance(threshold, str):
            check_choice(threshold, "threshold", ("tfce",))
            threshold = None
            t, enhanced, exceed, extremes = core.enhanced_cluster_test(
                of_subjects.values,
                starts,
                neighbours,
                _EXTENT,
                _HEIGHT,
                _STEP,
                plan.n_flip,
                plan.exact,
                seed,
                side,
                threads,
                report,
            )
            p_known = plan.p_values(exceed[0])
            labels = _connected(graph, np.where(p_known <= 0.05, np.sign(enhanced[0]), 0.0))
        else:
            if threshold is None:
                tails = 2 if alternative == "two-sided" else 1
                threshold = float(student_t.ppf(1 - _FORMING_P / tails, n_subject - 1))
            if not threshold > 0:
                raise ValueError(f"threshold must be positive, in t; got {threshold}.")
            t, found, _, exceed, extremes = core.cluster_test(
                of_subjects.values,
                starts,
                neighbours,
                float(threshold),
                plan.n_flip,
                plan.exact,
                seed,
                side,
                threads,
                report,
            )
            labels = found[0]
            p_known = np.concatenate([[1.0], plan.p_values(exceed[0])])[labels]
    n_cluster = int(labels.max())
    smallest = np.ones(n_cluster + 1)
    np.minimum.at(smallest, labels, p_known)
    return ClusterResult(
        t=of_subjects.spread(t[0], np.nan),
        labels=of_subjects.spread(labels.astype(np.float64), 0.0).astype(np.int64),
        mass=np.asarray(np.bincount(labels, t[0], n_cluster + 1)[1:], np.float64),
        p=smallest[1:],
        p_map=of_subjects.spread(p_known, np.nan),
        null_extremes=extremes[0],
        enhanced=None if enhanced is None else of_subjects.spread(enhanced[0], np.nan),
        threshold=None if threshold is None else float(threshold),
        alternative=alternative,
        n_perm=plan.n_flip,
        exact=plan.exact,
        seed=plan.seed,
    )


def grid_adjacency(inside: ArrayLike) -> sparse.csr_array:
    """Return which places of a grid are neighbours: one step apart on one axis.

    Parameters
    ----------
    inside : array_like of bool
        Places that count, in any number of dimensions, such as the mask of a volume.

    Returns
    -------
    csr_array of shape (n_inside, n_inside)
        Places in C order.
    """
    mask = as_array(inside, "inside", dtype=np.bool_)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(int(mask.sum()))
    pairs = []
    for axis in range(mask.ndim):
        ahead = np.moveaxis(number, axis, 0)
        both = (ahead[:-1] >= 0) & (ahead[1:] >= 0)
        pairs.append(np.stack([ahead[:-1][both], ahead[1:][both]]))
    n = int(mask.sum())
    if not pairs:
        return sparse.csr_array((n, n), dtype=np.int8)
    first, second = np.concatenate(pairs, axis=1)
    ones = np.ones(len(first), np.int8)
    upper = sparse.coo_array((ones, (first, second)), shape=(n, n))
    return (upper + upper.T).tocsr()


def _graph(maps: SubjectMaps, adjacency: Any | None) -> sparse.csr_array:
    """Return the neighbours of the points that all subjects have."""
    if adjacency is None:
        return grid_adjacency(maps.known.reshape(maps.shape))
    graph = sparse.csr_array(adjacency)
    n = len(maps.known)
    if graph.shape != (n, n):
        raise ValueError(
            f"adjacency must have a row and a column for each of {n} places; got shape "
            f"{graph.shape}."
        )
    graph = (graph != 0).astype(np.int8)
    graph = (graph + graph.T).tocsr()
    return graph if maps.known.all() else graph[maps.known][:, maps.known].tocsr()


def _connected(graph: sparse.csr_array, sign: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return labels, from 1, of connected places of one sign."""
    labels = np.zeros(len(sign), np.int64)
    for side in (1.0, -1.0):
        chosen = np.flatnonzero(sign == side)
        if len(chosen):
            _, parts = sparse.csgraph.connected_components(graph[chosen][:, chosen], directed=False)
            labels[chosen] = labels.max() + 1 + parts
    return labels
