"""Banded ridge: each feature space with a penalty of its own, per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from dnnbrain_cpp._native import as_tensor
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._validate import as_array, as_float_array, check_choice, check_integer
from dnnbrain_cpp.linear._band_gradient import refine
from dnnbrain_cpp.linear._band_search import (
    BestSoFar,
    FeatureScores,
    HeldOutScores,
    KernelScores,
    choose_alphas,
    part_of,
)
from dnnbrain_cpp.linear._bands import (
    Bands,
    as_weights,
    draw_band_weights,
    random_generator,
    resolve_bands,
)
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan
from dnnbrain_cpp.linear._target_scores import SCORES, r2_average

__all__ = ["BandedRidgeCV", "BandedSolution", "solve_banded_ridge"]

SOLVERS = ("random_search", "gradient")

_PREDICT_BLOCK = 4096
"""Targets whose band-wise predictions or weights exist at once."""


@dataclass(frozen=True)
class SearchOptions:
    """What to search, checked."""

    alphas: NDArray[np.float64]  # (a,)
    n_iter: int | ArrayLike
    n_refine: int  # 0 for none
    scoring: str | None
    concentration: float | Sequence[float]
    jitter_alphas: bool
    conservative: bool
    alpha_per_target: bool
    fit_intercept: bool
    random_state: Any

    @classmethod
    def check(cls, *, alphas: ArrayLike, solver: str, n_refine: int, **others: Any) -> Self:
        """Raise for what cannot be, before any work."""
        grid = np.atleast_1d(np.array(alphas, dtype=np.float64))
        if grid.ndim != 1 or not grid.size or not ((grid > 0) & np.isfinite(grid)).all():
            raise ValueError(
                f"alphas must be positive, finite numbers in a 1-D array; got {alphas!r}."
            )
        check_choice(solver, "solver", SOLVERS)
        if others["scoring"] not in SCORES:
            raise ValueError(f"scoring must be one of {SCORES}; got {others['scoring']!r}.")
        if np.ndim(others["n_iter"]) == 0:
            check_integer(others["n_iter"], "n_iter", minimum=1)
        n_refine = check_integer(n_refine, "n_refine", minimum=0)
        return cls(alphas=grid, n_refine=n_refine if solver == "gradient" else 0, **others)

    def folds(self, cv: Any, *, n_stim: int, groups: ArrayLike | None) -> FoldPlan:
        """Return the folds; a single row is enough for a squared error."""
        min_test = 1 if self.scoring in (None, "mse") else 2
        return FoldPlan.make(cv, n_stim=n_stim, groups=groups, min_test=min_test)

    def candidates(self, n_band: int) -> NDArray[np.float64]:
        """Return the weights to try, (n_iter, n_band)."""
        if np.ndim(self.n_iter) > 0:
            return as_weights(self.n_iter, n_band)
        return draw_band_weights(
            int(self.n_iter),  # type: ignore[arg-type]
            n_band,
            concentration=self.concentration,
            random_state=self.random_state,
        )


@dataclass(frozen=True)
class SearchResult:
    """What the search found; one column per target."""

    candidates: torch.Tensor  # (g, B) float64
    chosen: torch.Tensor  # (t,) which candidate
    alphas: torch.Tensor  # (t,) float64
    scores: torch.Tensor  # (t,) float64
    cv_scores: torch.Tensor  # (g, t) float64

    @property
    def weights(self) -> torch.Tensor:
        """(B, t) float64."""
        return self.candidates[self.chosen].T


def search(
    objective: HeldOutScores, options: SearchOptions, progress: ProgressCallback | None = None
) -> SearchResult:
    """Score candidates of weights at all penalties, and keep the best of each target."""
    device = objective.responses.device
    drawn = torch.from_numpy(options.candidates(objective.n_band)).to(device)
    # Peers draw the jitter from a generator of its own, seeded alike.
    jitter = random_generator(options.random_state) if options.jitter_alphas else None
    best = BestSoFar(objective.responses.shape[1], device, per_target=options.alpha_per_target)
    candidates: list[torch.Tensor] = []
    cv_scores: list[torch.Tensor] = []
    n_total = len(drawn) + options.n_refine

    def evaluate(weights: torch.Tensor) -> None:
        first = len(candidates)
        shifts = [0.0 if jitter is None else jitter.rand() - 0.5 for _ in weights]
        grids = torch.from_numpy(options.alphas * 10 ** np.array(shifts)[:, None]).to(device)
        all_curves = objective.curves(
            weights,
            grids,
            keep_folds=options.conservative,
            progress=part_of(progress, first, len(weights), n_total),
        )
        for each, grid, curves in zip(weights, grids, all_curves, strict=True):
            place, score = choose_alphas(
                curves,
                grid,
                per_target=options.alpha_per_target,
                conservative=options.conservative,
            )
            best.update(len(candidates), grid[place], score)
            candidates.append(each)
            cv_scores.append(score)

    def evaluate_one(weights: torch.Tensor) -> torch.Tensor:
        evaluate(weights[None])
        return cv_scores[-1]

    n_at_once = objective.n_at_once(len(options.alphas))
    for first in range(0, len(drawn), n_at_once):
        evaluate(drawn[first : first + n_at_once])
    if options.n_refine and objective.n_band > 1:
        assert isinstance(objective, KernelScores)
        refine(objective, best, candidates, options.n_refine, evaluate_one)
    return SearchResult(
        torch.stack(candidates), best.candidate, best.alpha, best.score, torch.stack(cv_scores)
    )


@dataclass(frozen=True)
class BandedSolution:
    """Banded ridge of given kernels; NumPy or tensors, as the kernels were.

    Attributes
    ----------
    band_weights : (B, t) float64
        Of each band, for each target.
    alpha : (t,) float64
        Values of the grid.
    best_score : (t,) float64
        Mean over folds.
    cv_scores : (g, t) float64
        Of every candidate, at its best penalty.
    candidates : (g, B) float64
    dual_coef : (n, t)
        c of the prediction ``sum_b band_weights[b] * (K_b @ c) + intercept``.
    intercept : (t,)
    """

    band_weights: Any
    alpha: Any
    best_score: Any
    cv_scores: Any
    candidates: Any
    dual_coef: Any
    intercept: Any

    @property
    def deltas(self) -> Any:
        """log(band_weights / alpha), (B, t): himalaya's parameters; -inf for weights of zero."""
        return _deltas(self.band_weights, self.alpha)

    def predict(self, kernels: Any, *, split: bool = False) -> Any:
        """Predict new rows.

        Parameters
        ----------
        kernels : sequence or mapping of (n_new, n), or array of shape (B, n_new, n)
            Between new rows and those fitted, in the order of the bands.
        split : bool, default=False
            Return the part of each band, (B, n_new, t), which add up to the rest less `intercept`.

        Returns
        -------
        ndarray or Tensor of shape (n_new, t)
        """
        stack = _kernel_list(kernels)
        parts = [
            _like(self.dual_coef, kernel) @ self.dual_coef * _like(self.dual_coef, weight)
            for kernel, weight in zip(stack, self.band_weights, strict=True)
        ]
        if split:
            stacked = torch.stack if isinstance(parts[0], torch.Tensor) else np.stack
            return stacked(parts)
        return sum(parts) + self.intercept


