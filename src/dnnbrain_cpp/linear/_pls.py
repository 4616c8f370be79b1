"""Partial least squares: scikit-learn's numbers from Gram matrices."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from dnnbrain_cpp._memory import available_bytes
from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite, check_integer
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._target_scores import r2_average

__all__ = ["HeldOutPls", "PLSRegression", "cross_validate_pls"]

_ALGORITHMS = {"nipals": core.PlsAlgorithm.nipals, "exact": core.PlsAlgorithm.exact}
_SCORES = {"r": core.Score.r, "r2": core.Score.r2}
_COLUMN_BLOCK = 4096
"""Columns of new data that are held in float64 at once."""

_UNKNOWN_MEMORY = 4 << 30


class PLSRegression(
    TensorMixin,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    RegressorMixin,  # type: ignore[misc]
    MultiOutputMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Partial least squares regression, without touching the features more than once or twice.

    Same contract, attributes and numbers as :class:`sklearn.cross_decomposition.PLSRegression`.
    The iteration runs on the n x n inner products of the rows, and in a Krylov space of a few
    dimensions; see ``src/cpp/include/dnnbrain/tensor/pls.hpp``.

    Parameters
    ----------
    n_components : int
        At most ``min(n, p)``.
    scale : bool
        Divide features and targets by their standard deviation (n - 1).
    max_iter, tol
        When the power iteration of ``algorithm="nipals"`` stops: once the squared change of the
        weights is below `tol`.
    copy : bool
        Nothing is ever overwritten; here so that code written for scikit-learn runs.
    algorithm : {"nipals", "exact"}
        ``"nipals"`` stops where scikit-learn stops, which at the default `tol` leaves predictions
        some 1e-3 from convergence: equal to scikit-learn to 1e-10, and the iterations are as many.
        ``"exact"`` takes what the iteration converges to, and does not depend on `tol`.

    Attributes
    ----------
    x_weights_, x_loadings_, x_rotations_ : ndarray or Tensor of shape (p, n_components)
    y_weights_, y_loadings_, y_rotations_ : ndarray or Tensor of shape (t, n_components)
    x_scores_, y_scores_ : ndarray or Tensor of shape (n, n_components)
    coef_ : ndarray or Tensor of shape (t, p)
        Formed each time it is asked for; `predict` does without.
    intercept_ : ndarray or Tensor of shape (t,)
        The targets' means: `predict` is ``(X - mean) @ coef_.T + intercept_``, as in scikit-learn.
    n_iter_ : list of int
        Power iterations of each component; Lanczos steps for ``"exact"``.
    n_features_in_ : int

    Notes
    -----
    Work is done in float64; attributes and results have the dtype of their data. Components beyond
    what features and targets have in common are zero, with a warning. Columns that do not vary are
    left out; scikit-learn takes the rounding of their mean for variance.

    Cost: n^2 (p + t) FLOP for the inner products, 2 n p n_components for the attributes, and some
    40 n^2 per component.

    From n x n moments, features whose spread is below 1e-6 of the largest direction's are known
    less well than from the features themselves.

    References
    ----------
    Wegelin (2000), A survey of partial least squares methods. Rannar, Lindgren, Geladi and Wold
    (1994), A PLS kernel algorithm for data sets with many variables and fewer objects.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "scale": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "copy": ["boolean"],
        "algorithm": [StrOptions(set(_ALGORITHMS))],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        scale: bool = True,
        max_iter: int = 500,
        tol: float = 1e-6,
        copy: bool = True,
        algorithm: str = "nipals",
    ) -> None:
        self.n_components = n_components
        self.scale = scale
        self.max_iter = max_iter
        self.tol = tol
        self.copy = copy
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,)

        Returns
        -------
        PLSRegression
            Itself.

        Raises
        ------
        ValueError
            For bad parameters, data that are not finite, unequal lengths, or more components than
            ``min(n, p)``.
        """
        self._validate_params()
        data, targets = self._fit_pair(X, y)
        model = core.fit_pls(
            data.contiguous(),
            targets.contiguous(),
            core.PlsOptions(
                int(self.n_components),
                bool(self.scale),
                _ALGORITHMS[self.algorithm],
                int(self.max_iter),
                float(self.tol),
            ),
            None,
        )
        self._learn(model, data.dtype)
        return self

    def _learn(self, model: Any, dtype: torch.dtype) -> None:
        self.n_iter_ = list(model.n_iter)
        if self.algorithm == "nipals":
            _warn_unconverged(self.n_iter_, self.max_iter)
        n_found = len(self.n_iter_)
        if n_found < self.n_components:
            warnings.warn(
                f"y residual is constant at iteration {n_found}, or what is left of X has nothing "
                "in common with it; the components from there on are zero.",
                stacklevel=3,
            )
        missing = self.n_components - n_found

        def whole(part: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(part, (0, missing))

        self._x_mean, self._x_std = model.x_mean, model.x_std
        self._y_mean, self._y_std = model.y_mean, model.y_std
        inner = model.x_loadings.T @ model.x_weights
        self._rotations = whole(torch.linalg.solve(inner, model.x_weights, left=False))
        self._x_loadings = whole(model.x_loadings)
        self._loadings = whole(model.y_loadings)
        own = torch.linalg.pinv(self._loadings.T @ self._loadings)
        self._y_rotations = self._loadings @ own

        def outward(part: torch.Tensor) -> Any:
            return self._back(part.to(dtype))

        self.x_weights_ = outward(whole(model.x_weights))
        self.x_loadings_ = outward(self._x_loadings)
        self.x_rotations_ = outward(self._rotations)
        self.x_scores_ = outward(whole(model.x_scores))
        # After regressing Y on the score, the last weights are the loadings.
        self.y_weights_ = outward(self._loadings)
        self.y_loadings_ = outward(self._loadings.clone())
        self.y_rotations_ = outward(self._y_rotations)
        self.y_scores_ = outward(whole(model.y_scores))
        self.intercept_ = outward(self._y_mean)
        self._dtype = dtype
        self._n_features_out = int(self.n_components)

    @property
    def coef_(self) -> Any:
        """Coefficients of shape (t, p)."""
        if not hasattr(self, "_rotations"):
            raise AttributeError(f"{type(self).__name__} has no coef_ before it is fitted.")
        scaled = self._loadings * self._y_std[:, None]
        return self._back((scaled @ (self._rotations / self._x_std[:, None]).T).to(self._dtype))

    def _scores_of(self, data: torch.Tensor) -> torch.Tensor:
        """Return the scores of rows, shape (n, n_components), float64."""
        scores = data.new_zeros(len(data), self._rotations.shape[1], dtype=torch.float64)
        for first in range(0, data.shape[1], _COLUMN_BLOCK):
            block = slice(first, first + _COLUMN_BLOCK)
            z = (data[:, block].double() - self._x_mean[block]) / self._x_std[block]
            scores += z @ self._rotations[block]
        return scores

    def predict(self, X: Any, copy: bool = True) -> Any:
        """Predict the targets of new rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        copy : bool
            Nothing is ever overwritten.

        Returns
        -------
        ndarray or Tensor of shape (n, t)
            (n,) where y was 1-D.
        """
        data = self._new_data(X)
        predicted = self._scores_of(data) @ (self._loadings * self._y_std[:, None]).T
        return self._back_targets((predicted + self._y_mean).to(data.dtype))

    def transform(self, X: Any, y: Any = None, copy: bool = True) -> Any:
        """Return the scores of rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,), optional
        copy : bool
            Nothing is ever overwritten.

        Returns
        -------
        ndarray or Tensor of shape (n, n_components)
            With `y`, a pair of them.
        """
        data = self._new_data(X)
        scores = self._back(self._scores_of(data).to(data.dtype))
        if y is None:
            return scores
        targets = self._targets(y)
        scaled = (targets.double() - self._y_mean) / self._y_std
        return scores, self._back((scaled @ self._y_rotations).to(targets.dtype))

    def _targets(self, y: Any) -> torch.Tensor:
        """Return new targets, shape (n, t)."""
        if isinstance(y, torch.Tensor):
            targets = y.detach().to(self._loadings.device)
        else:
            array = check_array(y, input_name="y", ensure_2d=False, dtype=[np.float64, np.float32])
            targets = as_tensor(array).to(self._loadings.device)
        targets = targets[:, None] if targets.ndim == 1 else targets
        if targets.shape[1] != len(self._loadings):
            raise ValueError(
                f"y must have the {len(self._loadings)} targets that the estimator was fitted on; "
                f"got {targets.shape[1]}."
            )
        return targets

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and return the scores of X, and of y where there is one."""
        return self.fit(X, y).transform(X, y)

    def inverse_transform(self, X: Any, y: Any = None) -> Any:
        """Return rows from their scores.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, n_components)
        y : array_like or Tensor of shape (n, n_components), optional

        Returns
        -------
        ndarray or Tensor of shape (n, p)
            With `y`, a pair of them, the second of shape (n, t).
        """
        check_is_fitted(self)
        scores = self._given_scores(X, "X")
        rows = (scores.double() @ self._x_loadings.T) * self._x_std + self._x_mean
        if y is None:
            return self._back(rows.to(scores.dtype))
        others = self._given_scores(y, "y")
        targets = (others.double() @ self._loadings.T) * self._y_std + self._y_mean
        return self._back(rows.to(scores.dtype)), self._back(targets.to(others.dtype))

    def _given_scores(self, scores: Any, name: str) -> torch.Tensor:
        if isinstance(scores, torch.Tensor):
            given = scores.detach().to(self._loadings.device)
        else:
            array = check_array(scores, input_name=name, dtype=[np.float64, np.float32])
            given = as_tensor(array).to(self._loadings.device)
        if given.ndim != 2 or given.shape[1] != self._loadings.shape[1]:
            raise ValueError(
                f"{name} must have shape (n, {self._loadings.shape[1]}), a column per component; "
                f"got {tuple(given.shape)}."
            )
        return given

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R2, the mean over targets."""
        return r2_average(y, self.predict(X), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@dataclass(frozen=True)
class HeldOutPls:
    """What partial least squares makes of held-out rows.

    Attributes
    ----------
    scores : Tensor of shape (n_count, n_fold, t), float64
        NaN where a fold's measured target is constant.
    counts : tuple of int
        Component counts of the first axis.
    predictions : tuple of Tensor of shape (n_test, t)
        One per fold, rows as in ``test``, from all components; empty unless asked for.
    n_found : Tensor of shape (n_fold,), int64
        Components that each fold has.
    n_iter : Tensor of shape (n_fold, n_components), int64
        Power iterations, or Lanczos steps for ``"exact"``; 0 where there is no component.
    """

    scores: torch.Tensor
    counts: tuple[int, ...]
    predictions: tuple[torch.Tensor, ...]
    n_found: torch.Tensor
    n_iter: torch.Tensor


def cross_validate_pls(
    X: ArrayLike | torch.Tensor,
    Y: ArrayLike | torch.Tensor,
    folds: FoldPlan | Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
    n_components: int = 2,
    *,
    kernel: bool = False,
    scale: bool = True,
    algorithm: str = "nipals",
    max_iter: int = 500,
    tol: float = 1e-6,
    scoring: str = "r",
    counts: Sequence[int] | None = None,
    predictions: bool = False,
    max_bytes: int | None = None,
    progress: ProgressCallback | None = None,
) -> HeldOutPls:
    """Score `PLSRegression` on held-out rows, as if it were fitted anew in every fold.

    Parameters
    ----------
    X : array_like or Tensor of shape (n, p)
        Features, or with `kernel` their Gram matrix of shape (n, n), about any centre.
    Y : array_like or Tensor of shape (n, t) or (n,)
    folds : FoldPlan or iterable of (train, test)
        Rows; a row that trains twice counts twice.
    n_components : int
        Less than the rows that any fold trains on, and at most p.
    kernel : bool
        Whether X is a Gram matrix; `scale` must be False then.
    scale, algorithm, max_iter, tol
        As for `PLSRegression`; scaling is by the training rows of each fold.
    scoring : {"r", "r2"}
    counts : sequence of int, optional
        Component counts to score as well, at no further fit; by default `n_components` alone.
    predictions : bool
        Keep the predictions of held-out rows. Folds may hold out one row then; its score is NaN.
    max_bytes : int, optional
        For the matrices of the folds that are at work together; half of what is free by default.
    progress : callable, optional
        Called with folds done and all; returning False stops the work.

    Returns
    -------
    HeldOutPls

    Raises
    ------
    ValueError
        For data that are not finite, wrong lengths, or components that a fold cannot have.

    Notes
    -----
    Where a fold's training rows have a lower rank than `n_components`, its further components add
    nothing, with a warning. Cost with scaling: half of 2 n^2 (p + t) FLOP per fold, and 4 n^2 per
    Lanczos step; without it the Gram matrices are formed once for all folds.
    """
    check_choice(algorithm, "algorithm", tuple(_ALGORITHMS))
    check_choice(scoring, "scoring", tuple(_SCORES))
    n_components = check_integer(n_components, "n_components", minimum=1)
    wanted = tuple(sorted({check_integer(c, "counts", minimum=1) for c in counts or ()}))
    wanted = wanted or (n_components,)
    if wanted[-1] > n_components:
        raise ValueError(f"counts must be at most n_components={n_components}; got {wanted[-1]}.")
    if kernel and scale:
        raise ValueError(
            "scale=True needs the features themselves: a Gram matrix does not tell them apart. "
            "Give the features, or scale=False."
        )
    data, targets = _checked(X, "X"), _checked(Y, "Y")
    if len(targets) != len(data):
        raise ValueError(f"X and Y must have as many rows; got {len(data)} and {len(targets)}.")
    rows = [
        (torch.tensor(np.asarray(train)), torch.tensor(np.asarray(test))) for train, test in folds
    ]
    if not predictions:
        _check_sizes(rows)
    free = available_bytes() or _UNKNOWN_MEMORY
    found = core.cross_validate_pls(
        data.double() if kernel else data,
        kernel,
        targets,
        [(train.to(data.device), test.to(data.device)) for train, test in rows],
        core.PlsOptions(
            wanted[-1],
            bool(scale),
            _ALGORITHMS[algorithm],
            check_integer(max_iter, "max_iter", minimum=1),
            float(tol),
        ),
        list(wanted),
        _SCORES[scoring],
        predictions,
        free // 2 if max_bytes is None else max_bytes,
        progress,
    )
    if algorithm == "nipals":
        _warn_unconverged(found.n_iter.flatten().tolist(), max_iter)
    if int(found.n_found.min()) < wanted[-1]:
        fold = int(found.n_found.argmin())
        warnings.warn(
            f"fold {fold} has only {int(found.n_found[fold])} of {wanted[-1]} components: after "
            "them, features and targets have nothing in common. The others add nothing.",
            stacklevel=2,
        )
    return HeldOutPls(found.scores, wanted, tuple(found.predictions), found.n_found, found.n_iter)


def _checked(values: Any, name: str) -> torch.Tensor:
    """Return finite floating-point data of shape (n, columns)."""
    if isinstance(values, torch.Tensor):
        data = values.detach()
        if data.dtype not in (torch.float32, torch.float64):
            data = data.float() if data.is_floating_point() else data.double()
        if not bool(data.isfinite().all()):
            raise ValueError(f"{name} must be finite; it holds NaN or infinity. Remove them.")
    else:
        array = as_float_array(values, name, ndim=(1, 2))
        check_finite(array, name)
        data = as_tensor(array)
    data = data[:, None] if data.ndim == 1 else data
    if data.ndim != 2 or data.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, columns); got {tuple(data.shape)}.")
    return data.contiguous()


def _check_sizes(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for place, (_, test) in enumerate(rows):
        if len(test) < 2:
            raise ValueError(
                "every fold must hold out at least 2 rows, or its score has no meaning; fold "
                f"{place} holds out {len(test)}. Ask for predictions and pool them."
            )


def _warn_unconverged(n_iter: Sequence[int], max_iter: int) -> None:
    if max(n_iter, default=0) >= max_iter:
        warnings.warn("Maximum number of iterations reached", ConvergenceWarning, stacklevel=4)
