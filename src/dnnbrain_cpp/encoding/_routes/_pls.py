"""Partial least squares from Gram matrices, with the numbers of scikit-learn's NIPALS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route, check_components
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan
from dnnbrain_cpp.linear._pls import cross_validate_pls

__all__ = ["PlsRoute", "read_pls"]


@dataclass(frozen=True)
class PlsRoute(Route):
    """`PLSRegression`, refitted in every fold without the units.

    Parameters
    ----------
    n_components : int
    scale : bool
    max_iter : int
    tol : float
    algorithm : {"nipals", "exact"}
    """

    n_components: int
    scale: bool
    max_iter: int
    tol: float
    algorithm: str = "nipals"
    native = True

    @property
    def note(self) -> str:
        """What runs."""
        exact = ", exact" if self.algorithm == "exact" else ""
        return f"native: PLSRegression({self.n_components}{exact})"

    @property
    def scales(self) -> bool:
        """Whether features are divided by their standard deviation."""
        return self.scale

    def check(self, layer: LayerData, folds: FoldPlan, name: str) -> None:
        """Raise if a training set has not as many components."""
        check_components(self.n_components, layer, folds, name, what="PLSRegression")

    def prepared(self, layer: LayerData, folds: FoldPlan) -> LayerData:
        """Return the Gram matrix where it serves all folds: where nothing is scaled."""
        if isinstance(layer, Gram) or self.scale:
            return layer
        return Gram.from_features(layer)

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        source = self.prepared(layer, folds)
        is_gram = isinstance(source, Gram)
        found = cross_validate_pls(
            source.kernel if isinstance(source, Gram) else source,
            responses,
            folds,
            self.n_components,
            kernel=is_gram,
            scale=self.scale,
            max_iter=self.max_iter,
            tol=self.tol,
            algorithm=self.algorithm,
            predictions=True,
        )
        for part in found.predictions:
            yield part.numpy()


def read_pls(steps: Steps) -> PlsRoute:
    """Return the route of `PLSRegression` alone, scikit-learn's or ours, or raise `NotNative`."""
    if steps.front:
        raise NotNative("no native route with steps in front of PLSRegression")
    pls = steps.last
    return PlsRoute(
        int(pls.n_components),
        bool(pls.scale),
        int(pls.max_iter),
        float(pls.tol),
        getattr(pls, "algorithm", "nipals"),  # scikit-learn's has one
    )
