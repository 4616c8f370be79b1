"""Inner products of RDMs over pairs of conditions, by folds of the conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockMoments", "Moments"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Inner products about the mean over some pairs.

    Attributes
    ----------
    products : ndarray of shape (n_vector, n_vector)
    n_pair : int
    """

    products: Values
    n_pair: int


@dataclass(frozen=True)
class BlockMoments:
    """Sums over pairs, for each two folds of the conditions.

    A training set is a sum of blocks: pairs of which neither condition is held out. All are formed
    at once, so that a further split costs additions alone.

    Attributes
    ----------
    sums : ndarray of shape (n_fold, n_fold, n_vector + 1, n_vector + 1)
        Inner products of the vectors and of a constant over pairs between folds a and b, in
        ``[min(a, b), max(a, b)]``; zero elsewhere.
    """

    sums: Values

    @classmethod
    def of(cls, vectors: Values, folds: NDArray[np.int64]) -> BlockMoments:
        """Return the sums of `vectors`, (n_vector, n_pair), with the fold of each condition.

        ``2 n_vector**2 n_pair`` FLOP.
        """
        n_cond, n_fold = len(folds), int(folds.max()) + 1
        rows, columns = np.triu_indices(n_cond, 1)
        first = np.minimum(folds[rows], folds[columns])
        second = np.maximum(folds[rows], folds[columns])
        block = first * n_fold + second
        order = np.argsort(block, kind="stable")
        bounds = np.searchsorted(block[order], np.arange(n_fold * n_fold + 1))
        # About the mean of all, so that little is lost when the mean of a part is taken out.
        extended = np.vstack([vectors - vectors.mean(1, keepdims=True), np.ones(len(block))])
        extended = extended[:, order]
        size = len(extended)
        sums = np.zeros((n_fold * n_fold, size, size))
        for place in range(n_fold * n_fold):
            part = extended[:, bounds[place] : bounds[place + 1]]
            sums[place] = part @ part.T
        return cls(sums.reshape(n_fold, n_fold, size, size))

    def within(self, fold: int) -> Moments:
        """Return the moments over pairs of conditions that both are of `fold`."""
        return _about_mean(self.sums[fold, fold])

    def without(self, fold: int) -> Moments:
        """Return the moments over pairs of conditions that both are not of `fold`."""
        others = np.delete(np.arange(len(self.sums)), fold)
        return _about_mean(self.sums[np.ix_(others, others)].sum((0, 1)))

    def everything(self) -> Moments:
        """Return the moments over all pairs."""
        return _about_mean(self.sums.sum((0, 1)))


def _about_mean(sums: Values) -> Moments:
    n_pair = sums[-1, -1]
    first = sums[-1, :-1]
    return Moments(sums[:-1, :-1] - np.outer(first, first / max(n_pair, 1.0)), round(n_pair))
