"""Ridge with a penalty chosen inside each training set: `RidgeCV` and `GridSearchCV(Ridge)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route, smaller_source
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan

__all__ = ["RidgeSearchRoute", "read_search"]

_SCORES = {
    None: core.RidgeScore.r2,
    "r2": core.RidgeScore.r2,
    "neg_mean_squared_error": core.RidgeScore.mse,
}


@dataclass(frozen=True)
class RidgeSearchRoute(Route):
    """[Standardise,] [PCA,] then ridge, its penalty chosen by cross-validation in the training set.

    Of penalties that do equally well the first of the grid is taken, as scikit-learn does.

    Parameters
    ----------
    steps : Steps
    alphas : tuple of float
    inner_cv : object
        None: leave one out.
    criterion : core.RidgeScore
    per_target : bool
        Otherwise one penalty for all targets, by their mean score.
    """

    steps: Steps
    alphas: tuple[float, ...]
    inner_cv: Any
    criterion: core.RidgeScore
    per_target: bool
    native = True

    @property
    def note(self) -> str:
        """What runs."""
        steps = []
        if self.steps.standardize:
            steps.append("StandardScaler")
        if self.steps.n_components is not None:
            steps.append(f"PCA({self.steps.n_components})")
        inner = "leave-one-out" if self.inner_cv is None else "nested folds"
        shared = "per target" if self.per_target else "shared"
        steps.append(f"ridge({len(self.alphas)} alphas, {shared}, {inner})")
        return f"native: {' + '.join(steps)}"

    def prepared(self, layer: LayerData, folds: FoldPlan) -> LayerData:
        """Return the Gram matrix where it serves all folds, else the features."""
        return smaller_source(layer, folds, standardize=self.steps.standardize)

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        source = self.prepared(layer, folds)
        data = as_tensor(source.kernel if isinstance(source, Gram) else source)
        n_feat = source.n_feat if isinstance(source, Gram) else source.shape[1]
        for (train, _), rows in zip(folds, folds.tensors(), strict=True):
            measured = torch.from_numpy(responses[train].astype(np.float64))
            mean = measured.mean(0)
            centred = measured - mean
            inner = (
                None if self.inner_cv is None else FoldPlan.make(self.inner_cv, n_stim=len(train))
            )
            if self.steps.n_components is not None or n_feat < len(train):
                n_comp = self.steps.n_components or min(n_feat, len(train) - 1)
                parts = self._components(data, rows, n_comp, isinstance(source, Gram))
                predicted = self._from_components(*parts, centred, inner)
            else:
                kernels = (
                    core.gram_fold_kernels(data, rows)
                    if isinstance(source, Gram)
                    else core.feature_fold_kernels(data, rows, self.steps.standardize)
                )
                predicted = self._from_kernels(*kernels, centred, inner)
            yield (predicted + mean).numpy()

    def _components(
        self,
        data: torch.Tensor,
        rows: tuple[torch.Tensor, torch.Tensor],
        n_comp: int,
        is_gram: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        whiten, standardize = self.steps.whiten, self.steps.standardize
        if is_gram:
            return core.gram_fold_components(data, rows, n_comp, whiten)
        return core.feature_fold_components(data, rows, n_comp, whiten, standardize)

    def _from_components(
        self,
        train: torch.Tensor,
        test: torch.Tensor,
        centred: torch.Tensor,
        inner: FoldPlan | None,
    ) -> torch.Tensor:
        """Return predictions about the training mean; components are orthogonal."""
        squares = train.square().sum(0)[:, None]
        products = train.T @ centred
        if inner is None:
            scores = torch.stack(
                [
                    -_left_out(train, squares, products, centred, a).square().mean(0)
                    for a in self.alphas
                ]
            )
        else:
            ones = torch.ones(len(train), dtype=torch.float64)
            scores, _ = core.cross_validate_feature_ridge(
                train,
                centred,
                ones[:, None],
                ones,
                inner.tensors(),
                list(self.alphas),
                False,
                self.criterion,
                False,
                None,
            )
        return test @ (products / (squares + self._chosen(scores)))

    def _from_kernels(
        self,
        train: torch.Tensor,
        test: torch.Tensor,
        centred: torch.Tensor,
        inner: FoldPlan | None,
    ) -> torch.Tensor:
        """Return predictions about the training mean."""
        ones = torch.ones(len(train), dtype=torch.float64)
        factor = core.KernelFactor(train, ones[:, None])
        alphas = list(self.alphas)
        if inner is None:
            scores = factor.leave_one_out(centred, ones, alphas, core.RidgeScore.mse, None)
        else:
            scores, _ = factor.cross_validate(
                centred, ones, inner.tensors(), alphas, self.criterion, False, None
            )
        return test @ factor.solve(centred, self._chosen(scores))

    def _chosen(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the penalty of each target, from scores of shape (n_alpha, n_vox)."""
        # A target that has no score says nothing about the penalty.
        known = scores.nan_to_num(nan=0.0)
        if not self.per_target:
            known = known.mean(1, keepdim=True).expand_as(known)
        return torch.tensor(self.alphas, dtype=torch.float64)[known.argmax(0)]


