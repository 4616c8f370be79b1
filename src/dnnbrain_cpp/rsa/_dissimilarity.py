"""Dissimilarities between patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite, check_ids
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.rsa._rdms import RDM, RDMs, condition_count

__all__ = ["METRICS", "rdm"]

METRICS = {
    "correlation": core.Dissimilarity.correlation,
    "cosine": core.Dissimilarity.cosine,
    "euclidean": core.Dissimilarity.euclidean,
    "sqeuclidean": core.Dissimilarity.sqeuclidean,
}
"""Dissimilarities between two patterns; SciPy's names, and SciPy's values."""


@overload
def rdm(
    features: Features | Mapping[str, ArrayLike],
    *,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
) -> RDMs: ...
@overload
def rdm(
    features: ArrayLike | Gram,
    *,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
) -> RDM: ...
def rdm(
    features: Features | Mapping[str, ArrayLike] | ArrayLike | Gram,
    *,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
) -> RDM | RDMs:
    """Return the dissimilarities between the patterns of all pairs of stimuli.

    Parameters
    ----------
    features : Features, mapping of str to array, array_like of shape (n_stim, n_feat), or Gram
        An array or Gram gives one `RDM`, a mapping `RDMs`, one per layer.
    metric : {"correlation", "cosine", "euclidean", "sqeuclidean"}
        As in SciPy: 1 - Pearson r over features; 1 - cosine; the root of the summed squared
        differences; the sum itself, not divided by the number of features.
    ids : sequence of str, optional
        Conditions' ids, for features that have none.

    Returns
    -------
    RDM or RDMs
        float64; names are those of the layers.

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
    lengths = {name: condition_count(len(values)) for name, values in condensed.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"all layers must have the same n_stim; got {lengths}.")
    if ids is not None:
        ids = check_ids(ids, "ids", n=next(iter(lengths.values())))
    for name, values in condensed.items():
        _check_defined(values, name, metric, ids)
    rdms = RDMs(np.stack(list(condensed.values())), ids=ids, names=list(condensed), metric=metric)
    return rdms if isinstance(features, Mapping) else rdms[0]


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
    n_cond = condition_count(len(condensed))
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
