"""What every route can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._scoring import score_columns
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["Route", "check_components", "native_source", "smaller_source", "tell"]


class Route(ABC):
    """How the model of one layer is cross-validated."""

    native: bool

    @property
    @abstractmethod
    def note(self) -> str:
        """What runs, and if it is not native, why."""

    @property
    def scales(self) -> bool:
        """Whether features are divided by their standard deviation, which a Gram matrix has not."""
        return False

    def check(  # noqa: B027 - most have nothing to check
        self, layer: LayerData, folds: FoldPlan, name: str
    ) -> None:
        """Raise where these folds of this layer cannot be fitted, before any work is done."""

    def prepared(self, layer: LayerData, folds: FoldPlan) -> LayerData:
        """Return the layer in the form that serves these folds again and again."""
        return layer

    @abstractmethod
    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold, shape (n_test, n_vox), one at a time."""

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
        """Return the scores, shape (n_fold, n_vox), or (1, n_vox) pooled over folds."""
        scores, measured, predicted = [], [], []
        for place, part in enumerate(self.predictions(layer, responses, folds)):
            rows = responses[folds[place][1]]
            if pooled:
                measured.append(rows)
                predicted.append(part)
            else:
                scores.append(score_columns(rows, part, scoring))
            tell(report, place + 1, len(folds))
        if pooled:
            whole = np.concatenate(measured), np.concatenate(predicted)
            scores.append(score_columns(*whole, scoring))
        return np.stack(scores)


def tell(report: ProgressCallback | None, done: int, total: int) -> None:
    """Report progress; raise if the caller wants no more."""
    if report is not None and report(done, total) is False:
        raise Cancelled("cancelled by the caller")


def smaller_source(layer: LayerData, folds: FoldPlan, *, standardize: bool) -> LayerData:
    """Return the Gram matrix where it serves all folds and is the smaller, else the layer."""
    if isinstance(layer, Gram) or standardize or layer.shape[1] < min(folds.n_train):
        return layer
    return Gram.from_features(layer)


def check_components(
    count: int | None, layer: LayerData, folds: FoldPlan, name: str, *, what: str = "PCA"
) -> None:
    """Raise if more components are wanted than the smallest training set has dimensions."""
    n_feat = layer.n_feat if isinstance(layer, Gram) else layer.shape[1]
    n_train = min(folds.n_train)
    most = min(n_train - 1, n_feat)
    if count is None or 1 <= count <= most:
        return
    raise ValueError(
        f"{what} must keep from 1 to {most} components of layer {name!r}: its features are "
        f"{n_feat}, and the smallest training fold has {n_train} stimuli, which centring "
        f"leaves {n_train - 1} dimensions; got n_components={count}."
    )


def native_source(source: LayerData) -> tuple[torch.Tensor, bool]:
    """Return what the core takes folds from, and whether it is a Gram matrix."""
    if isinstance(source, Gram):
        return as_tensor(source.kernel), True
    return as_tensor(source), False
