"""Lasso and elastic net for many targets: scikit-learn's coordinate descent, target by target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import sklearn
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn import linear_model
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._target_scores import r2_average

__all__ = ["ElasticNetCV", "LassoCV"]


class _SparseCV(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """One model of scikit-learn's per target, in threads."""

    def __init__(
        self,
        alphas: int | ArrayLike = 100,
        *,
        eps: float = 1e-3,
        cv: Any = 5,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_jobs: int | None = None,
    ) -> None:
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    def _model(self, options: dict[str, Any]) -> Any:
        """Return an unfitted model of one target."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> Self:
        """Fit each target with the penalty that predicts its held-out responses best.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,)
        groups : array_like of shape (n,), optional
            Rows of one group are held out together.

        Returns
        -------
        self

        Warns
        -----
        ConvergenceWarning
            Once, with how many targets reached `max_iter`.
        """
        grid = self._grid()
        data, targets = self._fit_pair(X, y)
        folds = FoldPlan.make(self.cv, n_stim=len(data), groups=groups, min_test=1)
        options = {
            **grid,
            "eps": self.eps,
            "cv": list(folds),
            "fit_intercept": self.fit_intercept,
            "max_iter": self.max_iter,
            "tol": self.tol,
            # Columns are taken in turn; a seed is drawn from the global state all the same.
            "random_state": 0,
        }
        rows = np.asfortranarray(data.cpu().numpy())
        columns = targets.cpu().numpy().T
        jobs = Parallel(n_jobs=resolve_n_threads(self.n_jobs), prefer="threads")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models = jobs(delayed(self._fit_one)(rows, column, options) for column in columns)
        n_slow = sum(model.n_iter_ >= self.max_iter for model in models)
        if n_slow:
            warnings.warn(
                f"coordinate descent stopped at {self.max_iter} passes for {n_slow} of "
                f"{len(models)} targets. Raise max_iter or eps, or scale the columns of X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._learn(models, data)
        return self

    def _fit_one(self, X: NDArray[Any], y: NDArray[Any], options: dict[str, Any]) -> Any:
        return self._model(options).fit(X, y)

    def _learn(self, models: list[Any], data: torch.Tensor) -> None:
        def gather(name: str, dtype: torch.dtype) -> torch.Tensor:
            values = np.array([getattr(model, name) for model in models])
            return torch.from_numpy(values).to(data.device, dtype)

        self._coefs = gather("coef_", data.dtype)
        self._intercepts = gather("intercept_", data.dtype)
        self.coef_ = self._back(self._coefs[0] if self._one_target else self._coefs)
        self.intercept_ = self._back_targets(self._intercepts)
        self.alpha_ = self._back_targets(gather("alpha_", torch.float64))
        self.n_iter_ = int(max(model.n_iter_ for model in models))

    def _grid(self) -> dict[str, Any]:
        if np.ndim(self.alphas) == 0:
            count = check_integer(self.alphas, "alphas", minimum=1)
            # The name of a count of penalties has changed.
            major, minor = (int(part) for part in sklearn.__version__.split(".")[:2])
            return {"alphas" if (major, minor) >= (1, 7) else "n_alphas": count}
        grid = np.array(self.alphas, dtype=np.float64)
        if grid.ndim != 1 or not grid.size or not ((grid > 0) & np.isfinite(grid)).all():
            raise ValueError(
                "alphas must be how many, or positive, finite numbers in a 1-D array; got "
                f"{self.alphas!r}."
            )
        return {"alphas": grid}

    def predict(self, X: Any) -> Any:
        """Predict the targets of new rows: (n_new, t), or (n_new,) where y was 1-D."""
        data = self._new_data(X).to(self._coefs)
        return self._back_targets(data @ self._coefs.T + self._intercepts)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 averaged over targets, as scikit-learn does."""
        return r2_average(y, self.predict(X), sample_weight)


class LassoCV(_SparseCV):
    """Lasso with a penalty per target, chosen by cross-validation.

    For each target ``coef = argmin ||y - X coef||^2 / (2 n) + alpha ||coef||_1``, solved by
    scikit-learn's `LassoCV`. Unlike its `MultiTaskLassoCV`, targets share neither their penalty nor
    which columns they use.

    Parameters
    ----------
    alphas : int or array_like of shape (a,), default=100
        How many penalties, from the smallest that leaves no column down to `eps` times it, for each
        target; or the penalties.
    eps : float, default=1e-3
    cv : int, "run", "loo", splitter, FoldPlan, or iterable of (train, test), default=5
        As for `FoldPlan.make`.
    fit_intercept : bool, default=True
    max_iter : int, default=1000
        Passes over the columns, per penalty.
    tol : float, default=1e-4
    n_jobs : int, optional
        Threads; by default torch's number.

    Attributes
    ----------
    alpha_ : ndarray or Tensor of shape (t,), float64
    coef_ : ndarray or Tensor of shape (t, p), or (p,) where y was 1-D
    intercept_ : ndarray or Tensor of shape (t,)
    n_iter_ : int
        The most passes that any target took at its penalty.
    n_features_in_ : int

    Notes
    -----
    Nothing is shared between targets: t times what scikit-learn takes for one. That is
    (folds + 1) a passes of 2 n p FLOP or more each, with a Gram matrix where p < n; with 1000
    stimuli and 1000 columns about a second per target and core. Meant for regions, not for whole
    brains; reduce the columns first, or use ridge. Tensors are brought to the CPU.
    """

    def _model(self, options: dict[str, Any]) -> Any:
        return linear_model.LassoCV(**options)


class ElasticNetCV(_SparseCV):
    """Elastic net with penalties per target, chosen by cross-validation.

    For each target, with r the `l1_ratio`,
    ``coef = argmin ||y - X coef||^2 / (2 n) + alpha (r ||coef||_1 + (1 - r) / 2 ||coef||^2)``,
    solved by scikit-learn's `ElasticNetCV`.

    Parameters
    ----------
    l1_ratio : float or sequence of float, default=0.5
        In (0, 1]; of several, each target takes the best.
    alphas, eps, cv, fit_intercept, max_iter, tol, n_jobs
        As in `LassoCV`.

    Attributes
    ----------
    l1_ratio_ : ndarray or Tensor of shape (t,), float64
    alpha_, coef_, intercept_, n_iter_, n_features_in_
        As in `LassoCV`.

    Notes
    -----
    Costs what `LassoCV` does, times the number of ratios.
    """

    def __init__(
        self,
        l1_ratio: float | Sequence[float] = 0.5,
        alphas: int | ArrayLike = 100,
        *,
        eps: float = 1e-3,
        cv: Any = 5,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            alphas,
            eps=eps,
            cv=cv,
            fit_intercept=fit_intercept,
            max_iter=max_iter,
            tol=tol,
            n_jobs=n_jobs,
        )
        self.l1_ratio = l1_ratio

    def _model(self, options: dict[str, Any]) -> Any:
        return linear_model.ElasticNetCV(l1_ratio=self.l1_ratio, **options)

    def _learn(self, models: list[Any], data: torch.Tensor) -> None:
        super()._learn(models, data)
        ratios = torch.tensor([float(model.l1_ratio_) for model in models], dtype=torch.float64)
        self.l1_ratio_ = self._back_targets(ratios.to(data.device))
