"""How scores of models would vary with other subjects, other conditions, or both."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from dnnbrain_cpp import stats
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._ceiling import POOLS, NoiseCeiling
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._resample import (
    Sampler,
    check_resampled_method,
    draw_counts,
    make_sampler,
)

__all__ = ["BootstrapResult", "bootstrap"]

FACTORS = ("conditions", "subjects")
TESTS = ("t", "percentile")
# Fewer conditions have no two pairs that could differ.
_FEWEST_CONDITIONS = 3


@dataclass(frozen=True)
class Samples:
    """What one bootstrap found.

    Attributes
    ----------
    scores : ndarray of shape (n_boot, n_model)
        Mean over the subjects of the sample. NaN where a comparator is undefined, as where an RDM
        is constant over the conditions of the sample.
    ceilings : ndarray of shape (n_boot, 2) or None
        Lower and upper noise ceiling of the sample.
    by_repeat, ceilings_by_repeat : ndarray of shape (n_repeat, n_boot, ...) or None
        The same of single assignments to folds, of which the former are means, where models were
        crossvalidated.
    """

    scores: NDArray[np.float64]
    ceilings: NDArray[np.float64] | None
    by_repeat: NDArray[np.float64] | None = None
    ceilings_by_repeat: NDArray[np.float64] | None = None

    def combined(self, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weighted sums of scores and ceilings, (n_boot, n_contrast)."""
        return _combined(self.scores, self.ceilings, contrasts)

    def variance(self, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of weighted sums over samples, without that of the folds."""
        of_mean = _sample_variance(self.combined(contrasts))
        if self.by_repeat is None:
            return of_mean
        n_repeat = len(self.by_repeat)
        single = [
            _sample_variance(
                _combined(
                    self.by_repeat[i],
                    None if self.ceilings_by_repeat is None else self.ceilings_by_repeat[i],
                    contrasts,
                )
            )
            for i in range(n_repeat)
        ]
        corrected = (n_repeat * of_mean - np.mean(single, axis=0)) / (n_repeat - 1)
        return np.asarray(np.maximum(corrected, 0.0))


@dataclass(frozen=True, repr=False)
class BootstrapResult:
    """Scores of models and how they vary over samples.

    Attributes
    ----------
    scores : ndarray of shape (n_model,)
        Of the data themselves: mean over subjects.
    variance : ndarray of shape (n_model,)
        Of `scores`, corrected for the number of conditions and of subjects.
    samples : Samples
        Of all of `over` together.
    parts : mapping of str to Samples
        With two factors in `over`, also ``"conditions"`` and ``"subjects"`` alone, drawn alike.
    ceiling : NoiseCeiling or None
        Of the data themselves.
    over : tuple of str
        What was drawn again.
    n : mapping of str to int
        How many conditions and subjects, or groups of these, there are of each in `over`.
    models : tuple of str
    method : str
    n_boot, seed : int
        What the samples can be repeated with.
    """

    scores: NDArray[np.float64]
    samples: Samples
    parts: Mapping[str, Samples]
    ceiling: NoiseCeiling | None
    over: tuple[str, ...]
    n: Mapping[str, int]
    models: tuple[str, ...]
    method: str
    n_boot: int
    seed: int

    @property
    def dof(self) -> int:
        """Degrees of freedom of t-tests: the smaller number in `n`, less 1."""
        return min(self.n.values()) - 1

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of `scores`."""
        return self._variance(np.eye(len(self.models)))

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Root of `variance`."""
        return np.asarray(np.sqrt(self.variance))

    def conf_int(self, level: float = 0.95, *, kind: str = "t") -> NDArray[np.float64]:
        """Return confidence intervals of `scores`, shape (n_model, 2).

        Parameters
        ----------
        level : float
            In (0, 1).
        kind : {"t", "percentile"}
            ``"t"``: from `variance` and `dof`. ``"percentile"``: between so many of the samples;
            over two factors at once it is too wide, because noise is drawn twice.
        """
        return self._interval(np.eye(len(self.models)), _check_level(level), kind)

    def compare_models(
        self, *, test: str = "t", adjust: str = "holm", level: float = 0.95
    ) -> pd.DataFrame:
        """Compare each pair of models.

        Parameters
        ----------
        test : {"t", "percentile"}
            ``"t"``: from the variance of the difference. ``"percentile"``: from how often the
            difference has the other sign in the samples, ``p = 2 (count + 1) / (n_boot + 1)``.
        adjust : {"holm", "bh", "by", "bonferroni"}
            For the number of pairs, see `stats.adjust`.
        level : float
            Of the intervals, which are not adjusted.

        Returns
        -------
        DataFrame
            One row per pair: model_a, model_b, difference (a - b), low, high, p (two-sided),
            p_adjusted.
        """
        n_model = len(self.models)
        if n_model < 2:
            raise ValueError("a comparison needs at least 2 models; got 1.")
        pairs = list(itertools.combinations(range(n_model), 2))
        contrasts = np.zeros((len(pairs), n_model))
        for row, (a, b) in enumerate(pairs):
            contrasts[row, [a, b]] = 1, -1
        names = {
            "model_a": [self.models[a] for a, _ in pairs],
            "model_b": [self.models[b] for _, b in pairs],
        }
        return self._tests(names, contrasts, contrasts @ self.scores, test, adjust, level)

    def compare_ceiling(
        self, *, test: str = "t", adjust: str = "holm", level: float = 0.95
    ) -> pd.DataFrame:
        """Compare each model with the lower noise ceiling of the same samples.

        Parameters and columns are as in `compare_models`: model, difference (ceiling - score), low,
        high, p, p_adjusted.
        """
        if self.ceiling is None:
            raise ValueError("there is no ceiling: give ceiling= to bootstrap, and 2 subjects.")
        n_model = len(self.models)
        contrasts = np.hstack([-np.eye(n_model), np.tile([1.0, 0.0], (n_model, 1))])
        values = self.ceiling.lower - self.scores
        return self._tests({"model": list(self.models)}, contrasts, values, test, adjust, level)

    def to_frame(self, *, level: float = 0.95, adjust: str = "holm") -> pd.DataFrame:
        """Return one row per model.

        Columns: model, method, score, se, low, high (t), p (of a score that is not above 0,
        one-sided t-test), p_adjusted (over models).
        """
        interval = self.conf_int(level)
        p = stdtr(self.dof, -_ratio(self.scores, self.standard_error))
        return pd.DataFrame(
            {
                "model": self.models,
                "method": self.method,
                "score": self.scores,
                "se": self.standard_error,
                "low": interval[:, 0],
                "high": interval[:, 1],
                "p": p,
                "p_adjusted": stats.adjust(p, method=adjust),
            }
        )

    def __repr__(self) -> str:
        counts = " x ".join(f"{count} {factor}" for factor, count in self.n.items())
        lines = [
            f"BootstrapResult: {len(self.models)} models, {self.method}, {self.n_boot} samples of "
            f"{counts}, seed {self.seed}",
            self.to_frame()
            .drop(columns="method")
            .to_string(index=False, float_format=lambda value: f"{value:.4g}"),
        ]
        return "\n".join(lines if self.ceiling is None else [*lines, repr(self.ceiling)])

    def _tests(
        self,
        names: Mapping[str, Sequence[str]],
        contrasts: NDArray[np.float64],
        values: NDArray[np.float64],
        test: str,
        adjust: str,
        level: float,
    ) -> pd.DataFrame:
        check_choice(test, "test", TESTS)
        level = _check_level(level)
        if test == "t":
            error = np.sqrt(self._variance(contrasts))
            p = 2 * stdtr(self.dof, -np.abs(_ratio(values, error)))
        else:
            drawn = self.samples.combined(contrasts)
            known = np.isfinite(drawn)
            fewer = np.minimum((known & (drawn <= 0)).sum(0), (known & (drawn >= 0)).sum(0))
            p = np.minimum(1.0, 2 * (fewer + 1) / (known.sum(0) + 1))
        interval = self._interval(contrasts, level, test, values)
        return pd.DataFrame(
            {
                **names,
                "difference": values,
                "low": interval[:, 0],
                "high": interval[:, 1],
                "p": p,
                "p_adjusted": stats.adjust(p, method=adjust),
            }
        )

    def _interval(
        self,
        contrasts: NDArray[np.float64],
        level: float,
        kind: str,
        values: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        check_choice(kind, "kind", TESTS)
        if kind == "percentile":
            tails = [(1 - level) / 2, (1 + level) / 2]
            return np.asarray(np.nanquantile(self.samples.combined(contrasts), tails, axis=0).T)
        centre = contrasts @ self.scores if values is None else values
        reach = stdtrit(self.dof, (1 + level) / 2) * np.sqrt(self._variance(contrasts))
        return np.stack([centre - reach, centre + reach], 1)

    def _variance(self, contrasts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the corrected variance of weighted sums of scores and ceilings."""
        both = self.samples.variance(contrasts)
        if len(self.over) == 1:
            n = self.n[self.over[0]]
            return both * n / (n - 1)
        c, s = (self.n[factor] / (self.n[factor] - 1) for factor in FACTORS)
        conditions, subjects = (self.parts[factor].variance(contrasts) for factor in FACTORS)
        variance = c * conditions + s * subjects - c * s * (both - conditions - subjects)
        at_least = np.maximum(c * conditions, s * subjects)
        return np.asarray(np.minimum(np.maximum(variance, at_least), both))


def bootstrap(
    models: RDMsLike,
    data: RDMsLike,
    *,
    n_boot: int = 1000,
    over: str | Sequence[str] = FACTORS,
    method: str = "tau-b",
    ceiling: str | None = "mean-rdm",
    condition_groups: Sequence[object] | None = None,
    subject_groups: Sequence[object] | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> BootstrapResult:
    """Score models in samples of the conditions and the subjects, drawn with replacement.

    The scores of models with these subjects and conditions are one draw; how would they vary with
    others? Where conclusions are to hold for other subjects and other conditions, draw both (Nili
    et al. 2014; Schuett et al. 2023).

    Parameters
    ----------
    models : RDMs, RDM, or array_like
        One per model.
    data : RDMs, RDM, or array_like
        One per subject, joined to the models as in `compare`.
    n_boot : int
        Samples.
    over : {"conditions", "subjects"} or both
        What is drawn again. Both by default; that asks for 2 subjects.
    method : {"corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b", "corr_cov", "cosine_cov"}
        Comparator, see `compare`. The last two are whitened for independent noise.
    ceiling : {"mean-rdm", "optimal"} or None
        Noise ceilings of the same samples, see `noise_ceiling`.
    condition_groups, subject_groups : sequence, optional
        One label per condition of `models`, or per subject: those with one label are drawn
        together, such as the images of a category or the sessions of a subject.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        By default ``torch.get_num_threads()``, which products of matrices always follow. Results do
        not depend on it.
    progress : bool or callable

    Returns
    -------
    BootstrapResult

    Raises
    ------
    ValueError
        For unequal conditions, an RDM for which the comparator is undefined, or fewer than 2
        subjects to draw from.

    Notes
    -----
    Copies of one condition have no dissimilarity: a sample with c_i copies of condition i holds the
    pair (i, j) c_i c_j times, and no pair (i, i). Samples with fewer than 3 conditions are drawn
    again.

    With one factor of size n, the variance is that of the samples, times n / (n - 1). With both it
    is, with S subjects, n conditions and the variances of samples of subjects, conditions and both,

    ``S/(S-1) v_s + n/(n-1) v_c - S/(S-1) n/(n-1) (v_both - v_s - v_c)``,

    not below either of the first two terms nor above v_both: a sample of both draws the noise of
    single values twice (Schuett et al. 2023). t-tests have ``min(S, n) - 1`` degrees of freedom.

    In a sample, each subject counts as often as it was drawn, in ceilings too, so that no model can
    exceed the upper bound of ``ceiling="optimal"``; rsatoolbox counts each once there.

    Cost: corr, cosine and the whitened ones are one matrix product of ``2 n_boot n_pair (n_model
    n_subject + n_subject**2 / 2)`` FLOP; Spearman's take O(n_pair) a sample, model and subject,
    Kendall's O(n_pair log n_pair), without a sort.
    """
    method = check_resampled_method(method)
    factors = check_factors(over)
    n_boot = check_integer(n_boot, "n_boot", minimum=2)
    if ceiling is not None:
        check_choice(ceiling, "ceiling", POOLS)
    models, data = join(as_rdms(models, "models"), as_rdms(data, "data"))
    check_comparable(models, "models", method)
    check_comparable(data, "data", method)
    groups = {
        "conditions": _labels(condition_groups, "condition_groups", models.n_cond),
        "subjects": _labels(subject_groups, "subject_groups", len(data)),
    }
    n = {factor: int(groups[factor].max()) + 1 for factor in factors}
    for factor, count in n.items():
        if count < 2:
            raise ValueError(
                f"a bootstrap over {factor} needs at least 2 of them; got {count}. Leave it out of "
                "over=."
            )
    seed = as_seed(random_state)
    rng = np.random.default_rng(seed)
    conditions = draw_counts(
        rng, n_boot, models.n_cond, at_least=_FEWEST_CONDITIONS, groups=groups["conditions"]
    )
    subjects = draw_counts(rng, n_boot, len(data), at_least=1, groups=groups["subjects"])
    kind = ceiling if len(data) > 1 else None
    sampler = make_sampler(
        models.dissimilarities,
        data.dissimilarities,
        method,
        kind,
        resolve_n_threads(n_threads),
    )
    with progress_callback(progress, f"bootstrap, {n_boot} samples") as report:
        parts = _all_samples(
            sampler, conditions, subjects, factors, with_ceilings=kind is not None, report=report
        )
    whole = parts["whole"]
    return BootstrapResult(
        scores=whole.scores[0],
        samples=parts[factors[0] if len(factors) == 1 else "both"],
        parts={factor: parts[factor] for factor in factors},
        ceiling=None
        if whole.ceilings is None or kind is None
        else NoiseCeiling(float(whole.ceilings[0, 0]), float(whole.ceilings[0, 1]), method, kind),
        over=factors,
        n=n,
        models=models.names,
        method=method,
        n_boot=n_boot,
        seed=seed,
    )


def _all_samples(
    sampler: Sampler,
    conditions: NDArray[np.float64],
    subjects: NDArray[np.float64],
    factors: tuple[str, ...],
    *,
    with_ceilings: bool,
    report: ProgressCallback | None,
) -> dict[str, Samples]:
    """Return samples of each factor, of ``"both"``, and of none: ``"whole"``."""
    every_condition = np.ones((1, conditions.shape[1]))
    every_subject = np.ones_like(subjects)
    parts = {}

    def add(counts: NDArray[np.float64], copies_of: Mapping[str, NDArray[np.float64]]) -> None:
        # What samples of the same conditions share is done once: their scores, one by one.
        scores = sampler.scores(counts, report)
        for name, copies in copies_of.items():
            share = copies / copies.sum(1, keepdims=True)
            # A subject of which there is no copy is none of the sample, whatever its score.
            terms = np.where(share[:, None, :] > 0, scores, 0.0) * share[:, None, :]
            ceilings = sampler.ceilings(counts, copies, None) if with_ceilings else None
            parts[name] = Samples(terms.sum(2), ceilings)

    if "conditions" in factors:
        several = {"both": subjects} if len(factors) == len(FACTORS) else {}
        add(conditions, {"conditions": every_subject, **several})
    alone = {"subjects": subjects} if "subjects" in factors else {}
    add(every_condition, {**alone, "whole": every_subject[:1]})
    return parts


def check_factors(over: str | Sequence[str]) -> tuple[str, ...]:
    given = (over,) if isinstance(over, str) else tuple(over)
    for factor in given:
        check_choice(factor, "over", FACTORS)
    if not given:
        raise ValueError("over must name 'conditions', 'subjects' or both; got nothing.")
    return tuple(factor for factor in FACTORS if factor in given)


def _check_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1); got {level}.")
    return float(level)


def _labels(groups: Sequence[object] | None, name: str, n: int) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{name} must hold {n} labels; got {len(groups)}.")
    place: dict[object, int] = {}
    return np.array([place.setdefault(label, len(place)) for label in groups], dtype=np.int64)


def _combined(
    scores: NDArray[np.float64],
    ceilings: NDArray[np.float64] | None,
    contrasts: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_model = scores.shape[1]
    values: NDArray[np.float64] = scores @ contrasts[:, :n_model].T
    if contrasts.shape[1] > n_model:
        assert ceilings is not None
        values = values + ceilings @ contrasts[:, n_model:].T
    return values


def _sample_variance(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance over the samples in which each column is defined."""
    known = np.isfinite(drawn)
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, drawn, 0.0).sum(0) / count
        squares = np.where(known, drawn - mean, 0.0) ** 2
        return np.asarray(np.where(count > 1, squares.sum(0) / (count - 1), np.nan))


def _ratio(value: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(value / error)
