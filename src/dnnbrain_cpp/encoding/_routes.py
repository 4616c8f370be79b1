"""Which estimators run natively, and how the others run.

A route computes the held-out scores of one layer. The native one gives the numbers that refitting
the user's own pipeline in every fold would give, from the n x n moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear._folds import FoldPlan

__all__ = ["NativePcr", "Route", "SklearnRoute", "choose_route"]

_SCORES = {"r": core.Score.r, "r2": core.Score.r2}
_MAX_COMPONENTS = 100
_STIMULI_PER_COMPONENT = 4
_ROUNDING = 1e-13


@dataclass(frozen=True)
class NativePcr:
    """PCA inside the fold, then least squares, from the Gram matrix."""

    n_components: int
    note: str

    def score(
        self,
        features: NDArray[Any] | Gram,
        responses: NDArray[Any],
        folds: FoldPlan,
        scoring: str,
        report: ProgressCallback | None,
    ) -> NDArray[np.float64]:
        """Return the scores, shape (n_fold, n_vox)."""
        gram = features if isinstance(features, Gram) else Gram.from_features(features)
        scores = core.cross_validate_pcr(
            as_tensor(gram.kernel),
            as_tensor(responses),
            folds.tensors(),
            self.n_components,
            _SCORES[scoring],
            report,
        )
        out: NDArray[np.float64] = scores.numpy()
        return out


@dataclass(frozen=True)
class SklearnRoute:
    """Any scikit-learn estimator, refitted in every fold.

    An estimator of one target is fitted once for each.
    """

    estimator: Any

    @property
    def note(self) -> str:
        """What ran."""
        each = "" if _takes_several_targets(self.estimator) else ", one model per target"
        return f"scikit-learn: {_describe(self.estimator)} as it is{each}"

    def score(
        self,
        features: NDArray[Any] | Gram,
        responses: NDArray[Any],
        folds: FoldPlan,
        scoring: str,
        report: ProgressCallback | None,
    ) -> NDArray[np.float64]:
        """Return the scores, shape (n_fold, n_vox)."""
        from sklearn.base import clone
        from sklearn.multioutput import MultiOutputRegressor

        if isinstance(features, Gram):
            raise TypeError(
                f"{self.estimator!r} needs the features themselves; these are Gram matrices. "
                "Extract with reduce='keep' or 'mean', or use PCA and LinearRegression."
            )
        estimator, targets = self.estimator, responses
        if responses.shape[1] == 1 and _takes_single_target(estimator):
            targets = responses[:, 0]
        elif not _takes_several_targets(estimator):
            estimator = MultiOutputRegressor(estimator)
        scores = np.empty((len(folds), responses.shape[1]))
        for place, (train, test) in enumerate(folds):
            model = clone(estimator).fit(features[train], targets[train])
            predicted = np.asarray(model.predict(features[test])).reshape(len(test), -1)
            scores[place] = _score_columns(responses[test], predicted, scoring)
            if report is not None and report(place + 1, len(folds)) is False:
                raise Cancelled("cancelled by the caller")
        return scores


Route = NativePcr | SklearnRoute


def choose_route(estimator: Any, folds: FoldPlan, *, layer: str, n_feat: int) -> Route:
    """Return how an estimator is run.

    ``None`` stands for PCA and least squares with a quarter as many components as the smallest
    training set has stimuli, at most 100 and at most the features: enough stimuli per component for
    least squares not to interpolate.
    """
    n_train = min(folds.n_train)
    most = min(n_train - 1, n_feat)
    if estimator is None:
        n_components = max(1, min(_MAX_COMPONENTS, n_train // _STIMULI_PER_COMPONENT, most))
        return NativePcr(n_components, f"native: PCA({n_components}) + least squares (default)")
    recognised = _recognise_pcr(estimator)
    if recognised is None:
        _check_regressor(estimator)
        return SklearnRoute(estimator)
    if not 1 <= recognised <= most:
        raise ValueError(
            f"PCA must keep from 1 to {most} components of layer {layer!r}: its features are "
            f"{n_feat}, and the smallest training fold has {n_train} stimuli, which centring "
            f"leaves {n_train - 1} dimensions; got n_components={recognised}."
        )
    return NativePcr(recognised, f"native: PCA({recognised}) + least squares")


def _recognise_pcr(estimator: Any) -> int | None:
    """Return the component count of exactly PCA(k) then LinearRegression(), else None."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    if type(estimator) is not Pipeline or len(estimator.steps) != 2:
        return None
    (_, pca), (_, regression) = estimator.steps
    if type(pca) is not PCA or type(regression) is not LinearRegression:
        return None
    if not regression.fit_intercept or regression.positive:
        return None
    count = pca.n_components
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        return None
    return int(count)


def _check_regressor(estimator: Any) -> None:
    if isinstance(estimator, type) or not (
        hasattr(estimator, "fit") and hasattr(estimator, "predict")
    ):
        raise TypeError(
            "estimator must be a scikit-learn regressor, an instance with fit and predict; got "
            f"{estimator!r}."
        )


def _describe(estimator: Any) -> str:
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        return " + ".join(_describe(step) for _, step in estimator.steps)
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


def _pearson(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    y = measured - measured.mean(0)
    p = predicted - predicted.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (y * p).sum(0) / np.sqrt((y * y).sum(0) * (p * p).sum(0))
    # A constant prediction, but for rounding, does not covary with anything.
    r[np.abs(p).max(0) <= _ROUNDING * np.abs(predicted).max(0)] = 0.0
    return np.asarray(np.clip(r, -1.0, 1.0))


def _r2(measured: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    residual = ((measured - predicted) ** 2).sum(0)
    total = ((measured - measured.mean(0)) ** 2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - residual / total)


_COLUMN_SCORES: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]] = {
    "r": _pearson,
    "r2": _r2,
}


def _score_columns(
    measured: NDArray[Any], predicted: NDArray[Any], scoring: str
) -> NDArray[np.float64]:
    """Score each column; NaN where the measured one is constant, as in the core."""
    measured = np.asarray(measured, dtype=np.float64)
    scores = _COLUMN_SCORES[scoring](measured, np.asarray(predicted, dtype=np.float64))
    scores[(measured == measured[0]).all(0)] = np.nan
    return scores
