"""Ridge regression of many targets: fixed penalties, and penalties chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._alpha_search import DEFAULT_ALPHAS, AlphaSearchMixin, check_alphas
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._plan import plan_ridge
from dnnbrain_cpp.linear._target_scores import r2_average
from dnnbrain_cpp.linear._weights import exact_product

__all__ = ["Ridge", "RidgeCV"]


class _RidgeBase(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """What is left to do once the penalty of each target is known."""

    fit_intercept: bool

    def _design(self, X: Any, y: Any, sample_weight: Any, nuisance: Any) -> solvers.Design:
        data, targets = self._fit_pair(X, y)
        return solvers.make_design(
            data,
            targets,
            fit_intercept=self.fit_intercept,
            sample_weight=None if sample_weight is None else _weights(sample_weight, len(data)),
            nuisance=None if nuisance is None else _columns(nuisance, len(data)),
        )

    def _learn(self, design: solvers.Design, alphas: torch.Tensor, *, standardize: bool) -> None:
        weights = solvers.solve(design, alphas, standardize=standardize)
        self._weights = weights
        shift = weights.origin
        at_origin = torch.zeros(design.Y.shape[1], dtype=torch.float64, device=weights.device)
        at_zero = at_origin
        if design.nuisance.shape[1]:
            fit = torch.linalg.pinv(design.nuisance)
            # (Z+ X) W rather than Z+ (X W): nothing of the size of the targets.
            seen = exact_product(fit, design.X)
            if shift is not None:
                seen -= torch.outer(fit @ design.ones, shift.double())
            beside = exact_product(fit, design.Y) - weights.apply_centred(seen)
            if self.fit_intercept:
                at_origin = at_zero = beside[0]
                beside = beside[1:]
            if len(beside):
                self.nuisance_coef_ = self._back_targets(beside.to(weights.dtype))
        if shift is not None:
            at_zero = at_origin - weights.apply_centred(shift[None].double())[0]
        self._at_origin = at_origin.to(weights.dtype)
        self.intercept_ = (
            self._back_targets(at_zero.to(weights.dtype)) if self.fit_intercept else 0.0
        )

    @property
    def coef_(self) -> Any:
        """Weights of the features, formed when they are first asked for."""
        if not hasattr(self, "_weights"):
            raise AttributeError("coef_ is there after fit")
        weights = self._weights.formed()
        return self._back(weights[:, 0] if self._one_target else weights.T)

    def predict(self, X: Any) -> Any:
        """Predict the targets of new rows; nuisance regressors have no part in it.

        Parameters
        ----------
        X : array_like or Tensor of shape (m, p)

        Returns
        -------
        ndarray or Tensor of shape (m, t), or (m,) where y was 1-D
        """
        data = self._new_data(X)
        dtype = torch.promote_types(data.dtype, self._weights.dtype)
        predicted = self._weights.apply(data.to(dtype)) + self._at_origin.to(dtype)
        return self._back_targets(predicted.to(data.device))

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 averaged over targets, as scikit-learn does."""
        return r2_average(y, self.predict(X), sample_weight)


def _weights(sample_weight: Any, n: int) -> torch.Tensor:
    if isinstance(sample_weight, torch.Tensor):
        return sample_weight.detach()
    array = np.asarray(sample_weight, dtype=np.float64)
    return torch.from_numpy(np.full(n, float(array)) if array.ndim == 0 else array.copy())


def _columns(nuisance: Any, n: int) -> torch.Tensor:
    columns = torch.as_tensor(np.asarray(nuisance, dtype=np.float64).copy())
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or len(columns) != n or not bool(columns.isfinite().all()):
        raise ValueError(
            f"nuisance must be finite and have shape ({n}, z); got {tuple(columns.shape)}."
        )
    return columns


class Ridge(_RidgeBase):
    """Ridge regression with a penalty for all targets, or one for each.

    Parameters
    ----------
    alpha : float or array_like of shape (t,), default=1.0
        Not negative; 0 is least squares of minimum norm.
    fit_intercept : bool, default=True
    standardize : bool, default=False
        Divide features by their standard deviation. ``coef_`` is in units of the features as given.

    Attributes
    ----------
    coef_ : ndarray or Tensor of shape (t, p), or (p,) where y was 1-D
    intercept_ : ndarray or Tensor of shape (t,), or a number
    nuisance_coef_ : ndarray or Tensor of shape (z, t)
        Only with nuisance regressors.
    n_features_in_ : int

    Notes
    -----
    Through the covariance of the features (n p^2 + 2 n p t FLOP) for p < n, else through the kernel
    of the rows (n^2 p + 4 n^2 t). Factorisations are float64; products with targets have the dtype
    of X. In float64 and without a penalty, a singular value decomposition.

    References
    ----------
    .. [1] Hoerl, A. E. & Kennard, R. W. (1970). Ridge regression: biased estimation for
       nonorthogonal problems. Technometrics 12.
    """

    def __init__(
        self,
        alpha: float | ArrayLike = 1.0,
        *,
        fit_intercept: bool = True,
        standardize: bool = False,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.standardize = standardize

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, nuisance: Any = None) -> Self:
        """Fit all targets.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n,) or (n, t)
        sample_weight : array_like of shape (n,), optional
        nuisance : array_like of shape (n, z), optional
            Regressors without a penalty, such as drifts.

        Returns
        -------
        self
        """
        alphas = check_alphas(self.alpha, positive=False)
        design = self._design(X, y, sample_weight, nuisance)
        n_target = design.Y.shape[1]
        if len(alphas) not in (1, n_target):
            raise ValueError(
                f"alpha must be one number, or one for each of {n_target} targets; got "
                f"{len(alphas)}."
            )
        self._learn(design, alphas.expand(n_target), standardize=self.standardize)
        return self


