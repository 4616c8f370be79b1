"""How sure is a score, and does one model beat another? Both from sums over blocks.

A score is a function of six sums over rows: n, y, p, y y, p p, y p. Blocks are drawn again
(bootstrap), left out (jackknife) or change models (permutation) by a matrix of counts, so that all
resamples of all voxels are one matrix product per fold. No row is looked at twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp import stats
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.encoding._held_out import (
    HeldOut,
    RowBlocks,
    TargetTable,
    block_rows,
    check_held_out,
    share_of_null,
)
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.exceptions import Cancelled

__all__ = ["ConfidenceInterval", "ModelComparison", "bootstrap_ci", "compare_models"]

SCORINGS = ("r", "r2")
KINDS = ("percentile", "bca")
_LEVEL = 0.95
# Resamples times targets that are held in one array.
_TILE = 1 << 20
# A resample of one and the same response leaves the rounding of its mean, of responses that were
# scaled to a variance of 1.
_CONSTANT = 1e-13
# Room for rounding when two differences are compared.
_ROUNDING = 1e-11


@dataclass(frozen=True, repr=False)
class ConfidenceInterval(TargetTable):
    """Scores and between what they would lie, were the stimuli drawn again.

    Attributes
    ----------
    score, low, high : ndarray of shape (n_vox,)
        NaN where a target is constant in every fold.
    level : float
    kind, scoring : str
    n_boot, seed : int
        What the interval can be repeated with.
    targets : tuple
    """

    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    level: float
    kind: str
    scoring: str
    n_boot: int
    seed: int
    targets: tuple[object, ...]

    _columns = ("score", "low", "high")

    def __repr__(self) -> str:
        above = int((self.low > 0).sum())
        return (
            f"ConfidenceInterval: {self.scoring} of {len(self.score)} targets, {self.level:.0%} "
            f"{self.kind}, {self.n_boot} resamples, seed {self.seed}\n"
            f"  above 0: {above} targets"
        )


@dataclass(frozen=True, repr=False)
class ModelComparison(TargetTable):
    """Scores of two models of the same responses, and whether they differ.

    Attributes
    ----------
    score_a, score_b, difference : ndarray of shape (n_vox,)
        ``difference = score_a - score_b``. NaN where a target is constant in every fold.
    low, high : ndarray of shape (n_vox,)
        Bootstrap interval of the difference.
    p, p_fwe, p_fdr : ndarray of shape (n_vox,)
        ``(1 + b) / (1 + n_perm)``; against the most extreme voxel; by Benjamini and Hochberg.
    scoring, alternative, kind : str
    level : float
    n_perm, n_boot, seed : int
    targets : tuple
    """

    score_a: NDArray[np.float64]
    score_b: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_fwe: NDArray[np.float64]
    p_fdr: NDArray[np.float64]
    scoring: str
    alternative: str
    kind: str
    level: float
    n_perm: int
    n_boot: int
    seed: int
    targets: tuple[object, ...]
    difference: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "difference", self.score_a - self.score_b)

    _columns = ("score_a", "score_b", "difference", "low", "high", "p", "p_fwe", "p_fdr")

    def __repr__(self) -> str:
        significant = self.p_fdr <= 1 - self.level
        better = int((significant & (self.difference > 0)).sum())
        worse = int((significant & (self.difference < 0)).sum())
        return (
            f"ModelComparison: {self.scoring} of {len(self.p)} targets, {self.n_perm} permutations "
            f"({self.alternative}), {self.n_boot} resamples, seed {self.seed}\n"
            f"  p_fdr <= {1 - self.level:.2g}: a better in {better} targets, b in {worse}"
        )


def bootstrap_ci(
    measured: ArrayLike,
    predicted: ArrayLike | Scores,
    *,
    folds: ArrayLike | None = None,
    blocks: ArrayLike | int | None = None,
    scoring: str = "r",
    kind: str = "percentile",
    level: float = _LEVEL,
    n_boot: int = 2000,
    random_state: RandomState = None,
    progress: Progress = False,
) -> ConfidenceInterval:
    """Bootstrap confidence interval of each target's score.

    Blocks are drawn with replacement within each fold; the model is not refitted, so the interval
    speaks of other stimuli, not of other training sets.

    Parameters
    ----------
    measured : array_like of shape (n_stim, n_vox) or (n_stim,)
    predicted : array_like of the same shape, or Scores
        Held-out predictions, as in `permutation_test`.
    folds : array_like of shape (n_stim,), optional
        The score is the mean over folds; by default it pools all rows.
    blocks : int or array_like of shape (n_stim,), optional
        Rows that are drawn as a whole, as in `permutation_test`; by default single rows.
    scoring : {"r", "r2"}
    kind : {"percentile", "bca"}
        The percentiles of the resamples, or those that a jackknife over blocks finds after
        correction for bias and acceleration (Efron 1987): second-order accurate, but not with a few
        blocks per fold.
    level : float
        Of confidence.
    n_boot : int
        Resamples.
    random_state : int, Generator, RandomState or None
    progress : bool or callable

    Returns
    -------
    ConfidenceInterval

    Raises
    ------
    ValueError
        For what `permutation_test` refuses; for folds of one block.

    Notes
    -----
    ``10 n_boot n_block n_vox`` FLOP in float64, over all folds together; a resample in which a fold
    of a target is constant leaves that fold out. With 60 blocks and more, 95 % intervals cover the
    truth in 93 to 95 % of simulated data; with few blocks they are too narrow, as bootstraps are.
    """
    check_choice(scoring, "scoring", SCORINGS)
    check_choice(kind, "kind", KINDS)
    _check_level(level)
    n_boot = check_integer(n_boot, "n_boot", minimum=2)
    data = check_held_out(
        measured, {"predicted": predicted}, folds=folds, blocks=blocks, targets=None
    )
    layout = block_rows(data.folds, data.blocks)
    layout.check_several_per_fold("to be drawn from")
    seed = as_seed(random_state)
    counts = _draw_counts(layout, n_boot, np.random.default_rng(seed))
    n_vox = len(data.targets)
    score, low, high = np.empty((3, n_vox))

    def of_tile(tile: slice) -> None:
        sums = _BlockSums(data, 0, layout, tile, scoring)
        estimate = _Estimate(
            _mean_of(sums.scores()),
            _mean_of(sums.resampled(counts)),
            _influence([sums.left_out()], [sums.scores()], [1.0]),
        )
        score[tile] = estimate.value.numpy()
        low[tile], high[tile] = estimate.interval(kind, level)

    with progress_callback(progress, f"{n_boot} resamples") as report:
        _each_tile(n_vox, n_boot, of_tile, report)
    return ConfidenceInterval(
        score=score,
        low=low,
        high=high,
        level=float(level),
        kind=kind,
        scoring=scoring,
        n_boot=n_boot,
        seed=seed,
        targets=data.targets,
    )


def compare_models(
    measured: ArrayLike,
    predicted_a: ArrayLike | Scores,
    predicted_b: ArrayLike | Scores,
    *,
    folds: ArrayLike | None = None,
    blocks: ArrayLike | int | None = None,
    scoring: str = "r",
    alternative: str = "two-sided",
    n_perm: int = 10_000,
    kind: str = "percentile",
    level: float = _LEVEL,
    n_boot: int = 2000,
    random_state: RandomState = None,
    progress: Progress = False,
) -> ModelComparison:
    """Compare two models' held-out predictions of the same responses, target by target.

    Under the null hypothesis the two models are alike, so that in any block of stimuli their
    predictions may change places. The score of both is computed anew for every such exchange; the
    interval of the difference is a bootstrap with the same blocks for both.

    Parameters
    ----------
    measured : array_like of shape (n_stim, n_vox) or (n_stim,)
    predicted_a, predicted_b : array_like of the same shape, or Scores
        Held-out predictions, as in `permutation_test`.
    folds, blocks, scoring
        As in `bootstrap_ci`.
    alternative : {"two-sided", "greater", "less"}
        Of a against b.
    n_perm : int
        Random exchanges.
    kind, level, n_boot
        As in `bootstrap_ci`.
    random_state : int, Generator, RandomState or None
    progress : bool or callable

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        For what `bootstrap_ci` refuses.

    Notes
    -----
    For r the predictions of each fold are first brought to one mean and variance, which changes no
    score, so that models on other scales can be exchanged. ``6 n_perm n_block n_vox`` and ``20
    n_boot n_block n_vox`` FLOP in float64.
    """
    check_choice(scoring, "scoring", SCORINGS)
    check_choice(alternative, "alternative", ("two-sided", "greater", "less"))
    check_choice(kind, "kind", KINDS)
    _check_level(level)
    n_perm = check_integer(n_perm, "n_perm", minimum=1)
    n_boot = check_integer(n_boot, "n_boot", minimum=2)
    data = check_held_out(
        measured,
        {"predicted_a": predicted_a, "predicted_b": predicted_b},
        folds=folds,
        blocks=blocks,
        targets=None,
    )
    layout = block_rows(data.folds, data.blocks)
    layout.check_several_per_fold("to be drawn from")
    seed = as_seed(random_state)
    rng = np.random.default_rng(seed)
    swaps = [
        rng.integers(0, 2, (n_perm, n_block), dtype=np.uint8)
        for n_block in np.diff(layout.fold_starts)
    ]
    counts = _draw_counts(layout, n_boot, rng)
    n_vox = len(data.targets)
    score_a, score_b, low, high, slack = np.empty((5, n_vox))
    exceed = np.empty(n_vox, dtype=np.int64)
    extremes = np.full(n_perm, -np.inf)

    def side(difference: torch.Tensor) -> torch.Tensor:
        if alternative == "two-sided":
            return difference.abs()
        return difference if alternative == "greater" else -difference

    def of_tile(tile: slice) -> None:
        a = _BlockSums(data, 0, layout, tile, scoring)
        b = _BlockSums(data, 1, layout, tile, scoring)
        estimate = _Estimate(
            _mean_of(a.scores()) - _mean_of(b.scores()),
            _mean_of(a.resampled(counts)) - _mean_of(b.resampled(counts)),
            _influence([a.left_out(), b.left_out()], [a.scores(), b.scores()], [1.0, -1.0]),
        )
        low[tile], high[tile] = estimate.interval(kind, level)
        score_a[tile], score_b[tile] = _mean_of(a.scores()).numpy(), _mean_of(b.scores()).numpy()
        slack[tile] = _ROUNDING * (1.0 + np.abs(score_a[tile]) + np.abs(score_b[tile]))
        mixed_a, mixed_b = a.exchanged(b, swaps)
        permuted = side(_mean_of(mixed_a) - _mean_of(mixed_b))
        least = side(estimate.value) - torch.from_numpy(slack[tile])
        exceed[tile] = (permuted >= least).sum(0).numpy()
        most = permuted.nan_to_num(nan=-np.inf).amax(1).numpy()
        np.maximum(extremes, most, out=extremes)

    with progress_callback(progress, f"{n_perm} exchanges") as report:
        _each_tile(n_vox, max(n_perm, n_boot), of_tile, report)
    difference = score_a - score_b
    known = np.isfinite(difference)
    extreme = {"two-sided": np.abs(difference), "greater": difference, "less": -difference}
    ranked = np.sort(extremes)
    family = n_perm - np.searchsorted(ranked, np.where(known, extreme[alternative] - slack, 0.0))
    p = share_of_null(exceed, n_perm, known)
    return ModelComparison(
        score_a=score_a,
        score_b=score_b,
        low=low,
        high=high,
        p=p,
        p_fwe=share_of_null(family, n_perm, known),
        p_fdr=stats.adjust(p),
        scoring=scoring,
        alternative=alternative,
        kind=kind,
        level=float(level),
        n_perm=n_perm,
        n_boot=n_boot,
        seed=seed,
        targets=data.targets,
    )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level!r}.")


def _draw_counts(
    layout: RowBlocks, n_boot: int, rng: np.random.Generator
) -> list[NDArray[np.uint16]]:
    """Return how often each block of each fold is drawn, shape (n_boot, n_block) per fold."""
    counts = []
    for n_block in np.diff(layout.fold_starts):
        drawn = rng.integers(0, n_block, (n_boot, n_block)) + n_block * np.arange(n_boot)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n_boot * n_block)
        counts.append(times.reshape(n_boot, n_block).astype(np.uint16))
    return counts


def _each_tile(
    n_vox: int,
    n_sample: int,
    work: Callable[[slice], None],
    report: ProgressCallback | None,
) -> None:
    step = max(1, _TILE // n_sample)
    for first in range(0, n_vox, step):
        last = min(first + step, n_vox)
        work(slice(first, last))
        if report is not None and report(last, n_vox) is False:
            raise Cancelled("cancelled by the caller")


def _mean_of(folds: list[torch.Tensor]) -> torch.Tensor:
    """Mean over folds, those without a score left out."""
    return torch.stack(folds).nanmean(0)


class _BlockSums:
    """Sums over the rows of each block, for some targets and one model.

    Attributes
    ----------
    n : list of tensor of shape (n_block,)
        Rows of each block, per fold.
    sums : list of tensor of shape (5, n_block, n_vox)
        Of y, p, y y, p p and y p, per fold.
    """

    def __init__(
        self, data: HeldOut, model: int, layout: RowBlocks, tile: slice, scoring: str
    ) -> None:
        self.scoring = scoring
        self.n: list[torch.Tensor] = []
        self.sums: list[torch.Tensor] = []
        for fold in range(layout.n_fold):
            first, last = layout.fold_starts[fold : fold + 2]
            starts = layout.block_starts[first : last + 1]
            rows = layout.rows[starts[0] : starts[-1]]
            y, p = _centred(
                data.measured[rows, tile].astype(np.float64),
                data.predicted[model][rows, tile].astype(np.float64),
                scoring,
            )
            sums = np.stack([y, p, y * y, p * p, y * p])
            if last - first < len(rows):
                sums = np.add.reduceat(sums, starts[:-1] - starts[0], axis=1)
            self.n.append(torch.from_numpy(np.diff(starts).astype(np.float64)))
            self.sums.append(torch.from_numpy(sums))

    def scores(self) -> list[torch.Tensor]:
        """Score of each fold, shape (n_vox,)."""
        return [
            _score(n.sum()[None], sums.sum(1, keepdim=True), self.scoring)[0]
            for n, sums in zip(self.n, self.sums, strict=True)
        ]

    def resampled(self, counts: list[NDArray[np.uint16]]) -> list[torch.Tensor]:
        """Score of each fold and resample, shape (n_boot, n_vox)."""
        out = []
        for n, sums, times in zip(self.n, self.sums, counts, strict=True):
            weights = torch.from_numpy(times.astype(np.float64))
            out.append(_score(weights @ n, _weigh(weights, sums), self.scoring))
        return out

    def left_out(self) -> list[torch.Tensor]:
        """Score of each fold without each of its blocks, shape (n_block, n_vox)."""
        return [
            _score(n.sum() - n, sums.sum(1, keepdim=True) - sums, self.scoring)
            for n, sums in zip(self.n, self.sums, strict=True)
        ]

    def exchanged(
        self, other: _BlockSums, swaps: list[NDArray[np.uint8]]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Scores of both models where they change places in some blocks, (n_perm, n_vox) each."""
        ours: list[torch.Tensor] = []
        theirs: list[torch.Tensor] = []
        predicted = [1, 3, 4]  # the sums that a model has a part in
        for n, a, b, swap in zip(self.n, self.sums, other.sums, swaps, strict=True):
            weights = torch.from_numpy(swap.astype(np.float64))
            moved = _weigh(weights, b[predicted] - a[predicted])
            both = a.sum(1, keepdim=True), b.sum(1, keepdim=True)
            for out, total, change in ((ours, both[0], moved), (theirs, both[1], -moved)):
                mixed = total.repeat(1, len(swap), 1)
                mixed[predicted] += change
                out.append(_score(n.sum()[None], mixed, self.scoring))
        return ours, theirs


