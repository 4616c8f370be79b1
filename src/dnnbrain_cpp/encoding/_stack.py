"""Stacking: one convex combination of layers per voxel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.encoding._layers import LayerData, Sources, read_layers
from dnnbrain_cpp.encoding._routes import Route, choose_route
from dnnbrain_cpp.encoding._routes._base import tell
from dnnbrain_cpp.encoding._routes._inner import check_inner_folds, inner_folds
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._scoring import SCORINGS, score_columns
from dnnbrain_cpp.encoding._targets import Targets, TargetsLike, read_targets
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["Stacked", "simplex_weights", "stack"]

STACKED = "stacked"
"""What the combination is called among the layers."""


@dataclass(frozen=True, repr=False, eq=False)
class Stacked:
    """Layers combined per target.

    Attributes
    ----------
    scores : Scores
        Of each layer, and of the combination, which is called "stacked"; same folds for all.
    fold_weights : ndarray of shape (n_fold, n_layer, n_vox)
        Learnt without the held-out stimuli of each fold. Not negative; they sum to one over layers.
    """

    scores: Scores
    fold_weights: NDArray[np.float64]

    @property
    def layers(self) -> list[str]:
        """Names of the layers that were combined."""
        return self.scores.layers[:-1]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Mean weights over folds, shape (n_layer, n_vox)."""
        mean: NDArray[np.float64] = self.fold_weights.mean(0)
        return mean

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer and target: layer, target, [roi,] weight."""
        n_layer, n_vox = self.weights.shape
        columns: dict[str, Any] = {
            "layer": np.repeat(np.asarray(self.layers, dtype=object), n_vox),
            "target": self.scores.targets * n_layer,
        }
        if self.scores.rois is not None:
            columns["roi"] = list(self.scores.rois) * n_layer
        columns["weight"] = self.weights.ravel()
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return f"Stacked over {len(self.layers)} layers\n{self.scores!r}"


def stack(
    features: Sources | Scores,
    responses: TargetsLike,
    *,
    estimator: Any = None,
    cv: Any = 5,
    inner_cv: Any = 5,
    groups: ArrayLike | None = None,
    scoring: str = "r2",
    mask: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> Stacked:
    """Combine the predictions of layers, for each voxel with weights of its own.

    Weights are not negative and sum to one; they minimise the squared error of the layers' held-out
    predictions, so that a layer that overfits gains nothing by it.

    Parameters
    ----------
    features : Features, mapping of str to array, or Scores
        Layers, two at least; or scores of `encode` that kept their predictions.
    responses : Responses, path, DataFrame, or array_like of shape (n_stim, n_vox)
    estimator : scikit-learn regressor, optional
        Of each layer; see `encode`. Not with scores, whose predictions are there.
    cv : int, splitter, FoldPlan, or iterable of (train, test)
        Outer folds, in which layers and the combination are scored.
    inner_cv : int, splitter, or iterable of (train, test)
        Folds inside each outer training set, on which weights are learnt.
    groups : array_like of shape (n_stim,), optional
        Kept together in outer and inner folds.
    scoring : {"r", "r2", "mse", "ev"}
    mask : path_like, optional
        For responses that are a NIfTI path.
    progress : bool or callable

    Returns
    -------
    Stacked

    Raises
    ------
    ValueError
        For fewer than two layers, and as `encode` does.

    Notes
    -----
    With features nothing leaks: in each outer fold, the layers' models are cross-validated within
    the training stimuli; the inner products of these held-out residuals give the weights; models of
    all training stimuli predict the outer fold, and are combined with those weights. No response of
    the outer fold has been seen by any of it. Cost: one more round of models per inner fold.

    With scores, weights of an outer fold are learnt from the predictions of all other stimuli, as
    is common. Each was held out from the model that predicted it, but that model may have been
    trained on stimuli of the outer fold; B weights per voxel are optimistic by very little.

    Memory: held-out predictions of one fold for all layers. Each voxel's problem is solved exactly,
    by Wolfe's algorithm for the point of least norm in a convex hull (Math. Programming 11, 1976).

    References
    ----------
    Wolpert, Neural Networks 5, 241 (1992); Lin, Naselaris, Kay and Wehbe, NeuroImage 2024.
    """
    check_choice(scoring, "scoring", SCORINGS)
    if isinstance(features, Scores):
        if estimator is not None:
            raise ValueError("estimator must not come with scores, whose predictions are there.")
        return _stack_predictions(features, read_targets(responses, mask), cv, groups, scoring)
    layers = read_layers(features)
    targets = read_targets(responses, mask).joined(layers.ids)
    n_stim = len(targets.data)
    outer = FoldPlan.make(cv, n_stim=n_stim, groups=groups)
    layers.check_n_stim(n_stim)
    _check_count(len(layers.data))
    check_inner_folds(inner_cv, outer, groups, name="inner_cv")
    nested = [_with_inner(fold, outer, inner_cv, groups) for fold in outer]
    chosen = {
        name: (choose_route(estimator, layer, _together(nested), name=name, groups=groups), layer)
        for name, layer in layers.data.items()
    }
    with progress_callback(progress, "stacking") as report:
        scores, weights = _stack_features(chosen, targets.data, nested, scoring, report)
    return _result(
        dict(zip([*chosen, STACKED], scores, strict=True)),
        weights,
        targets,
        scoring,
        {name: route.note for name, (route, _) in chosen.items()},
    )


def simplex_weights(
    products: ArrayLike, *, n_threads: int | None = None, progress: Progress = False
) -> NDArray[np.float64]:
    """Return the convex combination of least square of each problem.

    Parameters
    ----------
    products : array_like of shape (n_vox, n_layer, n_layer)
        Inner products of residuals, symmetric and positive semidefinite.
    n_threads : int, optional
        By default torch's setting.
    progress : bool or callable

    Returns
    -------
    ndarray of shape (n_vox, n_layer), float64
        ``argmin w'Pw`` over weights that are not negative and sum to one.
    """
    p = np.ascontiguousarray(products, dtype=np.float64)
    if p.ndim != 3 or p.shape[1] != p.shape[2] or p.shape[1] < 1:
        raise ValueError(f"products must have shape (n_vox, n_layer, n_layer); got {p.shape}.")
    with progress_callback(progress, "weights") as report:
        weights: NDArray[np.float64] = core.simplex_weights(
            p.reshape(len(p), -1), p.shape[1], resolve_n_threads(n_threads), report
        )
    return weights


def _stack_features(
    chosen: dict[str, tuple[Route, LayerData]],
    responses: NDArray[Any],
    nested: list[FoldPlan],
    scoring: str,
    report: ProgressCallback | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores (n_layer + 1, n_fold, n_vox) and weights (n_fold, n_layer, n_vox)."""
    every = _together(nested)
    prepared = [(route, route.prepared(layer, every)) for route, layer in chosen.values()]
    scores, weights = [], []
    for place, folds in enumerate(nested):
        *inner, last = range(len(folds))
        products = np.zeros((responses.shape[1], len(prepared), len(prepared)))
        for fold, parts in _in_step(prepared, responses, folds):
            measured = responses[folds[fold][1]]
            if fold in inner:
                products += _residual_products(measured, parts)
        w = simplex_weights(products).T
        scores.append(_score_all(responses[folds[last][1]], parts, w, scoring))
        weights.append(w)
        tell(report, place + 1, len(nested))
    return np.stack(scores, axis=1), np.stack(weights)


