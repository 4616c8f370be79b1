"""Delays, haemodynamic responses and drifts, against loops and direct convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import gamma
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp.linear import (
    Delayer,
    delayed_kernel,
    detrend_basis,
    hrf_operator,
    zscore_runs,
)
from tolerances import TOLERANCES

RUNS = np.repeat(["a", "b", "c"], [9, 1, 5])
N = len(RUNS)
DELAYS = [[1, 2, 3, 4], [0], [0, 2, 7], [-2, -1, 0, 1], [3, -50, 100]]

_NOT_ROW_BY_ROW = "a row depends on the rows before it"


@parametrize_with_checks(
    [Delayer(), Delayer([0, -1])],
    expected_failed_checks=lambda _: {
        "check_methods_sample_order_invariance": _NOT_ROW_BY_ROW,
        "check_methods_subset_invariance": _NOT_ROW_BY_ROW,
    },
)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def delay_twin(x: NDArray[Any], delays: list[int], runs: Any) -> NDArray[Any]:
    out = np.zeros((len(x), len(delays), x.shape[1]), dtype=x.dtype)
    for i in range(len(x)):
        for place, delay in enumerate(delays):
            source = i - delay
            if 0 <= source < len(x) and runs[source] == runs[i]:
                out[i, place] = x[source]
    return out.reshape(len(x), -1)


def draw(p: int = 3, dtype: Any = np.float64) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal((N, p)).astype(dtype)


@pytest.mark.parametrize("delays", DELAYS, ids=str)
@pytest.mark.parametrize("runs", [None, RUNS], ids=["one", "three"])
def test_delayed_features(runs: Any, delays: list[int]) -> None:
    x = draw(dtype=np.float32)
    expected = delay_twin(x, delays, np.zeros(N) if runs is None else runs)
    ours = Delayer(delays, runs=runs).fit_transform(x)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, expected)
    tensor = Delayer(delays, runs=runs).fit_transform(torch.from_numpy(x))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor, expected)


def test_names_of_delayed_features() -> None:
    delayer = Delayer([0, 2]).fit(draw(2))
    assert list(delayer.get_feature_names_out()) == [
        "x0_delay0",
        "x1_delay0",
        "x0_delay2",
        "x1_delay2",
    ]
    assert list(delayer.get_feature_names_out(["u", "v"]))[2] == "u_delay2"


@pytest.mark.parametrize("delays", DELAYS, ids=str)
@pytest.mark.parametrize("runs", [None, RUNS], ids=["one", "three"])
def test_kernel_of_delayed_features(runs: Any, delays: list[int]) -> None:
    x = draw(40)
    k = x @ x.T
    delayed = delay_twin(x, delays, np.zeros(N) if runs is None else runs)
    tolerance = TOLERANCES["fp64_reduction"] * np.abs(k).max() * len(delays)
    ours = delayed_kernel(k, delays, runs=runs)
    np.testing.assert_allclose(ours, delayed @ delayed.T, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(ours, ours.T)
    bands = delayed_kernel(k, delays, runs=runs, per_delay=True)
    assert bands.shape == (len(delays), N, N)
    for band, part in zip(bands, np.split(delayed, len(delays), axis=1), strict=True):
        np.testing.assert_allclose(band, part @ part.T, rtol=0, atol=tolerance)


def test_kernels_of_any_kind() -> None:
    k = draw(N)
    expected = delayed_kernel(k, [1, 2], runs=RUNS)
    k.setflags(write=False)
    np.testing.assert_array_equal(delayed_kernel(k, [1, 2], runs=RUNS), expected)
    fortran = delayed_kernel(np.asfortranarray(k), [1, 2], runs=RUNS)
    np.testing.assert_array_equal(fortran, expected)
    tensor = delayed_kernel(torch.tensor(k), [1, 2], runs=RUNS)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor, expected)
    assert delayed_kernel(k.astype(np.float32), [1]).dtype == np.float32


@pytest.mark.parametrize(
    ("delays", "runs", "error", "message"),
    [
        ([], None, ValueError, "at least one"),
        ([1, 1], None, ValueError, r"differ from each other; got \[1, 1\]"),
        ([1.5], None, TypeError, "must be an integer; got 1.5"),
        ([1], [0, 1], ValueError, r"runs must have shape \(15,\); got \(2,\)"),
        ([1], np.arange(N) % 2, ValueError, "run 0 of runs begins at row 0 and again at row 2"),
    ],
)
def test_wrong_delays(delays: Any, runs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Delayer(delays, runs=runs).fit_transform(draw())
    with pytest.raises(error, match=message):
        delayed_kernel(draw(N), delays, runs=runs)


def test_a_kernel_is_square() -> None:
    with pytest.raises(ValueError, match=r"square matrix; got shape \(15, 3\)"):
        delayed_kernel(draw(), [1])


# Haemodynamic responses


def spm(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6)


def glover(t: NDArray[np.float64]) -> NDArray[np.float64]:
    peak, under = 6 * 0.9, 12 * 0.9
    t = np.maximum(t, 0)
    return np.asarray(
        (t / peak) ** 6 * np.exp(-(t - peak) / 0.9)
        - 0.35 * (t / under) ** 12 * np.exp(-(t - under) / 0.9)
    )


RESPONSES = {"spm": spm, "glover": glover}
ONSETS = np.array([3.0, 5.12, 11.3, 12.0, 29.5])
DURATIONS = np.array([4.0, 0.5, 2.4, 0.2, 3.0])


@pytest.mark.parametrize("model", RESPONSES)
def test_the_integral_of_the_response(model: str) -> None:
    """Each entry by quadrature of the published formula, of unit area."""
    response = RESPONSES[model]
    area = quad(response, 0, 100)[0]
    ours = hrf_operator(ONSETS, DURATIONS, 20, 2.3, model=model, slice_time_ref=0.5)
    expected = [
        [
            quad(response, max(t - on - lasting, 0), max(t - on, 0))[0] / area
            for on, lasting in zip(ONSETS, DURATIONS, strict=True)
        ]
        for t in (np.arange(20) + 0.5) * 2.3
    ]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["quadrature"])


def convolve(
    x: NDArray[Any], n_vol: int, tr: float, rate: int, overlap: str, model: str
) -> NDArray[Any]:
    """Box-cars at `rate` samples per second, convolved with 32 s of the response of sum 1."""
    response = RESPONSES[model](np.arange(32 * rate) / rate)
    response /= response.sum()
    volumes = np.rint(np.arange(n_vol) * tr * rate).astype(int)
    early = 40 * rate  # room for events before the scan
    box = np.zeros((early + volumes[-1] + 1, x.shape[1]))
    for event, on in enumerate(ONSETS):
        rows = slice(early + round(on * rate), early + round((on + DURATIONS[event]) * rate))
        if overlap == "sum":
            box[rows] += x[event]
        else:
            box[rows] = x[event]
    seen = np.stack([np.convolve(column, response)[: len(box)] for column in box.T], axis=1)
    return np.asarray(seen[early + volumes])


@pytest.mark.parametrize("model", RESPONSES)
@pytest.mark.parametrize("overlap", ["sum", "replace"])
@pytest.mark.parametrize("tr", [2.0, 0.7125, 1.37])
def test_direct_convolution(tr: float, overlap: str, model: str) -> None:
    """Also with the last events long past, and with a TR that no grid holds."""
    x = np.random.default_rng(0).standard_normal((len(ONSETS), 4))
    options: dict[str, Any] = {"model": model, "overlap": overlap}
    on_grid = hrf_operator(ONSETS, DURATIONS, 60, tr, oversampling=100, **options) @ x
    direct = convolve(x, 60, tr, 100, overlap, model)
    np.testing.assert_allclose(on_grid, direct, rtol=0, atol=TOLERANCES["fp64_reduction"])
    exact = hrf_operator(ONSETS, DURATIONS, 60, tr, **options) @ x
    np.testing.assert_allclose(exact, direct, rtol=0, atol=TOLERANCES["hrf_grid"])


def test_events_that_replace_each_other() -> None:
    """One within another, one after another, two at once: the later in the list stays."""
    onsets, durations = [0.0, 2.0, 3.0, 20.0, 20.0], [10.0, 3.0, 1.0, 2.0, 4.0]
    pieces = {0: [(0, 2), (5, 10)], 1: [(2, 3), (4, 5)], 2: [(3, 4)], 3: [], 4: [(20, 24)]}
    ours = hrf_operator(onsets, durations, 30, 1.5, overlap="replace")
    for event, parts in pieces.items():
        expected = np.zeros(30)
        for first, last in parts:
            expected += hrf_operator([first], last - first, 30, 1.5)[:, 0]
        np.testing.assert_allclose(ours[:, event], expected, atol=TOLERANCES["fp64_reduction"])
    # Order in the list matters only to ties.
    shuffled = hrf_operator(onsets[2::-1], durations[2::-1], 30, 1.5, overlap="replace")
    np.testing.assert_allclose(shuffled, ours[:, 2::-1], rtol=0, atol=TOLERANCES["fp64_reduction"])


def test_an_event_before_the_scan_is_seen_when_it_should_be() -> None:
    early = hrf_operator([-3.0], 1.0, 20, 1.0)
    late = hrf_operator([2.0], 1.0, 25, 1.0)
    np.testing.assert_allclose(early[:, 0], late[5:, 0], atol=TOLERANCES["fp64_reduction"])
    assert late[:3].max() == 0.0
    steady = hrf_operator([0.0], 100.0, 60, 1.0)
    np.testing.assert_allclose(steady[-1], 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tr": 0.0}, "tr must be a positive number"),
        ({"tr": np.nan}, "tr must be a positive number"),
        ({"n_vol": 0}, "n_vol must be at least 1"),
        ({"durations": [1.0]}, "as many as each other; got 5 and 1"),
        ({"durations": 0.0}, "durations must be positive"),
        ({"durations": np.r_[DURATIONS[:4], np.inf]}, "durations must be positive"),
        ({"onsets": np.r_[ONSETS[:4], np.nan]}, "onsets must be finite"),
        ({"model": "gamma"}, "'spm', 'glover'; got 'gamma'"),
        ({"overlap": "max"}, "'sum', 'replace'"),
        ({"slice_time_ref": 2.0}, r"in \[0, 1\]; got 2.0"),
        ({"oversampling": 1}, "event 3 does not at oversampling=1"),
    ],
)
def test_wrong_events(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "onsets": ONSETS,
        "durations": DURATIONS,
        "n_vol": 10,
        "tr": 2.0,
        **options,
    }
    with pytest.raises(ValueError, match=message):
        hrf_operator(**arguments)


# Drifts and scales


@pytest.mark.parametrize("runs", [None, np.repeat([0, 1], [30, 50])], ids=["one", "two"])
def test_polynomials_span_the_powers_of_time(runs: Any) -> None:
    basis = detrend_basis(80, order=3, runs=runs)
    spans = [slice(0, 80)] if runs is None else [slice(0, 30), slice(30, 80)]
    assert basis.shape == (80, 3 * len(spans))
    np.testing.assert_allclose(
        basis.T @ basis, np.eye(basis.shape[1]), atol=TOLERANCES["fp64_reduction"]
    )
    for place, span in enumerate(spans):
        own = basis[:, 3 * place : 3 * place + 3]
        assert not np.delete(own, np.r_[span], axis=0).any()
        time = np.arange(span.stop - span.start, dtype=float)
        powers = np.vander(time, 4) @ [1e-3, -0.2, 3.0, 7.0]
        left = powers - powers.mean() - own[span] @ (own[span].T @ powers)
        np.testing.assert_allclose(left, 0, atol=TOLERANCES["fp64_factor"])
        assert own[span][-1, 0] > 0  # rising


def test_cosines_are_those_slower_than_the_period() -> None:
    n_vol, tr, period = 100, 2.0, 64.0
    basis = detrend_basis(n_vol, kind="cosine", period=period, tr=tr)
    assert basis.shape[1] == int(2 * n_vol * tr / period) == 6
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=TOLERANCES["fp64_reduction"])
    np.testing.assert_allclose(basis.sum(0), 0, atol=TOLERANCES["fp64_reduction"])
    for k, column in enumerate(basis.T, start=1):
        crossings = int((np.diff(np.sign(column)) != 0).sum())
        assert crossings == k  # k half waves over the run: a period of 2 n tr / k
    runs = np.repeat([0, 1], [80, 20])
    assert detrend_basis(n_vol, kind="cosine", period=period, tr=tr, runs=runs).shape == (100, 6)
    assert detrend_basis(10, kind="cosine", tr=2.0).shape == (10, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "spline"}, "'polynomial', 'cosine'"),
        ({"order": 0}, "order must be at least 1"),
        ({"order": 20}, "run from volume 0 has 20, for 20"),
        ({"kind": "cosine"}, "tr must be a positive number of seconds for cosines; got None"),
        ({"kind": "cosine", "tr": 2.0, "period": 0.0}, "period must be a positive"),
        ({"kind": "cosine", "tr": 2.0, "period": 4.0}, "has 20, for 20"),
        ({"order": 3, "runs": np.repeat([0, 1], [17, 3])}, "from volume 17 has 3, for 3"),
        ({"runs": [0, 1]}, r"runs must have shape \(20,\)"),
    ],
)
def test_wrong_drifts(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detrend_basis(20, **options)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscores_of_runs(dtype: Any, ddof: int) -> None:
    runs = np.repeat([5, 3, 4], [9, 2, 4])
    y = (1e6 + draw(4) * [1, 10, 1e-2, 1]).astype(dtype)
    y[:9] *= 1000
    y[:9, 3] = 0.1
    ours = zscore_runs(y, runs, ddof=ddof)
    assert ours.dtype == dtype
    for run in (5, 3, 4):
        rows = y[runs == run].astype(np.float64)
        sd = rows.std(0, ddof=ddof)
        varies = np.ptp(rows, axis=0) > 0
        expected = np.where(varies, (rows - rows.mean(0)) / np.where(varies, sd, 1), 0)
        tolerance = TOLERANCES["fp32_reduction" if dtype == np.float32 else "fp64_reduction"]
        # Means of values of 1e9 and more, of which the least spread differ by 1e-2.
        tolerance = max(tolerance, 1e9 * 1e-16 / 1e-2)
        np.testing.assert_allclose(ours[runs == run], expected, rtol=0, atol=tolerance)
    tensor = zscore_runs(torch.from_numpy(y), runs, ddof=ddof)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor, ours)


def test_wrong_runs() -> None:
    with pytest.raises(ValueError, match="more than 1 rows for ddof=1; the run from row 9 has 1"):
        zscore_runs(draw(), RUNS, ddof=1)
    with pytest.raises(ValueError, match="must be 2-D"):
        zscore_runs(draw()[:, 0], RUNS)
    np.testing.assert_array_equal(zscore_runs(draw(), RUNS)[9], 0)
    np.testing.assert_allclose(zscore_runs(draw(), None).std(0), 1)
