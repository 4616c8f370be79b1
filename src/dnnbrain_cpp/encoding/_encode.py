"""From features and responses to cross-validated scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite
from dnnbrain_cpp.encoding._routes import choose_route
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.exceptions import AlignmentWarning, ConstantTargetWarning
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.linear._folds import FoldPlan

__all__ = ["SCORINGS", "encode"]

SCORINGS = ("r", "r2")


def encode(
    features: Features | Mapping[str, ArrayLike] | ArrayLike,
    responses: Responses | ArrayLike,
    *,
    estimator: Any = None,
    cv: Any = 5,
    groups: ArrayLike | None = None,
    scoring: str = "r",
    progress: Progress = False,
) -> Scores:
    """Predict every voxel's response from each layer, and score what was held out.

    Parameters
    ----------
    features : Features, mapping of str to array, or array_like of shape (n_stim, n_feat)
        Layers are fitted one by one. Layers extracted with ``reduce="gram"`` will do.
    responses : Responses or array_like of shape (n_stim, n_vox)
        `Responses` are joined by id when both sides have ids, in any order; when one has none, by
        order, with an `AlignmentWarning`. An array is taken in the order of `features`.
    estimator : scikit-learn regressor, optional
        ``make_pipeline(PCA(k), LinearRegression())`` runs natively, with the PCA inside the fold
        and the numbers of scikit-learn's exact solver; any other regressor runs through
        scikit-learn as it is. ``Scores.route`` says which. By default PCA and least squares, with a
        quarter as many components as the smallest training set has stimuli, at most 100.
    cv : int, "run", splitter, FoldPlan, or iterable of (train, test)
        As in scikit-learn; an int is unshuffled `KFold`, or `GroupKFold` with groups; ``"run"``
        leaves out one group at a time. Stimuli that are sorted by category want ``KFold(5,
        shuffle=True, random_state=0)``.
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together. In the order of `features`.
    scoring : {"r", "r2"}
        Pearson correlation or coefficient of determination, per target and fold.
    progress : bool or callable

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        For NaN, unequal stimuli, impossible folds, or more components than a fold has dimensions.

    Warns
    -----
    ConstantTargetWarning
        If targets are constant in the held-out stimuli of a fold; their scores there are NaN.

    Notes
    -----
    Native route: ``2 n_stim**2 n_feat`` FLOP once per layer, then per fold one eigendecomposition
    of the training Gram matrix and ``2 n_stim n_train n_vox`` FLOP. Nothing is refitted on units.
    """
    check_choice(scoring, "scoring", SCORINGS)
    layers: Mapping[str, Any] = (
        features if isinstance(features, Mapping) else {"features": features}
    )
    if not layers:
        raise ValueError("features must hold at least one layer; got none.")
    feature_ids = features.ids if isinstance(features, Features) else None
    measured, rois = _align(responses, feature_ids)
    n_stim = len(measured)
    folds = FoldPlan.make(cv, n_stim=n_stim, groups=groups)

    arrays = {name: _check_layer(layer, name, n_stim) for name, layer in layers.items()}
    routes = {
        name: choose_route(
            estimator,
            folds,
            layer=name,
            n_feat=layer.n_feat if isinstance(layer, Gram) else layer.shape[1],
        )
        for name, layer in arrays.items()
    }
    scores = {}
    for name, layer in arrays.items():
        with progress_callback(progress, f"encoding from {name}") as report:
            scores[name] = routes[name].score(layer, measured, folds, scoring, report)
    _warn_of_constant_targets(next(iter(scores.values())))
    return Scores(
        scores,
        scoring=scoring,
        route={name: route.note for name, route in routes.items()},
        rois=rois,
    )


def _align(
    responses: Responses | ArrayLike, feature_ids: Sequence[str] | None
) -> tuple[NDArray[Any], Sequence[str] | None]:
    """Return the responses in the order of the features, and the region of each target."""
    if not isinstance(responses, Responses):
        return _check_responses(responses), None
    measured = _check_responses(responses.data)
    if feature_ids is None or responses.ids is None:
        if feature_ids is not None or responses.ids is not None:
            side = "the responses" if responses.ids is None else "the features"
            warnings.warn(
                f"{side} have no ids, so stimuli were joined by their order. Give ids to be sure.",
                AlignmentWarning,
                stacklevel=3,
            )
        return measured, responses.rois
    only = sorted(set(feature_ids) ^ set(responses.ids))
    if only:
        raise ValueError(
            f"features and responses must be of the same stimuli; {len(only)} ids are on one side "
            f"only, such as {only[0]!r}."
        )
    place = {name: row for row, name in enumerate(responses.ids)}
    return measured[[place[name] for name in feature_ids]], responses.rois


def _check_responses(responses: ArrayLike) -> NDArray[Any]:
    array = as_float_array(responses, "responses", ndim=2)
    if array.shape[1] == 0:
        raise ValueError("responses must hold at least one target; got none.")
    check_finite(array, "responses")
    return array


def _check_layer(layer: Any, name: str, n_stim: int) -> NDArray[Any] | Gram:
    if not isinstance(layer, Gram):
        layer = as_float_array(layer, f"layer {name!r}", ndim=2)
        check_finite(layer, f"layer {name!r}")
    n_rows = layer.n_stim if isinstance(layer, Gram) else len(layer)
    if n_rows != n_stim:
        raise ValueError(
            f"features and responses must be of the same stimuli; layer {name!r} has {n_rows}, the "
            f"responses {n_stim}."
        )
    checked: NDArray[Any] | Gram = layer
    return checked


def _warn_of_constant_targets(scores: NDArray[np.float64]) -> None:
    undefined = np.isnan(scores)
    if undefined.any():
        warnings.warn(
            f"{int(undefined.any(0).sum())} of {scores.shape[1]} targets are constant in the "
            f"held-out stimuli of some fold ({int(undefined.all(0).sum())} in all); their scores "
            "there are NaN.",
            ConstantTargetWarning,
            stacklevel=3,
        )
