"""Fractional ridge regression: how long the coefficients are, rather than what they are charged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from dnnbrain_cpp._native import core
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._target_scores import SCORES, r2_average, target_scores

__all__ = ["FracRidge", "FracRidgeCV"]

_TARGET_BLOCK = 4096
"""Targets whose squared coefficients are held in float64 at once."""

DEFAULT_FRACTIONS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))


class _Axes(NamedTuple):
    """Least squares along the eigenvectors of X'X, about the means."""

    x_mean: torch.Tensor  # (p,) float64
    y_mean: torch.Tensor  # (t,) float64
    vectors: torch.Tensor  # (p, r), dtype of X
    eigenvalues: torch.Tensor  # (r,) float64, positive
    coefs: torch.Tensor  # (r, t) of least squares, dtype of X


def _axes(X: torch.Tensor, Y: torch.Tensor, *, fit_intercept: bool) -> _Axes:
    """Decompose X of shape (n, p) and project Y of shape (n, t).

    float64 takes a singular value decomposition. float32 has no digits that would be lost by
    squaring: there the float64 Gram matrix of the shorter side is decomposed.
    """
    n, p = X.shape
    x_mean = X.mean(0, dtype=torch.float64) if fit_intercept else X.new_zeros(p).double()
    y_mean = Y.mean(0, dtype=torch.float64) if fit_intercept else Y.new_zeros(Y.shape[1]).double()
    centred = X.double() - x_mean
    targets = (Y - y_mean).to(X.dtype)
    if X.dtype == torch.float64:
        u, s, vt = torch.linalg.svd(centred, full_matrices=False)
        kept = s > max(n, p) * torch.finfo(torch.float64).eps * s[0]
        u, s, v = u[:, kept], s[kept], vt[kept].T
    else:
        gram = centred.T @ centred if p <= n else centred @ centred.T
        values, q = torch.linalg.eigh(gram)
        kept = values > max(n, p) * torch.finfo(torch.float64).eps * values[-1]
        s, q = values[kept].sqrt(), q[:, kept]
        u, v = (centred @ q / s, q) if p <= n else (q, centred.T @ q / s)
    coefs = (u.to(X.dtype).T @ targets) / s.to(X.dtype)[:, None]
    return _Axes(x_mean, y_mean, v.to(X.dtype).contiguous(), s**2, coefs)


def _alphas(axes: _Axes, fractions: torch.Tensor) -> torch.Tensor:
    """Return the penalty of each fraction and target, both of shape (f, t), float64."""
    values = axes.eigenvalues.cpu().numpy()[None]
    wanted = fractions.cpu().numpy()
    out = np.empty_like(wanted)
    for first in range(0, wanted.shape[1], _TARGET_BLOCK):
        block = slice(first, first + _TARGET_BLOCK)
        squares = axes.coefs[:, block].T.cpu().double().numpy() ** 2
        out[:, block] = core.fraction_alphas(
            values,
            np.ascontiguousarray(squares),
            np.ascontiguousarray(wanted[:, block]),
            resolve_n_threads(None),
            None,
        )
    return torch.from_numpy(out).to(axes.coefs.device)


