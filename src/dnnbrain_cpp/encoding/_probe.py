"""Probing: what can be read from the features of each layer about the stimuli."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._validate import check_choice, check_ids
from dnnbrain_cpp.encoding._encoder import Encoder
from dnnbrain_cpp.encoding._layers import LayerData, Part, Sources, read_layers
from dnnbrain_cpp.encoding._routes import ClassifierRoute, choose_classifier
from dnnbrain_cpp.encoding._routes._base import tell
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._scoring import SCORINGS
from dnnbrain_cpp.encoding._targets import Targets
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["CLASS_SCORINGS", "TASKS", "Probe", "probe"]

CLASS_SCORINGS = ("accuracy", "balanced_accuracy", "auc")
TASKS = ("auto", "classification", "regression")


class Probe(BaseEstimator):  # type: ignore[misc]
    """How attributes of stimuli are read from features, and how that is validated.

    Parameters are those of `probe`.

    Attributes
    ----------
    scores_ : Scores
        After `fit`.
    """

    scores_: Scores

    def __init__(
        self,
        estimator: Any = None,
        *,
        cv: Any = 10,
        scoring: str | None = None,
        groups: ArrayLike | None = None,
        task: str = "auto",
        iter_axis: str | None = None,
        return_predictions: bool = False,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.scoring = scoring
        self.groups = groups
        self.task = task
        self.iter_axis = iter_axis
        self.return_predictions = return_predictions

    def fit(self, features: Sources, labels: Any, *, progress: Progress = False) -> Probe:
        """Predict each attribute from each layer, and score what was held out, into ``scores_``."""
        check_choice(self.task, "task", TASKS)
        table = read_labels(labels)
        task = _task_of(table, self.task)
        scoring = self.scoring or ("accuracy" if task == "classification" else "r2")
        check_choice(scoring, "scoring", CLASS_SCORINGS if task == "classification" else SCORINGS)
        if task == "regression":
            encoder = Encoder(
                self.estimator,
                cv=self.cv,
                scoring=scoring,
                groups=self.groups,
                iter_axis=self.iter_axis,
                return_predictions=self.return_predictions,
            )
            self.scores_ = encoder.fit(
                features, table.astype(np.float64), progress=progress
            ).scores_
            return self
        layers = read_layers(features, self.iter_axis)
        targets = _joined(table, layers.ids)
        layers.check_n_stim(len(targets))
        columns = {name: targets[name].to_numpy() for name in targets.columns}
        folds = {name: self._folds(labels) for name, labels in columns.items()}
        chosen = [
            (
                part,
                layer,
                {
                    name: choose_classifier(self.estimator, layer, plan, name=part.name)
                    for name, plan in folds.items()
                },
            )
            for part, layer in layers.parts()
        ]
        self.scores_ = self._score(chosen, columns, folds, scoring, progress)
        return self

    def _folds(self, labels: NDArray[Any]) -> FoldPlan:
        """Return the folds of one attribute; a number of folds is stratified by its classes."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        cv = self.cv
        classes, counts = np.unique(labels, return_counts=True)
        if len(classes) < 2:
            raise ValueError(
                f"labels must have two classes at least; all are {classes.tolist()[0]!r}."
            )
        if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
            if not 2 <= cv <= counts.min():
                raise ValueError(
                    f"cv must be from 2 to the stimuli of the smallest class, {counts.min()} of "
                    f"{classes.tolist()[counts.argmin()]!r}; got {cv}."
                )
            n_group = len(labels) if self.groups is None else len(np.unique(self.groups))
            if cv > n_group:
                raise ValueError(f"cv must be from 2 to the number of groups, {n_group}; got {cv}.")
            splitter = StratifiedKFold if self.groups is None else StratifiedGroupKFold
            cv = splitter(int(cv))
        plan = FoldPlan.make(cv, n_stim=len(labels), groups=self.groups, y=labels, min_test=1)
        for place, (train, _) in enumerate(plan):
            if len(np.unique(labels[train])) < 2:
                raise ValueError(
                    f"every fold must train on two classes at least; fold {place} has "
                    f"{labels[train].tolist()[0]!r} alone."
                )
        return plan

    def _score(
        self,
        chosen: list[tuple[Part, LayerData, dict[str, ClassifierRoute]]],
        columns: dict[str, NDArray[Any]],
        folds: dict[str, FoldPlan],
        scoring: str,
        progress: Progress,
    ) -> Scores:
        if len({len(plan) for plan in folds.values()}) > 1:
            raise ValueError("cv must give as many folds for each attribute.")
        scores: dict[str, NDArray[np.float64]] = {}
        predictions: dict[str, NDArray[Any]] = {}
        for part, layer, routes in chosen:
            with progress_callback(progress, f"probing {part.name}") as report:
                per_target, predicted = [], []
                for done, (name, labels) in enumerate(columns.items()):
                    values, guesses = _classify(routes[name], layer, labels, folds[name], scoring)
                    per_target.append(values)
                    predicted.append(guesses)
                    tell(report, done + 1, len(columns))
            scores[part.name] = np.stack(per_target, axis=1)
            predictions[part.name] = np.stack(predicted, axis=1)
        return Scores(
            scores,
            scoring=scoring,
            route={part.name: next(iter(routes.values())).note for part, _, routes in chosen},
            targets=list(columns),
            parts={part.name: part for part, _, _ in chosen},
            predictions=predictions if self.return_predictions else None,
            chance=[_chance(labels, scoring) for labels in columns.values()],
        )


