"""Noise over channels: its precision, and patterns that are whitened by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._validate import as_array, as_float_array, check_choice, check_finite
from dnnbrain_cpp.rsa._conditions import Labels, check_patterns, code_labels

__all__ = ["NOISE_METHODS", "noise_precision", "repeat_residuals", "whiten"]

NOISE_METHODS = {
    "ledoit-wolf": core.Shrinkage.ledoit_wolf,
    "shrunk-diagonal": core.Shrinkage.shrunk_diagonal,
    "diagonal": core.Shrinkage.diagonal,
    "full": core.Shrinkage.none,
}
"""Estimates of the covariance of noise."""

_SYMMETRY = 1e-8


def noise_precision(
    residuals: ArrayLike, *, method: str = "ledoit-wolf", dof: float | None = None
) -> NDArray[np.float64]:
    """Return the precision of noise over channels, for Mahalanobis and crossnobis distances.

    Parameters
    ----------
    residuals : array_like of shape (n_sample, n_channel) or (n_run, n_sample, n_channel)
        What a model of the responses leaves over, such as a GLM of the time series. Means over
        samples are taken out.
    method : {"ledoit-wolf", "shrunk-diagonal", "diagonal", "full"}
        Covariance shrunk towards a multiple of the identity (Ledoit & Wolf 2004) or towards its
        diagonal (Schaefer & Strimmer 2005), its diagonal alone, or as it is.
    dof : float, optional
        Degrees of freedom of the residuals; by default ``n_sample - 1``. After a GLM, samples less
        regressors.

    Returns
    -------
    ndarray of shape (n_channel, n_channel) or (n_run, n_channel, n_channel), float64
        Inverse of the covariance, of each run its own if residuals have runs.

    Raises
    ------
    ValueError
        If a channel is not finite or never varies, or the covariance has no inverse (``"full"``
        with as many channels as samples).

    Notes
    -----
    One symmetric product and one Cholesky factorisation: ``(n_sample + n_channel) n_channel**2``
    FLOP, fp64. The shrinkage needs no sums over pairs of channels beyond the norms of the samples.
    """
    array = as_float_array(residuals, "residuals", ndim=(2, 3))
    if array.ndim == 3:
        return np.stack([noise_precision(run, method=method, dof=dof) for run in array])
    check_choice(method, "method", tuple(NOISE_METHODS))
    check_patterns(array, "residuals")
    _check_varying(array)
    degrees = len(array) - 1 if dof is None else float(dof)
    if not degrees > 0:
        raise ValueError(f"residuals must have positive degrees of freedom; got {degrees:g}.")
    covariance, _ = core.noise_covariance(as_tensor(array), NOISE_METHODS[method], degrees)
    return _inverse(covariance.numpy())


def _inverse(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    # SciPy's LAPACK: the last bits of torch's depend on its number of threads.
    factor, info = scipy.linalg.lapack.dpotrf(covariance, lower=1)
    if info:
        raise ValueError(
            "the noise covariance must be positive definite; that of these residuals is not. "
            "Shrink it: 'ledoit-wolf' or 'shrunk-diagonal'."
        )
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1)
    lower = np.tril(inverse)
    precision: NDArray[np.float64] = lower + np.tril(inverse, -1).T
    return precision


def _check_varying(residuals: NDArray[Any]) -> None:
    still = np.flatnonzero((residuals == residuals[0]).all(0))
    if len(still):
        raise ValueError(
            f"each channel of the residuals must vary; channel {still[0]} ({len(still)} of "
            f"{residuals.shape[1]} in all) does not. Leave such channels out of the patterns too."
        )


def repeat_residuals(
    patterns: NDArray[Any], conditions: Labels, runs: Labels | None
) -> tuple[NDArray[np.float64], float]:
    """Return what repeats of the same condition differ by, and the degrees of freedom.

    Where conditions come more than once within runs, deviations from their means there. Where they
    come once in each run, deviations from the sum of an effect of the condition and one of the run,
    fitted by least squares. Without runs, deviations from the conditions' means.

    Raises
    ------
    ValueError
        If nothing is repeated.
    """
    n_obs = len(patterns)
    data = patterns.astype(np.float64)
    ids, condition = code_labels(conditions, "conditions", n_obs)
    cell = condition
    if runs is not None:
        _, run = code_labels(runs, "runs", n_obs)
        cell = np.unique(run * len(ids) + condition, return_inverse=True)[1]
    n_cell = int(cell.max()) + 1
    if n_cell < n_obs:
        design = np.eye(n_cell)[cell]
        means = (design.T @ data) / design.sum(0)[:, None]
        return data - means[cell], float(n_obs - n_cell)
    if runs is None:
        raise ValueError(
            "noise cannot be estimated from repeats, because no condition is repeated. Give "
            "residuals= or precision=."
        )
    design = np.hstack([np.eye(len(ids))[condition], np.eye(int(run.max()) + 1)[run]])
    fitted, _, rank, _ = np.linalg.lstsq(design, data, rcond=None)
    if rank >= n_obs:
        raise ValueError(
            "noise cannot be estimated from repeats, because no condition comes in two runs. Give "
            "residuals= or precision=."
        )
    return data - design @ fitted, float(n_obs - rank)


def whiten(patterns: NDArray[Any], precision: ArrayLike | None, name: str) -> torch.Tensor:
    """Return patterns of which plain inner products are those under `precision`.

    Parameters
    ----------
    patterns : ndarray of shape (n_cond, n_channel) or (n_run, n_cond, n_channel)
    precision : array_like of shape ([n_run,] n_channel, n_channel), or None
        None is the identity. One for all runs enters through Cholesky's factor; one per run
        through its symmetric square root, so that whitened channels of different runs correspond
        (Walther et al. 2016).
    name : str
        Of the patterns, for messages.

    Returns
    -------
    Tensor of the shape of `patterns`, float64
    """
    data = as_tensor(patterns.astype(np.float64, copy=False))
    if precision is None:
        return data
    matrices = as_array(precision, "precision", dtype=np.float64, ndim=(2, 3))
    check_finite(matrices, "precision")
    n_channel = patterns.shape[-1]
    if matrices.shape[-2:] != (n_channel, n_channel):
        raise ValueError(
            f"precision must be of the {n_channel} channels of {name}; got shape {matrices.shape}."
        )
    if matrices.ndim == 3 and (patterns.ndim != 3 or len(matrices) != len(patterns)):
        raise ValueError(
            f"one precision per run needs as many runs; got {len(matrices)} for patterns of shape "
            f"{patterns.shape}."
        )
    if matrices.ndim == 2:
        factor = _factor(matrices, symmetric=False)
        return core.rows_times(data.reshape(-1, n_channel), factor).reshape(data.shape)
    factors = [_factor(matrix, symmetric=True) for matrix in matrices]
    return torch.stack([core.rows_times(run, f) for run, f in zip(data, factors, strict=True)])


def _factor(matrix: NDArray[np.float64], *, symmetric: bool) -> torch.Tensor:
    """Return F of which F'F is the matrix."""
    if np.abs(matrix - matrix.T).max() > _SYMMETRY * np.abs(matrix).max():
        raise ValueError("precision must be symmetric; this one is not.")
    if symmetric:
        values, vectors = scipy.linalg.eigh(matrix)
        positive = values[0] > 0
        factor = (vectors * np.sqrt(np.abs(values))) @ vectors.T
    else:
        try:
            factor, positive = scipy.linalg.cholesky(matrix), True
        except scipy.linalg.LinAlgError:
            factor, positive = matrix, False
    if not positive:
        raise ValueError(
            "precision must be positive definite; this one is not. Estimate it with "
            "rsa.noise_precision, which shrinks."
        )
    return as_tensor(np.ascontiguousarray(factor))
