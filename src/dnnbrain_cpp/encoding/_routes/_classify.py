"""Classifiers of stimulus labels: on natively reduced features, or as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import (
    check_components,
    native_source,
    smaller_source,
)
from dnnbrain_cpp.encoding._routes._choose import default_components
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps, read_steps
from dnnbrain_cpp.encoding._routes._sklearn import check_kind, describe
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["ClassifierRoute", "choose_classifier"]

_SMOOTH_SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")
_MAX_ITER = 1000


@dataclass(frozen=True)
class ClassifierRoute:
    """How a classifier is cross-validated.

    Parameters
    ----------
    estimator : object
        What is fitted in every fold: to components if `steps` is given, else to features.
    note : str
        What runs, and if it is not native, why.
    steps : Steps, optional
        Native PCA in front of the estimator.
    """

    estimator: Any
    note: str
    steps: Steps | None = None

    def fitted(
        self, layer: LayerData, labels: NDArray[Any], folds: FoldPlan
    ) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield, for each fold, the fitted classifier and its held-out input."""
        from sklearn.base import clone

        for (train, _), (inside, outside) in zip(folds, self._inputs(layer, folds), strict=True):
            yield clone(self.estimator).fit(inside, labels[train]), outside

    def _inputs(
        self, layer: LayerData, folds: FoldPlan
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        if self.steps is None:
            for train, test in folds:
                yield layer[train], layer[test]  # type: ignore[index]  # no Gram comes here
            return
        n_comp = self.steps.n_components or 0
        whiten, standardize = self.steps.whiten, self.steps.standardize
        source = native_source(smaller_source(layer, folds, standardize=standardize))
        for rows in folds.tensors():
            inside, outside = core.fold_components(*source, rows, n_comp, whiten, standardize)
            yield inside.numpy(), outside.numpy()


def choose_classifier(
    estimator: Any, layer: LayerData, folds: FoldPlan, *, name: str
) -> ClassifierRoute:
    """Return how a classifier is run.

    ``None`` stands for PCA, with as many components as encoding has by default, and logistic
    regression.

    Raises
    ------
    TypeError
        If the estimator is no classifier, or needs features where there is a Gram matrix.
    """
    from sklearn.linear_model import LogisticRegression

    n_train = min(folds.n_train)
    n_feat = layer.n_feat if isinstance(layer, Gram) else layer.shape[1]
    if estimator is None:
        count = default_components(n_train, n_feat)
        return ClassifierRoute(
            LogisticRegression(max_iter=_MAX_ITER),
            f"native: PCA({count}) + LogisticRegression (default)",
            Steps(None, n_components=count),
        )
    check_kind(estimator, "classifier")
    try:
        steps = read_steps(estimator)
        check_components(steps.n_components, layer, folds, name)
        _check_rotation_is_free(steps)
        if not isinstance(layer, Gram) or not steps.standardize:
            scaler = "StandardScaler + " if steps.standardize else ""
            note = f"native: {scaler}PCA({steps.n_components}) + {describe(steps.last)}"
            return ClassifierRoute(steps.last, note, steps)
        why = NotNative("standardising needs the features")
    except NotNative as found:
        why = found
    if isinstance(layer, Gram):
        raise TypeError(
            f"{estimator!r} needs the features themselves; layer {name!r} is a Gram matrix. "
            "Extract with reduce='keep' or 'mean', or use PCA and LogisticRegression."
        )
    return ClassifierRoute(estimator, f"scikit-learn: {describe(estimator)} as it is; {why}")


def _check_rotation_is_free(steps: Steps) -> None:
    """Raise unless the classifier does not care for the signs of components."""
    from sklearn.linear_model import LogisticRegression

    last = steps.last
    if type(last) is not LogisticRegression:
        raise NotNative(f"no native route for {type(last).__name__}")
    if steps.n_components is None:
        raise NotNative("no PCA in front of LogisticRegression")
    if last.solver not in _SMOOTH_SOLVERS:
        raise NotNative(f"solver={last.solver!r} takes other steps for other signs of components")
