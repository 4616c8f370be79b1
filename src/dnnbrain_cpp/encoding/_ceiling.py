"""Noise ceilings: how well any model could do, given how much repeats of a stimulus differ."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite, check_integer
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.exceptions import ConstantTargetWarning

__all__ = ["CEILINGS", "NoiseCeiling", "NormalisedScores", "noise_ceiling", "normalise"]

CEILINGS = {
    "explainable-variance": "EV - (1 - EV) / (R - 1), EV = var(mean over repeats) / mean(var)",
    "ncsnr": "ncsnr**2 / (ncsnr**2 + mean(1 / m)), ncsnr = sd(signal) / sd(noise)",
    "split-half": "Spearman-Brown of the correlation between halves of the repeats",
}
"""The formula of each kind."""

_MAX_SPLITS = 5000
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, repr=False)
class NoiseCeiling:
    """The best score that the true model of the signal could reach, on average.

    Attributes
    ----------
    reliability : ndarray of shape (n_vox,)
        Signal variance over the variance of a single trial. An estimate: it is negative where
        repeats agree less than chance would have it, so that means over voxels stay unbiased
        (never with ``"split-half"``). NaN for a constant target.
    noise_share : float
        How much of a trial's noise variance is left in the responses that are scored: the mean of
        ``1 / m`` over stimuli that are averages of m trials.
    kind : str
        Names the formula, see `CEILINGS`.
    """

    reliability: NDArray[np.float64]
    noise_share: float
    kind: str

    @property
    def r2(self) -> NDArray[np.float64]:
        """Ceiling of R2, shape (n_vox,): signal variance over the variance that is scored."""
        noise = (1.0 - self.reliability) * self.noise_share
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.reliability / (self.reliability + noise))

    @property
    def r(self) -> NDArray[np.float64]:
        """Ceiling of Pearson's r, shape (n_vox,): the root of `r2`, 0 where that is negative."""
        return np.sqrt(np.maximum(self.r2, 0.0))

    @property
    def ncsnr(self) -> NDArray[np.float64]:
        """Standard deviation of the signal over that of the noise, shape (n_vox,)."""
        share = np.maximum(self.reliability, 0.0)
        with np.errstate(divide="ignore"):
            return np.sqrt(share / (1.0 - share))

    @property
    def formula(self) -> str:
        """What was computed."""
        return CEILINGS[self.kind]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target: target, reliability, ncsnr, r, r2."""
        return pd.DataFrame(
            {
                "target": np.arange(len(self.reliability)),
                "reliability": self.reliability,
                "ncsnr": self.ncsnr,
                "r": self.r,
                "r2": self.r2,
            }
        )

    def __repr__(self) -> str:
        known = self.r2[np.isfinite(self.r2)]
        median = float(np.median(known)) if len(known) else math.nan
        return (
            f"NoiseCeiling: {self.kind}, {len(self.r2)} targets, median r2 {median:.4f}\n"
            f"  {self.formula}"
        )


def noise_ceiling(
    responses: ArrayLike,
    *,
    kind: str = "explainable-variance",
    stimuli: ArrayLike | None = None,
    n_averaged: int | None = None,
    zscore: bool = True,
    splits: int | str = "all",
    random_state: RandomState = None,
) -> NoiseCeiling:
    """Estimate the noise ceiling of each target from repeated presentations.

    A response is a signal, the same whenever its stimulus comes, plus noise that is independent
    from trial to trial. All kinds estimate the share of the signal in the variance of a trial; they
    differ in what they assume.

    Parameters
    ----------
    responses : array_like of shape (n_rep, n_stim, n_vox) or (n_trial, n_vox)
        Repeats of all stimuli, or trials in any order with `stimuli`.
    kind : {"explainable-variance", "ncsnr", "split-half"}
        ``"explainable-variance"``: variance over stimuli of the mean response, over the mean
        variance of the repeats, corrected for the noise that averaging leaves (Sahani & Linden
        2002; Hsu et al. 2004; Schoppe et al. 2016). ``"ncsnr"``: noise variance within stimuli,
        signal variance as what is left of the total (Allen et al. 2022); stimuli may have unequal
        numbers of trials. ``"split-half"``: the correlation of means of half of the repeats.
    stimuli : array_like of shape (n_trial,), optional
        Which stimulus each trial showed. Without it, `responses` must be 3-D.
    n_averaged : int, optional
        The scored responses are means of so many trials. By default of all trials that are given
        here. 1 for single trials, which makes ``r2`` the bias-corrected explainable variance.
    zscore : bool
        With ``"explainable-variance"``, z-score each repeat over stimuli first, so that a gain or
        an offset of a run does not count as noise.
    splits : int or "all"
        With ``"split-half"``, so many random splits of the repeats, or each of them once.
    random_state : int, Generator, RandomState or None
        For random splits.

    Returns
    -------
    NoiseCeiling
        In units of r and of R2.

    Raises
    ------
    ValueError
        For NaN, fewer than two repeats or three stimuli, or, but for ``"ncsnr"``, unequal repeats.

    Warns
    -----
    ConstantTargetWarning
        If targets are constant in some repeat (all, with ``"ncsnr"``); their ceilings are NaN.

    Notes
    -----
    With one response per trial, equal repeats and no z-scoring, the first two kinds differ only in
    how they weigh trials. Split halves estimate the same number with more variance. Halves of
    unequal size (odd numbers of repeats) are taken for what they are, not as halves.
    """
    check_choice(kind, "kind", tuple(CEILINGS))
    values, trial_of = _check_repeats(responses, stimuli, kind)
    counts = np.bincount(trial_of) if values.ndim == 2 else np.full(values.shape[1], len(values))
    if n_averaged is None:
        share = float(np.mean(1.0 / counts))
    else:
        share = 1.0 / check_integer(n_averaged, "n_averaged", minimum=1)
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    if kind == "ncsnr":

        def estimate(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return _signal_share(block.reshape(-1, block.shape[-1]), trial_of)

    elif kind == "split-half":
        halves = _choose_splits(len(values), splits, random_state)

        def estimate(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return _split_half(block, halves)

    else:

        def estimate(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return _explainable_variance(block, zscore)

    reliability = np.concatenate([estimate(block) for block in _blocks(values)])
    constant = int(np.isnan(reliability).sum())
    if constant:
        warnings.warn(
            f"{constant} of {len(reliability)} targets do not vary over stimuli; their noise "
            "ceilings are NaN.",
            ConstantTargetWarning,
            stacklevel=2,
        )
    return NoiseCeiling(reliability, share, kind)


def _check_repeats(
    responses: ArrayLike, stimuli: ArrayLike | None, kind: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return repeats (or trials of unequal repeats) and the number of each trial's stimulus."""
    values = as_float_array(responses, "responses", ndim=(2, 3))
    check_finite(values, "responses")
    if values.ndim == 3:
        if stimuli is not None:
            raise ValueError("stimuli are for trials, shape (n_trial, n_vox); responses are 3-D.")
        n_rep, n_stim, n_vox = values.shape
        numbers = np.tile(np.arange(n_stim), n_rep)
    else:
        if stimuli is None:
            raise ValueError(
                "responses must have shape (n_rep, n_stim, n_vox), or be trials with stimuli=; got "
                f"shape {values.shape} alone."
            )
        labels = np.asarray(stimuli)
        if labels.shape != (len(values),):
            raise ValueError(
                f"stimuli must name that of each of {len(values)} trials; got shape {labels.shape}."
            )
        numbers = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
        counts = np.bincount(numbers)
        n_rep, n_stim, n_vox = int(counts.max()), len(counts), values.shape[1]
        if (counts == n_rep).all():
            order = np.argsort(numbers, kind="stable").reshape(n_stim, n_rep)
            values, numbers = values[order.T], np.tile(np.arange(n_stim), n_rep)
        elif kind != "ncsnr":
            raise ValueError(
                f"kind={kind!r} needs the same number of trials of each stimulus; got from "
                f"{int(counts.min())} to {n_rep}. Take kind='ncsnr', or leave trials out."
            )
    if n_rep < 2 or n_stim < 3 or n_vox == 0:
        raise ValueError(
            "a noise ceiling needs at least 2 repeats of 3 stimuli, and a target; got "
            f"{n_rep} of {n_stim}, and {n_vox}."
        )
    return values, numbers


