"""One row of a benchmark table: a job that we and our peers do on the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Job", "Problem"]


@dataclass(frozen=True)
class Job:
    """Data in memory, and ways to do the work.

    Attributes
    ----------
    ours, peers : mapping of str to callable
        Variants by name, such as batch sizes. The fastest variant of a peer is what counts.
    difference : callable of (our result, the peer's result) -> str
        How far apart the results are, in words and figures.
    share : float
        Part of the job that the peer does where the whole would take hours; its time is divided by
        this, and the table says so.
    """

    ours: Mapping[str, Callable[[], Any]]
    peers: Mapping[str, Callable[[], Any]]
    difference: Callable[[Any, Any], str]
    share: float = 1.0


@dataclass(frozen=True)
class Problem:
    """A row: what it is called, whom it is compared with, and how fast it should be."""

    name: str
    title: str
    peer: str
    goal: float
    make: Callable[[], Job]
    clock: Literal["wall_s", "cpu_s"] = "wall_s"
