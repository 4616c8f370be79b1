"""Regression on components, ridge and least squares: one linear map per fold for all targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import (
    Route,
    check_components,
    native_source,
    smaller_source,
)
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps, check_linear, check_ridge
from dnnbrain_cpp.linear import FoldPlan
from dnnbrain_cpp.linear._alpha_search import check_alphas

__all__ = ["MapRoute", "read_components", "read_least_squares", "read_own_ridge", "read_ridge"]

_FOLD_SCORES = {
    "r": core.FoldScore.r,
    "r2": core.FoldScore.r2,
    "mse": core.FoldScore.mse,
    "ev": core.FoldScore.ev,
}

FoldMap = tuple[torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True)
class MapRoute(Route):
    """[Standardise,] [PCA,] then least squares or ridge, all inside the fold.

    Parameters
    ----------
    n_components : int
        0 for none.
    alpha : float
        0 for least squares.
    whiten : bool
    standardize : bool
    is_default : bool
        Chosen for the user, who named no estimator.
    """

    n_components: int = 0
    alpha: float = 0.0
    whiten: bool = False
    standardize: bool = False
    is_default: bool = False
    native = True

    @property
    def note(self) -> str:
        """What runs."""
        steps = []
        if self.standardize:
            steps.append("StandardScaler")
        if self.n_components:
            steps.append(f"PCA({self.n_components})")
        steps.append("least squares" if self.alpha == 0 else f"ridge(alpha={self.alpha:g})")
        return f"native: {' + '.join(steps)}" + (" (default)" if self.is_default else "")

    @property
    def scales(self) -> bool:
        """Whether features are divided by their standard deviation."""
        return self.standardize

    def check(self, layer: LayerData, folds: FoldPlan, name: str) -> None:
        """Raise if PCA is to keep more components than the smallest training set has dimensions."""
        check_components(self.n_components or None, layer, folds, name)

    def prepared(self, layer: LayerData, folds: FoldPlan) -> LayerData:
        """Return the Gram matrix where it serves all folds, else the features."""
        return smaller_source(layer, folds, standardize=self.standardize)

    def maps(
        self, layer: LayerData, folds: FoldPlan, report: ProgressCallback | None = None
    ) -> list[FoldMap]:
        """Return the map of each fold."""
        source = self.prepared(layer, folds)
        return core.make_fold_maps(
            *native_source(source),
            folds.tensors(),
            self.n_components,
            self.alpha,
            self.whiten,
            self.standardize,
            report,
        )

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        measured = as_tensor(responses)
        for fold_map, rows in zip(self.maps(layer, folds), folds.tensors(), strict=True):
            yield core.predict_fold_maps([fold_map], measured, [rows], None).numpy()

    def score(
        self,
        layer: LayerData,
        responses: NDArray[Any],
        folds: FoldPlan,
        *,
        scoring: str,
        pooled: bool,
        report: ProgressCallback | None,
    ) -> NDArray[np.float64]:
        """Return the scores; predictions are never kept."""
        n_fold = len(folds)

        def half(start: int) -> ProgressCallback | None:
            def tell(done: int, total: int) -> bool | None:
                assert report is not None
                return report(start + n_fold * done // total, 2 * n_fold)

            return None if report is None else tell

        maps = self.maps(layer, folds, half(0))
        scores = core.score_fold_maps(
            maps,
            as_tensor(responses),
            folds.tensors(),
            _FOLD_SCORES[scoring],
            pooled,
            half(n_fold),
        )
        out: NDArray[np.float64] = scores.numpy()
        return out


def read_least_squares(steps: Steps) -> MapRoute:
    """Return the route of `LinearRegression`, or raise `NotNative`."""
    check_linear(steps.last)
    return _map_of(steps, 0.0)


def read_ridge(steps: Steps) -> MapRoute:
    """Return the route of scikit-learn's `Ridge`, or raise `NotNative`."""
    alpha = _one_alpha(steps.last)
    check_ridge(steps.last)
    return _map_of(steps, alpha)


def read_own_ridge(steps: Steps) -> MapRoute:
    """Return the route of our `Ridge`, or raise `NotNative`."""
    last = steps.last
    alpha = _one_alpha(last)
    if not last.fit_intercept:
        raise NotNative("native regression has an intercept, and this has fit_intercept=False")
    if last.standardize:
        steps = steps.standardized()
    return _map_of(steps, alpha)


def read_components(steps: Steps) -> MapRoute:
    """Return the route of our `PCRegression` of a fixed count, or raise `NotNative`."""
    count = steps.last.n_components
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise NotNative("a count that is chosen by cross-validation has no native route")
    if steps.n_components is not None:
        raise NotNative("no native route with PCA in front of PCRegression")
    return MapRoute(check_integer(count, "n_components", minimum=1), standardize=steps.standardize)


def _one_alpha(ridge: Any) -> float:
    alphas = check_alphas(ridge.alpha, positive=False)
    if len(alphas) > 1:
        raise NotNative("native ridge takes one alpha for all targets")
    return float(alphas[0])


def _map_of(steps: Steps, alpha: float) -> MapRoute:
    return MapRoute(steps.n_components or 0, alpha, steps.whiten, steps.standardize)
