"""Regression on principal components, as many as predict best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.linear._components import centred_rows, column_means, gram_matrix
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._pca import decompose
from dnnbrain_cpp.linear._target_scores import SCORES, r2_average

__all__ = ["PCRegression"]

_CORE_SCORES = {
    None: core.Score.mse,
    "mse": core.Score.mse,
    "r2": core.Score.r2,
    "r": core.Score.r,
}
_TIE = 1e-12


class PCRegression(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Least squares on the first principal components of the features.

    Parameters
    ----------
    n_components : int, sequence of int, or None
        An int is taken as it is. From a sequence the count is chosen by cross-validation, from None
        among all that every training fold has.
    cv : int, "run", splitter, FoldPlan, or iterable of (train, test)
        See `FoldPlan.make`.
    scoring : {None, "mse", "r2", "r"}
        What is averaged over folds; "mse" is negative, so that more is better, None is "mse".
    per_target : bool
        A count for each target; otherwise one for all, by the mean score over targets.
    store_cv_results : bool
    progress : bool or callable

    Attributes
    ----------
    n_components_ : int, or ndarray or Tensor of shape (t,), int64
        Of counts that score alike but for rounding, the fewest.
    best_score_ : float, or ndarray or Tensor of shape (t,)
        Of the counts chosen; only where there was a choice.
    candidates_ : ndarray of shape (c,)
        The counts that were tried, likewise.
    cv_results_ : ndarray or Tensor of shape (k, c, t), float64
        If asked for.
    coef_ : ndarray or Tensor of shape (t, p), or (p,) where y was 1-D
        Formed when asked for, at 2 k p t FLOP.
    intercept_ : ndarray or Tensor of shape (t,), or a number
    n_features_in_ : int

    Notes
    -----
    Exact: scores are those of refitting PCA and least squares in every fold. One eigendecomposition
    per fold serves all counts, whose scores are running sums over components; it is of the Gram
    matrix of the rows, formed once, or of the covariance of the columns where these are fewer.
    Cost: ``n**2 p`` FLOP, then per fold an eigendecomposition of ``min(n_train, p)`` and
    ``2 k (n + k) t`` FLOP, with k the largest count. Memory: scores of as many folds as there are
    threads, ``8 c t`` bytes each.

    Components without variance weigh nothing, as in a pseudoinverse.
    """

    def __init__(
        self,
        n_components: int | Sequence[int] | None = None,
        *,
        cv: Any = 5,
        scoring: str | None = None,
        per_target: bool = True,
        store_cv_results: bool = False,
        progress: Progress = False,
    ) -> None:
        self.n_components = n_components
        self.cv = cv
        self.scoring = scoring
        self.per_target = per_target
        self.store_cv_results = store_cv_results
        self.progress = progress

    def fit(self, X: Any, y: Any, *, groups: ArrayLike | None = None) -> Self:
        """Choose the counts and fit all targets.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n,) or (n, t)
        groups : array_like of shape (n,), optional
            Rows of one group, such as a run, are held out together.

        Returns
        -------
        PCRegression

        Raises
        ------
        ValueError
            For NaN, unequal lengths, impossible folds, or counts that a training fold has not.
        """
        if self.scoring not in SCORES:
            check_choice(self.scoring, "scoring", [name for name in SCORES if name is not None])
        data, targets = self._fit_data(X, y)
        assert targets is not None
        n, p = data.shape
        if isinstance(self.n_components, int | np.integer):
            count = check_integer(self.n_components, "n_components", minimum=1, maximum=min(n, p))
            chosen = torch.full((targets.shape[1],), count, device=data.device)
            self.n_components_: Any = count
            gram = None
        else:
            folds = FoldPlan.make(self.cv, n_stim=n, groups=groups)
            candidates = self._candidates(folds, p)
            # Centred over all rows, which no fold depends on.
            gram = gram_matrix(data) if p >= min(folds.n_train) else None
            scores = self._cross_validated(data, gram, targets, folds, candidates)
            chosen = self._choose(scores, candidates, targets.dtype)
        self._learn(data, targets, chosen, gram)
        return self

    def _candidates(self, folds: FoldPlan, p: int) -> list[int]:
        most = min(*(n_train - 1 for n_train in folds.n_train), p)
        if self.n_components is None:
            return list(range(1, most + 1))
        counts = [
            check_integer(count, "n_components", minimum=1)
            for count in np.atleast_1d(np.asarray(self.n_components)).tolist()
        ]
        if not counts:
            raise ValueError("n_components must name at least one count; got none.")
        if max(counts) > most:
            raise ValueError(
                f"n_components must be at most {most}: the features are {p}, and the smallest "
                f"training fold has {min(folds.n_train)} rows, which centring leaves "
                f"{min(folds.n_train) - 1} dimensions; got {max(counts)}."
            )
        return sorted(set(counts))

    def _cross_validated(
        self,
        data: torch.Tensor,
        gram: torch.Tensor | None,
        targets: torch.Tensor,
        folds: FoldPlan,
        candidates: list[int],
    ) -> torch.Tensor:
        """Return mean scores over the folds that have one, shape (c, t)."""
        pairs = folds.tensors(targets.device)
        step = max(1, resolve_n_threads(None))
        kept, total, count = [], torch.zeros(()), torch.zeros(())
        with progress_callback(self.progress, "choosing components") as report:
            for first in range(0, len(pairs), step):
                scores = core.cross_validate_pcr(
                    data if gram is None else gram,
                    targets,
                    pairs[first : first + step],
                    candidates,
                    [0.0],
                    _CORE_SCORES[self.scoring],
                    gram is not None,
                    report,
                )[:, 0]
                total = total.to(scores.device) + scores.nan_to_num(0.0).sum(0)
                count = count.to(scores.device) + (~scores.isnan()).sum(0)
                if self.store_cv_results:
                    kept.append(scores)
        self.candidates_ = np.array(candidates)
        if self.store_cv_results:
            self.cv_results_ = self._back_targets(torch.cat(kept))
        return torch.where(count > 0, total / count.clamp_min(1), torch.nan)

    def _choose(
        self, scores: torch.Tensor, candidates: list[int], dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the count of each target."""
        n_target = scores.shape[1]
        if not self.per_target:
            scores = scores.nanmean(1, keepdim=True)
        ranked = scores.nan_to_num(-torch.inf)
        best = ranked.amax(0)
        # Torch takes the first of equals: the fewest components.
        place = (ranked >= best - _TIE * best.abs()).int().argmax(0)
        counts = torch.tensor(candidates, device=scores.device)[place]
        best_scores = scores.gather(0, place[None])[0].to(dtype)
        if self._one_target or not self.per_target:
            self.n_components_ = int(counts[0])
            self.best_score_: Any = float(best_scores[0])
        else:
            self.n_components_ = self._back(counts)
            self.best_score_ = self._back(best_scores)
        return counts.expand(n_target)

    def _learn(
        self,
        data: torch.Tensor,
        targets: torch.Tensor,
        counts: torch.Tensor,
        gram: torch.Tensor | None,
    ) -> None:
        self._x_mean = column_means(data)
        self._y_mean = targets.mean(0, dtype=torch.float64)
        n, p = data.shape
        found = decompose(
            data, self._x_mean, int(counts.max()), dual=n <= p or gram is not None, gram=gram
        )
        squares = found.squares[: len(found.components)]
        crosses = squares.new_zeros((len(squares), targets.shape[1]))
        for rows, block in centred_rows(data, self._x_mean):
            crosses += (block @ found.components.T).T @ (targets[rows].double() - self._y_mean)
        weights = torch.where(squares > 0, 1 / squares, 0.0)[:, None]
        used = torch.arange(len(squares), device=data.device)[:, None] < counts
        self._components = found.components.to(data.dtype)
        self._coefs = (crosses * weights * used).to(data.dtype)
        shift = (found.components @ self._x_mean) @ self._coefs.double()
        self.intercept_ = self._back_targets((self._y_mean - shift).to(data.dtype))

    @property
    def coef_(self) -> Any:
        """Coefficients of shape (t, p), or (p,) where y was 1-D; formed each time."""
        check_is_fitted(self)
        coefs = self._coefs.T @ self._components
        return self._back(coefs[0] if self._one_target else coefs)

    def predict(self, X: Any) -> Any:
        """Predict the targets of new rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)

        Returns
        -------
        ndarray or Tensor of shape (n, t), or (n,) where y was 1-D
        """
        data = self._new_data(X)
        like = self._coefs
        out = like.new_empty((len(data), like.shape[1]))
        for rows, block in centred_rows(data.to(like.device), self._x_mean):
            out[rows] = (block.to(like.dtype) @ self._components.T) @ like
        return self._back_targets(out + self._y_mean.to(like.dtype))

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 averaged over targets, as scikit-learn does."""
        return r2_average(y, self.predict(X), sample_weight)
