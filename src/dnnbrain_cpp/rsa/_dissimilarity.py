"""Dissimilarities between patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._validate import as_float_array, check_choice, check_ids
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.rsa._conditions import (
    Labels,
    RunMeans,
    average_conditions,
    check_patterns,
    run_means,
)
from dnnbrain_cpp.rsa._noise import NOISE_METHODS, noise_precision, repeat_residuals, whiten
from dnnbrain_cpp.rsa._rdms import RDM, RDMs, condition_count

__all__ = ["METRICS", "rdm"]

METRICS = {
    "correlation": core.Dissimilarity.correlation,
    "cosine": core.Dissimilarity.cosine,
    "euclidean": core.Dissimilarity.euclidean,
    "sqeuclidean": core.Dissimilarity.sqeuclidean,
}
"""Dissimilarities that inner products decide; SciPy's names, and SciPy's values."""

_WHITENED = ("mahalanobis", "crossnobis", "ldt")
_NOISE_NEEDED = ("mahalanobis", "ldt")
_CROSSVALIDATED = ("crossnobis", "ldt", "poisson_cv")
_ALL_METRICS = (*METRICS, *_WHITENED, "poisson", "poisson_cv")


@dataclass(frozen=True)
class _Options:
    """What `rdm` was asked for, without the patterns."""

    metric: str
    conditions: Labels | None
    runs: Labels | None
    precision: ArrayLike | None
    noise: str | None
    residuals: ArrayLike | None
    prior_rate: float
    prior_weight: float

    def __post_init__(self) -> None:
        check_choice(self.metric, "metric", _ALL_METRICS)
        if self.noise is not None:
            check_choice(self.noise, "noise", tuple(NOISE_METHODS))
        given = {"precision": self.precision, "noise": self.noise, "residuals": self.residuals}
        unused = [name for name, value in given.items() if value is not None]
        if unused and self.metric not in _WHITENED:
            raise ValueError(
                f"{unused[0]} is for the metrics {', '.join(_WHITENED)}; got metric="
                f"{self.metric!r}."
            )
        if self.precision is not None and len(unused) > 1:
            raise ValueError(
                f"give precision=, or what to estimate it from; got precision and {unused[1]}."
            )
        if self.metric in _NOISE_NEEDED and not unused:
            raise ValueError(
                f"{self.metric} needs precision=, residuals=, or noise= with repeated conditions. "
                "Without noise, there are squared Euclidean and crossnobis distances."
            )
        crossvalidated = self.metric in _CROSSVALIDATED
        if self.runs is not None and not (crossvalidated or self.metric == "mahalanobis"):
            raise ValueError(
                f"runs are for the crossvalidated metrics {', '.join(_CROSSVALIDATED)}; got "
                f"metric={self.metric!r}."
            )
        if self.runs is not None and self.conditions is None:
            raise ValueError("observations of several runs need conditions=, one per observation.")
        if not self.prior_rate > 0 or self.prior_weight < 0:
            raise ValueError(
                "prior_rate must be positive and prior_weight not negative; got "
                f"{self.prior_rate:g} and {self.prior_weight:g}."
            )


@overload
def rdm(
    features: Features | Mapping[str, ArrayLike],
    *,
    metric: str = ...,
    ids: Sequence[str] | None = ...,
    conditions: Labels | None = ...,
    runs: Labels | None = ...,
    precision: ArrayLike | None = ...,
    noise: str | None = ...,
    residuals: ArrayLike | None = ...,
    prior_rate: float = ...,
    prior_weight: float = ...,
    name: str | None = ...,
) -> RDMs: ...
@overload
def rdm(
    features: Responses,
    *,
    metric: str = ...,
    ids: Sequence[str] | None = ...,
    conditions: Labels | None = ...,
    runs: Labels | None = ...,
    precision: ArrayLike | None = ...,
    noise: str | None = ...,
    residuals: ArrayLike | None = ...,
    prior_rate: float = ...,
    prior_weight: float = ...,
    name: str | None = ...,
) -> RDM | RDMs: ...
@overload
def rdm(
    features: ArrayLike | Gram,
    *,
    metric: str = ...,
    ids: Sequence[str] | None = ...,
    conditions: Labels | None = ...,
    runs: Labels | None = ...,
    precision: ArrayLike | None = ...,
    noise: str | None = ...,
    residuals: ArrayLike | None = ...,
    prior_rate: float = ...,
    prior_weight: float = ...,
    name: str | None = ...,
) -> RDM: ...
def rdm(
    features: Features | Mapping[str, ArrayLike] | Responses | ArrayLike | Gram,
    *,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
    conditions: Labels | None = None,
    runs: Labels | None = None,
    precision: ArrayLike | None = None,
    noise: str | None = None,
    residuals: ArrayLike | None = None,
    prior_rate: float = 1.0,
    prior_weight: float = 0.1,
    name: str | None = None,
) -> RDM | RDMs:
    """Return the dissimilarities between the patterns of all pairs of conditions.

    Parameters
    ----------
    features : array_like of shape (n_obs, n_channel), Gram, mapping of these, Features, Responses
        An array or Gram gives one `RDM`; a mapping, such as Features, gives `RDMs`, one per layer;
        Responses of several regions `RDMs`, one per region. Crossvalidated metrics take arrays of
        shape (n_run, n_cond, n_channel) too.
    metric : str
        With ``d = b_i - b_j``, the difference of two patterns over p channels:

        - ``"correlation"``, ``"cosine"``: 1 - Pearson r, 1 - cosine, as in SciPy;
        - ``"euclidean"``, ``"sqeuclidean"``: ``sqrt(d'd)`` and ``d'd``, as in SciPy, not divided by
          the number of channels;
        - ``"mahalanobis"``: ``d'W d / p`` with W the precision of noise;
        - ``"crossnobis"``: mean over ordered pairs of different runs r, s of
          ``d_r'W d_s / p``; its mean is zero where patterns do not differ, so it may be negative;
        - ``"ldt"``: linear discriminant t, the mean over the same pairs of
          ``d_r'W d_s / sqrt(d_r'W d_r (1/n_is + 1/n_js))`` with n observations behind each pattern;
        - ``"poisson"``: ``sum (l_i - l_j)(log l_i - log l_j) / p``, the symmetrised
          Kullback-Leibler divergence of the rates
          ``l = (b + prior_rate prior_weight) / (1 + prior_weight)``;
        - ``"poisson_cv"``: the same with the rates of one run and the logarithms of another,
          averaged over all ordered pairs.
    ids : sequence of str, optional
        Conditions' ids, for features that have none.
    conditions : sequence of length n_obs, optional
        The condition or category of each observation. Those of a condition are averaged first
        (within runs, if there are), however many they are; ids are the labels in ascending order.
    runs : sequence of length n_obs, optional
        The independent run of each observation, for crossvalidated metrics. Runs may lack
        conditions: each pair is averaged over the runs that have both.
    precision : array_like of shape ([n_run,] n_channel, n_channel), optional
        Inverse of the noise's covariance; with one per run, each is whitened by its own.
    noise : {"ledoit-wolf", "shrunk-diagonal", "diagonal", "full"}, optional
        How the precision is estimated, see `noise_precision`; from `residuals`, else from what
        repeats of the same condition differ by. ``"ledoit-wolf"`` if `residuals` are given. Without
        precision and noise, crossnobis takes the identity.
    residuals : array_like of shape ([n_run,] n_sample, n_channel), optional
        Of the model that gave the patterns.
    prior_rate, prior_weight : float
        For Poisson metrics: keep rates off zero.
    name : str, optional
        Of a single RDM.

    Returns
    -------
    RDM or RDMs
        float64; names are those of the layers or regions.

    Raises
    ------
    ValueError
        If a pattern has no direction: constant over channels (correlation) or zero (cosine); if
        patterns are not finite, with the channels named; if an argument does not go with the
        metric.

    Notes
    -----
    From n x n inner products, in fp64, in chunks of channels: ``n_cond**2 n_channel`` FLOP, for
    crossnobis ``(1 + n_run)`` times that, and ``2 n_cond n_channel**2`` per run for whitening.
    Uncrossvalidated distances below 1e-7 of the patterns' norms (squares and 1 - r: 1e-14) are
    rounding and become zero, so that equal patterns tie.

    References
    ----------
    Walther et al. 2016, NeuroImage (crossnobis); Schuett et al. 2023, eLife (Poisson).
    """
    options = _Options(
        metric, conditions, runs, precision, noise, residuals, prior_rate, prior_weight
    )
    single = not isinstance(features, Mapping)
    layers: Mapping[str, Any]
    if isinstance(features, Mapping):
        layers = features
        own_ids = features.ids if isinstance(features, Features) else None
    elif isinstance(features, Responses):
        layers, own_ids = _regions(features, name), features.ids
        single = len(layers) == 1
    else:
        layers, own_ids = {name or "features": features}, None
    if not layers:
        raise ValueError("features must hold at least one layer; got none.")
    if ids is not None and conditions is not None:
        raise ValueError("give ids= or conditions=, whose labels are the ids; got both.")
    ids = own_ids if ids is None else ids
    condensed: dict[str, NDArray[np.float64]] = {}
    for layer_name, layer in layers.items():
        values, labels = _condensed(layer, options, f"layer {layer_name!r}")
        condensed[layer_name] = values.numpy()
        ids = ids if labels is None else labels
    lengths = {name: condition_count(len(values)) for name, values in condensed.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"all layers must have the same n_stim; got {lengths}.")
    if ids is not None:
        ids = check_ids(ids, "ids", n=next(iter(lengths.values())))
    for layer_name, distances in condensed.items():
        _check_defined(distances, layer_name, metric, ids)
    rdms = RDMs(np.stack(list(condensed.values())), ids=ids, names=list(condensed), metric=metric)
    return rdms[0] if single else rdms


def _regions(responses: Responses, name: str | None) -> dict[str, NDArray[Any]]:
    """Return the patterns of each region, or all under one name."""
    regions = responses.roi_names
    if len(regions) < 2:
        return {name or (regions[0] if regions else "responses"): responses.data}
    of_voxel = np.array(responses.rois)
    return {region: responses.data[:, of_voxel == region] for region in regions}


def _condensed(
    layer: ArrayLike | Gram, options: _Options, name: str
) -> tuple[torch.Tensor, tuple[str, ...] | None]:
    """Return condensed dissimilarities, and ids where labels of conditions give them."""
    if isinstance(layer, Gram):
        if options.metric not in METRICS or options.conditions is not None:
            raise ValueError(
                f"a Gram matrix gives {', '.join(METRICS)} of its own stimuli alone. Other "
                "metrics, and conditions=, need the features themselves."
            )
        return layer.dissimilarities(METRICS[options.metric]), None
    if options.metric in _CROSSVALIDATED:
        return _crossvalidated(layer, options, name)
    patterns = as_float_array(layer, name, ndim=2)
    if options.metric not in METRICS:
        check_patterns(patterns, name)
    means, ids = patterns, None
    if options.conditions is not None:
        means, ids = average_conditions(patterns, options.conditions)
    if options.metric == "mahalanobis":
        precision = _precision(patterns, options)
        whitened = whiten(means, precision, name)
        distances = core.dissimilarities(whitened, core.Dissimilarity.sqeuclidean)
        return distances / whitened.shape[1], ids
    if options.metric == "poisson":
        rates = _rates(means, options, name)
        return core.product_distances(as_tensor(rates), as_tensor(np.log(rates))), ids
    distances = core.dissimilarities(as_tensor(means), METRICS[options.metric])
    # What is not finite leaves its mark on its pattern's distances: no pass over the patterns
    # beforehand.
    if not bool(distances.sum().isfinite()):
        check_patterns(patterns, name)
    return distances, ids


def _crossvalidated(
    layer: ArrayLike, options: _Options, name: str
) -> tuple[torch.Tensor, tuple[str, ...] | None]:
    patterns = as_float_array(layer, name, ndim=(2, 3))
    check_patterns(patterns, name)
    if patterns.ndim == 2:
        if options.conditions is None or options.runs is None:
            raise ValueError(
                f"{options.metric} needs runs= and conditions=, one per observation, or patterns "
                f"of shape (n_run, n_cond, n_channel); {name} has shape {patterns.shape}."
            )
        observed = run_means(patterns, options.conditions, options.runs, name)
    else:
        if options.conditions is not None:
            raise ValueError(
                "patterns of shape (n_run, n_cond, n_channel) are averages already; leave "
                "conditions= and runs= out."
            )
        if len(patterns) < 2:
            raise ValueError(f"crossvalidation needs two runs or more; {name} has {len(patterns)}.")
        counts = np.ones(patterns.shape[:2], dtype=np.intp)
        observed = RunMeans(patterns.astype(np.float64), counts, None)
    if options.metric == "poisson_cv":
        rates = _rates(observed.patterns, options, name)
        first, second = as_tensor(rates), as_tensor(np.log(rates))
    else:
        precision = _precision(patterns, options)
        first = whiten(observed.patterns, precision, name)
        second = None
    if options.metric == "ldt":
        n_obs = torch.from_numpy(observed.counts.astype(np.float64))
        return core.discriminant_t(first, n_obs, None), observed.ids
    present = None if observed.present is None else torch.from_numpy(observed.present)
    return core.crossvalidated_distances(first, second, present, None), observed.ids


def _precision(patterns: NDArray[Any], options: _Options) -> ArrayLike | None:
    """Return the precision that was given or can be estimated; None for the identity."""
    if options.precision is not None:
        return options.precision
    method = options.noise or "ledoit-wolf"
    if options.residuals is not None:
        return noise_precision(options.residuals, method=method)
    if options.noise is None:
        return None
    conditions, runs = options.conditions, options.runs
    if patterns.ndim == 3:
        n_run, n_cond, _ = patterns.shape
        conditions, runs = np.tile(np.arange(n_cond), n_run), np.repeat(np.arange(n_run), n_cond)
        patterns = patterns.reshape(n_run * n_cond, -1)
    if conditions is None:
        raise ValueError(
            "noise can be estimated from repeats of conditions only where conditions= says which "
            "they are. Otherwise give residuals= or precision=."
        )
    residuals, dof = repeat_residuals(patterns, conditions, runs)
    return noise_precision(residuals, method=method, dof=dof)


def _rates(patterns: NDArray[Any], options: _Options, name: str) -> NDArray[np.float64]:
    if (patterns < 0).any():
        raise ValueError(
            f"{options.metric} is for rates, which are not negative; {name} has values down to "
            f"{patterns.min():g}."
        )
    prior = options.prior_rate * options.prior_weight
    rates: NDArray[np.float64] = (patterns.astype(np.float64) + prior) / (1 + options.prior_weight)
    if not rates.min() > 0:
        raise ValueError(
            f"{options.metric} takes logarithms of rates, and {name} has rates of zero. Use a "
            "positive prior_weight."
        )
    return rates


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
    what = {"correlation": "varies over features", "ldt": "differs from the others"}.get(
        metric, "is not zero"
    )
    raise ValueError(
        f"{metric} distance needs patterns of which each {what}; in layer {layer!r} that of "
        f"{stimulus} does not. Leave the layer or the stimulus out, or use metric='euclidean'."
    )
