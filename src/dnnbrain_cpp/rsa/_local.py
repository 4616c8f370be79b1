"""What RSA in many places has in common, be they searchlights or times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._validate import check_choice, check_ids
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._conditions import Labels, code_labels
from dnnbrain_cpp.rsa._methods import METHODS, check_method
from dnnbrain_cpp.rsa._neighbours import Neighbours
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = [
    "LOCAL_METRICS",
    "LocalData",
    "RunPatterns",
    "channel_rows",
    "check_local_method",
    "match_models",
    "run_patterns",
]

LOCAL_METRICS = {
    "correlation": core.LocalMetric.correlation,
    "cosine": core.LocalMetric.cosine,
    "euclidean": core.LocalMetric.euclidean,
    "sqeuclidean": core.LocalMetric.sqeuclidean,
    "crossnobis": core.LocalMetric.crossnobis,
}
"""Dissimilarities that are formed place by place; those of `rsa.rdm`."""


@dataclass(frozen=True)
class RunPatterns:
    """The mean pattern of each condition, in each run where runs matter.

    Attributes
    ----------
    patterns : ndarray of shape (..., n_run * n_cond, n_chn), float64
        Run after run; one run unless the metric is crossvalidated.
    n_cond, n_run : int
    ids : tuple of str or None
        The conditions, in ascending order.
    """

    patterns: NDArray[np.float64]
    n_cond: int
    n_run: int
    ids: tuple[str, ...] | None


@dataclass(frozen=True)
class LocalData:
    """Patterns as the core wants them, and which channels belong to each place.

    Attributes
    ----------
    rows : ndarray of shape (n_chn, n_run * n_cond), float64
        A channel's values in one piece: neighbourhoods are gathered as rows.
    n_cond, n_run : int
    metric : str
    places : Neighbours
    """

    rows: NDArray[np.float64]
    n_cond: int
    n_run: int
    metric: str
    places: Neighbours

    def score(
        self,
        models: RDMs | None,
        method: str,
        *,
        keep_rdms: bool,
        n_threads: int,
        report: ProgressCallback | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scores of shape (n_place, n_model), and RDMs (n_place, n_pair) or none."""
        n_pair = self.n_cond * (self.n_cond - 1) // 2
        return core.searchlight(
            self.rows,
            self.n_cond,
            self.n_run,
            LOCAL_METRICS[self.metric],
            self.places.starts,
            self.places.members,
            np.empty((0, n_pair)) if models is None else models.dissimilarities,
            METHODS[method],
            keep_rdms,
            n_threads,
            report,
        )

    def score_across(
        self,
        models: RDMs,
        method: str,
        *,
        n_threads: int,
        report: ProgressCallback | None,
    ) -> NDArray[np.float64]:
        """Return scores of each two places, shape (n_model, n_place, n_place)."""
        n_place = len(self.places.starts) - 1
        flat = core.generalisation(
            self.rows,
            self.n_cond,
            self.n_run,
            LOCAL_METRICS[self.metric],
            self.places.starts,
            self.places.members,
            models.dissimilarities,
            METHODS[method],
            n_threads,
            report,
        )
        return flat.reshape(len(models), n_place, n_place)


def check_local_method(method: str) -> str:
    """Return the name of a comparator that scores RDMs one by one."""
    return check_choice(check_method(method), "method", tuple(METHODS))


def run_patterns(
    values: NDArray[Any],
    *,
    conditions: Labels | None,
    runs: Labels | None,
    metric: str,
) -> RunPatterns:
    """Average observations of a condition: within each run for crossnobis, over all otherwise.

    Parameters
    ----------
    values : ndarray of shape (..., n_obs, n_chn)
    conditions : sequence of length n_obs, optional
        What was shown; by default each observation is a condition of its own.
    runs : sequence of length n_obs, optional
        Only, and always, for crossnobis.
    metric : str

    Raises
    ------
    ValueError
        For wrong lengths, fewer than three conditions, or a condition that some run lacks.
    """
    check_choice(metric, "metric", tuple(LOCAL_METRICS))
    crossed = metric == "crossnobis"
    if crossed != (runs is not None):
        raise ValueError(
            "metric='crossnobis' needs runs=, the run of each observation."
            if crossed
            else f"runs are for metric='crossnobis'; got them with {metric!r}. Leave them out."
        )
    n_obs = values.shape[-2]
    if conditions is None:
        if crossed:
            raise ValueError("runs need conditions=, to say which observations repeat one another.")
        _check_count(n_obs)
        return RunPatterns(values.astype(np.float64, copy=False), n_obs, 1, None)
    ids, cell = code_labels(conditions, "conditions", n_obs)
    _check_count(len(ids))
    names: tuple[str, ...] = ()
    if runs is not None:
        names, run = code_labels(runs, "runs", n_obs)
        if len(names) < 2:
            raise ValueError(f"crossnobis needs at least 2 runs; got {len(names)}.")
        cell = cell + len(ids) * run
    n_run = max(1, len(names))
    counts = np.bincount(cell, minlength=n_run * len(ids))
    if (counts == 0).any():
        place, condition = divmod(int(counts.argmin()), len(ids))
        raise ValueError(
            f"every run must have every condition; run {names[place]!r} lacks {ids[condition]!r}. "
            "Leave the run or the condition out."
        )
    mean = np.zeros((n_run * len(ids), n_obs))
    mean[cell, np.arange(n_obs)] = 1 / counts[cell]
    return RunPatterns(mean @ values, len(ids), n_run, ids)


def channel_rows(patterns: RunPatterns, metric: str) -> NDArray[np.float64]:
    """Return a row for each channel, shape (..., n_chn, n_run * n_cond).

    Differences between patterns do not change when each channel loses, in each run, the value of
    one of its conditions: its median, so that neither offsets nor outliers cost the others digits,
    and so that equal distances between whole numbers stay equal.
    """
    rows = np.array(patterns.patterns.swapaxes(-1, -2), order="C")  # a copy, in any case
    if metric in ("euclidean", "sqeuclidean", "crossnobis"):
        by_run = rows.reshape(*rows.shape[:-1], patterns.n_run, patterns.n_cond)
        middle = (patterns.n_cond - 1) // 2
        by_run -= np.partition(by_run, middle, axis=-1)[..., middle, None]
    return rows


def _check_count(n_cond: int) -> None:
    if n_cond < 3:
        raise ValueError(f"RSA needs at least 3 conditions; got {n_cond}.")


def match_models(models: RDMsLike, method: str, *, n_cond: int, ids: Sequence[str] | None) -> RDMs:
    """Return the models with their conditions in the order of the data."""
    rdms = as_rdms(models, "models")
    check_comparable(rdms, "models", method)
    if ids is not None:
        ids = check_ids(ids, "conditions", n=n_cond)
    # What is joined are conditions; dissimilarities of the data do not exist yet.
    stand_in = RDMs(np.zeros(n_cond * (n_cond - 1) // 2), ids=ids)
    join(rdms, stand_in, stacklevel=4)
    return rdms if ids is None or rdms.ids is None or rdms.ids == ids else rdms.select(ids)