def _like(reference: Any, value: Any) -> Any:
    if isinstance(reference, torch.Tensor):
        return torch.as_tensor(value, device=reference.device).to(reference.dtype)
    return np.asarray(value, dtype=reference.dtype)


def _deltas(weights: Any, alpha: Any) -> Any:
    if isinstance(weights, torch.Tensor):
        return (weights / alpha).log()
    with np.errstate(divide="ignore"):
        return np.log(weights / alpha)


def _kernel_list(kernels: Any) -> list[Any]:
    return list(kernels.values()) if isinstance(kernels, Mapping) else list(kernels)


def solve_banded_ridge(
    kernels: Any,
    y: Any,
    alphas: ArrayLike,
    *,
    n_iter: int | ArrayLike = 100,
    cv: Any = 5,
    groups: ArrayLike | None = None,
    scoring: str | None = None,
    solver: str = "random_search",
    n_refine: int = 20,
    concentration: float | Sequence[float] = (0.1, 1.0),
    jitter_alphas: bool = False,
    conservative: bool = False,
    alpha_per_target: bool = True,
    fit_intercept: bool = True,
    random_state: Any = None,
    progress: Progress = False,
) -> BandedSolution:
    """Banded ridge of kernels that are there already: of any kind, or of delays.

    Parameters
    ----------
    kernels : sequence or mapping of (n, n), or array of shape (B, n, n)
        Positive semidefinite, a kernel per band. With an intercept they may be about any point.
    y : array_like or Tensor of shape (n, t)
    alphas, n_iter, cv, groups, scoring, solver, n_refine, concentration, jitter_alphas : object
        As in `BandedRidgeCV`, like the options that follow.
    conservative, alpha_per_target, fit_intercept, random_state, progress : object
        Likewise.

    Returns
    -------
    BandedSolution

    Raises
    ------
    ValueError
        For kernels that are not square, symmetric, finite and of one size, and as `BandedRidgeCV`.
    """
    options = SearchOptions.check(
        alphas=alphas,
        solver=solver,
        n_refine=n_refine,
        n_iter=n_iter,
        scoring=scoring,
        concentration=concentration,
        jitter_alphas=jitter_alphas,
        conservative=conservative,
        alpha_per_target=alpha_per_target,
        fit_intercept=fit_intercept,
        random_state=random_state,
    )
    parts = _kernel_list(kernels)
    is_tensor = any(isinstance(part, torch.Tensor) for part in parts)
    stack = _check_kernels(parts)
    targets = _check_responses(y, stack)
    folds = options.folds(cv, n_stim=stack.shape[1], groups=groups)
    objective = KernelScores(stack, targets, folds, scoring=scoring, fit_intercept=fit_intercept)
    with progress_callback(progress, "banded ridge") as callback:
        result = search(objective, options, callback)
    duals = objective.solve(result.candidates, result.chosen, result.alphas)
    if fit_intercept:
        # The residual, alpha times the dual coefficients, has mean zero.
        fitted = sum(
            (kernel.mean(0) @ duals.double()) * weight
            for kernel, weight in zip(stack, result.weights, strict=True)
        )
        intercept = (targets.double().mean(0) - fitted).to(targets.dtype)
    else:
        intercept = torch.zeros_like(targets[0])

    def back(tensor: torch.Tensor) -> Any:
        return tensor if is_tensor else tensor.cpu().numpy()

    return BandedSolution(
        band_weights=back(result.weights),
        alpha=back(result.alphas),
        best_score=back(result.scores),
        cv_scores=back(result.cv_scores),
        candidates=back(result.candidates),
        dual_coef=back(duals),
        intercept=back(intercept),
    )


