"""Ridge regression from a kernel that is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import Tags

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._alpha_search import DEFAULT_ALPHAS, AlphaSearchMixin
from dnnbrain_cpp.linear._target_scores import r2_average

__all__ = ["KernelRidgeCV", "check_kernel"]

_ASYMMETRY = {torch.float32: 1e-4, torch.float64: 1e-8}
"""What a kernel may differ from its transpose by, relative to its largest entry."""


class KernelRidgeCV(AlphaSearchMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Kernel ridge regression with penalties chosen by cross-validation, per target.

    `fit` takes the kernel of the training rows, `predict` that of new rows with the training rows.

    Parameters
    ----------
    alphas : array_like of shape (a,), default=numpy.logspace(-1, 6, 15)
        Positive.
    cv : int, "run", "loo", splitter, FoldPlan or iterable of (train, test), default=5
    alpha_per_target : bool, default=True
    fit_intercept : bool, default=True
        Centre the kernel on the training rows, of each fold in turn.
    scoring : {None, "mse", "r2", "r"}, default=None
    store_cv_results : bool, default=False
    progress : bool or callable, default=False

    Attributes
    ----------
    alpha_ : float, or ndarray or Tensor of shape (t,)
    best_score_ : float, or ndarray or Tensor of shape (t,)
    dual_coef_ : ndarray or Tensor of shape (n, t), or (n,) where y was 1-D
        Exact at each target's own alpha.
    intercept_ : ndarray or Tensor of shape (t,), or a number
    cv_results_ : ndarray or Tensor of shape (k, a, t), float64
        If asked for; (1, a, t) for "loo".
    n_features_in_ : int

    Notes
    -----
    One eigendecomposition for all folds, alphas and targets; see `RidgeCV`. With p features,
    ``coef = X' dual_coef_``.
    """

    def __init__(
        self,
        alphas: ArrayLike | Sequence[float] = DEFAULT_ALPHAS,
        *,
        cv: Any = 5,
        alpha_per_target: bool = True,
        fit_intercept: bool = True,
        scoring: str | None = None,
        store_cv_results: bool = False,
        progress: Progress = False,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.alpha_per_target = alpha_per_target
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.store_cv_results = store_cv_results
        self.progress = progress

    def __sklearn_tags__(self) -> Tags:
        """Say that X is a kernel."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        return tags

    def fit(self, X: Any, y: Any, *, groups: ArrayLike | None = None) -> Self:
        """Choose penalties and fit all targets.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, n)
            Kernel of the training rows, symmetric and positive semidefinite.
        y : array_like or Tensor of shape (n,) or (n, t)
        groups : array_like of shape (n,), optional
            Rows of one group, such as a run, are held out together.

        Returns
        -------
        self
        """
        alphas = self._check_search()
        kernel, targets = self._fit_pair(X, y)
        check_kernel(kernel)
        design = solvers.make_design(kernel, targets, fit_intercept=self.fit_intercept)
        exact = kernel.double()
        factor = core.KernelFactor((exact + exact.T) / 2, design.nuisance)
        scores, every = self._cross_validated(factor, design, alphas, groups)
        chosen = self._choose(scores, every, alphas, targets.dtype)
        self._dual = factor.solve(targets, chosen.to(targets.device))
        self.dual_coef_ = self._back_targets(self._dual)
        mean = torch.zeros(targets.shape[1], dtype=torch.float64, device=targets.device)
        if self.fit_intercept:
            # Dual coefficients sum to zero, so that centring the kernel leaves only this.
            mean = targets.mean(0, dtype=torch.float64) - exact.mean(0) @ self._dual.double()
        self._shift = mean.to(targets.dtype)
        self.intercept_ = self._back_targets(self._shift) if self.fit_intercept else 0.0
        return self

    def _cross_validated(
        self,
        factor: core.KernelFactor,
        design: solvers.Design,
        alphas: torch.Tensor,
        groups: ArrayLike | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return mean scores of shape (a, t), and those of each fold if they are kept."""
        folds = self._make_folds(design.n, groups)
        with progress_callback(self.progress, "choosing alpha") as report:
            return solvers.score_kernel(
                factor,
                design,
                None if self._leaves_one_out else folds.tensors(design.Y.device),
                alphas,
                scoring=self.scoring,
                keep_folds=self.store_cv_results,
                report=report,
            )

    def predict(self, X: Any) -> Any:
        """Predict the targets of new rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (m, n)
            Kernel of the new rows with the training rows.

        Returns
        -------
        ndarray or Tensor of shape (m, t), or (m,) where y was 1-D
        """
        kernel = self._new_data(X)
        dual = self._dual.to(kernel.device)
        dtype = torch.promote_types(kernel.dtype, dual.dtype)
        predicted = kernel.to(dtype) @ dual.to(dtype) + self._shift.to(kernel.device, dtype)
        return self._back_targets(predicted)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 averaged over targets, as scikit-learn does."""
        return r2_average(y, self.predict(X), sample_weight)


def check_kernel(kernel: torch.Tensor, name: str = "X") -> None:
    """Raise unless a kernel is square and symmetric."""
    if kernel.shape[0] != kernel.shape[1]:
        raise ValueError(
            f"{name} must be the square kernel of the training rows; got shape "
            f"{tuple(kernel.shape)}. Pass X @ X.T, or use RidgeCV on the features."
        )
    off = float((kernel - kernel.T).abs().max())
    if off > _ASYMMETRY[kernel.dtype] * float(kernel.abs().max()):
        raise ValueError(f"{name} must be a symmetric kernel; it is not, by up to {off:g}.")
