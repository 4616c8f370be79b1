"""Any estimator with fit and predict, refitted in every fold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["SklearnRoute", "describe"]


@dataclass(frozen=True)
class SklearnRoute(Route):
    """The estimator as it is; one of a single target is fitted once for each.

    Parameters
    ----------
    estimator : object
        With fit and predict.
    why : str
        Why no native route serves.
    """

    estimator: Any
    why: str
    native = False

    @property
    def note(self) -> str:
        """What ran, and why so."""
        each = "" if _takes_several_targets(self.estimator) else ", one model per target"
        if type(self.estimator).__module__.startswith("dnnbrain_cpp."):
            return (
                f"dnnbrain_cpp: {describe(self.estimator)} as it is{each}; refitted in every fold"
            )
        return f"scikit-learn: {describe(self.estimator)} as it is{each}; {self.why}"

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        from sklearn.base import clone
        from sklearn.multioutput import MultiOutputRegressor

        if isinstance(layer, Gram):
            raise TypeError(
                f"{self.estimator!r} needs the features themselves; these are Gram matrices. "
                "Extract with reduce='keep' or 'mean', or use PCA and LinearRegression."
            )
        estimator, targets = self.estimator, responses
        if responses.shape[1] == 1 and _takes_single_target(estimator):
            targets = responses[:, 0]
        elif not _takes_several_targets(estimator):
            estimator = MultiOutputRegressor(estimator)
        for train, test in folds:
            model = clone(estimator).fit(layer[train], targets[train])
            yield np.asarray(model.predict(layer[test])).reshape(len(test), -1)


def describe(estimator: Any) -> str:
    """Return the names of an estimator's steps."""
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        return " + ".join(describe(step) for _, step in estimator.steps)
    return str(estimator) if isinstance(estimator, str) else type(estimator).__name__


def _takes_several_targets(estimator: Any) -> bool:
    tags = _target_tags(estimator)
    return True if tags is None else bool(tags.multi_output)


def _takes_single_target(estimator: Any) -> bool:
    tags = _target_tags(estimator)
    return False if tags is None else bool(tags.single_output)


def _target_tags(estimator: Any) -> Any:
    """Return what scikit-learn knows of an estimator's targets; None where it knows nothing."""
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.utils import get_tags

    # A search does not hand on the tags of what it searches.
    while isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        estimator = estimator.estimator
    try:
        return get_tags(estimator).target_tags
    except (AttributeError, TypeError):  # not derived from BaseEstimator: taken at its word
        return None