def _in_step(
    prepared: list[tuple[Route, LayerData]], responses: NDArray[Any], folds: FoldPlan
) -> Iterator[tuple[int, tuple[NDArray[Any], ...]]]:
    """Yield, fold by fold, the predictions of all layers."""
    streams = [route.predictions(layer, responses, folds) for route, layer in prepared]
    yield from enumerate(zip(*streams, strict=True))


def _stack_predictions(
    scores: Scores, targets: Targets, cv: Any, groups: ArrayLike | None, scoring: str
) -> Stacked:
    predictions = scores.predictions
    _check_count(len(predictions))
    shape = next(iter(predictions.values())).shape
    if targets.data.shape != shape:
        raise ValueError(
            f"responses must be those that were predicted, of shape {shape}; got "
            f"{targets.data.shape}."
        )
    folds = FoldPlan.make(cv, n_stim=shape[0], groups=groups)
    known = np.isfinite([next(iter(predictions.values()))[:, 0]])[0]
    table, weights = [], []
    for place, (train, test) in enumerate(folds):
        if not known[test].all():
            raise ValueError(
                f"every stimulus must have been predicted; fold {place} holds out one that has "
                "not. Encode with folds that hold out every stimulus."
            )
        rows = train[known[train]]
        products = _residual_products(targets.data[rows], [p[rows] for p in predictions.values()])
        w = simplex_weights(products).T
        parts = tuple(p[test] for p in predictions.values())
        table.append(_score_all(targets.data[test], parts, w, scoring))
        weights.append(w)
    names = [*predictions, STACKED]
    return _result(
        dict(zip(names, np.stack(table, axis=1), strict=True)),
        np.stack(weights),
        targets,
        scoring,
        scores.route,
    )


