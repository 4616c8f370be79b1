"""Principal components from batches of rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import gen_batches

from dnnbrain_cpp._native import core
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.linear._components import ComponentsBase, complete_basis

__all__ = ["IncrementalPCA"]


class IncrementalPCA(ComponentsBase):
    """Principal components that are updated batch by batch, with scikit-learn's numbers.

    Parameters
    ----------
    n_components : int or None
        None keeps as many as the first batch has rows, or columns if those are fewer.
    whiten : bool
        Divide scores by the components' standard deviations.
    batch_size : int or None
        Rows per batch in ``fit``; None is five times the columns, as in scikit-learn.
    copy : bool
        For the signature of scikit-learn: data are never changed.

    Attributes
    ----------
    components_ : ndarray or Tensor of shape (k, p), float64
        Orthonormal rows by descending variance; the entry of largest size is positive.
    explained_variance_, explained_variance_ratio_, singular_values_ : of shape (k,), float64
    mean_, var_ : of shape (p,), float64
    noise_variance_ : float
        Mean variance of the components that the last step left out.
    n_components_, n_samples_seen_, batch_size_, n_features_in_ : int

    Notes
    -----
    The algorithm is that of Ross, Lim, Lin & Yang (2008) with the correction for the mean, as in
    scikit-learn. The singular value decomposition of the stack of old components and new rows is
    taken through its Gram matrix in float64. The old components are orthonormal, so only the blocks
    of the new rows are formed.

    The first batch must have at least as many rows as components; any later one may be of any size.

    What was learnt stays float64 also for float32 data, since every step builds on the last; only
    products with such a batch, about its first row, are float32, in runs of 1024 columns.

    Cost of a step of m rows: ``p ((m + 1)**2 + 2 (m + 1) k + 2 (m + k + 1) k)`` FLOP and an
    eigendecomposition of ``m + k + 1``. Directions that the batches leave out are lost: components
    near the cut are not those of `PCA`.
    """

    n_components_: int
    n_samples_seen_: int

    def __init__(
        self,
        n_components: int | None = None,
        *,
        whiten: bool = False,
        copy: bool = True,
        batch_size: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.copy = copy
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components from all rows, in batches.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
            A memory map is read batch by batch, but for the check that it is finite.
        y : ignored

        Returns
        -------
        IncrementalPCA
        """
        data, _ = self._fit_data(X)
        size = 5 * data.shape[1] if self.batch_size is None else self.batch_size
        self.batch_size_ = check_integer(size, "batch_size", minimum=1)
        # A last batch that is too small for scikit-learn joins the one before, as there.
        at_least = 0 if self.n_components is None else self.n_components
        batches = list(gen_batches(len(data), self.batch_size_, min_batch_size=at_least))
        self._check_components(data[batches[0]] if batches else data[:0])
        if hasattr(self, "n_samples_seen_"):
            del self.n_samples_seen_
        for rows in batches:
            self._step(data[rows])
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Update the components with another batch of rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (m, p)
        y : ignored

        Returns
        -------
        IncrementalPCA
        """
        first = not hasattr(self, "n_samples_seen_")
        if first:
            data, _ = self._fit_data(X, min_samples=1)
            self._check_components(data)
        else:
            data = self._new_data(X)
        self._step(data)
        return self

    def _check_components(self, first_batch: torch.Tensor) -> None:
        count = self.n_components
        if count is None:
            return
        check_integer(count, "n_components", minimum=1)
        if count > min(first_batch.shape):
            raise ValueError(
                "n_components must be at most the rows of the first batch and the columns, "
                f"{len(first_batch)} and {first_batch.shape[1]}; got {count}. Start with a larger "
                "batch."
            )

    def _step(self, batch: torch.Tensor) -> None:
        started = hasattr(self, "n_samples_seen_")
        if started:
            count = self.n_components_
        elif self.n_components is None:
            count = min(batch.shape)
        else:
            count = int(self.n_components)
        found = core.incremental_pca_step(self._state() if started else None, batch, count)
        n_seen = found.n_seen
        components, values = found.components, found.values[:count]
        complete_basis(components, values <= 0)
        core.flip_signs(components)
        self.n_components_ = count
        self.n_samples_seen_ = n_seen
        self.components_ = self._back(components)
        self.singular_values_ = self._back(values)
        self.mean_ = self._back(found.mean)
        self.var_ = self._back(found.variance)
        variance = found.values**2 / max(1, n_seen - 1)
        total = found.variance.sum() * n_seen
        self.explained_variance_ = self._back(variance[:count].clone())
        ratio = values**2 / total if total > 0 else torch.zeros_like(values)
        self.explained_variance_ratio_ = self._back(ratio)
        n_singular = min(len(variance), batch.shape[1])
        left_out = n_singular - count
        self.noise_variance_ = (
            float(variance[count:n_singular].mean())
            if left_out and count not in (len(batch), batch.shape[1])
            else 0.0
        )

    def _state(self) -> core.IncrementalPcaState:
        as_doubles = [
            torch.as_tensor(a) if isinstance(a, np.ndarray) else a
            for a in (self.mean_, self.var_, self.singular_values_, self.components_)
        ]
        return core.IncrementalPcaState(self.n_samples_seen_, *as_doubles)
