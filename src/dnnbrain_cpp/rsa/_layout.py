"""Conditions laid out by their dissimilarities: in a plane, or as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms
from dnnbrain_cpp.rsa._rdms import RDM

__all__ = ["Dendrogram", "MDSResult", "dendrogram", "mds"]

MDS_KINDS = ("metric", "nonmetric", "classical")
LINKAGES = ("average", "single", "complete", "weighted", "ward")


@dataclass(frozen=True)
class MDSResult:
    """Conditions in a space of few dimensions.

    Attributes
    ----------
    positions : ndarray of shape (n_cond, n_components), float64
        Centred, on their principal axes.
    stress : float
        Kruskal's stress-1, ``sqrt(sum (d - f)**2 / sum d**2)``: d are the distances in the space, f
        what they should be: the dissimilarities, or, for ``"nonmetric"``, the monotone function
        of them that fits best. 0 is perfect, 0.1 fair, 0.2 poor (Kruskal 1964).
    ids : tuple of str
        Conditions; their places where the RDM has no ids.
    kind : str
    """

    positions: NDArray[np.float64]
    stress: float
    ids: tuple[str, ...]
    kind: str

    def to_frame(self) -> pd.DataFrame:
        """Return one row per condition: id, and a column per dimension, dim1, dim2 and so on."""
        columns = [f"dim{i + 1}" for i in range(self.positions.shape[1])]
        frame = pd.DataFrame(self.positions, columns=columns)
        frame.insert(0, "id", self.ids)
        return frame


def mds(
    rdm: RDMsLike,
    *,
    n_components: int = 2,
    kind: str = "metric",
    n_init: int = 4,
    max_iter: int = 300,
    random_state: RandomState = None,
) -> MDSResult:
    """Lay conditions out so that distances show their dissimilarities.

    Parameters
    ----------
    rdm : RDM, or array_like, square or condensed
        One RDM. Negative values, which crossvalidated distances may have, count as 0.
    n_components : int
    kind : {"metric", "nonmetric", "classical"}
        Distances as close to the dissimilarities as can be (SMACOF), to any monotone function of
        them, or from the eigenvectors of the centred squares (Torgerson).
    n_init : int
        Random starts besides the classical solution; the best of all is kept.
    max_iter : int
        Per start.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    MDSResult

    Raises
    ------
    ValueError
        For several RDMs, an RDM of zeros, or as many dimensions as conditions.

    Notes
    -----
    SMACOF is scikit-learn's: ``(1 + n_init) max_iter n_cond**2 n_components`` FLOP at most.
    """
    one = _single(rdm)
    check_choice(kind, "kind", MDS_KINDS)
    check_integer(n_components, "n_components", minimum=1, maximum=one.n_cond - 1)
    check_integer(n_init, "n_init", minimum=0)
    check_integer(max_iter, "max_iter", minimum=1)
    wanted = np.maximum(one.dissimilarities, 0)
    if not wanted.any():
        raise ValueError("an RDM to lay out must have a positive dissimilarity; all are zero.")
    best = _classical(wanted, one.n_cond, n_components)
    if kind != "classical":
        from sklearn.manifold import smacof

        rng = np.random.default_rng(as_seed(random_state))
        spread = best.std() or 1.0
        starts = [best] + [rng.normal(0, spread, best.shape) for _ in range(n_init)]
        square = RDM(wanted).square()
        found = [
            smacof(
                square,
                metric=kind == "metric",
                n_components=n_components,
                init=start,
                n_init=1,
                max_iter=max_iter,
                normalized_stress=False,
            )[0]
            for start in starts
        ]
        best = min(found, key=lambda positions: _stress(positions, wanted, kind))
    return MDSResult(_on_principal_axes(best), _stress(best, wanted, kind), _ids(one), kind)


def _classical(wanted: NDArray[np.float64], n_cond: int, n_components: int) -> NDArray[np.float64]:
    squares = RDM(wanted**2).square()
    centred = -0.5 * (squares - squares.mean(0) - squares.mean(1, keepdims=True) + squares.mean())
    values, vectors = np.linalg.eigh(centred)
    kept = np.argsort(values)[::-1][:n_components]
    positions: NDArray[np.float64] = vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0))
    return positions


def _stress(positions: NDArray[np.float64], wanted: NDArray[np.float64], kind: str) -> float:
    distances = pdist(positions)
    target = wanted
    if kind == "nonmetric":
        from sklearn.isotonic import IsotonicRegression

        target = IsotonicRegression().fit_transform(wanted, distances)
    return float(np.sqrt(((distances - target) ** 2).sum() / (distances**2).sum()))


def _on_principal_axes(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the solution, which no distance depends on; the largest entry of an axis is positive."""
    centred = positions - positions.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    turned: NDArray[np.float64] = centred @ axes.T
    largest = turned[np.abs(turned).argmax(0), np.arange(turned.shape[1])]
    return turned * np.where(largest < 0, -1.0, 1.0)