def probe(
    features: Sources,
    labels: Any,
    estimator: Any = None,
    *,
    cv: Any = 10,
    scoring: str | None = None,
    groups: ArrayLike | None = None,
    task: str = "auto",
    iter_axis: str | None = None,
    return_predictions: bool = False,
    progress: Progress = False,
) -> Scores:
    """Read attributes of stimuli from each layer, and score what was held out.

    Parameters
    ----------
    features : Features, mapping of str to array, or array_like of shape (n_stim, n_feat)
    labels : array_like of shape (n_stim,) or (n_stim, n_attribute), Series or DataFrame
        Classes (strings, integers, booleans) or numbers. A table with an index of ids is joined
        with the features' ids; anything else is in the order of the features.
    estimator : scikit-learn estimator, optional
        A classifier, or a regressor for numbers. By default PCA, and logistic regression or least
        squares; components as in `encode`. ``LogisticRegression`` behind ``PCA(k)``, with or
        without ``StandardScaler``, gets its components natively; regressors run as in `encode`;
        anything else runs through scikit-learn as it is.
    cv : int, splitter, FoldPlan, or iterable of (train, test)
        A number of folds is unshuffled and stratified by the classes of each attribute.
    scoring : str, optional
        Classes: "accuracy" (default), "balanced_accuracy", or "auc" (area under the ROC curve; of
        one class against the rest, averaged, where there are more than two). Numbers: "r2"
        (default), "r", "mse", "ev".
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group are held out together.
    task : {"auto", "classification", "regression"}
        By default floating-point labels are numbers, others classes.
    iter_axis : {"channel", "row_col"}, optional
        Probe each channel, or each position, by itself; see `encode`.
    return_predictions : bool
        Keep the held-out predictions; of a stimulus that was held out several times the last.
    progress : bool or callable

    Returns
    -------
    Scores
        An attribute is a target. ``chance`` is what a guess scores: the frequency of the commonest
        class for accuracy, one over the number of classes for balanced accuracy, 0.5 for AUC.

    Raises
    ------
    ValueError
        For missing labels, a single class, or more folds than the smallest class has stimuli.
    """
    fitted = Probe(
        estimator,
        cv=cv,
        scoring=scoring,
        groups=groups,
        task=task,
        iter_axis=iter_axis,
        return_predictions=return_predictions,
    ).fit(features, labels, progress=progress)
    return fitted.scores_


def read_labels(labels: Any) -> pd.DataFrame:
    """Return attributes as the columns of a table.

    Raises
    ------
    ValueError
        If some are missing, or there are none.
    """
    if isinstance(labels, pd.DataFrame):
        table = labels
    elif isinstance(labels, pd.Series):
        table = labels.to_frame("label" if labels.name is None else labels.name)
    else:
        array = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
        if array.ndim not in (1, 2):
            raise ValueError(
                f"labels must have shape (n_stim,) or (n_stim, n_attribute); got {array.shape}."
            )
        table = pd.DataFrame(array)
        if array.ndim == 1:
            table.columns = pd.Index(["label"])
    if not table.size:
        raise ValueError(f"labels must hold a stimulus and an attribute; got {table.shape}.")
    if table.isna().to_numpy().any():
        missing = int(table.isna().to_numpy().sum())
        raise ValueError(
            f"labels must be complete; {missing} are missing. Leave those stimuli out."
        )
    return table


def is_numbers(table: pd.DataFrame) -> bool:
    """Return whether labels are numbers to be predicted, not classes."""
    return all(dtype.kind == "f" for dtype in table.dtypes)


def _task_of(table: pd.DataFrame, task: str) -> str:
    if task != "auto":
        return task
    return "regression" if is_numbers(table) else "classification"


def _joined(table: pd.DataFrame, feature_ids: tuple[str, ...] | None) -> pd.DataFrame:
    """Return the rows in the order of the features."""
    named = not isinstance(table.index, pd.RangeIndex)
    rows = Targets(
        np.arange(len(table))[:, None],
        ids=check_ids(list(table.index), "the index of labels") if named else None,
        by_order=not named,
    ).joined(feature_ids)
    return table.iloc[rows.data[:, 0]]


def _classify(
    route: ClassifierRoute,
    layer: LayerData,
    labels: NDArray[Any],
    folds: FoldPlan,
    scoring: str,
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return the score of each fold, and the held-out predictions."""
    scores = np.empty(len(folds))
    predicted = np.full(len(labels), None, dtype=object)
    for place, (model, outside) in enumerate(route.fitted(layer, labels, folds)):
        test = folds[place][1]
        guesses = np.asarray(model.predict(outside))
        predicted[test] = guesses
        if scoring == "auc":
            scores[place] = _auc(model, outside, labels[test])
        else:
            scores[place] = _accuracy(labels[test], guesses, balanced=scoring != "accuracy")
    return scores, predicted


def _accuracy(labels: NDArray[Any], guesses: NDArray[Any], *, balanced: bool) -> float:
    hits = labels == guesses
    if not balanced:
        return float(hits.mean())
    return float(np.mean([hits[labels == each].mean() for each in np.unique(labels)]))


def _auc(model: Any, outside: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the area under the ROC curve; NaN where a class is not among the held-out labels."""
    from sklearn.metrics import roc_auc_score

    if set(np.unique(labels)) != set(model.classes_):
        return float("nan")
    if len(model.classes_) == 2:
        values = (
            model.decision_function(outside)
            if hasattr(model, "decision_function")
            else model.predict_proba(outside)[:, 1]
        )
        return float(roc_auc_score(labels == model.classes_[1], values))
    return float(
        roc_auc_score(
            labels, model.predict_proba(outside), multi_class="ovr", labels=model.classes_
        )
    )


def _chance(labels: NDArray[Any], scoring: str) -> float:
    _, counts = np.unique(labels, return_counts=True)
    if scoring == "accuracy":
        return float(counts.max() / counts.sum())
    return 0.5 if scoring == "auc" else 1 / len(counts)
