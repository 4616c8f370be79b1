"""Univariate mapping: the one unit that predicts a target best, and how well it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.encoding._layers import LayerData, Sources, read_layers
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._targets import TargetsLike, read_targets
from dnnbrain_cpp.encoding._warnings import warn_of_constant_targets
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["UnivariateScores", "univariate"]

_SCORES = {"r": core.FoldScore.r, "r2": core.FoldScore.r2, "ev": core.FoldScore.ev}

_SELECTIONS = {
    "nested": core.UnitSelection.training_score,
    "nested-cv": core.UnitSelection.inner_folds,
    "non-nested": core.UnitSelection.non_nested,
}


class UnivariateScores(Scores):
    """Scores of single units.

    A `Scores`, whose score in a fold is that of the unit which was chosen for the fold.

    Attributes
    ----------
    best_unit : dict of str to ndarray of shape (n_vox,), int64
        Per layer, the unit that is chosen when no stimulus is held out, from 0; -1 where nothing
        has a score.
    fold_units : dict of str to ndarray of shape (n_fold, n_vox), int64
        Per layer, the unit that is scored in each fold. Where folds differ, so may units: the
        scores tell how well the choice does, not how well `best_unit` would.
    selection : str
        How units were chosen.
    """

    def __init__(
        self,
        scores: Mapping[str, NDArray[np.float64]],
        *,
        best_unit: Mapping[str, NDArray[np.int64]],
        fold_units: Mapping[str, NDArray[np.int64]],
        selection: str,
        unit_means: Mapping[str, NDArray[Any]] | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(scores, **facts)
        self.best_unit = dict(best_unit)
        self.fold_units = dict(fold_units)
        self.selection = selection
        self._unit_means = unit_means

    @property
    def unit_means(self) -> dict[str, NDArray[Any]]:
        """Mean score over folds of every unit, shape (n_feat, n_vox) per layer.

        Each is an honest score of a unit that was named beforehand; the highest of them is not.
        """
        if self._unit_means is None:
            raise AttributeError(
                "mean scores of all units were not kept; ask for them with return_unit_means=True."
            )
        return dict(self._unit_means)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer, target and fold, with the unit that was scored.

        Columns: layer, [channel | row, column,] target, [roi,] fold, unit, score.
        """
        frame = super().to_frame()
        units = np.concatenate([units.ravel() for units in self.fold_units.values()])
        frame.insert(list(frame.columns).index("score"), "unit", units)
        return frame

    def best_units(self) -> pd.DataFrame:
        """Return one row per layer and target.

        Columns: layer, [channel | row, column,] target, [roi,] unit (`best_unit`), score (mean over
        folds), agreement (share of folds that chose this unit).
        """
        frames = []
        for name, unit in self.best_unit.items():
            columns: dict[str, Any] = {"layer": self.parts[name].layer, **self.parts[name].place}
            columns["target"] = self.targets
            if self.rois is not None:
                columns["roi"] = list(self.rois)
            columns["unit"] = unit
            columns["score"] = self.mean(name)
            columns["agreement"] = (self.fold_units[name] == unit).mean(0)
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)


