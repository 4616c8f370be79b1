"""Choose the route of an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route
from dnnbrain_cpp.encoding._routes._maps import MapRoute
from dnnbrain_cpp.encoding._routes._pls import PlsRoute, read_pls
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps, read_steps
from dnnbrain_cpp.encoding._routes._ridge_search import read_search
from dnnbrain_cpp.encoding._routes._sklearn import SklearnRoute
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["check_components", "choose_route", "default_components"]

_MAX_COMPONENTS = 100
_STIMULI_PER_COMPONENT = 4

_DIRECT_SOLVERS = ("auto", "svd", "cholesky")


def choose_route(estimator: Any, layer: LayerData, folds: FoldPlan, *, name: str) -> Route:
    """Return how an estimator is run.

    ``None`` stands for PCA and least squares with a quarter as many components as the smallest
    training set has stimuli, at most 100 and at most the features: enough stimuli per component for
    least squares not to interpolate.

    Raises
    ------
    TypeError
        If the estimator is none, or needs features where there is a Gram matrix.
    ValueError
        If PCA is to keep more components than the smallest training set has dimensions.
    """
    n_feat = layer.n_feat if isinstance(layer, Gram) else layer.shape[1]
    n_train = min(folds.n_train)
    if estimator is None:
        return MapRoute(default_components(n_train, n_feat), is_default=True)
    _check_regressor(estimator)
    steps = Steps(estimator)
    route: Route
    try:
        steps = read_steps(estimator)
        check_components(steps, n_train, n_feat, name)
        route = _native_route(steps)
    except NotNative as why:
        route = SklearnRoute(estimator, str(why))
    scales = steps.standardize or (isinstance(route, PlsRoute) and route.scale)
    if isinstance(layer, Gram) and (not route.native or scales):
        raise TypeError(
            f"{estimator!r} needs the features themselves; layer {name!r} is a Gram matrix. "
            "Extract with reduce='keep' or 'mean', or use PCA and LinearRegression, or "
            "PLSRegression(scale=False)."
        )
    return route


def default_components(n_train: int, n_feat: int) -> int:
    """Return how many components are kept where the user has not said."""
    most = min(n_train - 1, n_feat)
    return max(1, min(_MAX_COMPONENTS, n_train // _STIMULI_PER_COMPONENT, most))


def _native_route(steps: Steps) -> Route:
    """Return the native route of a recognised regression, or raise `NotNative`."""
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.linear_model import LinearRegression, Ridge

    last = steps.last
    if type(last) is PLSRegression:
        return read_pls(steps)
    if type(last) is LinearRegression:
        alpha = 0.0
    elif type(last) is Ridge:
        if last.solver not in _DIRECT_SOLVERS:
            raise NotNative(f"solver={last.solver!r} stops where its tolerance says")
        if np.ndim(last.alpha) or last.alpha < 0:
            raise NotNative("native ridge takes one alpha for all targets")
        alpha = float(last.alpha)
    else:
        return read_search(steps)
    if not last.fit_intercept:
        raise NotNative("native regression has an intercept, and this has fit_intercept=False")
    if last.positive:
        raise NotNative("positive=True has no closed form")
    return MapRoute(steps.n_components or 0, alpha, steps.whiten, steps.standardize)


def check_components(steps: Steps, n_train: int, n_feat: int, name: str) -> None:
    """Raise if PCA is to keep more components than the smallest training set has dimensions."""
    most = min(n_train - 1, n_feat)
    if steps.n_components is None or 1 <= steps.n_components <= most:
        return
    raise ValueError(
        f"PCA must keep from 1 to {most} components of layer {name!r}: its features are "
        f"{n_feat}, and the smallest training fold has {n_train} stimuli, which centring "
        f"leaves {n_train - 1} dimensions; got n_components={steps.n_components}."
    )


def _check_regressor(estimator: Any) -> None:
    if isinstance(estimator, type) or not (
        hasattr(estimator, "fit") and hasattr(estimator, "predict")
    ):
        raise TypeError(
            "estimator must be a scikit-learn regressor, an instance with fit and predict; got "
            f"{estimator!r}."
        )