def _result(
    scores: dict[str, NDArray[np.float64]],
    weights: NDArray[np.float64],
    targets: Targets,
    scoring: str,
    route: dict[str, str],
) -> Stacked:
    return Stacked(
        Scores(
            scores,
            scoring=scoring,
            route={**route, STACKED: "native: convex combination"},
            targets=targets.names,
            rois=targets.rois,
            geometry=targets.geometry,
        ),
        weights,
    )


def _residual_products(
    measured: NDArray[Any], parts: list[NDArray[Any]] | tuple[NDArray[Any], ...]
) -> NDArray[np.float64]:
    """Return the inner products of the residuals of all layers, shape (n_vox, n_layer, n_layer)."""
    residuals = [measured.astype(np.float64) - part for part in parts]
    products = np.empty((measured.shape[1], len(parts), len(parts)))
    for i, one in enumerate(residuals):
        for j, other in enumerate(residuals[: i + 1]):
            products[:, i, j] = products[:, j, i] = np.einsum("ij,ij->j", one, other)
    return products


def _score_all(
    measured: NDArray[Any],
    parts: tuple[NDArray[Any], ...],
    weights: NDArray[np.float64],
    scoring: str,
) -> NDArray[np.float64]:
    """Return the scores of each layer and of their combination, shape (n_layer + 1, n_vox)."""
    combined = sum(w * part for w, part in zip(weights, parts, strict=True))
    return np.stack([score_columns(measured, p, scoring) for p in (*parts, np.asarray(combined))])


def _with_inner(
    fold: tuple[NDArray[Any], NDArray[Any]],
    outer: FoldPlan,
    inner_cv: Any,
    groups: ArrayLike | None,
) -> FoldPlan:
    """Return the folds inside a training set, in rows of the data, and the fold itself at last."""
    train, _ = fold
    inside = inner_folds(inner_cv, train, groups)
    return FoldPlan(
        (*((train[a], train[b]) for a, b in inside), fold), outer.n_stim, "nested folds"
    )


def _together(nested: list[FoldPlan]) -> FoldPlan:
    """Return all folds as one plan, of which routes ask for sizes."""
    return FoldPlan(
        tuple(fold for folds in nested for fold in folds), nested[0].n_stim, "nested folds"
    )


def _check_count(n_layer: int) -> None:
    if n_layer < 2:
        raise ValueError(f"stacking needs at least two layers; got {n_layer}.")