def _centred(
    y: NDArray[np.float64], p: NDArray[np.float64], scoring: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shift and scale a fold, in ways that change no score, so that sums of squares are exact."""
    y_constant = (y == y[0]).all(0)
    y_mean = y.mean(0)
    largest = np.abs(p).max(0)
    if scoring == "r2":
        y, p = y - y_mean, p - y_mean
        scale = np.sqrt((y * y).mean(0))
        scale[y_constant] = 1.0
        y, p = y / scale, p / scale
    else:
        y, p = y - y_mean, p - p.mean(0)
        p_constant = np.abs(p).max(0) <= _CONSTANT * largest
        for values, constant in ((y, y_constant), (p, p_constant)):
            scale = np.sqrt((values * values).mean(0))
            scale[constant] = 1.0
            values /= scale
        p[:, p_constant] = 0.0
    y[:, y_constant] = 0.0
    return y, p


def _weigh(weights: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    """(m, n_block) x (k, n_block, n_vox) -> (k, m, n_vox)."""
    return torch.matmul(weights, sums)


def _score(n: torch.Tensor, sums: torch.Tensor, scoring: str) -> torch.Tensor:
    """Score of each sample: n (m,) and sums (5, m, n_vox) -> (m, n_vox)."""
    y, p, yy, pp, yp = sums
    n = n[:, None]
    y_variance = yy - y * y / n
    if scoring == "r2":
        score = 1.0 - (yy - 2.0 * yp + pp) / y_variance
    else:
        p_variance = pp - p * p / n
        score = (yp - y * p / n) / torch.sqrt(y_variance * p_variance)
        # A constant prediction does not covary with anything.
        score = torch.where(p_variance > _CONSTANT * n, score.clamp(-1.0, 1.0), 0.0)
    return torch.where(y_variance > _CONSTANT * n, score, torch.nan)


def _influence(
    left_out: list[list[torch.Tensor]], scores: list[list[torch.Tensor]], signs: list[float]
) -> list[torch.Tensor]:
    """Return what each block adds to the mean over folds, by jackknife, (n_block, n_vox) each."""
    out = []
    for fold in range(len(scores[0])):
        total = torch.zeros_like(left_out[0][fold])
        for without, whole, sign in zip(left_out, scores, signs, strict=True):
            n_fold = torch.stack(whole).isfinite().sum(0)
            total += sign * (len(total) - 1) * (without[fold].nanmean(0) - without[fold]) / n_fold
        out.append(total.nan_to_num())
    return out


@dataclass(frozen=True)
class _Estimate:
    """A statistic, its resamples and its jackknife, for some targets."""

    value: torch.Tensor  # (n_vox,)
    resampled: torch.Tensor  # (n_boot, n_vox)
    influence: list[torch.Tensor]  # per fold, (n_block, n_vox)

    def interval(self, kind: str, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower and upper bound of each target."""
        known = self.value.isfinite()
        ordered = self.resampled.t().contiguous().sort(1).values  # NaN last
        n_known = ordered.isfinite().sum(1)
        tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
        places = tails[:, None].expand(2, len(known))
        if kind == "bca":
            places = self._corrected(tails, n_known)
        bounds = []
        for place in places * (n_known - 1).clamp(min=0):
            below = place.floor().long()
            above = torch.minimum(below + 1, (n_known - 1).clamp(min=0))
            lower, upper = (ordered.gather(1, at[:, None])[:, 0] for at in (below, above))
            bound = torch.where(known, lower + (place - below) * (upper - lower), torch.nan)
            bounds.append(bound.numpy())
        return bounds[0], bounds[1]

    def _corrected(self, tails: torch.Tensor, n_known: torch.Tensor) -> torch.Tensor:
        """Shares of the resamples that stand for the tails (Efron 1987), shape (2, n_vox)."""
        less = (self.resampled < self.value).sum(0) + 0.5 * (self.resampled == self.value).sum(0)
        # No resample on one side says no more than that the share is smaller than one of them.
        n = n_known.clamp(min=1)
        share = torch.clamp(less / n, 0.5 / n, 1 - 0.5 / n)
        bias = torch.special.ndtri(share.double())
        cubes = torch.stack([(part**3).sum(0) for part in self.influence]).sum(0)
        squares = torch.stack([(part**2).sum(0) for part in self.influence]).sum(0)
        acceleration = torch.nan_to_num(cubes / (6.0 * squares**1.5))
        z = bias + torch.special.ndtri(tails)[:, None]
        places: torch.Tensor = torch.special.ndtr(bias + z / (1.0 - acceleration * z))
        return places
