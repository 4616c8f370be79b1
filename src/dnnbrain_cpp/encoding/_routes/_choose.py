"""Choose the route of an estimator."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from dnnbrain_cpp import linear
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route, check_components
from dnnbrain_cpp.encoding._routes._maps import (
    MapRoute,
    read_components,
    read_least_squares,
    read_own_ridge,
    read_ridge,
)
from dnnbrain_cpp.encoding._routes._pls import read_pls
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps, read_steps
from dnnbrain_cpp.encoding._routes._ridge_search import read_grid, read_own_search, read_search
from dnnbrain_cpp.encoding._routes._sklearn import SklearnRoute, check_kind
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["choose_route", "default_components"]

_MAX_COMPONENTS = 100
_STIMULI_PER_COMPONENT = 4


def choose_route(
    estimator: Any,
    layer: LayerData,
    folds: FoldPlan,
    *,
    name: str,
    groups: ArrayLike | None = None,
) -> Route:
    """Return how an estimator is run.

    ``None`` stands for PCA and least squares with a quarter as many components as the smallest
    training set has stimuli, at most 100 and at most the features: enough stimuli per component for
    least squares not to interpolate.

    Of `groups`, our own estimators with ``cv="run"`` make their folds inside the training set.

    Raises
    ------
    TypeError
        If the estimator is none, or needs features where there is a Gram matrix.
    ValueError
        If PCA is to keep more components than the smallest training set has dimensions, or folds
        inside a training set are impossible.
    """
    if estimator is None:
        n_feat = layer.n_feat if isinstance(layer, Gram) else layer.shape[1]
        return MapRoute(default_components(min(folds.n_train), n_feat), is_default=True)
    check_kind(estimator, "regressor")
    route: Route
    try:
        steps = read_steps(estimator)
        check_components(steps.n_components, layer, folds, name)
        route = _native_route(steps, groups)
    except NotNative as why:
        route = SklearnRoute(estimator, str(why), groups)
    if isinstance(layer, Gram) and (not route.native or route.scales):
        raise TypeError(
            f"{estimator!r} needs the features themselves; layer {name!r} is a Gram matrix. "
            "Extract with reduce='keep' or 'mean', or use PCA and LinearRegression, or "
            "PLSRegression(scale=False)."
        )
    route.check(layer, folds, name)
    return route


def default_components(n_train: int, n_feat: int) -> int:
    """Return how many components are kept where the user has not said."""
    most = min(n_train - 1, n_feat)
    return max(1, min(_MAX_COMPONENTS, n_train // _STIMULI_PER_COMPONENT, most))


def _native_route(steps: Steps, groups: ArrayLike | None) -> Route:
    """Return the native route of a recognised regression, or raise `NotNative`.

    Only the classes themselves are recognised: a subclass may do anything.
    """
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
    from sklearn.model_selection import GridSearchCV

    kind = type(steps.last)
    if kind in (linear.RidgeCV, linear.KernelRidgeCV):
        return read_own_search(steps, groups)
    readers = {
        LinearRegression: read_least_squares,
        Ridge: read_ridge,
        RidgeCV: read_search,
        GridSearchCV: read_grid,
        PLSRegression: read_pls,
        linear.Ridge: read_own_ridge,
        linear.PCRegression: read_components,
        linear.PLSRegression: read_pls,
    }
    if kind not in readers:
        raise NotNative(f"no native route for {kind.__name__}")
    return readers[kind](steps)
