"""Any estimator with fit and predict, refitted in every fold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route
from dnnbrain_cpp.encoding._routes._inner import check_inner_folds
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["SklearnRoute", "check_kind", "describe"]


@dataclass(frozen=True, eq=False)
class SklearnRoute(Route):
    """The estimator as it is; one of a single target is fitted once for each.

    Parameters
    ----------
    estimator : object
        With fit and predict.
    why : str
        Why no native route serves.
    groups : array_like of shape (n_stim,), optional
        Handed to estimators of ours whose ``cv`` is "run".
    """

    estimator: Any
    why: str
    groups: ArrayLike | None = None
    native = False

    @property
    def note(self) -> str:
        """What ran, and why so."""
        each = "" if _takes_several_targets(self.estimator) else ", one model per target"
        home = "dnnbrain_cpp" if _is_ours(self.estimator) else "scikit-learn"
        return f"{home}: {describe(self.estimator)} as it is{each}; {self.why}"

    def check(self, layer: LayerData, folds: FoldPlan, name: str) -> None:
        """Raise where folds inside a training set are impossible, as far as we can know."""
        _, last = _last_step(self.estimator)
        if _is_ours(last) and isinstance(getattr(last, "cv", None), int | str):
            groups = self.groups if _by_run(last) else None
            if last.cv != "loo":
                check_inner_folds(last.cv, folds, groups, name=f"the cv of {last!r}")

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
        pairs = _takes_kernel(estimator)
        for train, test in folds:
            inside, outside = layer[train], layer[test]
            if pairs:
                inside, outside = inside[:, train], outside[:, train]
            model = clone(estimator).fit(inside, targets[train], **self._fit_options(train))
            yield np.asarray(model.predict(outside)).reshape(len(test), -1)

    def _fit_options(self, train: NDArray[Any]) -> dict[str, Any]:
        name, last = _last_step(self.estimator)
        if self.groups is None or not _is_ours(last) or not _by_run(last):
            return {}
        return {f"{name}__groups" if name else "groups": np.asarray(self.groups)[train]}


def check_kind(estimator: Any, kind: str) -> None:
    """Raise unless something is an unfitted "regressor" or "classifier", as far as we can know."""
    if isinstance(estimator, type) or not (
        hasattr(estimator, "fit") and hasattr(estimator, "predict")
    ):
        raise TypeError(
            f"estimator must be a scikit-learn {kind}, an instance with fit and predict; got "
            f"{estimator!r}."
        )
    tags = _tags(estimator)
    known = None if tags is None else tags.estimator_type
    if known in ("regressor", "classifier") and known != kind:
        what = "numbers" if kind == "regressor" else "classes"
        raise TypeError(f"estimator must be a {kind}, which predicts {what}; got {estimator!r}.")


def _last_step(estimator: Any) -> tuple[str, Any]:
    """Return the last step of a pipeline and its name; an estimator alone has none."""
    from sklearn.pipeline import Pipeline

    return estimator.steps[-1] if isinstance(estimator, Pipeline) else ("", estimator)


def _is_ours(estimator: Any) -> bool:
    return type(estimator).__module__.startswith("dnnbrain_cpp.")


def _by_run(estimator: Any) -> bool:
    cv = getattr(estimator, "cv", None)
    return isinstance(cv, str) and cv == "run"


def describe(estimator: Any) -> str:
    """Return the names of an estimator's steps."""
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        return " + ".join(describe(step) for _, step in estimator.steps)
    return str(estimator) if isinstance(estimator, str) else type(estimator).__name__


def _takes_several_targets(estimator: Any) -> bool:
    tags = _tags(estimator)
    return True if tags is None else bool(tags.target_tags.multi_output)


def _takes_single_target(estimator: Any) -> bool:
    tags = _tags(estimator)
    return False if tags is None else bool(tags.target_tags.single_output)


def _takes_kernel(estimator: Any) -> bool:
    """Whether a layer is the kernel of its rows, as for ``kernel="precomputed"``."""
    tags = _tags(estimator)
    return False if tags is None else bool(tags.input_tags.pairwise)


def _tags(estimator: Any) -> Any:
    """Return what scikit-learn knows of an estimator; None where it knows nothing."""
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.utils import get_tags

    # A search does not hand on the tags of what it searches.
    while isinstance(estimator, GridSearchCV | RandomizedSearchCV):
        estimator = estimator.estimator
    try:
        return get_tags(estimator)
    except (AttributeError, TypeError):  # not derived from BaseEstimator: taken at its word
        return None
