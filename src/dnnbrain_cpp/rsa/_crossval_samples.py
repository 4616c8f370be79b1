"""Models fitted to some conditions and subjects of samples, and scored with the others.

Training and test sets of a sample are samples too, with the counts of their own conditions, so that
inner products of all of them come from one matrix product.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.rsa._bootstrap import Samples
from dnnbrain_cpp.rsa._models import Model
from dnnbrain_cpp.rsa._rdms import RDMs
from dnnbrain_cpp.rsa._resample import make_sampler, own_scores

__all__ = ["CrossvalidatedSamples", "Folds", "assign"]

Values = NDArray[np.float64]

# Inner products and predictions that are held at once.
_CHUNK_BYTES = 64 << 20
# What is left of the square of a constant after its mean has been removed, relative to the square.
_CONSTANT = 1e-13


@dataclass(frozen=True)
class Folds:
    """Numbers of folds; 1 for none."""

    conditions: int
    subjects: int


class CrossvalidatedSamples:
    """Fits and scores in folds of samples."""

    def __init__(
        self,
        models: Sequence[Model],
        components: Sequence[RDMs],
        data: RDMs,
        method: str,
        kind: str | None,
        folds: Folds,
        n_threads: int,
    ) -> None:
        self.models = models
        self.components = np.vstack([rdms.dissimilarities for rdms in components])
        bounds = np.cumsum([0, *(len(rdms) for rdms in components)])
        self.slices = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        self.subjects = data.dissimilarities
        self.method = method
        self.folds = folds
        # Near what is compared, so that little cancels where a mean is taken out.
        centred = method == "corr" and all(model.method == "corr" for model in models)
        vectors = np.vstack([self.components, self.subjects])
        self.vectors = vectors - vectors.mean(1, keepdims=True) if centred else vectors
        self.n_threads = n_threads
        self.with_ceilings = kind is not None
        self.sampler = make_sampler(self.subjects[:1], self.subjects, method, kind, n_threads)

    def samples(
        self,
        counts: Values,
        copies_of: Mapping[str, Values],
        n_repeat: int,
        rng: np.random.Generator,
        report: ProgressCallback | None,
    ) -> dict[str, Samples]:
        """Return the samples of `counts` with each of `copies_of` subjects."""
        n_boot, n_cond = counts.shape
        n_model, n_vector = len(self.models), len(self.components) + len(self.subjects) + 1
        fold_of = np.stack([assign(counts, self.folds.conditions, rng) for _ in range(n_repeat)], 1)
        group_of = {
            name: np.stack([assign(copies, self.folds.subjects, rng) for _ in range(n_repeat)], 1)
            for name, copies in copies_of.items()
        }
        scores = {name: np.empty((n_repeat, n_boot, n_model)) for name in copies_of}
        ceilings = {name: np.empty((n_repeat, n_boot, 2)) for name in copies_of}
        rows_of_sample = n_repeat * self.folds.conditions
        bytes_of_row = 8 * (
            2 * n_vector**2 + self.folds.subjects * n_model * self.subjects.shape[1]
        )
        step = max(1, _CHUNK_BYTES // (rows_of_sample * bytes_of_row))
        for begin in range(0, n_boot, step):
            part = slice(begin, min(begin + step, n_boot))
            held_out = fold_of[part, :, None, :] == np.arange(self.folds.conditions)[:, None]
            # (sample, repeat, fold, condition): rows of one matrix product each.
            test = np.where(held_out, counts[part, None, None, :], 0.0)
            train = test if self.folds.conditions == 1 else counts[part, None, None, :] - test
            fold = _FoldRows(self, train.reshape(-1, n_cond), test.reshape(-1, n_cond))
            shape = (-1, n_repeat, self.folds.conditions)
            for name, copies in copies_of.items():
                of_row = np.repeat(copies[part], rows_of_sample, 0)
                groups = np.repeat(
                    group_of[name][part].reshape(-1, copies.shape[1]), self.folds.conditions, 0
                )
                found = fold.scores(of_row, groups)
                scores[name][:, part] = np.moveaxis(found.reshape(*shape, n_model).mean(2), 1, 0)
                if self.with_ceilings:
                    bounds = self.sampler.ceilings(fold.test, of_row, None)
                    ceilings[name][:, part] = np.moveaxis(bounds.reshape(*shape, 2).mean(2), 1, 0)
            if report is not None and report(part.stop, n_boot) is False:
                raise Cancelled("cancelled by the caller")
        return {
            name: Samples(
                scores[name].mean(0),
                ceilings[name].mean(0) if self.with_ceilings else None,
                scores[name],
                ceilings[name] if self.with_ceilings else None,
            )
            for name in copies_of
        }


class _FoldRows:
    """Fits to, and scores with, the conditions of each row."""

    def __init__(self, work: CrossvalidatedSamples, train: Values, test: Values) -> None:
        self.work = work
        self.test = test
        self.fitted = _Products(work, train)
        self.tested = _Products(work, test) if work.method in ("corr", "cosine") else None

    def scores(self, copies: Values, groups: NDArray[np.int64]) -> Values:
        """Return the mean over folds of subjects, (n_row, n_model)."""
        work = self.work
        n_group = work.folds.subjects
        held_out = [(groups == group) & (copies > 0) for group in range(n_group)]
        weights = np.zeros((len(copies), n_group, len(work.models), len(work.components)))
        for group, test in enumerate(held_out):
            train = copies if n_group == 1 else np.where(test, 0.0, copies)
            for place, model in enumerate(work.models):
                part = work.slices[place]
                grams, targets = self.fitted.problems(part, train, centred=model.method == "corr")
                weights[:, group, place, part] = model.solve_all(grams, targets)
        similarity = self._similarity(weights)
        total = np.zeros((len(copies), len(work.models)))
        for group, test in enumerate(held_out):
            share = np.where(test, copies, 0.0)
            share = share / share.sum(1, keepdims=True)
            terms = np.where(share[:, None, :] > 0, similarity[:, group], 0.0) * share[:, None, :]
            total += terms.sum(2)
        return total / n_group

    def _similarity(self, weights: Values) -> Values:
        """Return scores of predictions with subjects, (n_row, n_group, n_model, n_subject)."""
        work = self.work
        if self.tested is not None:
            found = self.tested.cosines(weights, centred=work.method == "corr")
        else:
            predicted = weights.reshape(-1, weights.shape[-1]) @ work.components
            found = own_scores(predicted, work.subjects, self.test, work.method, work.n_threads)
            found = found.reshape(*weights.shape[:3], -1)
        nothing = ~weights.any(-1, keepdims=True)
        return np.where(nothing, 0.0, found)


class _Products:
    """Inner products of all RDMs over the pairs of each row of counts."""

    def __init__(self, work: CrossvalidatedSamples, counts: Values) -> None:
        self.n_component = len(work.components)
        ones = np.ones((1, work.vectors.shape[1]))
        among = core.resampled_moments(
            as_tensor(counts),
            as_tensor(ones),
            as_tensor(np.vstack([work.vectors, ones])),
            core.InnerProduct.plain,
            None,
        )[2].numpy()
        self.plain = among[:, :-1, :-1]
        sums, n_pair = among[:, :-1, -1], among[:, -1, -1]
        self.about_mean = self.plain - sums[:, :, None] * (sums / n_pair[:, None])[:, None, :]

    def _gram(self, *, centred: bool) -> tuple[Values, NDArray[np.bool_]]:
        """Return products and which vectors are nothing but a constant."""
        gram = self.about_mean if centred else self.plain
        own = np.diagonal(gram, axis1=1, axis2=2)
        return gram, own <= _CONSTANT * np.diagonal(self.plain, axis1=1, axis2=2)

    def problems(self, part: slice, copies: Values, *, centred: bool) -> tuple[Values, Values]:
        """Return inner products of components, and with the mean of subjects of unit length."""
        gram, constant = self._gram(centred=centred)
        own = np.diagonal(gram, axis1=1, axis2=2)
        subjects = slice(self.n_component, None)
        length = np.sqrt(np.where(constant, np.inf, own))
        share = copies / copies.sum(1, keepdims=True)
        targets = gram[:, part, subjects] @ (share / length[:, subjects])[:, :, None]
        grams = gram[:, part, part].copy()
        flat = constant[:, part]
        grams[flat[:, :, None] | flat[:, None, :]] = 0.0
        return grams, np.where(flat, 0.0, targets[:, :, 0])

    def cosines(self, weights: Values, *, centred: bool) -> Values:
        """Return cosines of weighted sums of components with subjects."""
        gram, constant = self._gram(centred=centred)
        subjects = slice(self.n_component, None)
        own = np.diagonal(gram, axis1=1, axis2=2)
        length = np.sqrt(np.where(constant, np.nan, own))[:, subjects]
        flat = weights.reshape(len(weights), -1, weights.shape[-1])
        parts = gram[:, : self.n_component, : self.n_component]
        square = ((flat @ parts) * flat).sum(2)
        size = ((flat @ self.plain[:, : self.n_component, : self.n_component]) * flat).sum(2)
        square = np.where(square > _CONSTANT * size, square, np.nan)
        products = flat @ gram[:, : self.n_component, subjects]
        cosine = products / (np.sqrt(square)[:, :, None] * length[:, None, :])
        return np.asarray(cosine.reshape(*weights.shape[:3], -1))


def assign(counts: Values, n_fold: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold for each item of each sample, those that are in it in equal numbers."""
    keys = np.where(counts > 0, rng.random(counts.shape), 2.0)
    rank = keys.argsort(1).argsort(1)
    return np.asarray(np.where(counts > 0, rank % n_fold, -1))
