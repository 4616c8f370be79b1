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
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._ridge import DEFAULT_ALPHAS, check_alphas
from dnnbrain_cpp.linear._target_scores import r2_average

__all__ = ["KernelRidgeCV"]

_ASYMMETRY = {torch.float32: 1e-4, torch.float64: 1e-8}
"""What a kernel may differ from its transpose by, relative to its largest entry."""


class KernelRidgeCV(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
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
        alphas = check_alphas(self.alphas, positive=True)
        if self.scoring is not None:
            check_choice(
                self.scoring, "scoring", [name for name in solvers.RIDGE_SCORES if name is not None]
            )
        kernel, targets = self._fit_data(X, y)
        if targets is None:
            raise ValueError("y must hold the targets; got None.")
        _check_kernel(kernel)
        design = solvers.make_design(kernel, targets, fit_intercept=self.fit_intercept)
        exact = kernel.double()
        factor = core.KernelFactor((exact + exact.T) / 2, design.nuisance)
        scores = self._cross_validated(factor, design, alphas, groups)
        chosen, best = solvers.best_alphas(
            scores, alphas, per_target=self.alpha_per_target, dtype=targets.dtype
        )
        shared = self._one_target or not self.alpha_per_target
        self.alpha_ = float(chosen[0]) if shared else self._back(chosen)
        self.best_score_ = float(best[0]) if shared else self._back(best)
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
    ) -> torch.Tensor:
        loo = isinstance(self.cv, str) and self.cv == "loo"
        folds = FoldPlan.make(self.cv, n_stim=design.n, groups=groups, min_test=1 if loo else 2)
        grid = [float(alpha) for alpha in alphas]
        score = solvers.RIDGE_SCORES[self.scoring]
        every: torch.Tensor | None
        with progress_callback(self.progress, "choosing alpha") as report:
            if loo:
                mean = factor.leave_one_out(design.Y, design.ones, grid, score, report)
                every = mean[None]
            else:
                mean, every = factor.cross_validate(
                    design.Y,
                    design.ones,
                    folds.tensors(design.Y.device),
                    grid,
                    score,
                    self.store_cv_results,
                    report,
                )
        if self.store_cv_results and every is not None:
            self.cv_results_ = self._back(every)
        return mean

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


def _check_kernel(kernel: torch.Tensor) -> None:
    if kernel.shape[0] != kernel.shape[1]:
        raise ValueError(
            f"X must be the square kernel of the training rows; got shape {tuple(kernel.shape)}. "
            "Pass X @ X.T, or use RidgeCV on the features."
        )
    off = float((kernel - kernel.T).abs().max())
    if off > _ASYMMETRY[kernel.dtype] * float(kernel.abs().max()):
        raise ValueError(f"X must be a symmetric kernel; it is not, by up to {off:g}.")