class RidgeCV(AlphaSearchMixin, _RidgeBase):
    """Ridge regression with penalties chosen by cross-validation, for each target its own.

    Parameters
    ----------
    alphas : array_like of shape (a,), default=numpy.logspace(-1, 6, 15)
        Positive. A dense grid costs little: predictions of most alphas are combinations of a few
        others' (see Notes).
    cv : int, "run", "loo", splitter, FoldPlan or iterable of (train, test), default=5
        See `FoldPlan.make`. "loo" leaves out one row at a time.
    alpha_per_target : bool, default=True
        Otherwise one alpha for all, by the mean score over targets.
    fit_intercept : bool, default=True
    scoring : {None, "mse", "r2", "r"}, default=None
        Averaged over folds. "mse" is negative, so that more is better; None is "mse".
    standardize : {None, "fold", "global"}, default=None
        Divide features by the standard deviation of each fold's training rows, or once by that of
        all rows, which lets held-out rows have a say in the scale.
    store_cv_results : bool, default=False
    budget_bytes : int, optional
        Memory that may be taken beyond the data and the result; by default half of what is free.
        Where it is short, folds or alphas go in blocks.
    progress : bool or callable, default=False

    Attributes
    ----------
    alpha_ : float, or ndarray or Tensor of shape (t,)
        Of alphas that score alike but for rounding, the largest.
    best_score_ : float, or ndarray or Tensor of shape (t,)
    coef_ : ndarray or Tensor of shape (t, p), or (p,) where y was 1-D
    intercept_ : ndarray or Tensor of shape (t,), or a number
    nuisance_coef_ : ndarray or Tensor of shape (z, t)
        Only with nuisance regressors.
    cv_results_ : ndarray or Tensor of shape (k, a, t), float64
        If asked for; (1, a, t) for "loo".
    plan_ : RidgePlan
        What was done, and what it took; see `plan`.
    n_features_in_ : int

    Notes
    -----
    Exact: the scores are those of refitting in every fold, with the intercept, the scale and the
    nuisance regressors of its training rows. For p < n_train through sums over folds [1]_ [2]_;
    else through one eigendecomposition of the kernel for all folds and alphas [3]_. Predictions
    of most alphas are combinations of those of a few, to 1e-5 of their size in float32 and 1e-13 in
    float64; only inner products of predictions are kept.

    References
    ----------
    .. [1] Engstrom, O.-C. G. & Jensen, M. H. (2025). Fast partition-based cross-validation with
       centering and scaling for X'X and X'Y. Journal of Chemometrics 39.
    .. [2] Buteneers, P. et al. (2013). Optimized parameter search for large datasets of the
       regularization parameter and feature selection for ridge regression. Neural Processing
       Letters 38.
    .. [3] Pahikkala, T., Boberg, J. & Salakoski, T. (2006). Fast n-fold cross-validation for
       regularized least-squares. SCAI 2006.
    """

    def __init__(
        self,
        alphas: ArrayLike | Sequence[float] = DEFAULT_ALPHAS,
        *,
        cv: Any = 5,
        alpha_per_target: bool = True,
        fit_intercept: bool = True,
        scoring: str | None = None,
        standardize: Literal["fold", "global"] | None = None,
        store_cv_results: bool = False,
        budget_bytes: int | None = None,
        progress: Progress = False,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.alpha_per_target = alpha_per_target
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.standardize = standardize
        self.store_cv_results = store_cv_results
        self.budget_bytes = budget_bytes
        self.progress = progress

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: ArrayLike | None = None,
        nuisance: Any = None,
    ) -> Self:
        """Choose penalties and fit all targets.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n,) or (n, t)
        sample_weight : array_like of shape (n,), optional
            Of the fit and of the scores.
        groups : array_like of shape (n,), optional
            Rows of one group, such as a run, are held out together.
        nuisance : array_like of shape (n, z), optional
            Regressors without a penalty, fitted in each fold.

        Returns
        -------
        self

        Raises
        ------
        MemoryError
            If the least that works is more than the budget; nothing has run then.
        ValueError
            For NaN, unequal lengths, impossible folds, alphas that are not positive, or nuisance
            columns that a training fold cannot tell apart.
        """
        alphas = self._check_search()
        if self.standardize is not None:
            check_choice(self.standardize, "standardize", ("fold", "global"))
        design = self._design(X, y, sample_weight, nuisance)
        scores, every = self._cross_validated(design, alphas, groups)
        chosen = self._choose(scores, every, alphas, design.X.dtype)
        self._learn(design, chosen, standardize=self.standardize is not None)
        return self

    def _cross_validated(
        self, design: solvers.Design, alphas: torch.Tensor, groups: ArrayLike | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return mean scores of shape (a, t), and those of each fold if they are kept."""
        folds = self._make_folds(design.n, groups)
        self.plan_ = plan_ridge(
            design.n,
            design.p,
            design.Y.shape[1],
            n_alpha=len(alphas),
            n_fold=len(folds),
            n_train=min(folds.n_train),
            n_test=max(folds.n_test),
            dtype=str(design.X.dtype).removeprefix("torch."),
            budget_bytes=self.budget_bytes,
            rescaled=self.standardize == "global",
        )
        with progress_callback(self.progress, "choosing alpha") as report:
            if self._leaves_one_out and self.standardize != "fold":
                pooled = solvers.leave_one_out(
                    design,
                    alphas,
                    scoring=self.scoring,
                    standardize=self.standardize,
                    report=report,
                )
                return pooled, pooled[None]
            return solvers.cross_validate(
                design,
                folds,
                alphas,
                scoring=self.scoring,
                standardize=self.standardize,
                keep_folds=self.store_cv_results,
                run_plan=self.plan_,
                report=report,
            )
