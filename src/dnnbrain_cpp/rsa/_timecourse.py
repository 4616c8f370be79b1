"""RSA over time: models against the RDM of each moment, or across each two moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp import stats
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import as_float_array, check_finite, check_ids, check_integer
from dnnbrain_cpp.rsa._ceiling import noise_ceiling
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._conditions import Labels
from dnnbrain_cpp.rsa._local import (
    LocalData,
    RunPatterns,
    channel_rows,
    check_local_method,
    match_models,
    run_patterns,
)
from dnnbrain_cpp.rsa._neighbours import Neighbours
from dnnbrain_cpp.rsa._permute import permute
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["TimecourseResult", "rdm_movie", "timecourse"]


@dataclass(frozen=True, repr=False, eq=False)
class TimecourseResult:
    """Scores of models over time.

    Attributes
    ----------
    scores : ndarray of shape (n_subject, n_model, n_time) or (n_subject, n_model, n_time, n_time)
        NaN where an RDM or the comparator is not defined.
    times : ndarray of shape (n_time,)
        Centres of the windows.
    ceiling : ndarray of shape (2, n_time) or None
        Lower and upper noise ceiling at each time, see `noise_ceiling`.
    models, subjects : tuple of str
    method, metric : str
    window : int
        Samples of a window.
    group_scores, sem : ndarray of shape (n_model, n_time) or (n_model, n_time, n_time)
        Mean over subjects and its standard error, NaN for one subject.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.float64]
    ceiling: NDArray[np.float64] | None
    models: tuple[str, ...]
    subjects: tuple[str, ...]
    method: str
    metric: str
    window: int
    group_scores: NDArray[np.float64] = field(init=False)
    sem: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        n_subject = len(self.scores)
        mean = self.scores.mean(0)
        sem = (
            self.scores.std(0, ddof=1) / np.sqrt(n_subject)
            if n_subject > 1
            else np.full_like(mean, np.nan)
        )
        object.__setattr__(self, "group_scores", mean)
        object.__setattr__(self, "sem", sem)

    @property
    def generalized(self) -> bool:
        """Whether scores are those of pairs of times."""
        return self.scores.ndim == 4

    def of(self, model: str | int = 0) -> NDArray[np.float64]:
        """Return the scores of a model, shape (n_subject, n_time) or (..., n_time, n_time)."""
        if isinstance(model, str):
            if model not in self.models:
                raise KeyError(f"no model {model!r}; there are {', '.join(self.models)}")
            model = self.models.index(model)
        out: NDArray[np.float64] = self.scores[:, model]
        return out

    def cluster_test(self, model: str | int = 0, **options: Any) -> stats.ClusterResult:
        """Test a model's scores over subjects with `stats.cluster_test`."""
        return stats.cluster_test(self.of(model), **options)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per subject, model and time (or pair of times, the second as time_2)."""
        axes: dict[str, Any] = {
            "subject": self.subjects,
            "model": self.models,
            "time": self.times,
        }
        if self.generalized:
            axes["time_2"] = self.times
        index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
        return pd.DataFrame({"score": self.scores.ravel()}, index=index).reset_index()

    def __repr__(self) -> str:
        n_time = len(self.times)
        lines = [
            f"TimecourseResult: {len(self.subjects)} subjects, {len(self.models)} models, "
            f"{n_time} times{' x times' if self.generalized else ''}, {self.method} of "
            f"{self.metric} RDMs"
        ]
        for name, scores in zip(self.models, self.group_scores, strict=True):
            if np.isfinite(scores).any():
                best = np.unravel_index(int(np.nanargmax(scores)), scores.shape)
                when = ", ".join(f"{self.times[i]:g}" for i in best)
                lines.append(f"  {name}: highest mean {np.nanmax(scores):.4g} at {when}")
        return "\n".join(lines)


def timecourse(
    data: ArrayLike | Sequence[ArrayLike] | RDMs | Sequence[RDMs],
    models: RDMsLike,
    *,
    metric: str = "correlation",
    method: str = "spearman",
    window: int = 1,
    step: int = 1,
    times: ArrayLike | None = None,
    conditions: Labels | None = None,
    runs: Labels | None = None,
    subjects: Sequence[str] | None = None,
    generalize: bool = False,
    ceiling: bool = False,
    n_threads: int | None = None,
    progress: Progress = False,
) -> TimecourseResult:
    """Compare models with the RDM of the sensors at each time.

    Parameters
    ----------
    data : array_like of shape (n_time, n_obs, n_chn) or (n_subject, n_time, n_obs, n_chn)
        Or a list of the first, one per subject, where sensors differ. Or RDM movies: `RDMs` of one
        subject with an RDM for each time, or a list of them.
    models : RDMs or array_like
        Joined to `conditions`, or to the ids of RDM movies, by id where both have ids, by order
        otherwise.
    metric : {"correlation", "cosine", "euclidean", "sqeuclidean", "crossnobis"}
        Between patterns over sensors, as in `rdm`. ``"crossnobis"``: squared differences
        crossvalidated over `runs`, divided by the number of values; whiten sensors first.
    method : str
        Comparator, see `compare`.
    window : int
        Samples whose patterns are laid end to end as one; odd, centred on a time, and cut at the
        ends of the data.
    step : int
        From one window to the next, in samples.
    times : array_like of shape (n_time,), optional
        When the samples were taken; by default their numbers.
    conditions : sequence of length n_obs, optional
        What was shown; observations of one condition are averaged (in each run, for crossnobis).
    runs : sequence of length n_obs, optional
        For crossnobis. Every run must have every condition.
    subjects : sequence of str, optional
        Names.
    generalize : bool
        Distances across each two times t and u instead: 1 - (r(x_i(t), x_j(u)) + r(x_j(t),
        x_i(u))) / 2, or (x_i - x_j)(t)'(x_i - x_j)(u). Each time with itself is its RDM. A high
        score of two times means that the same patterns carry the model's geometry at both. Times
        whose window would be cut are left out.
    ceiling : bool
        Noise ceilings over subjects at each time (``"mean-rdm"``). Keeps all RDMs while it runs,
        8 n_pair bytes a subject and time.
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    TimecourseResult

    Raises
    ------
    ValueError
        For NaN, unequal conditions, an even window, a noise ceiling of one subject or across times.

    Notes
    -----
    Cichy, Pantazis & Oliva (2014); generalisation over time as King & Dehaene (2014) do it for
    classifiers. Cost of a time and subject: n^2 p FLOP for p sensors times samples of a window, one
    ranking where the method ranks, 2 n_pair FLOP a model. Generalisation: n_time^2 / 2 times n^2 p
    multiplications. For tests over subjects, see `TimecourseResult.cluster_test`.
    """
    method = check_local_method(method)
    movies = _as_movies(data)
    if movies is not None:
        if generalize or conditions is not None or runs is not None or window != 1 or step != 1:
            raise ValueError(
                "RDM movies have no sensors: leave generalize, conditions, runs, window and step "
                "out, or give the patterns."
            )
        return _of_movies(movies, models, method, times, subjects, ceiling)
    recordings = _as_recordings(data)
    if ceiling and (generalize or len(recordings) < 2):
        raise ValueError("a noise ceiling needs at least 2 subjects, and one RDM at each time.")
    n_time = len(recordings[0])
    names = _subject_names(subjects, len(recordings))
    patterns = [
        run_patterns(values, conditions=conditions, runs=runs, metric=metric)
        for values in recordings
    ]
    first = patterns[0]
    rdms = match_models(models, method, n_cond=first.n_cond, ids=first.ids)
    centres = _centres(n_time, window, step, trimmed=generalize)
    when = _times(times, n_time)[centres]
    threads = resolve_n_threads(n_threads)
    scores, movie = [], []
    with progress_callback(progress, "RSA over time") as report:
        for place, of_subject in enumerate(patterns):
            share = _share(report, place, len(patterns))
            local = _local_data(of_subject, metric, n_time, centres, window)
            if generalize:
                scores.append(local.score_across(rdms, method, n_threads=threads, report=share))
            else:
                flat, kept = local.score(
                    rdms, method, keep_rdms=ceiling, n_threads=threads, report=share
                )
                scores.append(flat.T)
                movie.append(kept)
    return TimecourseResult(
        scores=np.stack(scores),
        times=when,
        ceiling=_ceilings(np.stack(movie), method) if ceiling else None,
        models=rdms.names,
        subjects=names,
        method=method,
        metric=metric,
        window=window,
    )


def rdm_movie(
    data: ArrayLike,
    *,
    metric: str = "correlation",
    window: int = 1,
    step: int = 1,
    times: ArrayLike | None = None,
    conditions: Labels | None = None,
    runs: Labels | None = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> RDMs:
    """Return the RDM of the sensors at each time, for one subject.

    Parameters
    ----------
    data : array_like of shape (n_time, n_obs, n_chn)
    metric, window, step, times, conditions, runs, n_threads, progress
        As in `timecourse`.

    Returns
    -------
    RDMs
        One for each time, named by it.

    Raises
    ------
    ValueError
        As `timecourse`, and if a pattern is constant (correlation) or zero (cosine).
    """
    (values,) = _as_recordings([as_float_array(data, "data", ndim=3)])
    n_time = len(values)
    patterns = run_patterns(values, conditions=conditions, runs=runs, metric=metric)
    centres = _centres(n_time, window, step, trimmed=False)
    when = _times(times, n_time)[centres]
    local = _local_data(patterns, metric, n_time, centres, window)
    with progress_callback(progress, "RDM movie") as report:
        _, kept = local.score(
            None,
            "corr",
            keep_rdms=True,
            n_threads=resolve_n_threads(n_threads),
            report=report,
        )
    undefined = np.isnan(kept[:, 0])
    if undefined.any():
        what = "varies over" if metric == "correlation" else "is not zero in all"
        raise ValueError(
            f"{metric} distance needs patterns of which each {what} sensors; at time "
            f"{when[int(undefined.argmax())]:g} one does not. Leave the time out, or use "
            "metric='euclidean'."
        )
    return RDMs(kept, ids=patterns.ids, names=[f"{time:g}" for time in when], metric=metric)


def _as_movies(data: Any) -> list[RDMs] | None:
    if isinstance(data, RDMs):
        return [data]
    if isinstance(data, list | tuple) and data and all(isinstance(part, RDMs) for part in data):
        return list(data)
    return None


def _as_recordings(data: Any) -> list[NDArray[Any]]:
    """Return arrays of shape (n_time, n_obs, n_chn), one per subject."""
    if isinstance(data, list | tuple) and data and np.ndim(data[0]) == 3:
        parts = [as_float_array(part, f"data[{i}]", ndim=3) for i, part in enumerate(data)]
    else:
        array = as_float_array(data, "data", ndim=(3, 4))
        parts = [array] if array.ndim == 3 else list(array)
    if not parts:
        raise ValueError("data must have at least one subject; got none.")
    for i, part in enumerate(parts):
        check_finite(part, f"data[{i}]" if len(parts) > 1 else "data")
        if part.shape[:2] != parts[0].shape[:2]:
            raise ValueError(
                f"all subjects must have the same times and observations; subject 0 has "
                f"{parts[0].shape[:2]}, subject {i} {part.shape[:2]}."
            )
        if not part.size:
            raise ValueError(f"data must have a time and a sensor; got shape {part.shape}.")
    return parts


def _local_data(
    patterns: RunPatterns, metric: str, n_time: int, centres: NDArray[np.int64], window: int
) -> LocalData:
    """Return times and sensors as channels, and each window as a place."""
    n_chn = patterns.patterns.shape[-1]
    rows = channel_rows(patterns, metric).reshape(n_time * n_chn, -1)
    first = np.maximum(centres - window // 2, 0) * n_chn
    last = np.minimum(centres + window // 2 + 1, n_time) * n_chn
    members = [np.arange(a, b, dtype=np.int32) for a, b in zip(first, last, strict=True)]
    windows = Neighbours(
        np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64), np.concatenate(members)
    )
    return LocalData(rows, patterns.n_cond, patterns.n_run, metric, windows)


def _centres(n_time: int, window: int, step: int, *, trimmed: bool) -> NDArray[np.int64]:
    """Return the samples at the centres of windows; `trimmed`: of whole windows only."""
    window = check_integer(window, "window", minimum=1, maximum=n_time)
    step = check_integer(step, "step", minimum=1)
    if window % 2 == 0:
        raise ValueError(f"window must be odd, to be centred on a sample; got {window}.")
    margin = window // 2 if trimmed else 0
    return np.arange(margin, n_time - margin, step, dtype=np.int64)


def _times(times: ArrayLike | None, n_time: int) -> NDArray[np.float64]:
    if times is None:
        return np.arange(n_time, dtype=np.float64)
    array = np.asarray(times, np.float64)
    if array.shape != (n_time,):
        raise ValueError(f"times must have one entry per sample, {n_time}; got {array.shape}.")
    return array


def _subject_names(subjects: Sequence[str] | None, n_subject: int) -> tuple[str, ...]:
    default = [f"subject-{i + 1:02d}" for i in range(n_subject)]
    return check_ids(default if subjects is None else subjects, "subjects", n=n_subject)


def _share(report: ProgressCallback | None, place: int, n: int) -> ProgressCallback | None:
    """Report the progress of one of n equal jobs as that of all."""
    if report is None:
        return None
    return lambda done, total: report(place * total + done, n * total)


def _ceilings(movies: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Return the noise ceilings of RDMs of shape (n_subject, n_time, n_pair)."""
    out = np.full((2, movies.shape[1]), np.nan)
    for time in range(movies.shape[1]):
        at_time = np.ascontiguousarray(movies[:, time])
        if np.isfinite(at_time).all() and (at_time.min(1) < at_time.max(1)).all():
            bounds = noise_ceiling(RDMs(at_time), method=method)
            out[:, time] = bounds.lower, bounds.upper
    return out


