"""Long calls: other threads run, Ctrl-C and callbacks stop them, errors come out as themselves."""

from __future__ import annotations

import statistics
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dnnbrain_cpp._native import build_info, core
from dnnbrain_cpp.exceptions import Cancelled
from mantel_tests import mantel_tests

pytestmark = pytest.mark.boundary

N_COND = 60
N_PAIR = N_COND * (N_COND - 1) // 2
FOREVER = 10**8


def _compare(n_perm: int, progress: Any = None, n_threads: int = 1) -> Any:
    draws = np.random.default_rng(0)
    return mantel_tests(
        draws.random((1, N_PAIR)),
        draws.random((2, N_PAIR)),
        N_COND,
        core.Comparator.tau_b,
        core.Alternative.greater,
        n_perm,
        0,
        n_threads,
        progress,
    )


def _regress(progress: Any = None, n_fold: int = 100) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(150, 200, generator=generator, dtype=torch.float64)
    responses = torch.randn(150, 5000, generator=generator)
    folds = [(torch.arange(20, 150), torch.arange(20))] * n_fold
    kernel = core.gram_moments(features).centred
    score = core.Score.r
    return core.cross_validate_pcr(kernel, responses, folds, [50], [0.0], score, True, progress)


def _distances(progress: Any = None) -> torch.Tensor:
    features = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    return core.dissimilarities(features, core.Dissimilarity.correlation, progress)


def _centred_distances(progress: Any = None) -> torch.Tensor:
    features = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    return core.dissimilarities(features, core.Dissimilarity.euclidean, progress)


def _crossvalidated(progress: Any = None, *, complete: bool = True) -> torch.Tensor:
    runs = torch.ones(3, 4, 5, dtype=torch.float64)
    present = None if complete else torch.ones(3, 4, dtype=torch.bool)
    return core.crossvalidated_distances(runs, None, present, progress)


def _discriminants(progress: Any = None) -> torch.Tensor:
    runs = torch.ones(3, 4, 5, dtype=torch.float64)
    return core.discriminant_t(runs, torch.ones(3, 4, dtype=torch.float64), progress)


def _many_grams() -> None:
    core.gram_moments(torch.ones(300, 40000))


@pytest.mark.parametrize(
    "call",
    [lambda: _compare(60_000), lambda: _regress(n_fold=5), _many_grams],
    ids=["compare", "pcr", "gram"],
)
def test_other_threads_run_meanwhile(call: Callable[[], Any]) -> None:
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    switch = sys.getswitchinterval()
    # A call that kept the GIL would let the other thread run before and after it, not during.
    sys.setswitchinterval(1e-4)
    thread.start()
    try:
        begin, ticks_begin = time.perf_counter(), ticks
        call()
        elapsed, ticked = time.perf_counter() - begin, ticks - ticks_begin
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(switch)
    assert elapsed > 0.02, "too short to tell"
    assert ticked > 200 * elapsed


# A process of its own: it interrupts itself from a thread, and measures until the exception.
_INTERRUPTED = """
    import os, signal, threading, time
    import numpy as np
    from dnnbrain_cpp._native import core

    n_cond = 92
    draws = np.random.default_rng(0)
    models = draws.random((7, n_cond * (n_cond - 1) // 2))
    subjects = draws.random((15, n_cond * (n_cond - 1) // 2))
    sent = 0.0

    def interrupt():
        global sent
        time.sleep(0.3)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(5):
        threading.Thread(target=interrupt).start()
        try:
            core.mantel_tests(models, subjects, None, core.Removal.partial, n_cond,
                              core.Comparator.tau_b, core.Alternative.two_sided, 10**8,
                              False, False, 0, 0, 2, None)
        except KeyboardInterrupt:
            print(time.perf_counter() - sent)
"""


def test_ctrl_c_arrives_within_a_quarter_of_a_second() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    latencies = [float(line) for line in done.stdout.split()]
    assert len(latencies) == 5, done.stdout
    slower = 8 if build_info()["sanitized"] else 1
    # The promise is for a machine that is not overloaded: it holds for most, and none is far off.
    assert statistics.median(latencies) < 0.25 * slower, latencies
    assert max(latencies) < 1.0 * slower, latencies


class TheirError(LookupError):
    """What only a user's callback raises."""


@pytest.mark.parametrize(
    "call",
    [
        lambda progress: _compare(FOREVER, progress),
        _regress,
        _distances,
        _centred_distances,
        _crossvalidated,
        lambda progress: _crossvalidated(progress, complete=False),
        _discriminants,
    ],
    ids=[
        "compare",
        "pcr",
        "distances",
        "centred-distances",
        "crossnobis",
        "incomplete-crossnobis",
        "ldt",
    ],
)
@pytest.mark.parametrize("error", [TheirError, KeyboardInterrupt, SystemExit, StopIteration])
def test_an_error_of_the_callback_comes_out_as_itself(
    call: Callable[[Any], Any], error: type[BaseException]
) -> None:
    raised = error("theirs")

    def progress(done: int, total: int) -> None:
        raise raised

    with pytest.raises(error) as caught:
        call(progress)
    assert caught.value is raised
    assert [entry.name for entry in caught.traceback][-1] == "progress"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_false_cancels_and_the_next_call_is_as_ever(n_threads: int) -> None:
    expected = _compare(20)
    with pytest.raises(Cancelled, match="cancelled by the caller"):
        _compare(FOREVER, lambda done, total: False, n_threads)
    for a, b in zip(_compare(20, None, n_threads), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("answer", [None, True, 0, ""])
def test_only_false_itself_cancels(answer: Any) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> Any:
        seen.append((done, total))
        return answer

    _compare(5, progress)
    assert seen[-1] == (6, 6)


def test_progress_rises_to_the_total_and_comes_at_most_ten_times_a_second() -> None:
    seen: list[tuple[int, int]] = []
    begin = time.perf_counter()
    _compare(6000, lambda done, total: seen.append((done, total)))
    elapsed = time.perf_counter() - begin
    done = [d for d, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == (6001, 6001)
    assert {total for _, total in seen} == {6001}
    assert len(seen) <= 1 + 10 * elapsed


def test_a_callback_may_call_the_core() -> None:
    expected = _compare(5)[0]
    inner: list[Any] = []
    _compare(5, lambda done, total: inner.append(_compare(5)[0]))
    np.testing.assert_array_equal(inner[0], expected)


@pytest.mark.parametrize("progress", [3, "tqdm", object()])
def test_a_callback_that_cannot_be_called_is_a_type_error(progress: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        _compare(5, progress)


def test_threads_of_the_user_may_call_at_the_same_time() -> None:
    expected = _compare(300)
    results: list[Any] = [None] * 4

    def work(i: int) -> None:
        results[i] = _compare(300, lambda done, total: None, n_threads=1 + i % 2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        for a, b in zip(result, expected, strict=True):
            np.testing.assert_array_equal(a, b)
