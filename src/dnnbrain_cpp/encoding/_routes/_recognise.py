"""Read a scikit-learn estimator as the steps that have native forms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dnnbrain_cpp import linear

__all__ = ["NotNative", "Steps", "check_linear", "check_ridge", "read_steps"]

_DIRECT_SOLVERS = ("auto", "svd", "cholesky")


class NotNative(Exception):
    """An estimator, or one of its settings, has no native form; the message says which."""


@dataclass(frozen=True)
class Steps:
    """[StandardScaler,] [PCA,] and a regression, which is the last step itself."""

    last: Any
    standardize: bool = False
    n_components: int | None = None
    whiten: bool = False

    @property
    def front(self) -> bool:
        """Whether there are steps in front of the last."""
        return self.standardize or self.n_components is not None

    def standardized(self) -> Steps:
        """Return the same, features scaled first."""
        if self.n_components is not None:
            raise NotNative("native ridge does not scale components, PCA(whiten=True) does")
        return replace(self, standardize=True)


def read_steps(estimator: Any) -> Steps:
    """Return the steps of a pipeline or a single estimator.

    Only the classes themselves are recognised: a subclass may do anything.

    Raises
    ------
    NotNative
        If a step in front of the last has no native form.
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    reductions = (PCA, linear.PCA)
    if type(estimator) is not Pipeline:
        return Steps(estimator)
    *front, last = [
        step for _, step in estimator.steps if step is not None and step != "passthrough"
    ] or [None]
    scalers = [step for step in front if type(step) is StandardScaler]
    reducers = [step for step in front if type(step) in reductions]
    if front != [*scalers[:1], *reducers[:1]]:
        odd = next((s for s in front if type(s) not in (StandardScaler, *reductions)), None)
        raise NotNative(
            f"no native route with {type(odd).__name__}"
            if odd is not None
            else "no native route for these steps in this order"
        )
    return Steps(
        last,
        standardize=bool(scalers and scalers[0].with_std),
        n_components=_component_count(reducers[0]) if reducers else None,
        whiten=bool(reducers and reducers[0].whiten),
    )


def check_ridge(ridge: Any) -> None:
    """Raise `NotNative` unless scikit-learn's `Ridge` has a closed form that is ours."""
    if ridge.solver not in _DIRECT_SOLVERS:
        raise NotNative(f"solver={ridge.solver!r} stops where its tolerance says")
    check_linear(ridge)


def check_linear(model: Any) -> None:
    """Raise `NotNative` unless a linear model of scikit-learn's has an intercept and any sign."""
    if not model.fit_intercept:
        raise NotNative("native regression has an intercept, and this has fit_intercept=False")
    if model.positive:
        raise NotNative("positive=True has no closed form")


def _component_count(pca: Any) -> int:
    count = pca.n_components
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise NotNative(f"native PCA wants a number of components, and has n_components={count!r}")
    if type(pca).__module__.startswith("dnnbrain_cpp.") and pca.svd_solver == "randomized":
        raise NotNative("native PCA is exact, and this has svd_solver='randomized'")
    return int(count)
