"""Fixtures of the tests of linear models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _small_problems_on_one_thread() -> Iterator[None]:
    """Wake no threads for microseconds of work, neither torch's nor those of the twins' BLAS."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        yield
    torch.set_num_threads(n_threads)
