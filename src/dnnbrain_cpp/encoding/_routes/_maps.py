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
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route, tell
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["MapRoute"]

_FOLD_SCORES = {
    "r": core.FoldScore.r,
    "r2": core.FoldScore.r2,
    "mse": core.FoldScore.mse,
    "ev": core.FoldScore.ev,
}

FoldMaps = list[tuple[torch.Tensor, torch.Tensor | None]]


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

    def maps(
        self, layer: LayerData, folds: FoldPlan, report: ProgressCallback | None = None
    ) -> FoldMaps:
        """Return the map of each fold."""
        n_train = min(folds.n_train)
        maps: FoldMaps = []
        if isinstance(layer, Gram) or (not self.standardize and layer.shape[1] >= n_train):
            gram = layer if isinstance(layer, Gram) else Gram.from_features(layer)
            kernel = as_tensor(gram.kernel)
            for place, rows in enumerate(folds.tensors()):
                maps.append(
                    core.gram_fold_map(kernel, rows, self.n_components, self.alpha, self.whiten)
                )
                tell(report, place + 1, 2 * len(folds))
            return maps
        features = as_tensor(layer)
        for place, rows in enumerate(folds.tensors()):
            maps.append(
                core.feature_fold_map(
                    features, rows, self.n_components, self.alpha, self.whiten, self.standardize
                )
            )
            tell(report, place + 1, 2 * len(folds))
        return maps

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        rows = folds.tensors()
        predicted = core.predict_fold_maps(
            self.maps(layer, folds), as_tensor(responses), rows, None
        )
        ends = np.cumsum(folds.n_test)
        yield from np.split(predicted.numpy(), ends[:-1])

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
        maps = self.maps(layer, folds, report)

        def second_half(done: int, total: int) -> bool | None:
            return None if report is None else report(n_fold + n_fold * done // total, 2 * n_fold)

        scores = core.score_fold_maps(
            maps,
            as_tensor(responses),
            folds.tensors(),
            _FOLD_SCORES[scoring],
            pooled,
            second_half,
        )
        out: NDArray[np.float64] = scores.numpy()
        return out
