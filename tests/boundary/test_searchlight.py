"""RSA in many places and tests by sign flips, below Python: what is refused, and stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dnnbrain_cpp._native import core
from dnnbrain_cpp.exceptions import Cancelled

pytestmark = pytest.mark.boundary

N_CHN, N_COND = 30, 5
N_PAIR = N_COND * (N_COND - 1) // 2


def arguments(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "data": rng.standard_normal((N_CHN, N_COND)),
        "n_cond": N_COND,
        "n_run": 1,
        "metric": core.LocalMetric.correlation,
        "starts": np.arange(0, N_CHN + 1, 10),
        "members": np.arange(N_CHN, dtype=np.int32),
        "models": rng.random((2, N_PAIR)),
        "comparator": core.Comparator.spearman,
        "n_threads": 2,
        "progress": None,
    } | changes


CALLS: dict[str, Callable[..., Any]] = {
    "searchlight": lambda **given: core.searchlight(keep_rdms=True, **given),
    "generalisation": core.generalisation,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "comparator", list(core.Comparator.__members__.values()), ids=lambda c: c.name
)
def test_all_comparators_run(name: str, comparator: Any) -> None:
    CALLS[name](**arguments(comparator=comparator))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": np.array([0, 10, 40])}, "starts must ascend"),
        ({"starts": np.array([], np.int64)}, "starts must ascend"),
        ({"members": np.full(N_CHN, N_CHN, np.int32)}, "members must be channels"),
        ({"members": np.full(N_CHN, -1, np.int32)}, "members must be channels"),
        ({"models": np.ones((1, 3))}, "must have 10 pairs"),
        ({"n_cond": 4}, "must have 4 values"),
        ({"n_run": 2}, "crossnobis needs"),
        ({"metric": core.LocalMetric.crossnobis}, "crossnobis needs"),
        ({"n_threads": 0}, "n_threads must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CALLS[name](**arguments(**changes))


@pytest.mark.parametrize("name", CALLS)
def test_other_arrays_are_refused(name: str) -> None:
    given = arguments()
    for key, dtype in (("data", np.float32), ("starts", np.int32), ("members", np.int64)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            CALLS[name](**arguments(**{key: given[key].astype(dtype)}))


def line(n: int) -> tuple[Any, Any]:
    """Return the neighbours of points on a ring."""
    index = np.arange(n)
    neighbours = np.stack([(index - 1) % n, (index + 1) % n], axis=1).ravel().astype(np.int32)
    return np.arange(0, 2 * n + 1, 2), neighbours


def test_flips_of_points_that_do_not_fit_are_refused() -> None:
    maps = np.ones((4, 6))
    starts, neighbours = line(6)
    rest = (10, False, 0, core.Alternative.greater, 1, None)
    with pytest.raises(ValueError, match="neighbours must be points"):
        core.cluster_test(maps, starts, neighbours + np.int32(1), 1.0, *rest)
    with pytest.raises(ValueError, match="the neighbours of 6 points"):
        core.cluster_test(maps, starts[:-1], neighbours, 1.0, *rest)
    with pytest.raises(ValueError, match="at least 2 subjects"):
        core.sign_flip_test(maps[:1], *rest)
    with pytest.raises(ValueError, match="all flips of 4 subjects"):
        core.sign_flip_test(maps, 10, True, 0, core.Alternative.greater, 1, None)


def stopped(done: int, total: int) -> bool:
    return False


def test_all_of_them_stop_when_asked() -> None:
    for call in CALLS.values():
        with pytest.raises(Cancelled):
            call(**arguments(progress=stopped))
    maps = np.random.default_rng(0).standard_normal((4, 6))
    rest = (10, False, 0, core.Alternative.greater, 1, stopped)
    with pytest.raises(Cancelled):
        core.sign_flip_test(maps, *rest)
    with pytest.raises(Cancelled):
        core.cluster_test(maps, *line(6), 1.0, *rest)
    with pytest.raises(Cancelled):
        core.enhanced_cluster_test(maps, *line(6), 0.5, 2.0, 0.1, *rest)
