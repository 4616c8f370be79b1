"""Read a scikit-learn estimator as the steps that have native forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["NotNative", "Steps", "read_steps"]


class NotNative(Exception):
    """An estimator, or one of its settings, has no native form; the message says which."""


@dataclass(frozen=True)
class Steps:
    """[StandardScaler,] [PCA,] and a regression, which is the last step itself."""

    last: Any
    standardize: bool = False
    n_components: int | None = None
    whiten: bool = False


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

    if type(estimator) is not Pipeline:
        return Steps(estimator)
    *front, last = [
        step for _, step in estimator.steps if step is not None and step != "passthrough"
    ] or [None]
    scalers = [step for step in front if type(step) is StandardScaler]
    reducers = [step for step in front if type(step) is PCA]
    if front != [*scalers[:1], *reducers[:1]]:
        odd = next((s for s in front if type(s) not in (StandardScaler, PCA)), None)
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


def _component_count(pca: Any) -> int:
    count = pca.n_components
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise NotNative(f"native PCA wants a number of components, and has n_components={count!r}")
    return int(count)