def _blocks(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Yield targets in float64, some at a time."""
    n_vox = values.shape[-1]
    per_vox = 8 * (values.size // n_vox)
    step = max(1, _BLOCK_BYTES // per_vox)
    for first in range(0, n_vox, step):
        yield values[..., first : first + step].astype(np.float64)


def _explainable_variance(repeats: NDArray[np.float64], zscore: bool) -> NDArray[np.float64]:
    n_rep = len(repeats)
    constant = (repeats == repeats[:, :1]).all(1)
    repeats = repeats - repeats.mean(1, keepdims=True)
    variance = repeats.var(1, ddof=1)
    unusable = constant.any(0) if zscore else constant.all(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if zscore:
            repeats = repeats / np.sqrt(variance)[:, None]
            variance = np.ones_like(variance)
        share = repeats.mean(0).var(0, ddof=1) / variance.mean(0)
    share = share - (1.0 - share) / (n_rep - 1)
    share[unusable] = np.nan
    return np.asarray(share)


def _signal_share(
    trials: NDArray[np.float64], stimulus_of: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Signal variance over the sum of signal and noise variance, each unbiased."""
    n_trial = len(trials)
    counts = np.bincount(stimulus_of)
    order = np.argsort(stimulus_of, kind="stable")
    starts = np.cumsum(counts) - counts
    constant = (trials == trials[0]).all(0)
    trials = trials - trials.mean(0)
    means = np.add.reduceat(trials[order], starts, axis=0) / counts[:, None]
    total = (trials**2).sum(0) / (n_trial - 1)
    noise = ((trials - means[stimulus_of]) ** 2).sum(0) / (n_trial - len(counts))
    # The total holds not quite one signal variance: trials of one stimulus share it.
    held = (n_trial - (counts**2).sum() / n_trial) / (n_trial - 1)
    signal = (total - noise) / held
    with np.errstate(invalid="ignore", divide="ignore"):
        share = signal / (signal + noise)
    share[constant] = np.nan
    return np.asarray(share)


def _choose_splits(n_rep: int, splits: int | str, random_state: RandomState) -> NDArray[np.bool_]:
    """Return which repeats are in the first half, shape (n_split, n_rep)."""
    half = n_rep // 2
    if isinstance(splits, str):
        check_choice(splits, "splits", ("all",))
        n_split = math.comb(n_rep, half) // (2 if n_rep % 2 == 0 else 1)
        if n_split > _MAX_SPLITS:
            raise ValueError(
                f"{n_rep} repeats have {n_split} splits, more than {_MAX_SPLITS}; give the number "
                "of random ones, such as splits=1000."
            )
        # With equal halves, a split and its mirror image are one: the first repeat stays put.
        chosen = [
            half_of
            for half_of in itertools.combinations(range(n_rep), half)
            if n_rep % 2 or half_of[0] == 0
        ]
    else:
        n_split = check_integer(splits, "splits", minimum=1)
        rng = np.random.default_rng(as_seed(random_state))
        chosen = [tuple(rng.permutation(n_rep)[:half]) for _ in range(n_split)]
    first = np.zeros((len(chosen), n_rep), dtype=bool)
    for split, members in enumerate(chosen):
        first[split, list(members)] = True
    return first


def _split_half(repeats: NDArray[np.float64], halves: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Single-trial reliability from the mean correlation between halves."""
    n_rep, _, n_vox = repeats.shape
    constant = (repeats == repeats[:, :1]).all(1).all(0)
    repeats = repeats - repeats.mean(1, keepdims=True)
    total = repeats.sum(0)
    r = np.zeros(n_vox)
    for first in halves:
        a = repeats[first].sum(0)
        b = total - a
        with np.errstate(invalid="ignore", divide="ignore"):
            r += (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))
    r /= len(halves)
    # r**-2 = (1 + q / n_a) (1 + q / n_b) with q the noise variance over that of the signal.
    n_a = n_rep // 2
    n_b = n_rep - n_a
    linear = float(n_a + n_b)
    positive = np.clip(r, 1e-100, 1.0)
    constant_term = n_a * n_b * (positive**-2.0 - 1.0)
    # The positive root, without the difference of nearly equal numbers.
    q = 2.0 * constant_term / (linear + np.sqrt(linear**2 + 4.0 * constant_term))
    share = np.where(r > 0, 1.0 / (1.0 + q), 0.0)
    share[constant | np.isnan(r)] = np.nan
    return np.asarray(share)


Values = TypeVar("Values", NDArray[np.float64], Scores)


@dataclass(frozen=True, repr=False)
class NormalisedScores(Generic[Values]):
    """Scores as a share of what could be reached.

    Attributes
    ----------
    scores : ndarray or Scores
        As they came, divided by the ceiling; NaN for targets whose ceiling is below the floor.
    below : ndarray of shape (n_vox,)
        Which targets those are.
    floor : float
        In units of R2.
    """

    scores: Values
    below: NDArray[np.bool_]
    floor: float

    @property
    def n_below(self) -> int:
        """Number of targets whose ceiling is below the floor."""
        return int(self.below.sum())

    def __repr__(self) -> str:
        return (
            f"NormalisedScores: {len(self.below)} targets, {self.n_below} without a score because "
            f"their ceiling is below r2 = {self.floor}"
        )


def normalise(
    scores: Values, ceiling: NoiseCeiling, *, floor: float = 0.1, scoring: str = "r"
) -> NormalisedScores[Values]:
    """Divide scores by their noise ceiling.

    Parameters
    ----------
    scores : Scores or array_like of shape (..., n_vox)
        r is divided by the ceiling of r; R2 and explained variance by that of R2.
    ceiling : NoiseCeiling
        Of the responses that were scored: mind ``n_averaged``.
    floor : float
        Targets with a lower ceiling of R2 have no normalised score: dividing by next to nothing
        would make them the best of all.
    scoring : {"r", "r2", "ev"}
        What an array holds; `Scores` know.

    Returns
    -------
    NormalisedScores
        Values above 1 are due to noise in either estimate and are left as they are.

    Raises
    ------
    ValueError
        For unequal numbers of targets, a floor outside (0, 1], or errors instead of scores.
    """
    if not 0 < floor <= 1 or floor is True:
        raise ValueError(f"floor must be in (0, 1], in units of R2; got {floor!r}.")
    values: Any = scores
    if isinstance(values, Scores):
        scoring = values.scoring
    check_choice(scoring, "scoring", ("r", "r2", "ev"))
    best = ceiling.r if scoring == "r" else ceiling.r2
    below = ~(ceiling.r2 >= floor)  # a ceiling that is NaN is below
    divisor = np.where(below, np.nan, best)
    divided: Any
    if isinstance(values, Scores):
        _check_targets(values.n_vox, len(best))
        divided = Scores(
            {layer: folds / divisor for layer, folds in values.scores.items()},
            scoring=f"{scoring} / ceiling",
            route=values.route,
            targets=values.targets,
            rois=values.rois,
            fold_average=values.fold_average,
            parts=values.parts,
            geometry=values.geometry,
        )
    else:
        array = as_float_array(values, "scores")
        _check_targets(array.shape[-1] if array.ndim else 0, len(best))
        divided = np.asarray(array / divisor, dtype=np.float64)
    return NormalisedScores(divided, below, float(floor))


def _check_targets(n_scored: int, n_ceiling: int) -> None:
    if n_scored != n_ceiling:
        raise ValueError(
            f"scores and ceiling must be of the same targets; got {n_scored} and {n_ceiling}."
        )