@dataclass(frozen=True)
class Dendrogram:
    """A tree of conditions.

    Attributes
    ----------
    linkage : ndarray of shape (n_cond - 1, 4), float64
        SciPy's: each row joins two clusters at a height; the last column counts conditions.
    ids : tuple of str
        Conditions; their places where the RDM has no ids.
    method : str
    order : ndarray of shape (n_cond,), int
        Leaves from left to right.
    """

    linkage: NDArray[np.float64]
    ids: tuple[str, ...]
    method: str
    order: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", hierarchy.leaves_list(self.linkage).astype(np.intp))

    def clusters(self, n_cluster: int) -> NDArray[np.intp]:
        """Return the cluster of each condition, from 0, when the tree is cut into `n_cluster`.

        Clusters count from left to right. Ties in height may leave fewer.
        """
        check_integer(n_cluster, "n_cluster", minimum=1, maximum=len(self.ids))
        labels = hierarchy.fcluster(self.linkage, n_cluster, criterion="maxclust")
        _, first = np.unique(labels[self.order], return_index=True)
        rank = np.empty(len(first), dtype=np.intp)
        rank[np.argsort(first)] = np.arange(len(first))
        renamed: NDArray[np.intp] = rank[labels - 1]
        return renamed

    def to_frame(self) -> pd.DataFrame:
        """Return one row per join: left, right, height, n_cond; joins are numbered after leaves."""
        left, right = self.linkage[:, :2].astype(int).T
        return pd.DataFrame(
            {
                "left": left,
                "right": right,
                "height": self.linkage[:, 2],
                "n_cond": self.linkage[:, 3].astype(int),
            }
        )


def dendrogram(rdm: RDMsLike, *, method: str = "average") -> Dendrogram:
    """Cluster conditions into a tree.

    Parameters
    ----------
    rdm : RDM, or array_like, square or condensed
        One RDM, without negative values.
    method : {"average", "single", "complete", "weighted", "ward"}
        How far clusters are apart, as in SciPy. ``"ward"`` is meant for Euclidean distances.

    Returns
    -------
    Dendrogram
        Leaves are ordered so that neighbours are as similar as the tree allows.

    Raises
    ------
    ValueError
        For several RDMs, or negative dissimilarities.

    Notes
    -----
    SciPy's linkage, O(n_cond**2), and optimal order of leaves (Bar-Joseph et al. 2001),
    O(n_cond**3) at worst.
    """
    one = _single(rdm)
    check_choice(method, "method", LINKAGES)
    if (one.dissimilarities < 0).any():
        raise ValueError(
            "a tree needs dissimilarities that are not negative; the smallest is "
            f"{one.dissimilarities.min():.3g}. For crossvalidated distances, clip them at zero."
        )
    linkage = hierarchy.linkage(one.dissimilarities, method, optimal_ordering=True)
    return Dendrogram(linkage, _ids(one), method)


def _single(rdm: RDMsLike) -> RDM:
    rdms = as_rdms(rdm, "rdm")
    if len(rdms) != 1:
        raise ValueError(
            f"rdm must be one RDM; got {len(rdms)}. Choose one, or take their mean: rdms.mean()."
        )
    return rdms[0]


def _ids(rdm: RDM) -> tuple[str, ...]:
    ids: Sequence[object] = range(rdm.n_cond) if rdm.ids is None else rdm.ids
    return tuple(str(i) for i in ids)
