"""Ridge with a penalty chosen inside each training set: `RidgeCV`, `GridSearchCV(Ridge)`, ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp import linear
from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.encoding._layers import LayerData
from dnnbrain_cpp.encoding._routes._base import Route, native_source, smaller_source
from dnnbrain_cpp.encoding._routes._inner import check_inner_folds, inner_folds
from dnnbrain_cpp.encoding._routes._recognise import NotNative, Steps, check_ridge
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._alpha_search import check_alphas
from dnnbrain_cpp.linear._kernel_ridge import check_kernel

__all__ = ["RidgeSearchRoute", "read_grid", "read_own_search", "read_search"]

_SCORINGS = {None: "r2", "r2": "r2", "neg_mean_squared_error": "mse"}
"""What scikit-learn calls them."""

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class RidgeSearchRoute(Route):
    """[Standardise,] [PCA,] then ridge, its penalty chosen by cross-validation in the training set.

    Parameters
    ----------
    steps : Steps
    alphas : tuple of float
    inner_cv : object
        None: leave one out.
    scoring : {"mse", "r2", "r"}
    per_target : bool
        Otherwise one penalty for all targets, by their mean score.
    prefers_largest : bool
        Of penalties that do equally well, the largest, as our estimators do; otherwise the first of
        the grid, as scikit-learn does.
    groups : array_like of shape (n_stim,), optional
        Of all rows; kept together in the inner folds.
    is_kernel : bool
        The layer is the kernel of the rows.
    """

    steps: Steps
    alphas: tuple[float, ...]
    inner_cv: Any
    scoring: str
    per_target: bool
    prefers_largest: bool = False
    groups: ArrayLike | None = None
    is_kernel: bool = False
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
        name = "kernel ridge" if self.is_kernel else "ridge"
        steps.append(f"{name}({len(self.alphas)} alphas, {shared}, {inner})")
        return f"native: {' + '.join(steps)}"

    def check(self, layer: LayerData, folds: FoldPlan, name: str) -> None:
        """Raise where the inner folds are impossible, or a kernel is none."""
        if self.inner_cv is not None:
            check_inner_folds(
                self.inner_cv,
                folds,
                self.groups,
                name=f"the cv of {self.steps.last!r}",
                min_test=self._min_test,
            )
        if self.is_kernel and not isinstance(layer, Gram):
            check_kernel(as_tensor(layer), f"layer {name!r}")

    def prepared(self, layer: LayerData, folds: FoldPlan) -> LayerData:
        """Return the Gram matrix where it serves all folds, else the features."""
        if self.is_kernel:
            return layer
        return smaller_source(layer, folds, standardize=self.steps.standardize)

    def predictions(
        self, layer: LayerData, responses: NDArray[Any], folds: FoldPlan
    ) -> Iterator[NDArray[Any]]:
        """Yield the held-out predictions of each fold."""
        source = self.prepared(layer, folds)
        data, is_gram = native_source(source)
        if self.is_kernel:
            data, is_gram = data.double(), True
        n_feat = source.n_feat if isinstance(source, Gram) else source.shape[1]
        for (train, _), rows in zip(folds, folds.tensors(), strict=True):
            measured = torch.from_numpy(responses[train])
            mean = measured.mean(0, dtype=torch.float64)
            centred = (measured.double() - mean).to(measured.dtype)
            design = solvers.make_design(centred[:, :0], centred, fit_intercept=True)
            inner = (
                None
                if self.inner_cv is None
                else inner_folds(self.inner_cv, train, self.groups, min_test=self._min_test)
            )
            if self._reduces(n_feat, len(train)):
                n_comp = self.steps.n_components or min(n_feat, len(train) - 1)
                parts = core.fold_components(
                    data, is_gram, rows, n_comp, self.steps.whiten, self.steps.standardize
                )
                predicted = self._from_components(*parts, design, inner)
            else:
                kernels = core.fold_kernels(data, is_gram, rows, self.steps.standardize)
                predicted = self._from_kernels(*kernels, design, inner)
            yield predicted.add_(mean).numpy()

    @property
    def scales(self) -> bool:
        """Whether features are divided by their standard deviation."""
        return self.steps.standardize

    @property
    def _min_test(self) -> int:
        return 1 if self.scoring == "mse" else 2

    def _reduces(self, n_feat: int, n_train: int) -> bool:
        """Whether components of the rows are wanted, or are fewer than the rows."""
        if self.steps.n_components is not None:
            return True
        return not self.is_kernel and n_feat < n_train

    def _from_components(
        self, train: torch.Tensor, test: torch.Tensor, about: solvers.Design, inner: FoldPlan | None
    ) -> torch.Tensor:
        """Return predictions about the training mean; components are orthogonal."""
        if inner is None and self.scoring != "mse":
            return self._from_kernels(train @ train.T, test @ train.T, about, None)
        squares = train.square().sum(0)[:, None]
        reduced = train.to(about.Y.dtype)
        products = reduced.T @ about.Y
        if inner is None:
            scores = torch.stack(
                [
                    -_left_out(train, squares, products, about.Y, alpha).square().mean(0)
                    for alpha in self.alphas
                ]
            )
        else:
            design = solvers.make_design(reduced, about.Y, fit_intercept=True)
            scores, _ = solvers.cross_validate(design, inner, self._grid, scoring=self.scoring)
        penalties = self._chosen(scores, about.Y.dtype)
        return test.to(products.dtype) @ (products / (squares + penalties)).to(products.dtype)

    def _from_kernels(
        self, train: torch.Tensor, test: torch.Tensor, about: solvers.Design, inner: FoldPlan | None
    ) -> torch.Tensor:
        """Return predictions about the training mean."""
        factor = core.KernelFactor(train, about.nuisance)
        rows = None if inner is None else inner.tensors()
        scores, _ = solvers.score_kernel(factor, about, rows, self._grid, scoring=self.scoring)
        dual = factor.solve(about.Y, self._chosen(scores, about.Y.dtype))
        return test.to(dual.dtype) @ dual

    @property
    def _grid(self) -> torch.Tensor:
        return torch.tensor(self.alphas, dtype=torch.float64)

    def _chosen(self, scores: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return the penalty of each target, from scores of shape (n_alpha, n_vox)."""
        if self.prefers_largest:
            return solvers.best_alphas(scores, self._grid, per_target=self.per_target, dtype=dtype)[
                0
            ]
        # A target that has no score says nothing about the penalty.
        known = scores.nan_to_num(nan=0.0)
        if not self.per_target:
            known = known.mean(1, keepdim=True).expand_as(known)
        return self._grid[known.argmax(0)]


