"""What the principal component analyses share: moments in chunks, signs, bases, the transform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.linear._estimator import TensorTransformer

__all__ = [
    "ComponentsBase",
    "centred_rows",
    "chunk_bytes",
    "column_chunks",
    "column_means",
    "complete_basis",
    "covariance",
    "gram_matrix",
]

_CHUNK_BYTES = 32 << 20


def column_chunks(X: torch.Tensor) -> Iterator[slice]:
    """Yield slices of columns that fill a chunk in float64."""
    step = _chunk_width(len(X))
    for first in range(0, X.shape[1], step):
        yield slice(first, min(first + step, X.shape[1]))


def chunk_bytes(n: int, p: int) -> int:
    """Return how large the chunks of columns of a matrix of shape (n, p) are in float64."""
    return 8 * n * min(p, _chunk_width(n))


def _chunk_width(n: int) -> int:
    return max(1, _CHUNK_BYTES // (8 * n))


def _row_chunks(X: torch.Tensor) -> Iterator[slice]:
    step = max(1, _CHUNK_BYTES // (8 * X.shape[1]))
    for first in range(0, len(X), step):
        yield slice(first, min(first + step, len(X)))


def column_means(X: torch.Tensor) -> torch.Tensor:
    """Return the means of the columns, shape (p,), float64; exact for constant columns."""
    means = X.new_empty(X.shape[1], dtype=torch.float64)
    for chunk in column_chunks(X):
        # About the first row, so that a constant column has no rounding.
        block = X[:, chunk].double()
        means[chunk] = block[0] + (block - block[0]).mean(0)
    return means


def centred_rows(X: torch.Tensor, mean: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield chunks of rows about the mean, in float64, so that X is never copied whole."""
    for rows in _row_chunks(X):
        yield rows, X[rows].double() - mean


def covariance(X: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Return the inner products of the centred columns, shape (p, p), float64."""
    p = X.shape[1]
    total = X.new_zeros((p, p), dtype=torch.float64)
    for _, block in centred_rows(X, mean):
        core.add_symmetric_product(total, block.T)
    return total


def gram_matrix(X: torch.Tensor) -> torch.Tensor:
    """Return the inner products of the rows about the means of the columns, (n, n), float64."""
    return core.gram_moments(X).centred


def complete_basis(components: torch.Tensor, missing: torch.Tensor) -> None:
    """Fill the `missing` rows of an otherwise orthonormal (k, p) matrix, to make it orthonormal.

    Components without variance have no direction of their own; any one will do.
    """
    count = int(missing.sum())
    if count == 0:
        return
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn((components.shape[1], count), generator=generator, dtype=torch.float64)
    filled = draws.to(components.device)
    known = components[~missing]
    for _ in range(2):  # twice is enough for orthogonality to rounding
        filled = torch.linalg.qr(filled - known.T @ (known @ filled))[0]
    components[missing] = filled.T


class ComponentsBase(TensorTransformer):
    """The transform along learnt components, and back."""

    components_: Any
    explained_variance_: Any
    mean_: Any
    whiten: bool

    def transform(self, X: Any) -> Any:
        """Return the scores of new rows on the components.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)

        Returns
        -------
        ndarray or Tensor of shape (n, k)
            In the dtype of X. With ``whiten``, divided by the components' standard deviations.
        """
        data = self._new_data(X)
        components, mean, deviation = self._learnt(data)
        scores = data.new_empty((len(data), len(components)))
        for rows, block in centred_rows(data, mean):
            scores[rows] = block.to(data.dtype) @ components.T
        return self._back(scores / deviation if self.whiten else scores)

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that scores stand for.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, k)

        Returns
        -------
        ndarray or Tensor of shape (n, p)
        """
        check_is_fitted(self)
        if isinstance(X, torch.Tensor):
            scores = X.detach() if X.is_floating_point() else X.double()
        else:
            scores = as_tensor(check_array(X, dtype=[np.float64, np.float32]))
        components, mean, deviation = self._learnt(scores)
        if scores.ndim != 2 or scores.shape[1] != len(components):
            raise ValueError(
                f"scores must have shape (n, {len(components)}), a column per component; got "
                f"{tuple(scores.shape)}."
            )
        weights = components * deviation[:, None] if self.whiten else components
        return self._back((scores @ weights).add_(mean.to(scores.dtype)))

    def _learnt(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the components, the mean in float64, and the deviations, where `like` is."""
        components = _tensor(self.components_).to(like)
        mean = _tensor(self.mean_).to(like.device, torch.float64)
        variance = _tensor(self.explained_variance_).to(like)
        # A component without variance keeps its scores, which are rounding.
        smallest = torch.finfo(variance.dtype).eps
        return components, mean, variance.sqrt().clamp_min(smallest)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else as_tensor(value)
