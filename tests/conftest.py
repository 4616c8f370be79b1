"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, also where the suite runs in the background.

    A shell starts background jobs with the signal ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the simulations of error rates, unless slow tests are asked for by ``-m slow``."""
    if "slow" in config.option.markexpr:
        return
    simulations = [
        item
        for item in items
        if item.path.name.startswith("test_simulations_") and "slow" in item.keywords
    ]
    if simulations:
        config.hook.pytest_deselected(items=simulations)
        left_out = set(simulations)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the published stimuli and brain data; absent is a skip here, a failure in CI."""
    root = Path(__file__).resolve().parents[1]
    path = Path(os.environ.get("DNNBRAIN_TEST_DATA", root.parent / "shared" / "data"))
    if not path.is_dir():
        message = f"no real data at {path}; set DNNBRAIN_TEST_DATA to the folder that holds it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(autouse=True)
def _global_state_is_untouched() -> Iterator[None]:
    """No call of ours may move the global random state or the thread count."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - the legacy state is what we guard
    torch_state = torch.get_rng_state()
    n_threads = torch.get_num_threads()
    yield
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    moved = not np.array_equal(numpy_state["state"]["key"], after["state"]["key"]) or (
        numpy_state["state"]["pos"] != after["state"]["pos"]
    )
    assert not moved, "the test moved NumPy's global random state"
    assert torch.equal(torch_state, torch.get_rng_state()), "the test moved torch's random state"
    assert torch.get_num_threads() == n_threads, "the test changed torch's thread count"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Wake no threads for microseconds of work, neither torch's nor those of the twins' BLAS."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        yield
    torch.set_num_threads(n_threads)
