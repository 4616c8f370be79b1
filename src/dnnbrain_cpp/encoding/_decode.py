"""Decoding: what can be read from responses about features or labels of the stimuli."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from dnnbrain_cpp._progress import Progress
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.encoding._encoder import Encoder
from dnnbrain_cpp.encoding._probe import TASKS, Probe, is_numbers, read_labels
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._targets import TargetsLike, read_targets
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses

__all__ = ["Decoder", "decode"]


class Decoder(BaseEstimator):  # type: ignore[misc]
    """How features or labels are read from responses, and how that is validated.

    Parameters are those of `decode`.

    Attributes
    ----------
    scores_ : Scores, or dict of str to Scores
        After `fit`; by layer where features of several layers were decoded.
    """

    scores_: Scores | dict[str, Scores]

    def __init__(
        self,
        estimator: Any = None,
        *,
        cv: Any = 5,
        scoring: str | None = None,
        groups: ArrayLike | None = None,
        task: str = "auto",
        by_roi: bool = False,
        return_predictions: bool = False,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.groups = groups
        self.task = task
        self.by_roi = by_roi
        self.return_predictions = return_predictions

    def fit(
        self,
        responses: TargetsLike,
        targets: Any,
        *,
        mask: str | os.PathLike[str] | None = None,
        progress: Progress = False,
    ) -> Decoder:
        """Predict targets from responses, and score what was held out, into ``scores_``."""
        check_choice(self.task, "task", TASKS)
        measured = read_targets(responses, mask)
        sources = Features(
            _regions(measured.data, measured.rois) if self.by_roi else {"responses": measured.data},
            ids=measured.ids,
        )
        if not isinstance(targets, Features | dict):
            self.scores_ = self._decode_one(sources, targets, progress)
            return self
        self.scores_ = {}
        for name, layer in targets.items():
            if isinstance(layer, Gram):
                raise TypeError(
                    f"decoding needs the units of layer {name!r}; these are Gram matrices. "
                    "Extract with reduce='keep' or 'mean'."
                )
            units = layer
            if isinstance(targets, Features) and targets.ids is not None:
                units = pd.DataFrame(np.asarray(layer), index=list(targets.ids))
            self.scores_[name] = self._decode_one(sources, units, progress)
        return self

    def _decode_one(self, sources: Features, targets: Any, progress: Progress) -> Scores:
        if self._is_classification(targets):
            return (
                Probe(
                    self.estimator,
                    cv=self.cv,
                    scoring=self.scoring,
                    groups=self.groups,
                    task="classification",
                    return_predictions=self.return_predictions,
                )
                .fit(sources, targets, progress=progress)
                .scores_
            )
        return (
            Encoder(
                self.estimator,
                cv=self.cv,
                scoring=self.scoring or "r",
                groups=self.groups,
                return_predictions=self.return_predictions,
            )
            .fit(sources, _as_columns(targets), progress=progress)
            .scores_
        )

    def _is_classification(self, targets: Any) -> bool:
        if self.task != "auto":
            return self.task == "classification"
        return not isinstance(targets, Responses) and not is_numbers(read_labels(targets))


def decode(
    responses: TargetsLike,
    targets: Any,
    *,
    estimator: Any = None,
    cv: Any = 5,
    scoring: str | None = None,
    groups: ArrayLike | None = None,
    task: str = "auto",
    by_roi: bool = False,
    return_predictions: bool = False,
    mask: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> Scores | dict[str, Scores]:
    """Predict features or labels of stimuli from responses, and score what was held out.

    Parameters
    ----------
    responses : Responses, path, DataFrame, or array_like of shape (n_stim, n_vox)
    targets : Features, dict of arrays, DataFrame, Series, or array_like
        Features: every unit of every layer is a target. Numbers of shape (n_stim, n_target); or
        classes (strings, integers, booleans). Joined by id where both sides have ids.
    estimator : scikit-learn estimator, optional
        As in `encode` for numbers, as in `probe` for classes.
    cv : int, splitter, FoldPlan, or iterable of (train, test)
        A number of folds is stratified for classes.
    scoring : str, optional
        Numbers: "r" (default), "r2", "mse", "ev". Classes: "accuracy" (default),
        "balanced_accuracy", "auc".
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together. In the order of `responses`.
    task : {"auto", "classification", "regression"}
        By default floating-point targets are numbers, others classes.
    by_roi : bool
        Decode from the voxels of each region by itself; regions are the ``layers`` of the scores.
    return_predictions : bool
        Rows are in the order of `responses`.
    mask : path_like, optional
        For responses that are a NIfTI path.
    progress : bool or callable

    Returns
    -------
    Scores, or dict of str to Scores
        By layer for Features and dicts, since layers have targets of their own.
    """
    decoder = Decoder(
        estimator,
        cv=cv,
        scoring=scoring,
        groups=groups,
        task=task,
        by_roi=by_roi,
        return_predictions=return_predictions,
    )
    return decoder.fit(responses, targets, mask=mask, progress=progress).scores_


def _regions(data: NDArray[Any], rois: tuple[str, ...] | None) -> dict[str, NDArray[Any]]:
    if rois is None:
        raise ValueError(
            "by_roi needs responses with regions; these have none. Give rois or a mask."
        )
    labels = np.asarray(rois)
    return {name: data[:, labels == name] for name in dict.fromkeys(rois)}


def _as_columns(targets: Any) -> Any:
    if isinstance(targets, Responses | pd.DataFrame | pd.Series):
        return targets
    array = np.asarray(targets.detach().cpu() if hasattr(targets, "detach") else targets)
    return array[:, None] if array.ndim == 1 else array