def _check_kernels(parts: list[Any]) -> torch.Tensor:
    if not parts:
        raise ValueError("kernels must hold at least one kernel; got none.")
    out: list[torch.Tensor] = []
    for place, part in enumerate(parts):
        kernel = (
            part.detach().double()
            if isinstance(part, torch.Tensor)
            else as_tensor(as_array(part, f"kernel {place}", dtype=np.float64, ndim=2))
        )
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
            raise ValueError(f"kernel {place} must be square; got shape {tuple(kernel.shape)}.")
        if out and kernel.shape != out[0].shape:
            raise ValueError(
                f"kernels must be of one size; kernel 0 has {len(out[0])} rows, kernel {place} "
                f"{len(kernel)}."
            )
        if not bool(kernel.isfinite().all()):
            raise ValueError(f"kernel {place} must be finite; it holds NaN or infinity.")
        # Rounding in float32, at worst.
        if bool((kernel - kernel.T).abs().max() > 1e-5 * kernel.abs().max()):
            raise ValueError(f"kernel {place} must be symmetric; it is not.")
        out.append(kernel)
    return torch.stack(out)


def _check_responses(y: Any, kernels: torch.Tensor) -> torch.Tensor:
    targets = (
        y.detach()
        if isinstance(y, torch.Tensor) and y.dtype in (torch.float32, torch.float64)
        else as_tensor(as_float_array(y, "y", ndim=2))
    ).to(kernels.device)
    if targets.ndim != 2 or targets.shape[0] != kernels.shape[1] or not targets.shape[1]:
        raise ValueError(
            f"y must have shape ({kernels.shape[1]}, t), a row for each row of the kernels; got "
            f"{tuple(targets.shape)}."
        )
    if not bool(targets.isfinite().all()):
        raise ValueError("y must be finite; it holds NaN or infinity. Remove or impute them.")
    return targets


