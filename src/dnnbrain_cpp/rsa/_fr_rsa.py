"""Feature-reweighted RSA: an RDM as a weighted sum of one RDM per unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import as_array, check_choice, check_finite, check_ids, check_integer
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms
from dnnbrain_cpp.rsa._condition_splits import MIN_CONDITIONS, fold_count, repeated_folds
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["FRRSA"]

DEFAULT_FRACTIONS = tuple(round(0.05 * place, 2) for place in range(1, 21))

_KINDS = {
    "sqeuclidean": core.PairKind.squared_difference,
    "product": core.PairKind.product,
}
_SCORES = ("corr", "spearman")

# Correlations of exactly one have no Fisher z.
_LARGEST_R = 1 - 1e-12

_BATCH_FLOP = 2e10
"""Training sets are decomposed side by side, so many at a time: about half a second."""

_EIGH_FLOP = 9
"""Operations of an eigendecomposition, times the cube of its order."""

Values = NDArray[np.float64]
Rows = NDArray[np.int64]
Split = tuple[Rows, Rows]


class FRRSA(BaseEstimator):  # type: ignore[misc]
    """Weights of units that make their RDMs add up to a measured RDM, by ridge regression.

    ``y_ij = w_0 + sum_k w_k d_k(ij)`` over pairs of conditions, where ``d_k(ij)`` is
    ``(x_ik - x_jk)^2``, or ``-x_ik x_jk``. How well this holds is measured on pairs of conditions
    of which neither took part in the fit, the penalty being chosen within the fit.

    Parameters
    ----------
    fractions : array_like, default=(0.05, 0.1, ..., 1)
        Lengths of the weights relative to least squares, to choose from; 1 is no penalty.
    alphas : array_like, optional
        Penalties to choose from, in place of `fractions`.
    kind : {"sqeuclidean", "product"}
        Squared differences, or products. A product is a similarity: it enters with a minus, so that
        a positive weight means that the unit's similarities are those of the data.
    nonnegative : bool
        Weights that are not negative, by active sets; with `alphas` only.
    scoring : {"corr", "spearman"}
        Between prediction and data over held-out pairs; averaged by Fisher's z.
    n_outer, outer_repeats : int
        Folds of conditions in which the result is measured, and random partitions into such folds.
    n_inner, inner_repeats : int
        Likewise within each training set, for the penalty. Folds are made fewer where they would
        have fewer than 3 conditions.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    scores_ : ndarray of shape (n_target,)
        Over outer splits.
    split_scores_ : ndarray of shape (n_split, n_target)
    chosen_ : ndarray of shape (n_split, n_target)
        Fraction or alpha chosen within each outer training set.
    best_ : ndarray of shape (n_target,)
        Fraction or alpha chosen on all conditions, which `coef_` is of.
    coef_ : ndarray of shape (n_target, n_feat)
        Of the predictors as they are.
    intercept_ : ndarray of shape (n_target,)
    targets_ : tuple of str
    n_features_in_ : int

    Notes
    -----
    Predictors are z-scored and targets centred within each training set. The design of m pairs and
    p units never exists: its inner products are

    ``D'D = n Q'Q + s s' + 2 (X'X) o (X'X)``, Q = X o X, s its column sums, X centred,

    ``2 n p^2`` FLOP instead of ``n^2 p^2 / 2``. One eigendecomposition of order min(p, m) per
    training set serves all fractions and targets: with the defaults, 1,250 of them inside, 50
    outside, 25 at the end. For some hundreds of units that is seconds; for 4,096 units and 92
    conditions a quarter of an hour on two cores. Reduce wide layers first (`linear.PCA`, pooling).

    All in float64, on one thread for each training set: the same bits for any number of threads.

    References
    ----------
    Kaniuth and Hebart, NeuroImage 257, 119294 (2022). Peterson, Abbott and Griffiths, Cogn. Sci.
    42, 2648 (2018). Fractions: Rokem and Kay, GigaScience 9 (2020).
    """

    def __init__(
        self,
        fractions: ArrayLike = DEFAULT_FRACTIONS,
        *,
        alphas: ArrayLike | None = None,
        kind: str = "sqeuclidean",
        nonnegative: bool = False,
        scoring: str = "corr",
        n_outer: int = 5,
        outer_repeats: int = 10,
        n_inner: int = 5,
        inner_repeats: int = 5,
        random_state: RandomState = None,
    ) -> None:
        self.fractions = fractions
        self.alphas = alphas
        self.kind = kind
        self.nonnegative = nonnegative
        self.scoring = scoring
        self.n_outer = n_outer
        self.outer_repeats = outer_repeats
        self.n_inner = n_inner
        self.inner_repeats = inner_repeats
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: RDMsLike,
        *,
        ids: Any = None,
        progress: Progress = False,
    ) -> Self:
        """Measure how well weighted units predict RDMs, and weight them.

        Parameters
        ----------
        X : array_like of shape (n_cond, n_feat)
            Patterns of the units.
        y : RDMs, RDM or array_like
            Targets over the same conditions, such as one per subject.
        ids : sequence of str, optional
            The conditions' ids in the order of X; RDMs that have ids are brought to that order.
        progress : bool or callable

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For fewer than 9 conditions, unequal numbers of conditions, or wrong settings.
        """
        kind = _KINDS[check_choice(self.kind, "kind", tuple(_KINDS))]
        check_choice(self.scoring, "scoring", _SCORES)
        grid = self._grid()
        counts = [
            check_integer(getattr(self, name), name, minimum=minimum)
            for name, minimum in (
                ("n_outer", 2),
                ("outer_repeats", 1),
                ("n_inner", 2),
                ("inner_repeats", 1),
            )
        ]
        patterns = as_array(X, "X", dtype=np.float64, ndim=2)
        check_finite(patterns, "X")
        targets = _in_order(as_rdms(y, "y"), ids, len(patterns))
        self.n_features_in_ = patterns.shape[1]
        self.targets_ = targets.names
        self._kind = kind
        squares = targets.square()
        if kind is core.PairKind.product:
            squares = -squares
        solver = _Solver(
            as_tensor(patterns),
            as_tensor(squares),
            kind,
            grid,
            by_fraction=self.alphas is None,
            nonnegative=self.nonnegative,
        )
        rows = np.arange(len(patterns))
        plan = _Plan.make(rows, counts, as_seed(self.random_state))
        with progress_callback(progress, "FR-RSA") as report:
            scores = solver.scores(plan.splits, self.scoring, report)
        best = plan.best(scores)
        self.split_scores_ = np.take_along_axis(
            scores[plan.n_inner_splits :], best[:-1, None], axis=1
        )[:, 0]
        self.scores_ = np.tanh(_fisher(self.split_scores_).mean(0))
        self.chosen_ = grid[best[:-1]]
        self.best_ = grid[best[-1]]
        self.coef_, self.intercept_ = solver.weights(rows, self.best_)
        return self

    def predict(self, X: ArrayLike) -> RDMs:
        """Return the RDMs that the weights make of patterns of shape (n_cond, n_feat)."""
        if not hasattr(self, "coef_"):
            raise AttributeError("FRRSA predicts nothing before it is fitted.")
        patterns = as_array(X, "X", dtype=np.float64, ndim=2)
        check_finite(patterns, "X")
        if patterns.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have the {self.n_features_in_} units of the fit; got {patterns.shape[1]}."
            )
        predicted = core.pair_predictions(as_tensor(patterns), as_tensor(self.coef_), self._kind)
        values = predicted.numpy() + self.intercept_[:, None]
        return RDMs(-values if self.kind == "product" else values, names=self.targets_)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target: target, score, sd over splits, chosen fraction or alpha."""
        if not hasattr(self, "coef_"):
            raise AttributeError("FRRSA has no scores before it is fitted.")
        return pd.DataFrame(
            {
                "target": self.targets_,
                "score": self.scores_,
                "sd": self.split_scores_.std(0),
                "fraction" if self.alphas is None else "alpha": self.best_,
            }
        )

    def _grid(self) -> Values:
        if self.alphas is None:
            if self.nonnegative:
                raise ValueError(
                    "weights that are not negative have no fraction of least squares; give alphas="
                )
            grid = as_array(self.fractions, "fractions", dtype=np.float64, ndim=1)
            wrong, what = ~((grid > 0) & (grid <= 1)), "fractions must be above 0, up to 1"
        else:
            grid = as_array(self.alphas, "alphas", dtype=np.float64, ndim=1)
            wrong, what = ~((grid >= 0) & np.isfinite(grid)), "alphas must not be negative"
        if len(grid) == 0 or wrong.any():
            raise ValueError(f"{what}; got {grid[wrong][0] if len(grid) else 'none'}.")
        return np.unique(grid)


def _in_order(targets: RDMs, ids: Any, n_cond: int) -> RDMs:
    if targets.n_cond != n_cond:
        raise ValueError(
            f"X and y must have the same conditions; got {n_cond} rows and RDMs of "
            f"{targets.n_cond}."
        )
    if n_cond < MIN_CONDITIONS:
        raise ValueError(
            f"FR-RSA needs at least {MIN_CONDITIONS} conditions, for nested folds of three; got "
            f"{n_cond}."
        )
    flat = np.ptp(targets.dissimilarities, axis=1) == 0
    if flat.any():
        raise ValueError(
            f"y must be RDMs that vary; {targets.names[int(flat.argmax())]!r} is constant."
        )
    if ids is None or targets.ids is None:
        return targets
    return targets.select(check_ids(ids, "ids", n=n_cond))


class _Plan:
    """All splits of a nested cross-validation, in one list.

    Inner splits of each outer training set come first, then those of all rows, then the outer
    splits.
    """

    def __init__(self, splits: list[Split], n_search: int, n_per_search: int) -> None:
        self.splits = splits
        self._n_search = n_search
        self._n_per_search = n_per_search
        self.n_inner_splits = n_search * n_per_search

    @classmethod
    def make(cls, rows: Rows, counts: list[int], seed: int) -> _Plan:
        n_outer, outer_repeats, n_inner, inner_repeats = counts
        outer = repeated_folds(
            rows, fold_count(len(rows), n_outer), outer_repeats, seed=seed, first=0
        )
        searched = [train for train, _ in outer] + [rows]
        n_fold = fold_count(min(map(len, searched)), n_inner)
        inner: list[Split] = []
        for place, part in enumerate(searched):
            first = outer_repeats + place * inner_repeats
            inner += repeated_folds(part, n_fold, inner_repeats, seed=seed, first=first)
        return cls(inner + outer, len(searched), n_fold * inner_repeats)

    def best(self, scores: Values) -> NDArray[np.int64]:
        """Return the place of the best penalty of each search and target, of equals the first."""
        z = _fisher(scores[: self.n_inner_splits])
        shape = (self._n_search, self._n_per_search, *scores.shape[1:])
        best: NDArray[np.int64] = z.reshape(shape).mean(1).argmax(1)
        return best


class _Solver:
    """Ridge of pairs of conditions, in many training sets."""

    def __init__(
        self,
        patterns: torch.Tensor,
        squares: torch.Tensor,
        kind: core.PairKind,
        grid: Values,
        *,
        by_fraction: bool,
        nonnegative: bool,
    ) -> None:
        self._patterns, self._squares, self._kind = patterns, squares, kind
        self._grid, self._by_fraction, self._nonnegative = grid, by_fraction, nonnegative

    def scores(self, splits: list[Split], scoring: str, report: ProgressCallback | None) -> Values:
        """Return scores of held-out pairs, (n_split, n_penalty, n_target)."""
        n_target = len(self._squares)
        out = np.empty((len(splits), len(self._grid), n_target))
        done = 0
        for batch in self._batches(splits):
            for (_, test), predicted in zip(batch, self._predictions(batch), strict=True):
                first, second = np.triu_indices(len(test), 1)
                measured = self._squares.numpy()[:, test[first], test[second]]
                out[done] = _correlation(predicted, measured, scoring)
                done += 1
            if report is not None and report(done, len(splits)) is False:
                raise Cancelled("cancelled by the caller")
        return out

    def weights(self, rows: Rows, penalties: Values) -> tuple[Values, Values]:
        """Return coefficients, (n_target, p), and intercepts, a penalty for each target."""
        if self._nonnegative:
            found = [self._nonnegative_weights(rows, alpha) for alpha in penalties]
            coefs = np.stack([w[t].numpy() for t, (w, _) in enumerate(found)])
            return coefs, np.array([float(b[t]) for t, (_, b) in enumerate(found)])
        (ridge,) = core.factor_pair_ridges(
            self._patterns, self._squares, [torch.from_numpy(rows)], self._kind
        )
        weights, intercepts = ridge.solve(self._alphas(ridge, penalties[None]))
        return weights.numpy(), intercepts.numpy()

    def _batches(self, splits: list[Split]) -> Iterator[list[Split]]:
        """Yield some splits at a time, between which progress is reported."""
        n_train = max(len(train) for train, _ in splits)
        order = min(n_train * (n_train - 1) // 2, self._patterns.shape[1])
        at_once = int(_BATCH_FLOP / (_EIGH_FLOP * order**3))
        size = min(max(at_once, resolve_n_threads(None)), 64)
        for first in range(0, len(splits), size):
            yield splits[first : first + size]

    def _predictions(self, batch: list[Split]) -> list[Values]:
        """Return predicted held-out pairs of each split, (n_penalty, n_target, n_pair)."""
        if self._nonnegative:
            return [self._nonnegative_predictions(train, test) for train, test in batch]
        ridges = core.factor_pair_ridges(
            self._patterns,
            self._squares,
            [torch.from_numpy(train) for train, _ in batch],
            self._kind,
        )
        wanted = np.repeat(self._grid[:, None], len(self._squares), axis=1)
        predicted = core.predict_pair_ridges(
            ridges,
            [self._alphas(ridge, wanted) for ridge in ridges],
            self._patterns,
            [torch.from_numpy(test) for _, test in batch],
            self._kind,
        )
        return [part.numpy() for part in predicted]

    def _alphas(self, ridge: core.PairRidge, penalties: Values) -> torch.Tensor:
        """Return penalties of shape (F, T) as alphas of a training set."""
        if not self._by_fraction:
            return torch.from_numpy(np.ascontiguousarray(penalties))
        alphas = core.fraction_alphas(
            ridge.eigenvalues.numpy()[None],
            np.ascontiguousarray(ridge.coefs.numpy() ** 2),
            np.ascontiguousarray(penalties),
            1,
            None,
        )
        return torch.from_numpy(alphas)

    def _nonnegative_predictions(self, train: Rows, test: Rows) -> Values:
        patterns = self._patterns[torch.from_numpy(test)]
        out = []
        for alpha in self._grid:
            weights, intercepts = self._nonnegative_weights(train, alpha)
            out.append(core.pair_predictions(patterns, weights, self._kind) + intercepts[:, None])
        return torch.stack(out).numpy()

    def _nonnegative_weights(self, rows: Rows, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights, (T, p), and intercepts of one penalty."""
        places = torch.from_numpy(rows)
        x, y = self._patterns[places], self._squares[:, places][:, :, places].contiguous()
        mean, inverse_scale = core.pair_scaling(x, self._kind)
        n_pair = len(rows) * (len(rows) - 1) / 2
        y_mean = y.sum((1, 2)) / (2 * n_pair)
        gram = core.scaled_pair_gram(x, self._kind)
        gram.diagonal().add_(alpha)
        right = core.pair_products(x, y, self._kind) - n_pair * y_mean[:, None] * mean
        # A predictor that does not vary would only be paid for.
        right *= inverse_scale
        scaled = core.nnls(
            gram.numpy().reshape(1, -1),
            np.ascontiguousarray(right.numpy()),
            resolve_n_threads(None),
            None,
        )
        weights = torch.from_numpy(scaled) * inverse_scale
        return weights, y_mean - weights @ mean


def _correlation(predicted: Values, measured: Values, scoring: str) -> Values:
    """Return r of (F, T, m) with (T, m), 0 where either does not vary, (F, T)."""
    if scoring == "spearman":
        predicted, measured = rankdata(predicted, axis=-1), rankdata(measured, axis=-1)
    a = predicted - predicted.mean(-1, keepdims=True)
    b = measured - measured.mean(-1, keepdims=True)
    products = (a * b).sum(-1)
    squares = (a * a).sum(-1) * (b * b).sum(-1)
    r: Values = np.divide(
        products, np.sqrt(squares), out=np.zeros_like(products), where=squares > 0
    )
    return r


def _fisher(r: Values) -> Values:
    z: Values = np.arctanh(np.clip(r, -_LARGEST_R, _LARGEST_R))
    return z