def read_search(steps: Steps) -> RidgeSearchRoute:
    """Return the route of scikit-learn's `RidgeCV`, or raise `NotNative`."""
    last = steps.last
    if not last.fit_intercept:
        raise NotNative("native regression has an intercept, and this has fit_intercept=False")
    if last.cv is None:
        if last.scoring not in (None, "neg_mean_squared_error"):
            raise NotNative(f"native leave-one-out has no scoring={last.scoring!r}")
        return RidgeSearchRoute(
            steps, _positive(last.alphas, zero=False), None, "mse", bool(last.alpha_per_target)
        )
    return RidgeSearchRoute(steps, _positive(last.alphas), last.cv, _score_of(last.scoring), False)


def read_grid(steps: Steps) -> RidgeSearchRoute:
    """Return the route of `GridSearchCV(Ridge())`, or raise `NotNative`."""
    from sklearn.linear_model import Ridge

    last = steps.last
    ridge, grid = last.estimator, last.param_grid
    if type(ridge) is not Ridge:
        raise NotNative(f"no native route for GridSearchCV of {type(ridge).__name__}")
    if not isinstance(grid, dict) or set(grid) != {"alpha"}:
        raise NotNative("native search is over alpha alone")
    if last.refit is not True:
        raise NotNative(f"refit={last.refit!r} leaves the choice to you")
    check_ridge(ridge)
    inner = 5 if last.cv is None else last.cv
    return RidgeSearchRoute(steps, _positive(grid["alpha"]), inner, _score_of(last.scoring), False)


def read_own_search(steps: Steps, groups: ArrayLike | None) -> RidgeSearchRoute:
    """Return the route of our `RidgeCV` or `KernelRidgeCV`, or raise `NotNative`.

    Of `groups`, inner folds by run are made.
    """
    last = steps.last
    is_kernel = type(last) is linear.KernelRidgeCV
    if not last.fit_intercept:
        raise NotNative("native regression has an intercept, and this has fit_intercept=False")
    alphas = last._check_search()
    scale = None if is_kernel else last.standardize
    if scale == "fold":
        raise NotNative("standardize='fold' has a scale for every inner fold")
    if is_kernel and steps.front:
        raise NotNative("no native route with steps in front of KernelRidgeCV")
    if scale == "global":
        steps = steps.standardized()
    by_run = isinstance(last.cv, str) and last.cv == "run"
    return RidgeSearchRoute(
        steps,
        tuple(alphas.tolist()),
        None if last._leaves_one_out else last.cv,
        {None: "mse", "neg_mean_squared_error": "mse"}.get(last.scoring, last.scoring),
        bool(last.alpha_per_target),
        prefers_largest=True,
        groups=groups if by_run else None,
        is_kernel=is_kernel,
    )


def _left_out(
    components: torch.Tensor,
    squares: torch.Tensor,
    products: torch.Tensor,
    centred: torch.Tensor,
    alpha: float,
) -> torch.Tensor:
    """Return the residuals of leaving out one row at a time, intercept refitted, (n, n_vox)."""
    # In float64: where components are many, little is left of a residual.
    fitted = components @ (products.double() / (squares + alpha))
    leverage = components.square() @ (1 / (squares + alpha)) + 1 / len(components)
    return (centred.double() - fitted) / (1 - leverage)


def _positive(alphas: Any, *, zero: bool = True) -> tuple[float, ...]:
    """Return penalties; raise where there is none, `NotNative` where `zero` is one."""
    if any(np.ndim(alpha) for alpha in np.asarray(alphas, dtype=object).ravel()):
        raise NotNative("native search takes numbers for alpha")
    values = tuple(check_alphas(alphas, positive=not zero).tolist())
    if not all(values):
        raise NotNative("native search wants positive alphas")
    return values


def _score_of(scoring: Any) -> str:
    if scoring is not None and (not isinstance(scoring, str) or scoring not in _SCORINGS):
        raise NotNative(f"native search has no scoring={scoring!r}")
    return _SCORINGS[scoring]
