"""Observations of conditions: their means, and their means within runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_finite

__all__ = ["RunMeans", "average_conditions", "check_patterns", "code_labels", "run_means"]

Labels = Sequence[Any] | NDArray[Any]

_MAX_NAMED = 5


def average_conditions(patterns: ArrayLike, labels: Labels) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the mean pattern of each condition, or of each category of stimuli.

    Parameters
    ----------
    patterns : array_like of shape (n_obs, n_channel)
        float32 stays float32; sums are fp64.
    labels : sequence of length n_obs
        The condition of each observation: strings, or numbers. Conditions may have unequal numbers
        of observations; each condition's weigh the same.

    Returns
    -------
    means : ndarray of shape (n_cond, n_channel)
    ids : tuple of str
        The conditions, in ascending order of their labels.

    Raises
    ------
    ValueError
        If there are not as many labels as observations, or a label is NaN.
    """
    array = as_float_array(patterns, "patterns", ndim=2)
    ids, codes = code_labels(labels, "labels", len(array))
    means = np.empty((len(ids), array.shape[1]), array.dtype)
    for row, members in enumerate(_members(codes, len(ids))):
        means[row] = array[members].mean(0, dtype=np.float64)
    return means, ids


def code_labels(labels: Labels, name: str, n: int) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the distinct labels in ascending order, as strings, and each one's place there."""
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"{name} must be one per observation, {n}; got shape {array.shape}.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(
            f"{name} must not be NaN; that of observation {np.isnan(array).argmax()} is."
        )
    if array.dtype.kind == "O":  # strings as pandas gives them
        array = array.astype(str)
    distinct, codes = np.unique(array, return_inverse=True)
    return tuple(str(label) for label in distinct), codes


@dataclass(frozen=True)
class RunMeans:
    """Mean pattern of each condition in each run.

    Attributes
    ----------
    patterns : ndarray of shape (n_run, n_cond, n_channel), float64
        Zero where a run lacks a condition.
    counts : ndarray of shape (n_run, n_cond), int
        Observations behind each; 0 where a run lacks a condition.
    ids : tuple of str or None
        Conditions.
    """

    patterns: NDArray[np.float64]
    counts: NDArray[np.intp]
    ids: tuple[str, ...] | None

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """Which run has which condition, or None if every run has every one."""
        return None if self.counts.all() else self.counts > 0


def run_means(patterns: NDArray[Any], conditions: Labels, runs: Labels, name: str) -> RunMeans:
    """Average the observations of each condition in each run, however many there are.

    Raises
    ------
    ValueError
        If there are fewer than two runs, or two conditions that no two runs share, so that no
        crossvalidated distance between them exists.
    """
    ids, condition = code_labels(conditions, "conditions", len(patterns))
    run_ids, run = code_labels(runs, "runs", len(patterns))
    if len(run_ids) < 2:
        raise ValueError(
            f"crossvalidation needs two runs or more; all observations of {name} are of run "
            f"{run_ids[0]!r}. Give the runs of the observations as runs=."
        )
    cells = run * len(ids) + condition
    counts = np.bincount(cells, minlength=len(run_ids) * len(ids))
    order = np.argsort(cells, kind="stable")
    filled = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[filled]
    sums = np.add.reduceat(patterns[order].astype(np.float64, copy=False), starts, axis=0)
    means = np.zeros((len(counts), patterns.shape[1]))
    means[filled] = sums / counts[filled, None]
    counts = counts.reshape(len(run_ids), len(ids))
    present = (counts > 0).astype(np.int64)
    shared = present.T @ present
    first, second = np.nonzero(np.triu(shared < 2, 1))
    if len(first):
        raise ValueError(
            "each pair of conditions must come together in two runs or more; "
            f"{ids[first[0]]!r} and {ids[second[0]]!r} ({len(first)} pairs in all) do not. Leave "
            "one of them out."
        )
    return RunMeans(means.reshape(*counts.shape, -1), counts, ids)


def _members(codes: NDArray[np.intp], n: int) -> list[NDArray[np.intp]]:
    """Return the places of each code 0 .. n - 1, in order."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=n))[:-1])


def check_patterns(array: NDArray[Any], name: str) -> None:
    """Raise if a pattern is not finite, naming the channels of which that is so."""
    try:
        check_finite(array, name)
    except ValueError as error:
        bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(array.ndim - 1))))
        named = ", ".join(str(channel) for channel in bad[:_MAX_NAMED])
        raise ValueError(
            f"{error} In all, {len(bad)} of {array.shape[-1]} channels have such values: {named}"
            f"{', ...' if len(bad) > _MAX_NAMED else ''}."
        ) from error
