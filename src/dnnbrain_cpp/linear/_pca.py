"""Principal component analysis: exact through the smaller matrix of moments, or randomised."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import torch

from dnnbrain_cpp._native import core
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.linear._components import (
    ComponentsBase,
    centred_rows,
    column_chunks,
    column_means,
    complete_basis,
    covariance,
    gram_matrix,
)

__all__ = ["PCA", "decompose"]

SOLVERS = ("auto", "gram", "covariance", "randomized")
_EXACT_UP_TO = 10_000
"""Order of the largest eigenproblem that "auto" decomposes whole: minutes, and 3 GB."""
_OVERSAMPLES = 10


class _Decomposition(NamedTuple):
    """Of the centred data."""

    squares: torch.Tensor  # (min(n, p) or fewer,) float64, squared singular values, descending
    components: torch.Tensor  # (k, p) float64, orthonormal rows, signs not yet chosen
    total: float  # sum of all squared singular values


class PCA(ComponentsBase):
    """Principal component analysis, exact for any width of data.

    Parameters
    ----------
    n_components : int, float or None
        How many components; a float in (0, 1): as many as explain that part of the variance; None:
        ``min(n, p)``.
    svd_solver : {"auto", "gram", "covariance", "randomized"}
        "gram" decomposes the inner products of the rows (n x n), "covariance" those of the columns
        (p x p); both are exact. "randomized" is Halko's subspace iteration, orthonormalised at
        every half step, for when both n and p are large. "auto" takes the smaller matrix up to
        10,000, beyond that "randomized" where `n_components` is an int.
    whiten : bool
        Divide scores by the components' standard deviations.
    iterated_power : int or "auto"
        Iterations of the randomised solver. "auto" is 7 for fewer components than a tenth of
        ``min(n, p)``, else 4.
    random_state : int, Generator, RandomState or None
        For the randomised solver.
    copy : bool
        For the signature of scikit-learn: data are never changed, nor copied whole.

    Attributes
    ----------
    components_ : ndarray or Tensor of shape (k, p)
        Orthonormal rows, in the dtype of X, by descending variance; the entry of largest size is
        positive, as in scikit-learn.
    explained_variance_, explained_variance_ratio_, singular_values_ : of shape (k,)
    mean_ : of shape (p,), float64
    noise_variance_ : float
        Mean variance of the components that were left out.
    n_components_, n_features_in_, n_samples_ : int

    Notes
    -----
    Memory: `components_` is formed in ``fit``, since the sign rule reads it; n x n or p x p
    float64, and a chunk of 32 MB at a time of the data, which may be a memory map.

    Cost: "gram" ``n**2 p + 2 n p k`` FLOP in float64 and one eigendecomposition of n; "covariance"
    ``p**2 n`` and one of p. Squaring costs digits: singular values come out to
    ``eps * s_1 * (s_1 / s)``, in float64 whatever the dtype of X. Components without variance are
    filled up to an orthonormal set.

    Method: Halko, Martinsson & Tropp 2011 for the randomised solver.
    """

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        svd_solver: str = "auto",
        whiten: bool = False,
        iterated_power: int | str = "auto",
        random_state: RandomState = None,
        copy: bool = True,
    ) -> None:
        self.n_components = n_components
        self.svd_solver = svd_solver
        self.whiten = whiten
        self.iterated_power = iterated_power
        self.random_state = random_state
        self.copy = copy

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
        y : ignored

        Returns
        -------
        PCA
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn the components and return the scores of the same rows, shape (n, k)."""
        data = self._fit(X)
        return self.transform(data if self._is_tensor else X)

    def _fit(self, X: Any) -> torch.Tensor:
        data, _ = self._fit_data(X)
        n, p = data.shape
        solver = self._choose_solver(n, p)
        mean = column_means(data)
        if solver == "randomized":
            found = self._randomized(data, mean)
        else:
            found = decompose(data, mean, self.n_components, dual=solver == "gram")
        components = found.components
        # What is left of a component without variance is rounding, and no direction.
        squares = found.squares[: len(components)]
        complete_basis(components, squares <= 0)
        core.flip_signs(components)
        variance = squares / (n - 1)
        count = len(components)
        self.n_samples_ = n
        self.n_components_ = count
        self.components_ = self._back(components.to(data.dtype))
        self.mean_ = self._back(mean)
        self.explained_variance_ = self._back(variance.to(data.dtype))
        ratio = squares / found.total if found.total > 0 else torch.zeros_like(squares)
        self.explained_variance_ratio_ = self._back(ratio.to(data.dtype))
        self.singular_values_ = self._back(squares.sqrt().to(data.dtype))
        rest = max(0.0, found.total - float(squares.sum()))
        left_out = min(n, p) - count
        self.noise_variance_ = rest / (n - 1) / left_out if left_out else 0.0
        return data

    def _choose_solver(self, n: int, p: int) -> str:
        check_choice(self.svd_solver, "svd_solver", SOLVERS)
        count, most = self.n_components, min(n, p)
        is_int = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if is_int:
            check_integer(count, "n_components", minimum=1, maximum=most)
        elif count is not None and not (isinstance(count, float) and 0 < count < 1):
            raise ValueError(
                f"n_components must be an int from 1 to {most}, a float between 0 and 1, or None; "
                f"got {count!r}."
            )
        if self.svd_solver == "randomized" and not is_int:
            raise ValueError(
                "svd_solver='randomized' needs n_components as an int; got "
                f"{count!r}. Use 'auto' for a part of the variance."
            )
        if self.iterated_power != "auto":
            check_integer(self.iterated_power, "iterated_power", minimum=0)
        if self.svd_solver != "auto":
            return self.svd_solver
        if most > _EXACT_UP_TO and is_int:
            return "randomized"
        return "gram" if n <= p else "covariance"

    def _randomized(self, data: torch.Tensor, mean: torch.Tensor) -> _Decomposition:
        n, p = data.shape
        count = int(self.n_components)  # type: ignore[arg-type]
        width = min(count + _OVERSAMPLES, n, p)
        power = self.iterated_power
        n_iter = int(power) if power != "auto" else 7 if count < 0.1 * min(n, p) else 4
        generator = torch.Generator().manual_seed(as_seed(self.random_state))
        start = torch.randn((p, width), generator=generator, dtype=torch.float64)
        columns = start.to(data)
        for _ in range(n_iter):
            rows = torch.linalg.qr(_times(data, mean, columns))[0]
            columns = torch.linalg.qr(_transposed_times(data, mean, rows))[0]
        rows = torch.linalg.qr(_times(data, mean, columns))[0]
        # The singular values of rows' X, by those of the triangle of its transpose.
        basis, triangle = torch.linalg.qr(_transposed_times(data, mean, rows).double())
        u, s, _ = torch.linalg.svd(triangle)
        total = sum(float((block * block).sum()) for _, block in centred_rows(data, mean))
        s = torch.where(s > width * torch.finfo(s.dtype).eps * s[0], s, 0.0)
        return _Decomposition((s**2)[:count], (basis @ u[:, :count]).T.contiguous(), total)


