"""Time series: delays, haemodynamic responses, drifts and scales of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln
from sklearn.base import BaseEstimator, TransformerMixin

from dnnbrain_cpp._native import as_tensor
from dnnbrain_cpp._validate import as_array, as_float_array, check_choice, check_integer
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._runs import run_starts

__all__ = [
    "Delayer",
    "delayed_kernel",
    "detrend_basis",
    "hrf_operator",
    "zscore_runs",
]

_Array = NDArray[Any] | torch.Tensor


class Delayer(TransformerMixin, TensorMixin, BaseEstimator):  # type: ignore[misc]
    """Append delayed copies of the features: a finite impulse response for each.

    Parameters
    ----------
    delays : sequence of int, default=(1, 2, 3, 4)
        In rows. Row i of a copy is row ``i - delay`` of the features; negative delays look ahead.
    runs : array_like of shape (n,), default=None
        Run of each row, rows of a run side by side. Nothing is carried from one run into another.
        By default all rows are one run.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has names.

    See Also
    --------
    delayed_kernel : The same for linear kernels, without the copies.

    Notes
    -----
    A transformed row depends on the rows before it, so delay the whole series before folds are cut,
    not inside them. Where a delayed row would lie outside of its run there are zeros: take the mean
    off the features first. Columns are ordered by delay, then by feature.

    Examples
    --------
    >>> Delayer([0, 1]).fit_transform([[1.0], [2.0], [3.0]])
    array([[1., 0.],
           [2., 1.],
           [3., 2.]])
    """

    def __init__(self, delays: Sequence[int] = (1, 2, 3, 4), *, runs: ArrayLike | None = None):
        self.delays = delays
        self.runs = runs

    def fit(self, X: Any, y: Any = None) -> Delayer:
        """Remember the features; `y` is ignored.

        Raises
        ------
        ValueError
            For no delay, or one that comes twice; for NaN.
        """
        _check_delays(self.delays)
        self._fit_data(X, min_samples=1)
        return self

    def transform(self, X: Any) -> Any:
        """Return the delayed features, shape (n, n_features * n_delays), of the dtype of X.

        Raises
        ------
        ValueError
            If X has not as many rows as `runs`.
        """
        data = self._new_data(X)
        delays = _check_delays(self.delays)
        spans = _run_spans(self.runs, len(data))
        out = data.new_zeros(len(data), len(delays), data.shape[1])
        for place, delay in enumerate(delays):
            for span in spans:
                to, source = _shifted(span, delay)
                out[to, place] = data[source]
        return self._back(out.reshape(len(data), -1))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return names such as ``x0_delay2``."""
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", None)
        if input_features is None:
            input_features = [f"x{place}" for place in range(self.n_features_in_)]
        names = [f"{name}_delay{d}" for d in _check_delays(self.delays) for name in input_features]
        return np.asarray(names, dtype=object)


def delayed_kernel(
    K: _Array, delays: Sequence[int], *, runs: ArrayLike | None = None, per_delay: bool = False
) -> Any:
    """Return the linear kernel of delayed features, from that of the features.

    Parameters
    ----------
    K : ndarray or Tensor of shape (n, n)
        Kernel of all rows, in the order of time. Of features without their mean, since what lies
        outside of a run counts as zero.
    delays : sequence of int
        As for `Delayer`.
    runs : array_like of shape (n,), optional
        As for `Delayer`.
    per_delay : bool
        Return a kernel for each delay rather than their sum, to be weighted as bands.

    Returns
    -------
    ndarray or Tensor of shape (n, n), or (n_delay, n, n)
        Of the dtype and on the device of K.

    Notes
    -----
    Entry (i, j) is the sum over delays d of ``K[i - d, j - d]``, both within their runs. Cost
    ``n**2 n_delay`` additions, whatever the number of features, which are never copied.
    """
    kernel = _as_tensor(K, "K")
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"K must be a square matrix; got shape {tuple(kernel.shape)}.")
    chosen = _check_delays(delays)
    spans = _run_spans(runs, len(kernel))
    out = kernel.new_zeros(len(chosen) if per_delay else 1, *kernel.shape)
    for place, delay in enumerate(chosen):
        target = out[place if per_delay else 0]
        shifts = [_shifted(span, delay) for span in spans]
        for rows, source_rows in shifts:
            for columns, source_columns in shifts:
                target[rows, columns] += kernel[source_rows, source_columns]
    return _like(out if per_delay else out[0], K)


