"""Random projections: cheap, approximate, and the same bits wherever they are computed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.random_projection import johnson_lindenstrauss_min_dim
from sklearn.utils.validation import check_is_fitted

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.linear._estimator import TensorTransformer

__all__ = ["CountSketch", "SparseRandomProjection"]

_FEATURE_BLOCK = 65_536
"""Features whose entries are sent to another device at once."""


class _Projection(TensorTransformer):
    """X R for a random R that is drawn again wherever it is needed."""

    n_components: int | str
    progress: Progress
    random_state: RandomState
    seed_: int
    _density = 0.0  # of the entries that are not zero; 0: one for each feature

    def fit(self, X: Any, y: Any = None) -> Self:
        """Settle the seed and the size of the matrix.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)
            Only its shape counts.
        y : ignored

        Returns
        -------
        estimator

        Raises
        ------
        ValueError
            If "auto" asks for more components than there are features.
        """
        data, _ = self._fit_data(X, min_samples=1)
        self._settle(*data.shape)
        self.seed_ = as_seed(self.random_state)
        return self

    def _settle(self, n: int, p: int) -> None:
        """Set what depends on the shape of the data."""
        self.n_components_ = check_integer(self.n_components, "n_components", minimum=1)

    @property
    def components_(self) -> sparse.csr_array:
        """The matrix R', sparse, shape (k, p), float64; drawn anew each time it is asked for."""
        check_is_fitted(self)
        features, columns, values = self._entries(0, self.n_features_in_)
        shape = (self.n_components_, self.n_features_in_)
        return sparse.csr_array((values, (columns, features)), shape=shape)

    def transform(self, X: Any) -> Any:
        """Project rows.

        Parameters
        ----------
        X : array_like or Tensor of shape (n, p)

        Returns
        -------
        ndarray or Tensor of shape (n, k)
            In the dtype of X.
        """
        data = self._new_data(X)
        if data.device.type != "cpu":
            return self._back(self._on_device(data))
        with progress_callback(self.progress, "projecting") as report:
            projected = core.project_rows(
                np.ascontiguousarray(data.numpy()),
                self.seed_,
                self.n_components_,
                self._density,
                resolve_n_threads(None),
                report,
            )
        return self._back(as_tensor(projected))

    def _entries(self, first: int, count: int) -> tuple[Any, Any, Any]:
        return core.projection_entries(self.seed_, self.n_components_, self._density, first, count)

    def _on_device(self, data: torch.Tensor) -> torch.Tensor:
        out = data.new_zeros((len(data), self.n_components_))
        for first in range(0, data.shape[1], _FEATURE_BLOCK):
            count = min(_FEATURE_BLOCK, data.shape[1] - first)
            features, columns, values = self._entries(first, count)
            matrix = torch.sparse_coo_tensor(
                torch.from_numpy(np.stack([columns, features - first])),
                torch.from_numpy(values).to(data.dtype),
                (self.n_components_, count),
                check_invariants=False,
            ).to(data.device)
            out += torch.sparse.mm(matrix, data[:, first : first + count].T).T
        return out


class SparseRandomProjection(_Projection):
    """Projection on sparse random signs, which keeps distances to a few percent.

    Parameters
    ----------
    n_components : int or "auto"
        "auto" takes what the lemma of Johnson and Lindenstrauss asks for the rows of ``fit`` and
        `eps`: some 5900 for 1000 rows and 0.1.
    density : float in (0, 1] or "auto"
        Part of the entries that are not zero; "auto" is ``1 / sqrt(p)``.
    eps : float in (0, 1)
        For ``n_components="auto"``: relative error of squared distances.
    random_state : int, Generator, RandomState or None
    progress : bool or callable

    Attributes
    ----------
    n_components_, n_features_in_ : int
    density_ : float
    seed_ : int
        What all entries are drawn from: entry (i, j) is the same whatever the rows are and however
        they are cut.
    components_ : csr_array of shape (k, p)
        Drawn when asked for.

    Notes
    -----
    Entries are ``+-1 / sqrt(density * k)``. The matrix is never formed: a row of it is drawn where
    a feature is projected. Cost: ``n p k density`` additions. An approximation, and named as one:
    where ``n`` rows fit a Gram matrix, `PCA` is exact.

    Method: Li, Hastie & Church 2006, "Very sparse random projections".
    """

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        density: float | str = "auto",
        eps: float = 0.1,
        random_state: RandomState = None,
        progress: Progress = False,
    ) -> None:
        self.n_components = n_components
        self.density = density
        self.eps = eps
        self.random_state = random_state
        self.progress = progress

    def _settle(self, n: int, p: int) -> None:
        if self.density == "auto":
            density = 1 / np.sqrt(p)
        elif isinstance(self.density, int | float) and 0 < self.density <= 1:
            density = self.density
        else:
            raise ValueError(f"density must be in (0, 1] or 'auto'; got {self.density!r}.")
        if self.n_components == "auto":
            count = int(johnson_lindenstrauss_min_dim(n, eps=self.eps))
            if count > p:
                raise ValueError(
                    f"n_components must be at most the {p} features; 'auto' asks for {count}, for "
                    f"{n} rows and eps={self.eps}. Set n_components, or a larger eps."
                )
            self.n_components_ = count
        else:
            super()._settle(n, p)
        self.density_ = self._density = float(density)


class CountSketch(_Projection):
    """Projection that adds each feature, with a random sign, to one random component.

    Parameters
    ----------
    n_components : int
    random_state : int, Generator, RandomState or None
    progress : bool or callable

    Attributes
    ----------
    n_components_, n_features_in_ : int
    seed_ : int
    components_ : csr_array of shape (k, p)
        Drawn when asked for.

    Notes
    -----
    Inner products are kept on average, with a variance of ``2 |x|^2 |y|^2 / k`` at most. Cost:
    ``n p`` additions, whatever the number of components.

    Method: Charikar, Chen & Farach-Colton 2002; Weinberger et al. 2009.
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        random_state: RandomState = None,
        progress: Progress = False,
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.progress = progress