def _of_movies(
    movies: list[RDMs],
    models: RDMsLike,
    method: str,
    times: ArrayLike | None,
    subjects: Sequence[str] | None,
    ceiling: bool,
) -> TimecourseResult:
    names = _subject_names(subjects, len(movies))
    rdms = as_rdms(models, "models")
    check_comparable(rdms, "models", method)
    if len({len(movie) for movie in movies}) > 1:
        lengths = [len(movie) for movie in movies]
        raise ValueError(f"all movies must have the same number of times; got {lengths}.")
    if ceiling and len(movies) < 2:
        raise ValueError("a noise ceiling needs at least 2 subjects; got one movie.")
    joined = []
    for i, movie in enumerate(movies):
        check_comparable(movie, f"data[{i}]", method)
        joined.append(join(rdms, movie, stacklevel=4)[1])
    scores = [
        permute(
            rdms,
            movie,
            method=method,
            n_perm=0,
            alternative="two-sided",
            random_state=None,
            n_threads=None,
            progress=False,
        ).scores
        for movie in joined
    ]
    values = np.stack([movie.dissimilarities for movie in joined])
    return TimecourseResult(
        scores=np.stack(scores),
        times=_times(times, len(movies[0])),
        ceiling=_ceilings(values, method) if ceiling else None,
        models=rdms.names,
        subjects=names,
        method=method,
        metric=movies[0].metric or "given",
        window=1,
    )