def read_search(steps: Steps) -> RidgeSearchRoute:
    """Return the route of a search for the penalty of ridge, or raise `NotNative`."""
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.model_selection import GridSearchCV

    last = steps.last
    if type(last) is RidgeCV:
        if not last.fit_intercept:
            raise NotNative("native regression has an intercept, and this has fit_intercept=False")
        if last.cv is None:
            if last.scoring not in (None, "neg_mean_squared_error"):
                raise NotNative(f"native leave-one-out has no scoring={last.scoring!r}")
            return RidgeSearchRoute(
                steps,
                _positive(last.alphas),
                None,
                core.RidgeScore.mse,
                bool(last.alpha_per_target),
            )
        return RidgeSearchRoute(
            steps, _positive(last.alphas), last.cv, _score_of(last.scoring), False
        )
    if type(last) is GridSearchCV and type(last.estimator) is Ridge:
        ridge, grid = last.estimator, last.param_grid
        if not isinstance(grid, dict) or set(grid) != {"alpha"}:
            raise NotNative("native search is over alpha alone")
        if last.refit is not True:
            raise NotNative(f"refit={last.refit!r} leaves the choice to you")
        if (
            not ridge.fit_intercept
            or ridge.positive
            or ridge.solver not in ("auto", "svd", "cholesky")
        ):
            raise NotNative("native search wants Ridge as it comes")
        inner = 5 if last.cv is None else last.cv
        return RidgeSearchRoute(
            steps, _positive(grid["alpha"]), inner, _score_of(last.scoring), False
        )
    raise NotNative(f"no native route for {type(last).__name__}")


def _left_out(
    components: torch.Tensor,
    squares: torch.Tensor,
    products: torch.Tensor,
    centred: torch.Tensor,
    alpha: float,
) -> torch.Tensor:
    """Return the residuals of leaving out one row at a time, intercept refitted, (n, n_vox)."""
    fitted = components @ (products / (squares + alpha))
    leverage = components.square() @ (1 / (squares + alpha)) + 1 / len(components)
    return (centred - fitted) / (1 - leverage)


def _positive(alphas: Any) -> tuple[float, ...]:
    grid = np.asarray(alphas, dtype=object).ravel()
    if any(np.ndim(alpha) for alpha in grid):
        raise NotNative("native search takes numbers for alpha")
    values = tuple(float(alpha) for alpha in grid)
    if not values or not all(0 < value < np.inf for value in values):
        raise NotNative("native search wants positive alphas")
    return values


def _score_of(scoring: Any) -> core.RidgeScore:
    if scoring is not None and (not isinstance(scoring, str) or scoring not in _SCORES):
        raise NotNative(f"native search has no scoring={scoring!r}")
    return _SCORES[scoring]
