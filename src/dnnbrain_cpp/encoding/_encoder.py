"""Cross-validation of encoding models over layers, or over channels or positions within them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.encoding._layers import LayerData, Part, Sources, read_layers
from dnnbrain_cpp.encoding._routes import Route, choose_route
from dnnbrain_cpp.encoding._routes._base import tell
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._scoring import FOLD_AVERAGES, SCORINGS, score_columns
from dnnbrain_cpp.encoding._targets import Targets, TargetsLike, read_targets
from dnnbrain_cpp.encoding._warnings import warn_of_constant_targets
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["Encoder", "held_out"]


class Encoder(BaseEstimator):  # type: ignore[misc]
    """How features predict responses: an estimator and how it is validated.

    Parameters are scikit-learn's: `sklearn.base.clone`, ``get_params`` and ``set_params`` work.

    Parameters
    ----------
    estimator : scikit-learn regressor, optional
        By default PCA and least squares; see `encode`.
    cv : int, "run", "loo", splitter, FoldPlan, or iterable of (train, test)
    scoring : {"r", "r2", "mse", "ev"}
    groups : array_like of shape (n_stim,), optional
        In the order of the features.
    fold_average : {"mean", "pooled"}
    iter_axis : {"channel", "row_col"}, optional
    return_predictions : bool

    Attributes
    ----------
    scores_ : Scores
        After `fit`.

    Examples
    --------
    >>> encoder = Encoder(make_pipeline(PCA(100), LinearRegression()), cv=10)  # doctest: +SKIP
    >>> encoder.fit(features, responses).scores_.best_layer()  # doctest: +SKIP
    >>> encoder.predict(features_of_new_images)  # doctest: +SKIP
    """

    scores_: Scores

    def __init__(
        self,
        estimator: Any = None,
        *,
        cv: Any = 5,
        scoring: str = "r",
        groups: ArrayLike | None = None,
        fold_average: str = "mean",
        iter_axis: str | None = None,
        return_predictions: bool = False,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.groups = groups
        self.fold_average = fold_average
        self.iter_axis = iter_axis
        self.return_predictions = return_predictions

    def fit(
        self,
        features: Sources,
        responses: TargetsLike,
        *,
        mask: str | os.PathLike[str] | None = None,
        progress: Progress = False,
    ) -> Encoder:
        """Predict every target from each layer, and score what was held out, into ``scores_``.

        Everything is checked, and every route chosen, before any layer is fitted.
        """
        check_choice(self.scoring, "scoring", SCORINGS)
        check_choice(self.fold_average, "fold_average", FOLD_AVERAGES)
        layers = read_layers(features, self.iter_axis)
        targets = read_targets(responses, mask).joined(layers.ids)
        folds = FoldPlan.make(
            self.cv,
            n_stim=len(targets.data),
            groups=self.groups,
            min_test=1 if self.fold_average == "pooled" or self.scoring == "mse" else 2,
        )
        layers.check_n_stim(len(targets.data))
        chosen = [
            (
                part,
                layer,
                choose_route(self.estimator, layer, folds, name=part.name, groups=self.groups),
            )
            for part, layer in layers.parts()
        ]
        self.scores_ = self._score(chosen, targets, folds, progress)
        self._models = {part.name: (layer, route) for part, layer, route in chosen}
        self._responses = targets.data
        return self

    def predict(
        self, features: Sources, *, layer: str | None = None, progress: Progress = False
    ) -> NDArray[Any]:
        """Predict responses to new stimuli from models of all stimuli that were fitted on.

        Parameters
        ----------
        features : Features, mapping of str to array, or array_like of shape (n_new, n_feat)
            Of new stimuli, under the same names; those layers that are asked for will do.
        layer : str, optional
            One of ``scores_.layers``. By default each target is predicted from its best layer, by
            mean score over folds.
        progress : bool or callable

        Returns
        -------
        ndarray of shape (n_new, n_vox)

        Raises
        ------
        TypeError
            For Gram matrices, which say nothing of new stimuli.
        ValueError
            For layers that were not fitted or are not there, NaN, or other numbers of features.

        Notes
        -----
        Models are fitted when they are asked for, as one more fold that trains on everything: give
        all new stimuli in one call. Until then an `Encoder` holds on to the arrays that it was
        fitted on, and to nothing else. Each call puts old and new rows of a layer side by side in
        memory.
        """
        check_is_fitted(self)
        wanted = self._columns_by_layer(layer)
        new = self._new_rows(features, tuple(wanted))
        n_new = len(next(iter(new.values())))
        out = np.empty((n_new, self._responses.shape[1]), dtype=self._responses.dtype)
        with progress_callback(progress, "predicting") as report:
            for done, (name, columns) in enumerate(wanted.items()):
                out[:, columns] = self._refit(name, new[name])[:, columns]
                tell(report, done + 1, len(wanted))
        return out

    def _columns_by_layer(self, layer: str | None) -> dict[str, NDArray[np.int64]]:
        """Return which targets each layer predicts."""
        layers = self.scores_.layers
        if layer is not None:
            check_choice(layer, "layer", layers)
            return {layer: np.arange(self._responses.shape[1])}
        best = self.scores_.best_places()
        return {layers[place]: np.flatnonzero(best == place) for place in np.unique(best)}

    def _new_rows(self, features: Sources, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        """Return the features of new stimuli, checked against those that were fitted on."""
        given = {part.name: layer for part, layer in read_layers(features, self.iter_axis).parts()}
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(
                f"features must hold layer {missing[0]!r}, which targets are predicted from; got "
                f"{', '.join(map(repr, given))}."
            )
        rows: dict[str, NDArray[Any]] = {}
        for name in names:
            layer, known = given[name], self._models[name][0]
            if isinstance(layer, Gram) or isinstance(known, Gram):
                raise TypeError(
                    f"new stimuli need the features of layer {name!r}, in fit and in predict; got "
                    "Gram matrices. Extract with reduce='keep' or 'mean'."
                )
            if layer.shape[1] != known.shape[1]:
                raise ValueError(
                    f"layer {name!r} must have the {known.shape[1]} features that were fitted on; "
                    f"got {layer.shape[1]}."
                )
            rows[name] = layer
        if len({len(layer) for layer in rows.values()}) > 1:
            raise ValueError("layers must be of the same stimuli; their numbers of rows differ.")
        return rows

    def _refit(self, name: str, new: NDArray[Any]) -> NDArray[Any]:
        """Return what a model of all stimuli predicts for new ones."""
        layer, route = self._models[name]
        n_stim, n_vox = self._responses.shape
        rows = np.arange(n_stim + len(new))
        fold = FoldPlan(((rows[:n_stim], rows[n_stim:]),), len(rows), "all stimuli, new ones")
        nothing = np.zeros((len(new), n_vox), dtype=self._responses.dtype)
        (predicted,) = route.predictions(
            np.concatenate([layer, new]), np.concatenate([self._responses, nothing]), fold
        )
        return predicted

    def _score(
        self,
        chosen: list[tuple[Part, LayerData, Route]],
        targets: Targets,
        folds: FoldPlan,
        progress: Progress,
    ) -> Scores:
        pooled = self.fold_average == "pooled"
        scores: dict[str, NDArray[np.float64]] = {}
        predictions: dict[str, NDArray[Any]] = {}
        for part, layer, route in chosen:
            with progress_callback(progress, f"encoding from {part.name}") as report:
                if self.return_predictions:
                    parts: list[NDArray[Any]] = []
                    for predicted in route.predictions(layer, targets.data, folds):
                        parts.append(predicted)
                        tell(report, len(parts), len(folds))
                    scores[part.name] = score_parts(
                        parts, targets.data, folds, scoring=self.scoring, pooled=pooled
                    )
                    predictions[part.name] = held_out(parts, folds, targets.data)
                else:
                    scores[part.name] = route.score(
                        layer,
                        targets.data,
                        folds,
                        scoring=self.scoring,
                        pooled=pooled,
                        report=report,
                    )
        warn_of_constant_targets(next(iter(scores.values())))
        return Scores(
            scores,
            scoring=self.scoring,
            route={part.name: route.note for part, _, route in chosen},
            targets=targets.names,
            rois=targets.rois,
            fold_average=self.fold_average,
            parts={part.name: part for part, _, _ in chosen},
            geometry=targets.geometry,
            predictions=predictions if self.return_predictions else None,
        )

    def __repr__(self) -> str:
        return f"Encoder({self.estimator!r}, cv={self.cv!r}, scoring={self.scoring!r})"


def score_parts(
    parts: list[NDArray[Any]],
    responses: NDArray[Any],
    folds: FoldPlan,
    *,
    scoring: str,
    pooled: bool,
) -> NDArray[np.float64]:
    """Return the scores of held-out predictions, shape (n_fold, n_vox), or (1, n_vox) pooled."""
    measured = [responses[test] for _, test in folds]
    if pooled:
        return score_columns(np.concatenate(measured), np.concatenate(parts), scoring)[None]
    return np.stack([score_columns(y, p, scoring) for y, p in zip(measured, parts, strict=True)])


def held_out(parts: list[NDArray[Any]], folds: FoldPlan, responses: NDArray[Any]) -> NDArray[Any]:
    """Return each stimulus' held-out prediction, shape (n_stim, n_vox), the mean of several."""
    count = np.zeros(len(responses))
    total = np.zeros(responses.shape)
    for part, (_, test) in zip(parts, folds, strict=True):
        np.add.at(total, test, part)
        np.add.at(count, test, 1)
    total[count == 0] = np.nan
    total /= np.maximum(count, 1)[:, None]
    return total.astype(responses.dtype)