def _shortened(axes: _Axes, alphas: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the coefficients along the eigenvectors, (r, t), for each row of penalties (f, t)."""
    values = axes.eigenvalues[:, None]
    for alpha in alphas:
        yield axes.coefs * (values / (values + alpha)).to(axes.coefs.dtype)


class _FracRidgeBase(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """What is left to do once the fraction of each target is known."""

    fit_intercept: bool

    def _learn(
        self, data: torch.Tensor, targets: torch.Tensor, fractions: torch.Tensor, *, several: bool
    ) -> None:
        self._axes = _axes(data, targets, fit_intercept=self.fit_intercept)
        self._alphas = _alphas(self._axes, fractions)
        self._several = several
        self.alpha_ = self._outward(self._alphas)
        at_zero = self._axes.x_mean.to(data.dtype) @ self._axes.vectors
        shift = torch.stack([at_zero @ b for b in _shortened(self._axes, self._alphas)])
        self.intercept_ = self._outward((self._axes.y_mean - shift).to(data.dtype))

    def _outward(self, result: torch.Tensor) -> Any:
        """Return shape (f, ..., t) as the caller's kind, without axes that were not used."""
        return self._back_targets(result if self._several else result[0])

    @property
    def coef_(self) -> Any:
        """Coefficients of shape (t, p), (p,) for 1-D y; a first axis for several fractions.

        Formed anew each time it is asked for, at 2 p r t FLOP a fraction.
        """
        if not hasattr(self, "_axes"):
            raise AttributeError(f"{type(self).__name__} has no coef_ before it is fitted.")
        coefs = torch.stack(
            [(self._axes.vectors @ b).T for b in _shortened(self._axes, self._alphas)]
        )
        if self._one_target:
            coefs = coefs[:, 0]
        return self._back(coefs if self._several else coefs[0])

    def predict(self, X: Any) -> Any:
        """Predict the targets of new rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)

        Returns
        -------
        ndarray or Tensor of shape (n, t)
            (n,) where y was 1-D; with several fractions they come first, (f, n, t).
        """
        rows, mean = self._predictor(X)
        predictions = [rows @ b + mean for b in _shortened(self._axes, self._alphas)]
        return self._outward(torch.stack(predictions))

    def _predictor(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return new rows along the eigenvectors, (n, r), and the mean response."""
        data = self._new_data(X)
        like = self._axes.vectors
        centred = (data.to(like.device).double() - self._axes.x_mean).to(like.dtype)
        return centred @ like, self._axes.y_mean.to(like.dtype)

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """Return R2 averaged over targets, as scikit-learn does; (f,) for several fractions."""
        predicted = self.predict(X)
        if self._several:
            return np.array([r2_average(y, each, sample_weight) for each in predicted])
        return r2_average(y, predicted, sample_weight)


class FracRidge(_FracRidgeBase):
    """Ridge regression by the length of the coefficients, relative to least squares.

    For each target, alpha is such that ``||coef(alpha)|| = fraction * ||coef(0)||``. A fraction
    means the same for every target and data set, which an alpha does not.

    Parameters
    ----------
    fractions : float or array_like, default=0.5
        In [0, 1]; 1 is least squares (of minimum norm), 0 predicts the mean.

        float
            for all targets.
        shape (f,)
            several, each for all targets. They become the first axis of what is learnt and
            predicted.
        shape (f, t)
            likewise, with a fraction of its own for each target.
    fit_intercept : bool, default=True
        Centre X and y.

    Attributes
    ----------
    alpha_ : ndarray or Tensor of shape (t,) or (f, t), float64
        Penalties. Infinity for fraction 0; 0 for fraction 1 and for targets that X does not
        explain at all.
    intercept_ : ndarray or Tensor of shape (t,) or (f, t)
    coef_ : ndarray or Tensor of shape (t, p) or (f, t, p)
        Formed when asked for.
    n_features_in_ : int

    Notes
    -----
    One decomposition of X (6 n p min(n, p) FLOP or so), then for each target and fraction about ten
    Newton steps of min(n, p) terms: no grid of alphas and no interpolation. alpha is exact to
    rounding. Predictions of one fraction cost 2 n r t, r the rank of X.

    Tensors stay on their device but for the squared coefficients, whose root is found on the CPU.

    References
    ----------
    .. [1] Rokem, A. & Kay, K. (2020). Fractional ridge regression: a fast, interpretable
       reparameterization of ridge regression. GigaScience 9.
    """

    def __init__(self, fractions: float | ArrayLike = 0.5, *, fit_intercept: bool = True) -> None:
        self.fractions = fractions
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any) -> Self:
        """Find the penalties.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For fractions outside [0, 1] or of a shape that does not fit the targets.
        """
        fractions = _check_fractions(self.fractions, max_ndim=2)
        data, targets = self._fit_pair(X, y)
        n_vox = targets.shape[1]
        if fractions.ndim == 2 and fractions.shape[1] != n_vox:
            raise ValueError(
                f"fractions of shape (f, t) must have a column for each of the {n_vox} targets; "
                f"got shape {fractions.shape}."
            )
        rows = fractions.reshape(-1, 1) if fractions.ndim < 2 else fractions
        wanted = torch.from_numpy(np.broadcast_to(rows, (len(rows), n_vox)).copy())
        self._learn(data, targets, wanted.to(data.device), several=fractions.ndim > 0)
        return self


class FracRidgeCV(_FracRidgeBase):
    """Fractional ridge regression with the fraction chosen by cross-validation, per target.

    Parameters
    ----------
    fractions : array_like of shape (f,), default=(0.1, 0.2, ..., 1.0)
        Candidates in [0, 1].
    cv : int, splitter, or iterable of (train, test), default=5
        As for `FoldPlan.make`: an int is unshuffled `KFold`, or `GroupKFold` with groups.
    scoring : {None, "mse", "r2", "r"}, default=None
        What is averaged over folds; None and "mse" are the negative mean squared error.
    fraction_per_target : bool, default=True
        False: the one fraction with the best mean over targets.
    fit_intercept : bool, default=True
        Centre X and y, in every fold by the means of its training rows.

    Attributes
    ----------
    fraction_ : ndarray or Tensor of shape (t,), or float for 1-D y
        The best; of equals the smallest.
    best_score_ : ndarray or Tensor of shape (t,)
        Mean over folds at that fraction.
    cv_scores_ : ndarray or Tensor of shape (f, t)
    alpha_, intercept_, coef_, n_features_in_
        As in `FracRidge`, for the best fractions.

    Notes
    -----
    In every fold the penalties are those that shorten *its* coefficients to the fraction. A fold
    costs one decomposition, Newton's steps, and 2 n_test r t FLOP a fraction.
    """

    def __init__(
        self,
        fractions: ArrayLike = DEFAULT_FRACTIONS,
        *,
        cv: Any = 5,
        scoring: str | None = None,
        fraction_per_target: bool = True,
        fit_intercept: bool = True,
    ) -> None:
        self.fractions = fractions
        self.cv = cv
        self.scoring = scoring
        self.fraction_per_target = fraction_per_target
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> Self:
        """Choose the fractions, then fit all rows with them.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,)
        groups : array_like of shape (n,), optional
            Rows of one group are held out together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For fractions outside [0, 1], an unknown scoring, or folds that cannot be.
        """
        fractions = np.unique(np.atleast_1d(_check_fractions(self.fractions, max_ndim=1)))
        if self.scoring not in SCORES:
            raise ValueError(f"scoring must be one of {SCORES}; got {self.scoring!r}.")
        data, targets = self._fit_pair(X, y)
        folds = FoldPlan.make(self.cv, n_stim=len(data), groups=groups)
        rows = torch.from_numpy(fractions)[:, None].expand(-1, targets.shape[1])

        scores = torch.zeros(rows.shape, dtype=torch.float64, device=data.device)
        for train, test in folds.tensors(data.device):
            axes = _axes(data[train], targets[train], fit_intercept=self.fit_intercept)
            new = (data[test].double() - axes.x_mean).to(data.dtype) @ axes.vectors
            measured = targets[test].double() - axes.y_mean
            for place, coefs in enumerate(_shortened(axes, _alphas(axes, rows))):
                scores[place] += target_scores(measured, new @ coefs, self.scoring) / len(folds)

        best = _first_best(scores, per_target=self.fraction_per_target)
        self.cv_scores_ = self._back_targets(scores)
        self.best_score_ = self._back_targets(scores.gather(0, best[None])[0])
        chosen = torch.from_numpy(fractions).to(data.device)[best]
        self.fraction_ = self._back_targets(chosen)
        self._learn(data, targets, chosen[None], several=False)
        return self


def _first_best(scores: torch.Tensor, *, per_target: bool) -> torch.Tensor:
    """Return the row of the highest score of each column, the first of equals."""
    known = scores.nan_to_num(nan=-torch.inf)
    if per_target:
        return known.argmax(0)
    mean = torch.nanmean(scores, 1).nan_to_num(nan=-torch.inf)
    return mean.argmax().expand(scores.shape[1])


def _check_fractions(fractions: float | ArrayLike, *, max_ndim: int) -> NDArray[np.float64]:
    array = np.array(fractions, dtype=np.float64)
    if array.ndim > max_ndim or array.size == 0:
        raise ValueError(
            f"fractions must be numbers in an array of at most {max_ndim} axes; got shape "
            f"{array.shape}."
        )
    outside = ~((array >= 0) & (array <= 1))
    if outside.any():
        raise ValueError(
            f"fractions must be from 0 to 1; got {array[outside].flat[0]}. They are lengths of the "
            "coefficients relative to least squares."
        )
    return array
