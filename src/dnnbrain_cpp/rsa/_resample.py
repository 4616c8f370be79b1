"""Scores and noise ceilings in samples of conditions and subjects, for every comparator.

A sample is a row of counts: how often each condition, or subject, was drawn. The pair of conditions
i and j then comes c_i c_j times; copies of one condition against each other are left out.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.rsa._methods import METHODS

__all__ = [
    "Sampler",
    "check_resampled_method",
    "draw_counts",
    "make_sampler",
    "own_scores",
]

Counts = NDArray[np.float64]
Values = NDArray[np.float64]

PRODUCTS = {
    "corr": (core.InnerProduct.plain, True),
    "cosine": (core.InnerProduct.plain, False),
    "corr_cov": (core.InnerProduct.whitened, True),
    "cosine_cov": (core.InnerProduct.whitened, False),
}
"""Comparators that are cosines: their inner product, and whether the mean is removed."""

RANKS = ("spearman", "rho-a", "tau-a", "tau-b")

_SYNONYMS = {"pearson": "corr", "kendalltau": "tau-b", "kendall": "tau-b", "cka": "cosine_cov"}

# What is left of the square of a constant after its mean has been removed, relative to the square.
_CONSTANT = 1e-13

# Pairs of conditions, times RDMs compared, that take some 0.1 s.
_MOST_COMPARED = 2e7


def check_resampled_method(method: str) -> str:
    """Return the comparator's own name, if it is one that samples are compared by."""
    return check_choice(_SYNONYMS.get(method, method), "method", (*PRODUCTS, *RANKS))


def draw_counts(
    rng: np.random.Generator, n_boot: int, n_item: int, *, at_least: int, groups: NDArray[np.int64]
) -> Counts:
    """Draw as many groups of items as there are, with replacement, `n_boot` times.

    Samples with fewer than `at_least` distinct items are drawn again.
    """
    n_group = int(groups.max()) + 1
    counts = np.empty((n_boot, n_item))
    todo = np.arange(n_boot)
    while len(todo):
        drawn = rng.integers(0, n_group, (len(todo), n_group))
        drawn += n_group * np.arange(len(todo))[:, None]
        times = np.bincount(drawn.ravel(), minlength=len(todo) * n_group)
        counts[todo] = times.reshape(len(todo), n_group)[:, groups]
        todo = todo[(counts[todo] > 0).sum(1) < at_least]
    return counts


class Sampler(Protocol):
    """Models and subjects, compared in samples."""

    def scores(self, counts: Counts, report: ProgressCallback | None) -> Values:
        """Return scores, (n_boot, n_model, n_subject); NaN where undefined."""

    def ceilings(self, counts: Counts, copies: Counts, report: ProgressCallback | None) -> Values:
        """Return lower and upper ceilings, (n_boot, 2), of `copies` of subjects.

        One row of `counts` serves all of `copies`.
        """


def make_sampler(
    models: Values, subjects: Values, method: str, kind: str | None, n_threads: int
) -> Sampler:
    """Return what compares `models` with `subjects`; `kind` is that of the ceilings."""
    if method in PRODUCTS:
        return _ProductSampler(models, subjects, method, optimal=kind == "optimal")
    return _RankSampler(models, subjects, method, optimal=kind == "optimal", n_threads=n_threads)


def own_scores(
    models: Values, subjects: Values, counts: Values, method: str, n_threads: int
) -> Values:
    """Score models that each sample has for itself, (n_boot, n_model, n_subject).

    `models` is (n_boot * n_model, n_pair), sample by sample.
    """
    n_model = len(models) // len(counts)
    if method in RANKS:
        flat = core.resampled_own_scores(models, subjects, counts, METHODS[method], n_threads, None)
        return flat.reshape(len(counts), n_model, len(subjects))
    scores = np.empty((len(counts), n_model, len(subjects)))
    for row, own in enumerate(models.reshape(len(counts), n_model, -1)):
        sampler = make_sampler(np.ascontiguousarray(own), subjects, method, None, n_threads)
        scores[row] = sampler.scores(counts[row : row + 1], None)[0]
    return scores