@dataclass(frozen=True)
class _DoubleGamma:
    """A response minus an undershoot, both gamma densities, of unit area together."""

    shapes: tuple[float, float]
    scale: float
    weights: tuple[float, float]

    def density(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the response at `t` seconds after an impulse; zero before."""
        x = np.maximum(t, 0.0) / self.scale
        with np.errstate(divide="ignore"):
            logs = [(k - 1) * np.log(x) - x - gammaln(k) for k in self.shapes]
        parts = [w * np.exp(log) for w, log in zip(self.weights, logs, strict=True)]
        return np.asarray((parts[0] - parts[1]) / (self.scale * self._area))

    def integral(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the response at `t` seconds after a step; zero before."""
        x = np.maximum(t, 0.0) / self.scale
        parts = [w * gammainc(k, x) for w, k in zip(self.weights, self.shapes, strict=True)]
        return np.asarray((parts[0] - parts[1]) / self._area)

    @property
    def _area(self) -> float:
        return self.weights[0] - self.weights[1]


def _peak_form(powers: tuple[float, float], scale: float, ratio: float) -> _DoubleGamma:
    """Return the double gamma whose parts ``(t / d)**a exp(a - t / b)``, d = a b, peak at 1."""
    # Over the scale, which both share.
    areas = [np.exp(a + gammaln(a + 1) - a * np.log(a)) for a in powers]
    shapes = (powers[0] + 1, powers[1] + 1)
    return _DoubleGamma(shapes, scale, (float(areas[0]), ratio * float(areas[1])))


_MODELS = {
    "spm": _DoubleGamma((6.0, 16.0), 1.0, (1.0, 1.0 / 6.0)),
    "glover": _peak_form((6.0, 12.0), 0.9, 0.35),
}

_GRID_SECONDS = 32


def hrf_operator(
    onsets: ArrayLike,
    durations: ArrayLike,
    n_vol: int,
    tr: float,
    *,
    model: str = "spm",
    overlap: str = "sum",
    slice_time_ref: float = 0.0,
    oversampling: int | None = None,
) -> NDArray[np.float64]:
    """Return the matrix that takes features of events to the BOLD responses they predict.

    Parameters
    ----------
    onsets : array_like of shape (n_event,)
        In seconds from the start of the first volume; may be negative.
    durations : array_like of shape (n_event,), or float
        In seconds, positive.
    n_vol : int
        Volumes of the run.
    tr : float
        Repetition time in seconds, taken as it is.
    model : {"spm", "glover"}
        The difference of two gamma functions of SPM [1]_ (peak 5 s), or that of the auditory cortex
        in [2]_, table 1. Both have unit area: an event that lasts comes to 1.
    overlap : {"sum", "replace"}
        Where events overlap, responses add up; or the event that begins later takes the place of
        the earlier one for as long as it lasts, as in DNNBrain.
    slice_time_ref : float
        When a volume is taken, as a fraction of `tr` after its start, in [0, 1].
    oversampling : int, optional
        Samples per second of a discrete convolution with 32 s of the response, as DNNBrain does
        it. By default the convolution is exact, in closed form.

    Returns
    -------
    ndarray of shape (n_vol, n_event), float64
        ``hrf_operator(...) @ X`` is the convolution of all features of shape (n_event, n_feat).

    Raises
    ------
    ValueError
        For unequal lengths, durations or a TR that are not positive, or a duration that is shorter
        than half a sample.

    Notes
    -----
    With H the integral of the response, an event from a to b is seen at time t as
    ``H(t - a) - H(t - b)``. Cost ``n_vol n_event``, then one product for all units. Runs each have
    an operator of their own.

    References
    ----------
    .. [1] Friston, K. J., et al. (1998). Event-related fMRI: characterizing differential responses.
       NeuroImage, 7(1), 30-40.
    .. [2] Glover, G. H. (1999). Deconvolution of impulse response in event-related BOLD fMRI.
       NeuroImage, 9(4), 416-429.

    Examples
    --------
    >>> hrf_operator([0.0, 10.0], 2.0, n_vol=5, tr=4.0).round(2)
    array([[ 0.  ,  0.  ],
           [ 0.25,  0.  ],
           [ 0.32,  0.  ],
           [ 0.03,  0.02],
           [-0.08,  0.35]])
    """
    check_choice(model, "model", list(_MODELS))
    check_choice(overlap, "overlap", ("sum", "replace"))
    n_vol = check_integer(n_vol, "n_vol", minimum=1)
    if not (np.isfinite(tr) and tr > 0):
        raise ValueError(f"tr must be a positive number of seconds; got {tr!r}.")
    if not 0 <= slice_time_ref <= 1:
        raise ValueError(f"slice_time_ref must be in [0, 1]; got {slice_time_ref!r}.")
    begin, end = _check_events(onsets, durations)
    times = (np.arange(n_vol) + slice_time_ref) * tr
    step_response: Callable[[NDArray[np.float64]], NDArray[np.float64]] = _MODELS[model].integral
    if oversampling is not None:
        rate = check_integer(oversampling, "oversampling", minimum=1)
        begin, end, times = (np.rint(moments * rate) for moments in (begin, end, times))
        if (end <= begin).any():
            event = int((end <= begin).argmax())
            raise ValueError(
                f"durations must reach from one sample to the next; event {event} does not at "
                f"oversampling={rate}. Take more samples per second, or none at all."
            )
        step_response = _grid_response(_MODELS[model], rate)
    out = np.zeros((n_vol, len(begin)))
    whole = zip(range(len(begin)), begin, end, strict=True)
    for event, first, last in _pieces(begin, end) if overlap == "replace" else whole:
        out[:, event] += step_response(times - first) - step_response(times - last)
    return out


def _check_events(
    onsets: ArrayLike, durations: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    begin = as_array(onsets, "onsets", dtype=np.float64, ndim=1)
    lasting = as_array(durations, "durations", dtype=np.float64, ndim=(0, 1))
    if lasting.ndim == 1 and lasting.shape != begin.shape:
        raise ValueError(
            f"onsets and durations must be as many as each other; got {len(begin)} and "
            f"{len(lasting)}."
        )
    if not np.isfinite(begin).all():
        raise ValueError("onsets must be finite numbers of seconds.")
    if not (np.isfinite(lasting) & (lasting > 0)).all():
        raise ValueError("durations must be positive numbers of seconds.")
    return begin, begin + lasting


def _grid_response(
    model: _DoubleGamma, rate: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the response to a step on a grid, at sample numbers."""
    samples = model.density(np.arange(_GRID_SECONDS * rate) / rate)
    summed = np.r_[0.0, np.cumsum(samples / samples.sum())]

    def step_response(sample: NDArray[np.float64]) -> NDArray[np.float64]:
        place = np.clip(sample.astype(np.int64) + 1, 0, len(summed) - 1)
        return np.asarray(summed[place])

    return step_response


def _pieces(
    begin: NDArray[np.float64], end: NDArray[np.float64]
) -> Iterable[tuple[int, float, float]]:
    """Yield (event, from, to) of what later events leave of each."""
    order = np.argsort(begin, kind="stable")
    for place, event in enumerate(order):
        at = float(begin[event])
        for later in order[place + 1 :]:
            if begin[later] >= end[event]:
                break
            if begin[later] > at:
                yield int(event), at, float(begin[later])
            at = max(at, float(end[later]))
        if at < end[event]:
            yield int(event), at, float(end[event])


def detrend_basis(
    n_vol: int,
    *,
    kind: str = "polynomial",
    order: int = 1,
    period: float = 128.0,
    tr: float | None = None,
    runs: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return slow drifts, as nuisance regressors that no penalty shrinks.

    Parameters
    ----------
    n_vol : int
        Volumes, over all runs.
    kind : {"polynomial", "cosine"}
        Legendre polynomials from degree 1 to `order`; or the discrete cosines that are slower than
        `period`, as in SPM's high-pass filter.
    order : int
        For polynomials; at least 1.
    period : float
        For cosines, in seconds.
    tr : float
        For cosines: repetition time in seconds.
    runs : array_like of shape (n_vol,), optional
        Run of each volume; each run has drifts of its own. By default all is one run.

    Returns
    -------
    ndarray of shape (n_vol, n_nuisance), float64
        Orthonormal columns, of mean zero in their run: an intercept comes on top. None, where runs
        are too short for a cosine.

    Raises
    ------
    ValueError
        If a run has not more volumes than drifts, or cosines come without `tr`.

    Notes
    -----
    A drift that lives only in the run that is held out cannot be estimated from the others. For
    leave-one-run-out take the drifts Z off beforehand, ``Y - Z @ (Z.T @ Y)``, from features and
    responses alike.
    """
    check_choice(kind, "kind", ("polynomial", "cosine"))
    n_vol = check_integer(n_vol, "n_vol", minimum=1)
    if kind == "polynomial":
        order = check_integer(order, "order", minimum=1)
    elif tr is None or not (np.isfinite(tr) and tr > 0):
        raise ValueError(f"tr must be a positive number of seconds for cosines; got {tr!r}.")
    elif not (np.isfinite(period) and period > 0):
        raise ValueError(f"period must be a positive number of seconds; got {period!r}.")
    blocks = []
    for run in _run_spans(runs, n_vol):
        length = run.stop - run.start
        n_drift = order if tr is None or kind == "polynomial" else int(2 * length * tr / period)
        if n_drift >= length:
            raise ValueError(
                f"a run must have more volumes than drifts; the run from volume {run.start} has "
                f"{length}, for {n_drift}. Take a lower order or a longer period."
            )
        block = np.zeros((n_vol, n_drift))
        block[run] = (
            _polynomials(length, n_drift) if kind == "polynomial" else _cosines(length, n_drift)
        )
        blocks.append(block)
    return np.hstack(blocks)


def _polynomials(length: int, order: int) -> NDArray[np.float64]:
    raw = np.polynomial.legendre.legvander(np.linspace(-1, 1, length), order)
    q, r = np.linalg.qr(raw)
    return np.asarray((q * np.sign(np.diag(r)))[:, 1:])


def _cosines(length: int, count: int) -> NDArray[np.float64]:
    phase = np.pi * np.outer(np.arange(length) + 0.5, np.arange(1, count + 1)) / length
    return np.asarray(np.sqrt(2 / length) * np.cos(phase))


def zscore_runs(Y: _Array, runs: ArrayLike | None, *, ddof: int = 0) -> Any:
    """Return each column with mean 0 and standard deviation 1 in every run.

    Parameters
    ----------
    Y : ndarray or Tensor of shape (n, t)
    runs : array_like of shape (n,) or None
        Run of each row, rows of a run side by side; None for a single run.
    ddof : int
        As in `numpy.std`.

    Returns
    -------
    ndarray or Tensor of shape (n, t)
        A new array of the dtype and on the device of Y. Zeros where a column is constant in a run.

    Raises
    ------
    ValueError
        If a run has not more rows than `ddof`.
    """
    ddof = check_integer(ddof, "ddof", minimum=0)
    data = _as_tensor(Y, "Y")
    if data.ndim != 2:
        raise ValueError(f"Y must be 2-D; got shape {tuple(data.shape)}.")
    out = torch.empty_like(data)
    for run in _run_spans(runs, len(data)):
        if run.stop - run.start <= ddof:
            raise ValueError(
                f"a run must have more than {ddof} rows for ddof={ddof}; the run from row "
                f"{run.start} has {run.stop - run.start}."
            )
        rows = data[run].double()
        # A constant column leaves the rounding of its mean.
        varies = (rows != rows[0]).any(0)
        about = rows - rows.mean(0)
        sd = (about.square().sum(0) / (len(rows) - ddof)).sqrt()
        out[run] = torch.where(varies, about / sd, 0.0).to(out.dtype)
    return _like(out, Y)


def _check_delays(delays: Sequence[int]) -> list[int]:
    chosen = [check_integer(delay, "delays", minimum=-(2**31)) for delay in delays]
    if not chosen:
        raise ValueError("delays must hold at least one number of rows; got none.")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"delays must differ from each other; got {chosen}.")
    return chosen


def _run_spans(runs: ArrayLike | None, n_row: int) -> list[slice]:
    """Return the rows of each run."""
    start = np.unique(run_starts(runs, n_row))
    return [
        slice(int(first), int(last)) for first, last in zip(start, [*start[1:], n_row], strict=True)
    ]


def _shifted(run: slice, delay: int) -> tuple[slice, slice]:
    """Return the rows of a run that a delay reaches, and the rows they come from."""
    length = run.stop - run.start
    delay = max(-length, min(length, delay))
    later = slice(run.start + max(delay, 0), run.stop + min(delay, 0))
    return later, slice(later.start - delay, later.stop - delay)


def _as_tensor(value: Any, name: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        data = value.detach()
        return data if data.is_floating_point() else data.double()
    return as_tensor(as_float_array(value, name))


def _like(result: torch.Tensor, source: Any) -> Any:
    return result if isinstance(source, torch.Tensor) else result.numpy()
