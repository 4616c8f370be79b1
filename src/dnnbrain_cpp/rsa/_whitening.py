"""RDMs as the comparators see them that know how distances depend on each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cholesky, solve_triangular

from dnnbrain_cpp._validate import as_array, check_finite
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["WHITENED", "Whitening", "unshared_part"]

WHITENED = ("corr_cov", "cosine_cov")
"""Comparators that take `sigma_k`; ``cosine`` of what `Whitening` returns is their value."""


class Whitening:
    """Divide by a root of V, V = (C S C') o (C S C') with C the contrasts of pairs.

    Parameters
    ----------
    sigma_k : array_like of shape (n_cond, n_cond) or (n_cond,)
        S: covariance of the patterns' noise between conditions, or variances of independent noise.
    n_cond : int

    Raises
    ------
    ValueError
        If `sigma_k` is not a covariance matrix of full rank.

    Notes
    -----
    Diedrichsen, Berlot, Mur, Schuett, Shahbazi & Kriegeskorte (2020). A Cholesky factor of
    n_pair x n_pair: ``n_pair**3 / 3`` FLOP, 8 bytes for each of ``n_pair**2``. Equal variances need
    none of it: the comparators without `sigma_k` cost ``O(n_pair)``.
    """

    def __init__(self, sigma_k: ArrayLike, n_cond: int) -> None:
        sigma = as_array(sigma_k, "sigma_k", dtype=np.float64, ndim=(1, 2))
        check_finite(sigma, "sigma_k")
        sigma = np.diag(sigma) if sigma.ndim == 1 else sigma
        if sigma.shape != (n_cond, n_cond):
            raise ValueError(
                f"sigma_k must be of shape ({n_cond}, {n_cond}) or ({n_cond},), as there are "
                f"{n_cond} conditions; got {np.shape(sigma_k)}."
            )
        if not np.allclose(sigma, sigma.T, rtol=1e-6, atol=0):
            raise ValueError("sigma_k must be symmetric; it is a covariance matrix.")
        rows, columns = np.triu_indices(n_cond, 1)
        contrasts = sigma[rows] - sigma[columns]
        covariance = np.square(contrasts[:, rows] - contrasts[:, columns])
        try:
            self._root = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "sigma_k must be a covariance matrix of full rank; distances have none with it. "
                "Shrink it towards its diagonal."
            ) from error

    def __call__(self, rdms: RDMs, method: str) -> RDMs:
        """Return RDMs whose cosine is `method` of the given ones."""
        vectors: NDArray[np.float64] = rdms.dissimilarities
        if method == "corr_cov":
            vectors = vectors - vectors.mean(1, keepdims=True)
        white = solve_triangular(self._root, vectors.T, lower=True, check_finite=False).T
        return RDMs(white, ids=rdms.ids, names=rdms.names, metric=rdms.metric)


def unshared_part(rdms: RDMs) -> NDArray[np.float64]:
    """Return what no sum of one number for each condition explains, shape (n_rdm, n_pair).

    The cosine of two is ``cka-unbiased``: see ``kernels/comparator.hpp``.
    """
    square, n = rdms.square(), rdms.n_cond
    mean = rdms.dissimilarities.mean(1)
    effect = (square.sum(1) - (n - 1) * mean[:, None]) / (n - 2)
    rows, columns = np.triu_indices(n, 1)
    return np.asarray(rdms.dissimilarities - mean[:, None] - effect[:, rows] - effect[:, columns])
