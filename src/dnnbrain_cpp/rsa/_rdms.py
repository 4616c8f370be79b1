"""Representational dissimilarity matrices: several over the same conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._validate import (
    as_array,
    as_float_array,
    check_choice,
    check_finite,
    check_ids,
)
from dnnbrain_cpp.features import Features, Gram

__all__ = ["METRICS", "RDMs", "rdm"]

METRICS = {
    "correlation": core.Dissimilarity.correlation,
    "cosine": core.Dissimilarity.cosine,
    "euclidean": core.Dissimilarity.euclidean,
    "sqeuclidean": core.Dissimilarity.sqeuclidean,
}
"""Dissimilarities between two patterns; SciPy's names, and SciPy's values."""

_SYMMETRY = 1e-6


class RDMs:
    """RDMs of layers, subjects or regions over one set of conditions.

    Parameters
    ----------
    dissimilarities : array_like of shape (n_rdm, n_pair)
        Condensed: pairs (0, 1), (0, 2) to (n-2, n-1), as `scipy.spatial.distance.squareform`
        orders them. Any real numbers; crossvalidated distances may be negative.
    ids : sequence of str, optional
        One per condition. Without them, joins go by order.
    names : sequence of str, optional
        One per RDM.
    metric : str, optional
        What the dissimilarities are.

    Raises
    ------
    ValueError
        For NaN, a length that is no number of pairs, fewer than 3 conditions, or wrong numbers of
        ids or names.
    """

    def __init__(
        self,
        dissimilarities: ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        metric: str | None = None,
    ) -> None:
        array = as_array(dissimilarities, "dissimilarities", dtype=np.float64, ndim=(1, 2))
        array = np.atleast_2d(array)
        self.n_cond = _condition_count(array.shape[1])
        if len(array) == 0:
            raise ValueError("dissimilarities must hold at least one RDM; got none.")
        check_finite(array, "dissimilarities")
        self.dissimilarities: NDArray[np.float64] = array
        self.ids = None if ids is None else check_ids(ids, "ids", n=self.n_cond)
        default = [f"rdm-{i + 1:02d}" for i in range(len(array))]
        self.names = check_ids(default if names is None else names, "names", n=len(array))
        self.metric = metric

    @classmethod
    def from_square(
        cls,
        square: ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        metric: str | None = None,
    ) -> RDMs:
        """Return RDMs from matrices of shape (n_cond, n_cond) or (n_rdm, n_cond, n_cond).

        Raises
        ------
        ValueError
            If a matrix is not symmetric or its diagonal is not zero.
        """
        array = as_array(square, "square", dtype=np.float64, ndim=(2, 3))
        array = array[None] if array.ndim == 2 else array
        if array.shape[1] != array.shape[2]:
            raise ValueError(
                f"RDMs must be square; got matrices of {array.shape[1]} x {array.shape[2]}."
            )
        check_finite(array, "square")
        allowed = _SYMMETRY * np.abs(array).max((1, 2), initial=0.0)  # to each RDM its own scale
        asymmetry = np.abs(array - array.swapaxes(1, 2)).max((1, 2), initial=0.0)
        if (asymmetry > allowed).any():
            raise ValueError(
                "RDMs must be symmetric; entries across the diagonal differ by up to "
                f"{asymmetry.max():.3g}. Average the matrix with its transpose if that is meant."
            )
        diagonal = np.abs(np.diagonal(array, axis1=1, axis2=2)).max(1, initial=0.0)
        if (diagonal > allowed).any():
            raise ValueError(
                f"RDMs must have a zero diagonal; got values up to {diagonal.max():.3g}. Are these "
                "similarities? Use 1 - similarity."
            )
        rows, columns = np.triu_indices(array.shape[1], 1)
        return cls(array[:, rows, columns], ids=ids, names=names, metric=metric)

    def __len__(self) -> int:
        return len(self.dissimilarities)

    def __getitem__(self, index: int | str | slice | Sequence[int]) -> RDMs:
        """Return the RDMs at a place, of a name, or at several places."""
        if isinstance(index, str):
            if index not in self.names:
                raise KeyError(f"no RDM {index!r}; there are {', '.join(self.names)}")
            index = self.names.index(index)
        places = np.atleast_1d(np.arange(len(self))[index])
        return RDMs(
            self.dissimilarities[places],
            ids=self.ids,
            names=[self.names[i] for i in places],
            metric=self.metric,
        )

    def square(self) -> NDArray[np.float64]:
        """Return symmetric matrices with zero diagonal, shape (n_rdm, n_cond, n_cond)."""
        out = np.zeros((len(self), self.n_cond, self.n_cond))
        rows, columns = np.triu_indices(self.n_cond, 1)
        out[:, rows, columns] = self.dissimilarities
        out[:, columns, rows] = self.dissimilarities
        return out

    def select(self, ids: Sequence[str]) -> RDMs:
        """Return the conditions named by `ids`, in that order."""
        if self.ids is None:
            raise ValueError("these RDMs have no ids to select by; build them with ids=.")
        place = {name: row for row, name in enumerate(self.ids)}
        wanted = check_ids(ids, "ids")
        missing = [name for name in wanted if name not in place]
        if missing:
            raise ValueError(
                f"ids must be among the {self.n_cond} conditions; {missing[0]!r} "
                f"({len(missing)} in all) is not."
            )
        rows = [place[name] for name in wanted]
        return RDMs.from_square(
            self.square()[:, rows][:, :, rows], ids=wanted, names=self.names, metric=self.metric
        )

    def mean(self) -> RDMs:
        """Return the mean over RDMs, as one RDM named ``mean``."""
        return RDMs(self.dissimilarities.mean(0), ids=self.ids, names=["mean"], metric=self.metric)

    def __repr__(self) -> str:
        metric = "" if self.metric is None else f", {self.metric}"
        names = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"RDMs({len(self)} x {self.n_cond} conditions{metric}: {names})"


def _condition_count(n_pair: int) -> int:
    n_cond = (1 + math.isqrt(1 + 8 * n_pair)) // 2
    if n_cond * (n_cond - 1) // 2 != n_pair:
        raise ValueError(
            f"a condensed RDM of n conditions must have n (n - 1) / 2 values; got {n_pair}."
        )
    if n_cond < 3:
        raise ValueError(f"an RDM must have at least 3 conditions; got {n_cond}.")
    return n_cond


def rdm(
    features: Features | Mapping[str, ArrayLike] | ArrayLike | Gram,
    *,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
) -> RDMs:
    """Return the dissimilarities between the patterns of all pairs of stimuli.

    Parameters
    ----------
    features : Features, mapping of str to array, array_like of shape (n_stim, n_feat), or Gram
        One RDM per layer.
    metric : {"correlation", "cosine", "euclidean", "sqeuclidean"}
        As in SciPy: 1 - Pearson r over features; 1 - cosine; the root of the summed squared
        differences; the sum itself, not divided by the number of features.
    ids : sequence of str, optional
        Conditions' ids, for features that have none.

    Returns
    -------
    RDMs
        float64, names are those of the layers.

    Raises
    ------
    ValueError
        If a pattern has no direction: constant over features (correlation) or zero (cosine).

    Notes
    -----
    From the n x n inner products, in fp64, in chunks of features: ``2 n_stim**2 n_feat`` FLOP.
    Distances below 1e-7 of the patterns' norms (squares and 1 - r: 1e-14) are rounding and become
    zero, so that equal patterns tie.
    """
    kind = METRICS[check_choice(metric, "metric", tuple(METRICS))]
    layers: Mapping[str, Any]
    if isinstance(features, Mapping):
        layers = features
        ids = features.ids if ids is None and isinstance(features, Features) else ids
    else:
        layers = {"features": features}
    if not layers:
        raise ValueError("features must hold at least one layer; got none.")
    condensed = {
        name: _condensed(layer, kind, f"layer {name!r}").numpy() for name, layer in layers.items()
    }
    lengths = {name: _condition_count(len(values)) for name, values in condensed.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"all layers must have the same n_stim; got {lengths}.")
    if ids is not None:
        ids = check_ids(ids, "ids", n=next(iter(lengths.values())))
    for name, values in condensed.items():
        _check_defined(values, name, metric, ids)
    return RDMs(np.stack(list(condensed.values())), ids=ids, names=list(condensed), metric=metric)


def _condensed(layer: ArrayLike | Gram, kind: core.Dissimilarity, name: str) -> torch.Tensor:
    if isinstance(layer, Gram):
        return layer.dissimilarities(kind)
    array = as_float_array(layer, name, ndim=2)
    check_finite(array, name)
    return core.dissimilarities(as_tensor(array), kind)


def _check_defined(
    condensed: NDArray[np.float64], layer: str, metric: str, ids: Sequence[str] | None
) -> None:
    undefined = np.isnan(condensed)
    if not undefined.any():
        return
    n_cond = _condition_count(len(condensed))
    rows, columns = np.triu_indices(n_cond, 1)
    counts = np.bincount(rows[undefined], minlength=n_cond)
    counts += np.bincount(columns[undefined], minlength=n_cond)
    worst = int(counts.argmax())
    stimulus = f"stimulus {worst}" if ids is None else f"stimulus {ids[worst]!r}"
    what = "varies over features" if metric == "correlation" else "is not zero"
    raise ValueError(
        f"{metric} distance needs patterns of which each {what}; in layer {layer!r} that of "
        f"{stimulus} does not. Leave the layer or the stimulus out, or use metric='euclidean'."
    )
