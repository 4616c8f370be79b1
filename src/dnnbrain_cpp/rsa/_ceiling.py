"""Noise ceilings: how well any model could do, given how much subjects differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._rdms import RDMs
from dnnbrain_cpp.rsa._resample import check_resampled_method, make_sampler

__all__ = ["KINDS", "POOLS", "NoiseCeiling", "noise_ceiling"]

POOLS = ("mean-rdm", "optimal")
"""What subjects can be pooled as."""

KINDS = (*POOLS, "split-half")


@dataclass(frozen=True)
class NoiseCeiling:
    """Bounds on the similarity of the true model's RDM with subjects, or with their mean.

    Attributes
    ----------
    lower, upper : float
    method : str
        Comparator.
    kind : str
        How subjects were pooled: names the formula.
    """

    lower: float
    upper: float
    method: str
    kind: str

    def __repr__(self) -> str:
        return f"NoiseCeiling({self.lower:.4f} to {self.upper:.4f}, {self.method}, {self.kind})"


def noise_ceiling(
    rdms: RDMsLike,
    *,
    method: str = "tau-b",
    kind: str = "mean-rdm",
    folds: Sequence[object] | None = None,
    n_split: int = 100,
    random_state: RandomState = None,
    n_threads: int | None = None,
) -> NoiseCeiling:
    """Return the noise ceiling of subjects' RDMs.

    Upper bound: mean over subjects of the similarity with the pool of all; lower bound: with the
    pool of all others (Nili et al. 2014). ``"split-half"`` is another thing: the reliability of the
    mean over subjects.

    Parameters
    ----------
    rdms : RDMs or array_like
        One per subject, at least two.
    method : {"corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b", "corr_cov", "cosine_cov"}
        Comparator, see `compare`; ``"cka"`` is ``"cosine_cov"``.
    kind : {"mean-rdm", "optimal", "split-half"}
        ``"mean-rdm"`` pools by the mean of the RDMs as they are (Cichy et al. 2019; Truzzi & Cusack
        2020); its upper bound is not strict. ``"optimal"`` first brings each RDM to what the
        comparator sees: unit norm (cosine), z-scores (corr), unit norm after whitening (cosine_cov,
        corr_cov), ranks (spearman, rho-a; close from below for tau-a, tau-b), which makes the
        upper bound the best that one RDM can reach.

        ``"split-half"``: r is the mean similarity of the mean RDMs of random halves of the
        subjects, and ``rho = 2 r / (1 + r)`` (Spearman-Brown) that of the mean of all with that
        of as many others: the lower bound. The upper is ``sqrt(rho)``, the similarity of the mean
        of all with what subjects share, as test theory has it. Both are for models that are
        compared with the *mean* RDM.
    folds : sequence of length n_cond, optional
        Label of the fold of each condition: the mean over folds of the ceiling within each, which
        is what predictions that are crossvalidated over conditions are to be compared with.
    n_split : int
        Random halves; all where there are no more than so many.
    random_state : int, Generator, RandomState or None
        Of the halves.
    n_threads : int, optional

    Returns
    -------
    NoiseCeiling

    Raises
    ------
    ValueError
        With fewer than two subjects, a constant RDM, or fewer than 3 conditions in a fold.

    Notes
    -----
    Cost: products of dissimilarities need the S x S inner products of subjects alone, ranks 2 S
    comparisons.
    """
    method = check_resampled_method(method)
    check_choice(kind, "kind", KINDS)
    rdms = as_rdms(rdms, "rdms")
    check_comparable(rdms, "rdms", method)
    n_subject = len(rdms)
    if n_subject < 2:
        raise ValueError(f"a noise ceiling needs at least 2 subjects; got {n_subject}.")
    counts = _fold_counts(folds, rdms.n_cond)
    n_threads = resolve_n_threads(n_threads)
    if kind == "split-half":
        n_split = check_integer(n_split, "n_split", minimum=1)
        rng = np.random.default_rng(as_seed(random_state))
        lower, upper = _split_half(
            rdms, method, counts, _halves(n_subject, n_split, rng), n_threads
        )
    else:
        sampler = make_sampler(
            rdms.dissimilarities[:1], rdms.dissimilarities, method, kind, n_threads
        )
        bounds = sampler.ceilings(counts, np.ones((len(counts), n_subject)), None)
        if np.isnan(bounds).any():
            raise ValueError(
                f"{method} is not defined for all subjects in each fold: an RDM is constant over "
                "its conditions. Use fewer folds, or method='tau-a'."
            )
        lower, upper = bounds.mean(0)
    return NoiseCeiling(lower=float(lower), upper=float(upper), method=method, kind=kind)


def _fold_counts(folds: Sequence[object] | None, n_cond: int) -> NDArray[np.float64]:
    """Return which conditions are of each fold, (n_fold, n_cond)."""
    if folds is None:
        return np.ones((1, n_cond))
    if len(folds) != n_cond:
        raise ValueError(f"folds must hold {n_cond} labels; got {len(folds)}.")
    labels = list(dict.fromkeys(folds))
    counts = np.array([[float(fold == label) for fold in folds] for label in labels])
    sizes = counts.sum(1)
    if sizes.min() < 3:
        raise ValueError(
            f"each fold must have at least 3 conditions; fold {labels[int(sizes.argmin())]!r} has "
            f"{int(sizes.min())}."
        )
    return counts


def _halves(n_subject: int, n_split: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return members of one half, (n_half, n_subject): all partitions, or random ones."""
    size = n_subject // 2
    even = 2 * size == n_subject
    n_all = math.comb(n_subject, size) // (2 if even else 1)
    if n_all > n_split:
        ranks = rng.random((n_split, n_subject)).argsort(1)
        return np.asarray(ranks < size)
    chosen = itertools.combinations(range(n_subject), size)
    # Of an even number, each partition comes twice; the first half of the list has each once.
    halves = np.zeros((n_all, n_subject), dtype=np.bool_)
    for row, members in enumerate(itertools.islice(chosen, n_all)):
        halves[row, list(members)] = True
    return halves


def _split_half(
    rdms: RDMs,
    method: str,
    counts: NDArray[np.float64],
    halves: NDArray[np.bool_],
    n_threads: int,
) -> tuple[float, float]:
    similarity = np.empty((len(halves), len(counts)))
    for row, half in enumerate(halves):
        means = [rdms.dissimilarities[members].mean(0, keepdims=True) for members in (half, ~half)]
        sampler = make_sampler(means[0], means[1], method, None, n_threads)
        similarity[row] = sampler.scores(counts, None)[:, 0, 0]
    r = float(similarity.mean())
    reliability = 2 * r / (1 + r)
    return reliability, math.sqrt(max(reliability, 0.0))