def univariate(
    X: Sources,
    Y: TargetsLike,
    *,
    cv: Any = 10,
    scoring: str = "r",
    groups: ArrayLike | None = None,
    selection: str = "nested",
    iter_axis: str | None = None,
    mask: str | os.PathLike[str] | None = None,
    return_unit_means: bool = False,
    device: torch.device | str | None = None,
    progress: Progress = False,
) -> UnivariateScores:
    """Predict each target from each unit alone; choose the best, and score it on held-out stimuli.

    Parameters
    ----------
    X : Features, mapping of str to array, or array_like of shape (n_stim, n_feat)
        Features; a unit is chosen for each layer.
    Y : Responses, path, DataFrame, or array_like of shape (n_stim, n_vox)
        Joined with the features as in `encode`. Computed with in the features' dtype.
    cv : int, "run", splitter, FoldPlan, or iterable of (train, test)
        As in `encode`. Folds hold out at least two stimuli.
    scoring : {"r", "r2", "ev"}
        Of the line through a fold's training stimuli, on its held-out ones: correlation,
        coefficient of determination, or explained variance. The line takes care of the sign, so a
        unit that falls as the response rises is as good as one that rises.
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together.
    selection : {"nested", "nested-cv", "non-nested"}
        How the unit is chosen. ``"nested"``: within the training set of each fold, by the
        correlation there; all candidates are lines, so none fits better for being more flexible.
        ``"nested-cv"``: within the training set, by the mean score over the other folds, each held
        out in turn: a unit gains nothing by differing between runs as the target does. Takes
        `n_fold` times the arithmetic, at least three folds, and folds that hold out each stimulus
        once and train on all others. ``"non-nested"``: by the very scores that are reported, as
        DNNBrain does. The maximum over many units of noise is far above zero: these scores are
        optimistic, the more so the more units a layer has, and cannot be compared between layers.
    iter_axis : {"channel", "row_col"}, optional
        Choose a unit in each channel, or at each position, as in `encode`.
    mask : path_like, optional
        For responses that are a NIfTI path.
    return_unit_means : bool
        Keep the mean score of every unit, (n_feat, n_vox) for each layer.
    device : torch.device or str, optional
        Where the work is done; by default on the CPU.
    progress : bool or callable

    Returns
    -------
    UnivariateScores

    Raises
    ------
    TypeError
        If a layer is a Gram matrix, which has no units.
    ValueError
        For NaN, unequal stimuli, or impossible folds.

    Warns
    -----
    ConstantTargetWarning
        If targets are constant in the held-out stimuli of a fold; their scores there are NaN, and
        the fold does not count.

    Notes
    -----
    The numbers of ``LinearRegression`` refitted for each unit, target and fold, in closed form from
    sums: ``2 n_stim n_feat n_vox`` FLOP for folds that partition the stimuli, ``2 n_fold`` times
    as many for others. Nothing of the size of (n_feat, n_vox) is kept unless asked for. A unit that
    is constant in a training set correlates 0. Of equal units the first is chosen.

    Examples
    --------
    >>> scores = univariate(features, responses, cv="run", groups=runs)  # doctest: +SKIP
    >>> scores.best_units()  # doctest: +SKIP
    """
    check_choice(scoring, "scoring", list(_SCORES))
    check_choice(selection, "selection", list(_SELECTIONS))
    layers = read_layers(X, iter_axis)
    targets = read_targets(Y, mask).joined(layers.ids)
    folds = FoldPlan.make(cv, n_stim=len(targets.data), groups=groups)
    layers.check_n_stim(len(targets.data))
    _check_units(layers.data)
    if selection == "nested-cv":
        _check_inner_folds(folds)

    parts = list(layers.parts())
    found = {}
    for part, layer in parts:
        with progress_callback(progress, f"units of {part.name}") as report:
            found[part.name] = _choose(
                layer,
                targets.data,
                folds,
                scoring=scoring,
                selection=selection,
                keep_means=return_unit_means,
                device=device,
                report=report,
            )
    scores = {name: result[2] for name, result in found.items()}
    warn_of_constant_targets(next(iter(scores.values())))
    return UnivariateScores(
        scores,
        best_unit={name: result[0] for name, result in found.items()},
        fold_units={name: result[1] for name, result in found.items()},
        selection=selection,
        unit_means={name: result[3] for name, result in found.items()}
        if return_unit_means
        else None,
        scoring=scoring,
        route={name: f"native: one unit, {selection}" for name in found},
        targets=targets.names,
        rois=targets.rois,
        parts={part.name: part for part, _ in parts},
        geometry=targets.geometry,
    )


def _check_units(layers: Mapping[str, LayerData]) -> None:
    for name, layer in layers.items():
        if isinstance(layer, Gram):
            raise TypeError(
                f"univariate needs the units of layer {name!r}, and a Gram matrix has none. "
                "Extract with reduce='keep' or 'mean'."
            )


def _check_inner_folds(folds: FoldPlan) -> None:
    if len(folds) < 3 or not folds.is_partition or folds.has_gaps or folds.has_repeats:
        raise ValueError(
            "selection='nested-cv' needs at least 3 folds that hold out each stimulus once and "
            f"train on all others; got {folds!r}. Use selection='nested'."
        )


def _choose(
    layer: Any,
    responses: NDArray[Any],
    folds: FoldPlan,
    *,
    scoring: str,
    selection: str,
    keep_means: bool,
    device: torch.device | str | None,
    report: ProgressCallback | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], Any]:
    if responses.dtype != layer.dtype:
        # No score depends on an offset, which would cost float32 its digits.
        responses = (responses - responses.mean(0, dtype=np.float64)).astype(layer.dtype)
    best, units, scores, means = core.cross_validate_units(
        as_tensor(layer).to(device),
        as_tensor(responses).to(device),
        folds.tensors(),
        _SCORES[scoring],
        _SELECTIONS[selection],
        keep_means,
        True,
        report,
    )
    return (
        best.cpu().numpy(),
        units.cpu().numpy(),
        scores.cpu().numpy(),
        None if means is None else means.cpu().numpy(),
    )