class _ProductSampler:
    """Cosines of dissimilarities, from inner products of all samples at once."""

    def __init__(self, models: Values, subjects: Values, method: str, *, optimal: bool) -> None:
        self.product, self.centred = PRODUCTS[method]
        self.optimal = optimal
        self.models = self._scaled(models, each=True)
        self.subjects = self._scaled(subjects, each=optimal)
        self._last: tuple[Counts, Values, Values] | None = None

    def _scaled(self, rdms: Values, *, each: bool) -> Values:
        """Bring RDMs near what is compared, so that little cancels.

        Pools of RDMs as they are depend on how these differ in scale: then one scale serves all.
        """
        values = rdms - rdms.mean(1, keepdims=True) if self.centred else rdms
        scale = np.abs(values).max(1, keepdims=True)
        scale = np.where(scale > 0, scale, 1.0) if each else max(scale.max(), np.finfo(float).tiny)
        out: Values = values / scale
        return out

    def scores(self, counts: Counts, report: ProgressCallback | None) -> Values:
        return self._similarities(counts, report)[0]

    def ceilings(self, counts: Counts, copies: Counts, report: ProgressCallback | None) -> Values:
        gram = self._similarities(counts, report)[1]
        own = np.diagonal(gram, axis1=1, axis2=2)
        gram = gram / np.sqrt(own[:, :, None] * own[:, None, :]) if self.optimal else gram
        own = np.ones_like(own) if self.optimal else own
        # With the pool p = sum u_t y_t: y_s'p and p'p are sums over the Gram matrix of subjects.
        # A subject of which there is no copy is none of the sample, whatever its RDM.
        gram = np.where((copies[:, :, None] > 0) & (copies[:, None, :] > 0), gram, 0.0)
        own = np.where(copies > 0, own, 1.0)
        rows = np.einsum(
            "bst,bt->bs", np.broadcast_to(gram, (len(copies), *gram.shape[1:])), copies
        )
        total = np.einsum("bs,bs->b", rows, copies)[:, None]
        alone = copies * np.diagonal(gram, axis1=1, axis2=2)
        several = ((copies > 0).sum(1) > 1)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            upper = rows / np.sqrt(own * total)
            others = total - 2 * copies * rows + copies * alone
            lower = (rows - alone) / np.sqrt(own * np.where(several, others, np.nan))
        n_copies = copies.sum(1, keepdims=True)
        share = copies / n_copies
        of_sample = [np.where(copies > 0, bound, 0.0) * share for bound in (lower, upper)]
        return np.stack([bound.sum(1) for bound in of_sample], 1)

    def _similarities(
        self, counts: Counts, report: ProgressCallback | None
    ) -> tuple[Values, Values]:
        """Return scores, and the Gram matrices of subjects as compared."""
        if self._last is not None and self._last[0] is counts:
            return self._last[1:]
        ones = np.ones((1, self.models.shape[1]))
        subjects = np.vstack([self.subjects, ones])
        cross, own, among = self._moments(counts, self.models, subjects, self.product, report)
        gram, size = among[:, :-1, :-1], own
        if self.centred:
            mean_x, mean_y = self._means(counts, cross, among, report)
            one_x, one_y, one = cross[:, :, -1], among[:, :-1, -1], among[:, -1, -1][:, None]
            cross = (
                cross[:, :, :-1]
                - mean_x[:, :, None] * one_y[:, None, :]
                - one_x[:, :, None] * mean_y[:, None, :]
                + (mean_x * one)[:, :, None] * mean_y[:, None, :]
            )
            size = own - 2 * mean_x * one_x + mean_x**2 * one
            by_mean = mean_y[:, :, None] * one_y[:, None, :]
            gram = (
                gram
                - by_mean
                - by_mean.transpose(0, 2, 1)
                + (mean_y * one)[:, :, None] * mean_y[:, None, :]
            )
        else:
            cross = cross[:, :, :-1]
        size_y = np.diagonal(gram, axis1=1, axis2=2)
        size = np.where(size > _CONSTANT * own, size, np.nan)
        least_y = _CONSTANT * np.diagonal(among, axis1=1, axis2=2)[:, :-1]
        size_y = np.where(size_y > least_y, size_y, np.nan)
        gram = gram + np.where(np.isnan(size_y), np.nan, 0.0)[:, :, None]
        scores = cross / np.sqrt(size[:, :, None] * size_y[:, None, :])
        self._last = (counts, scores, gram)
        return scores, gram

    def _means(
        self, counts: Counts, cross: Values, among: Values, report: ProgressCallback | None
    ) -> tuple[Values, Values]:
        """Return the mean dissimilarity of each model and subject in each sample."""
        if self.product == core.InnerProduct.plain:
            n_pair = among[:, -1, -1][:, None]
            return cross[:, :, -1] / n_pair, among[:, :-1, -1] / n_pair
        rdms = np.vstack([self.models, self.subjects])
        ones = np.ones((1, rdms.shape[1]))
        sums, _, n_pair = self._moments(counts, rdms, ones, core.InnerProduct.plain, report)
        means = sums[:, :, 0] / n_pair[:, 0]
        return means[:, : len(self.models)], means[:, len(self.models) :]

    @staticmethod
    def _moments(
        counts: Counts,
        models: Values,
        subjects: Values,
        product: core.InnerProduct,
        report: ProgressCallback | None,
    ) -> tuple[Values, Values, Values]:
        cross, own, among = core.resampled_moments(
            as_tensor(counts), as_tensor(models), as_tensor(subjects), product, report
        )
        return cross.numpy(), own.numpy(), among.numpy()


def _share(report: ProgressCallback | None, part: int, n_part: int) -> ProgressCallback | None:
    """Return what reports the progress of one of several parts of equal length."""
    if report is None:
        return None
    return lambda done, total: report(part * total + done, n_part * total)


class _RankSampler:
    """Spearman's and Kendall's comparators, sample by sample."""

    def __init__(
        self, models: Values, subjects: Values, method: str, *, optimal: bool, n_threads: int
    ) -> None:
        self.models, self.subjects = models, subjects
        self.comparator = METHODS[method]
        self.pooling = core.PooledAs.ranks if optimal else core.PooledAs.values
        self.n_threads = n_threads

    def scores(self, counts: Counts, report: ProgressCallback | None) -> Values:
        # Of one sample, no more models at a time than leave time to look for Ctrl-C.
        n_model, n_pair = self.models.shape
        step = max(1, int(_MOST_COMPARED / (n_pair * len(self.subjects))))
        starts = range(0, n_model, step)
        parts = [
            core.resampled_scores(
                self.models[start : start + step],
                self.subjects,
                counts,
                self.comparator,
                self.n_threads,
                _share(report, place, len(starts)),
            )
            for place, start in enumerate(starts)
        ]
        return np.hstack(parts).reshape(len(counts), n_model, len(self.subjects))

    def ceilings(self, counts: Counts, copies: Counts, report: ProgressCallback | None) -> Values:
        return core.resampled_ceilings(
            self.subjects,
            counts,
            copies,
            self.comparator,
            self.pooling,
            self.n_threads,
            report,
        )
