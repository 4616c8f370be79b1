"""Fixtures of the encoding tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _small_problems_on_one_thread(one_thread: None) -> None:
    """Every test here."""
