"""Pairs of conditions of a sample, and the moments of RDMs over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["CENTRED", "check_criterion", "pair_weights", "pooled", "products_over_pairs"]

CENTRED = {"corr": True, "cosine": False}
"""Criteria that least squares maximises, and whether they take the mean out."""

_MIN_CONDITIONS = 3
# What is left of the square of a constant after its mean has been removed, relative to the square.
_CONSTANT = 1e-13

Vectors = NDArray[np.float64]


def pair_weights(n_cond: int, conditions: ArrayLike | None) -> Vectors:
    """Return how often each pair of conditions comes, condensed.

    Parameters
    ----------
    n_cond : int
    conditions : array_like of int, optional
        Places of the conditions that take part, by default all. One that comes several times, as in
        a bootstrap sample, counts as often; its copies against each other are no pair.
    """
    if conditions is None:
        return np.ones(n_cond * (n_cond - 1) // 2)
    places = np.asarray(conditions)
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise TypeError(
            f"conditions must be a 1-D array of integer places; got shape {places.shape} of "
            f"{places.dtype}."
        )
    if len(places) and not (places.min() >= 0 and places.max() < n_cond):
        raise ValueError(
            f"conditions must be places from 0 to {n_cond - 1}; got {places.min()} to "
            f"{places.max()}."
        )
    counts = np.bincount(places, minlength=n_cond).astype(np.float64)
    if np.count_nonzero(counts) < _MIN_CONDITIONS:
        raise ValueError(
            f"conditions must name at least {_MIN_CONDITIONS} different ones; got "
            f"{np.count_nonzero(counts)}."
        )
    rows, columns = np.triu_indices(n_cond, 1)
    weights: Vectors = counts[rows] * counts[columns]
    return weights


def check_criterion(method: str) -> str:
    """Return the name of a criterion that has a closed form."""
    method = {"pearson": "corr"}.get(method, method)
    if method not in CENTRED:
        raise ValueError(
            f"method must be 'corr' or 'cosine', which least squares maximises; got {method!r}. "
            "Fit with one of these, and compare the prediction by any method."
        )
    return method


def _about_mean(vectors: Vectors, weights: Vectors, *, centred: bool) -> Vectors:
    if not centred:
        return vectors
    about: Vectors = vectors - (vectors @ weights / weights.sum())[:, None]
    return about


def pooled(data: RDMs, weights: Vectors, method: str) -> Vectors:
    """Return the mean over subjects of RDMs of unit length, (n_pair,).

    A prediction with the highest cosine with this vector has the highest mean cosine with subjects;
    likewise for correlations, with RDMs about their means.
    """
    values = data.dissimilarities
    about = _about_mean(values, weights, centred=CENTRED[method])
    square = (about * about) @ weights
    flat = square <= _CONSTANT * ((values * values) @ weights)
    if flat.any():
        raise ValueError(
            f"{method} needs RDMs that vary over the pairs they are fitted to; that of "
            f"{data.names[int(flat.argmax())]!r} does not. Leave it out."
        )
    mean: Vectors = (about / np.sqrt(square)[:, None]).mean(0)
    return mean


def products_over_pairs(
    predictors: Vectors, target: Vectors, weights: Vectors, method: str
) -> tuple[Vectors, Vectors]:
    """Return the predictors' inner products, (L, L), and those with the target, (L,)."""
    about = _about_mean(predictors, weights, centred=CENTRED[method])
    # A constant leaves the rounding of its mean.
    square = (about * about) @ weights
    about = np.where(
        (square > _CONSTANT * ((predictors * predictors) @ weights))[:, None], about, 0.0
    )
    weighted = about * weights
    return weighted @ about.T, weighted @ target