def decompose(
    data: torch.Tensor,
    mean: torch.Tensor,
    n_components: int | float | None,
    *,
    dual: bool,
    gram: torch.Tensor | None = None,
) -> _Decomposition:
    """Return the exact decomposition, through `gram` where it is known already."""
    moments = gram
    if moments is None:
        moments = gram_matrix(data) if dual else covariance(data, mean)
    total = float(moments.trace())
    rank = min(data.shape)
    wanted = rank if n_components is None or isinstance(n_components, float) else int(n_components)
    values, vectors = core.top_eigenpairs(moments, wanted)
    floor = len(moments) * torch.finfo(values.dtype).eps * values[0].clamp_min(0)
    squares = torch.where(values > floor, values, 0.0)
    count = _count(squares, total, n_components)
    top = vectors[:, :count]
    if not dual:
        return _Decomposition(squares, top.T.contiguous(), total)
    root = squares[:count].sqrt()
    weights = (top * torch.where(root > 0, 1 / root, 0.0)).T
    components = weights.new_empty((count, data.shape[1]))
    for chunk in column_chunks(data):
        components[:, chunk] = weights @ (data[:, chunk].double() - mean[chunk])
    return _Decomposition(squares, components, total)


def _count(squares: torch.Tensor, total: float, n_components: int | float | None) -> int:
    if n_components is None:
        return len(squares)
    if isinstance(n_components, float):
        if total <= 0:
            return 1
        parts = squares.cumsum(0) / total
        # The first count that explains more, as in scikit-learn.
        return min(int((parts <= n_components).sum()) + 1, len(squares))
    return int(n_components)


def _times(data: torch.Tensor, mean: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return centred X @ columns."""
    out = data.new_empty((len(data), columns.shape[1]))
    for rows, block in centred_rows(data, mean):
        out[rows] = block.to(data.dtype) @ columns
    return out


def _transposed_times(data: torch.Tensor, mean: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return centred X' @ rows."""
    out = data.new_zeros((data.shape[1], rows.shape[1]))
    for chunk, block in centred_rows(data, mean):
        out.addmm_(block.to(data.dtype).T, rows[chunk])
    return out