class BandedRidgeCV(TensorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge regression with a penalty per feature space and target, chosen by cross-validation.

    Each band b of columns is weighed by w_b >= 0, so that its penalty is alpha / w_b, and

        coef = argmin ||y - sum_b X_b coef_b||^2 + sum_b alpha / w_b ||coef_b||^2

    Candidates of w are drawn from the simplex, the same for all targets; every candidate is scored
    with every alpha, and each target keeps the pair that predicts its held-out responses best.

    Parameters
    ----------
    bands : None, sequence or mapping, default=None
        Which columns belong together: sizes ``[512, 768]``, a label per column, slices, index
        arrays or masks, or a mapping from names to these. None is one band: plain ridge.
    alphas : array_like of shape (a,), default=(0.1, 1.0, 10.0)
        Penalties, positive. A dense grid costs little more than a coarse one.
    n_iter : int or array_like of shape (n_iter, B), default=100
        Number of draws, or the weights themselves, where zeros are welcome: ``np.eye(B)`` gives
        each target the one band that serves it best.
    cv : int, "run", "loo", splitter, FoldPlan, or iterable of (train, test), default=5
        As for `FoldPlan.make`: an int is unshuffled `KFold`, or `GroupKFold` with groups.
    scoring : {None, "mse", "r2", "r"}, default=None
        What is averaged over folds; None and "mse" are the negative mean squared error.
    solver : {"random_search", "gradient"}, default="random_search"
        "gradient" goes on from the search: `n_refine` more candidates, each a step along the exact
        gradient of the held-out score of those targets that hold a candidate. A target takes a new
        candidate only where its score rises.
    n_refine : int, default=20
        Steps of "gradient"; each costs two to three draws.
    concentration : float or sequence of float, default=(0.1, 1.0)
        Of the Dirichlet distributions, taken in turns.
    jitter_alphas : bool, default=False
        Shift the grid of each draw by up to half a decade either way.
    conservative : bool, default=False
        Take the largest alpha within a standard deviation over folds of the best.
    alpha_per_target : bool, default=True
        False: one alpha and one set of weights for all targets, those with the best mean.
    fit_intercept : bool, default=True
        Centre X and y, in every fold by the means of its training rows.
    random_state : int, Generator, RandomState or None, default=None
        An int draws the weights that himalaya draws from that seed.
    progress : bool or callable, default=False

    Attributes
    ----------
    bands_ : dict of str to ndarray
        Columns of each band.
    band_weights_ : ndarray or Tensor of shape (B, t) or (B,), float64
    alpha_, best_alphas_ : ndarray or Tensor of shape (t,), float64
        Values of `alphas`, exactly, unless jittered.
    deltas_ : ndarray or Tensor of shape (B, t), float64
        ``log(band_weights_ / alpha_)``, himalaya's parameters; -inf for weights of zero.
    best_score_ : ndarray or Tensor of shape (t,), float64
        Mean over folds. NaN where "r" or "r2" have nothing to explain.
    cv_scores_ : ndarray or Tensor of shape (g, t), float64
        Of every candidate, at its best penalty.
    candidates_ : ndarray or Tensor of shape (g, B), float64
        Weights that were tried; those of the refinement last.
    dual_coef_ : ndarray or Tensor of shape (n, t)
        c, with ``coef_b = w_b X_b' c``. Only where kernels were used; see below.
    intercept_ : ndarray or Tensor of shape (t,)
    coef_ : ndarray or Tensor of shape (t, p)
        Formed when asked for, at 2 n p t FLOP.
    n_features_in_ : int

    Notes
    -----
    With at least as many columns as training rows, and for "gradient", kernels of the bands are
    formed once (n^2 p FLOP). A draw then costs an eigendecomposition of their sum in every fold
    and, for each target and fold, 2 n_train^2 FLOP and about 12 n_test n_train, which hardly grows
    with the number of penalties. With many folds or few targets it costs one factorisation for
    all folds, and for each member of the alpha skeleton 2 n^3 + 2 n n_train t FLOP. Held-out
    predictions are never kept. The refit factorises once for each candidate that won: 4 n^2 t in
    all. Memory: B n^2 float64, the responses, g t scores, and up to half a GB for factors and
    scores of the draws at hand. With fewer columns, a draw costs what `RidgeCV` does from
    features: sums over folds and factorisations of p x p.

    Of alphas whose scores are equal, the largest is taken; of candidates, the first.

    References
    ----------
    .. [1] Nunez-Elizalde, A. O., Huth, A. G. & Gallant, J. L. (2019). Voxelwise encoding models
       with non-spherical multivariate normal priors. NeuroImage 197.
    .. [2] Dupre la Tour, T., Eickenberg, M., Nunez-Elizalde, A. O. & Gallant, J. L. (2022).
       Feature-space selection with banded ridge regression. NeuroImage 264.
    """

    def __init__(
        self,
        bands: Bands = None,
        alphas: ArrayLike = (0.1, 1.0, 10.0),
        *,
        n_iter: int | ArrayLike = 100,
        cv: Any = 5,
        scoring: str | None = None,
        solver: str = "random_search",
        n_refine: int = 20,
        concentration: float | Sequence[float] = (0.1, 1.0),
        jitter_alphas: bool = False,
        conservative: bool = False,
        alpha_per_target: bool = True,
        fit_intercept: bool = True,
        random_state: Any = None,
        progress: Progress = False,
    ) -> None:
        self.bands = bands
        self.alphas = alphas
        self.n_iter = n_iter
        self.cv = cv
        self.scoring = scoring
        self.solver = solver
        self.n_refine = n_refine
        self.concentration = concentration
        self.jitter_alphas = jitter_alphas
        self.conservative = conservative
        self.alpha_per_target = alpha_per_target
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> Self:
        """Search, then fit all rows with what was found.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : array_like or Tensor of shape (n, t) or (n,)
        groups : array_like of shape (n,), optional
            Rows of one group, such as a run, are held out together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bands that are not a partition of the columns, alphas that are not positive,
            weights that do not fit the bands, and folds that cannot be.
        """
        options = SearchOptions.check(
            alphas=self.alphas,
            solver=self.solver,
            n_refine=self.n_refine,
            n_iter=self.n_iter,
            scoring=self.scoring,
            concentration=self.concentration,
            jitter_alphas=self.jitter_alphas,
            conservative=self.conservative,
            alpha_per_target=self.alpha_per_target,
            fit_intercept=self.fit_intercept,
            random_state=self.random_state,
        )
        data, targets = self._fit_pair(X, y)
        self.bands_ = resolve_bands(self.bands, data.shape[1])
        if np.ndim(self.n_iter) > 0:
            as_weights(self.n_iter, len(self.bands_))
        folds = options.folds(self.cv, n_stim=len(data), groups=groups)

        self._mean = data.mean(0, dtype=torch.float64) * float(self.fit_intercept)
        self._target_mean = targets.mean(0, dtype=torch.float64) * float(self.fit_intercept)
        self._rows = self._centred(data)
        rows = self._by_band(self._rows)
        common: dict[str, Any] = {
            "scoring": self.scoring,
            "fit_intercept": self.fit_intercept,
        }
        objective: HeldOutScores
        if data.shape[1] < min(folds.n_train) and not options.n_refine:
            objective = FeatureScores(rows, targets, folds, **common)
        else:
            kernels = torch.stack([_linear_kernel(part, part) for part in rows])
            objective = KernelScores(kernels, targets, folds, **common)
        with progress_callback(self.progress, "banded ridge") as callback:
            result = search(objective, options, callback)
        self._weights = result.weights
        self._duals = self._weights_of_units = None
        solution = objective.solve(result.candidates, result.chosen, result.alphas)
        if isinstance(objective, KernelScores):
            self._duals = solution
        else:
            self._weights_of_units = solution
        self._learn(result)
        return self

    def _learn(self, result: SearchResult) -> None:
        self.band_weights_ = self._back_targets(result.weights)
        self.alpha_ = self._back_targets(result.alphas)
        self.deltas_ = _deltas(self.band_weights_, self.alpha_)
        self.best_score_ = self._back_targets(result.scores)
        self.cv_scores_ = self._back_targets(result.cv_scores)
        self.candidates_ = self._back(result.candidates)
        at_zero = self._target_mean.clone()
        if self._duals is None:
            for columns, part in zip(self.bands_.values(), self._primal(slice(None)), strict=True):
                at_zero -= self._mean[columns] @ part.double()
        else:
            self.dual_coef_ = self._back_targets(self._duals)
            for columns, rows, weight in zip(
                self.bands_.values(), self._by_band(self._rows), self._weights, strict=True
            ):
                reach = rows @ self._mean[columns].to(rows.dtype)
                at_zero -= (reach @ self._duals).double() * weight
        self.intercept_ = self._back_targets(at_zero.to(self._rows.dtype))

    @property
    def best_alphas_(self) -> Any:
        """`alpha_`, under himalaya's name."""
        return self.alpha_

    @property
    def coef_(self) -> Any:
        """Coefficients of shape (t, p), or (p,) where y was 1-D."""
        if not hasattr(self, "_duals"):
            raise AttributeError("BandedRidgeCV has no coef_ before it is fitted.")
        coefs = self._rows.new_empty((self._weights.shape[1], self._rows.shape[1]))
        for columns, part in zip(self.bands_.values(), self._primal(slice(None)), strict=True):
            coefs[:, columns] = part.T
        return self._back(coefs[0] if self._one_target else coefs)

    def predict(self, X: Any, *, split: bool = False) -> Any:
        """Predict the targets of new rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n_new, p)
        split : bool, default=False
            Return the part of each band, about the means of the fit. They add up to the
            prediction less the mean of y.

        Returns
        -------
        ndarray or Tensor of shape (n_new, t), (n_new,) where y was 1-D
            With `split`, (B, n_new, t).
        """
        parts, total = self._predict(self._new_data(X), split=split)
        return self._back_targets(total if parts is None else parts)

    def score(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, split: bool = False
    ) -> Any:
        """Return R2.

        Parameters
        ----------
        X : array_like or Tensor of shape (n_new, p)
        y : array_like or Tensor of shape (n_new, t) or (n_new,)
        sample_weight : array_like of shape (n_new,), optional
        split : bool, default=False
            Split the R2 of each target over bands by the product measure,
            ``sum(2 y yhat_b - yhat_b yhat) / sum(y^2)`` about the mean of y. Parts add up to R2
            exactly: what a wrong overall mean costs is shared equally. They may be negative.

        Returns
        -------
        float
            Mean over targets, as in scikit-learn. With `split`, an array or Tensor of shape (B, t),
            (B,) where y was 1-D; NaN for constant targets.
        """
        if not split:
            return r2_average(y, self.predict(X), sample_weight)
        if sample_weight is not None:
            raise ValueError("split scores take no sample_weight; leave it out.")
        parts, _ = self._predict(self._new_data(X), split=True)
        assert parts is not None
        measured = torch.as_tensor(np.asarray(y) if not isinstance(y, torch.Tensor) else y)
        measured = measured.reshape(len(measured), -1).to(parts.device).double()
        if measured.shape != parts.shape[1:]:
            raise ValueError(
                f"y must have shape {tuple(parts.shape[1:])}; got {tuple(measured.shape)}."
            )
        return self._back_targets(_product_measure(measured, parts.double(), self._target_mean))

    def _centred(self, data: torch.Tensor) -> torch.Tensor:
        return (data.to(self._mean.device).double() - self._mean).to(data.dtype)

    def _by_band(self, rows: torch.Tensor) -> list[torch.Tensor]:
        return [rows[:, columns] for columns in self.bands_.values()]

    def _primal(self, targets: slice) -> list[torch.Tensor]:
        """Return the weights of each band, (p_b, m)."""
        if self._duals is None:
            assert self._weights_of_units is not None
            sizes = [len(columns) for columns in self.bands_.values()]
            return list(torch.split(self._weights_of_units[:, targets], sizes))
        duals = self._duals[:, targets]
        return [
            rows.T @ (duals * weight.to(duals.dtype))
            for rows, weight in zip(
                self._by_band(self._rows), self._weights[:, targets], strict=True
            )
        ]

    def _predict(
        self, data: torch.Tensor, *, split: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return the parts of the bands, if wanted, and their sum with the mean."""
        new = self._by_band(self._centred(data).to(self._rows.dtype))
        (n, p), n_new, n_target = self._rows.shape, len(data), self._weights.shape[1]
        duals, kernels = self._duals, None
        # Through the kernels of new rows, or through the weights of the units.
        dual_cost = n_new * n * p + len(new) * n_new * n * n_target
        if duals is not None and dual_cost < (n + n_new) * p * n_target:
            kernels = [a @ b.T for a, b in zip(new, self._by_band(self._rows), strict=True)]
        total = self._rows.new_empty((n_new, n_target))
        parts = self._rows.new_empty((len(new), n_new, n_target)) if split else None
        for first in range(0, n_target, _PREDICT_BLOCK):
            block = slice(first, first + _PREDICT_BLOCK)
            each = (
                [
                    kernel @ duals[:, block] * weight.to(total.dtype)
                    for kernel, weight in zip(kernels, self._weights[:, block], strict=True)
                ]
                if duals is not None and kernels is not None
                else [a @ w for a, w in zip(new, self._primal(block), strict=True)]
            )
            total[:, block] = self._target_mean[block].to(total.dtype)
            for place, part in enumerate(each):
                total[:, block] += part
                if parts is not None:
                    parts[place, :, block] = part
        return parts, total


def _linear_kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return inner products in float64, a few columns at a time."""
    total = torch.zeros((len(a), len(b)), dtype=torch.float64, device=a.device)
    for first in range(0, a.shape[1], _PREDICT_BLOCK):
        block = slice(first, first + _PREDICT_BLOCK)
        total.addmm_(a[:, block].double(), b[:, block].double().T)
    return total


def _product_measure(
    measured: torch.Tensor, parts: torch.Tensor, target_mean: torch.Tensor
) -> torch.Tensor:
    """Split R2 over the parts of a prediction; shapes (n, t), (B, n, t), (t,) -> (B, t)."""
    y = measured - measured.mean(0)
    offset = target_mean - measured.mean(0)
    total = parts.sum(0) + offset
    squares = (y**2).sum(0)
    own = (parts * (2 * y - total)).sum(1)
    shared = (offset * (2 * y - total)).sum(0) / len(parts)
    varies = (measured != measured[0]).any(0)
    return torch.where(varies, (own + shared) / squares, torch.nan)
