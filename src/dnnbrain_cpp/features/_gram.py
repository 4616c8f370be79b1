"""The n x n moments of a layer, in place of its units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._validate import as_float_array, check_finite

__all__ = ["Gram"]


class Gram:
    """Inner products of the patterns of all pairs of stimuli over the units of a layer.

    PCA, PCR, ridge and the common dissimilarities depend on the units through this matrix alone, so
    a layer of any width costs n_stim x n_stim numbers.

    Parameters
    ----------
    moments : GramMoments
        What a sink or `core.gram_moments` left.

    Notes
    -----
    Units are centred over stimuli before they are multiplied; sums are fp64. Cost:
    ``2 n_stim**2 n_feat`` FLOP.
    """

    def __init__(
        self,
        moments: core.GramMoments,
        *,
        rows: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> None:
        self._moments = moments
        self._rows = None if rows is None else np.asarray(rows, dtype=np.int64)

    @classmethod
    def from_features(cls, features: ArrayLike) -> Gram:
        """Return the moments of an array of shape (n_stim, n_feat), float32 or float64."""
        array = as_float_array(features, "features", ndim=2)
        check_finite(array, "features")
        return cls(core.gram_moments(as_tensor(array)))

    @property
    def n_stim(self) -> int:
        """Number of stimuli."""
        return int(self._moments.centred.shape[0]) if self._rows is None else len(self._rows)

    @property
    def n_feat(self) -> int:
        """Number of units that were summed over."""
        return int(self._moments.n_feat)

    @property
    def kernel(self) -> NDArray[np.float64]:
        """Gram matrix of the centred units, shape (n_stim, n_stim); read-only."""
        matrix: NDArray[np.float64] = self._moments.centred.numpy()
        if self._rows is not None:
            matrix = matrix[np.ix_(self._rows, self._rows)]
        matrix.flags.writeable = False
        return matrix

    def dissimilarities(self, metric: core.Dissimilarity) -> torch.Tensor:
        """Return the condensed dissimilarities, shape (n_pair,), float64."""
        condensed = core.dissimilarities(self._moments, metric)
        if self._rows is None:
            return condensed
        n_all = self._moments.centred.shape[0]
        square = torch.zeros((n_all, n_all), dtype=torch.float64)
        upper = torch.triu_indices(n_all, n_all, 1)
        square[upper[0], upper[1]] = condensed
        square = (square + square.T)[self._rows][:, self._rows]
        upper = torch.triu_indices(self.n_stim, self.n_stim, 1)
        return square[upper[0], upper[1]]

    def select(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Gram:
        """Return the moments of some stimuli, in that order.

        The units stay centred over all stimuli, which no result of PCA, regression or distances
        depends on.
        """
        indices = np.asarray(rows, dtype=np.int64)
        return Gram(self._moments, rows=indices if self._rows is None else self._rows[indices])

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.array(self.kernel, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Gram(n_stim={self.n_stim}, n_feat={self.n_feat})"
