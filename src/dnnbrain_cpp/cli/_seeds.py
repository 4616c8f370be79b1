"""Seeds and the networks that they make, on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dnnbrain_cpp.networks import Network

__all__ = ["NetworkSet", "SeedRange"]

_MAX_SEEDS = 1000


class SeedRange(click.ParamType[tuple[int, ...]]):
    """Seeds as in ``0-9`` or ``0,3,7-9``."""

    name = "seeds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the seeds in the order in which they are written, each once."""
        if isinstance(value, tuple):
            return value
        seeds: dict[int, None] = {}
        for part in str(value).split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                self.fail(f"{value!r} is not of the form 0-9 or 0,3,7-9.", param, ctx)
            start, stop = int(first), int(last if dash else first)
            if stop < start or stop - start >= _MAX_SEEDS:
                self.fail(f"{part!r} must go upwards over at most {_MAX_SEEDS} seeds.", param, ctx)
            seeds |= dict.fromkeys(range(start, stop + 1))
        return tuple(seeds)


@dataclass(frozen=True)
class NetworkSet:
    """Networks made one at a time, so that one is in memory however many seeds there are.

    All networks come with the first seed before any comes with the second, so that what is wrong
    with one of them shows early. Weights that no seed changes are taken once.

    Parameters
    ----------
    names, weights : sequence of str
        Of equal length.
    seeds : sequence of int
    create : callable
        ``networks.create``, with its options.
    """

    names: Sequence[str]
    weights: Sequence[str]
    seeds: Sequence[int]
    create: Callable[..., Network]

    def __len__(self) -> int:
        n_seeded = sum(_has_seed(weights) for weights in self.weights)
        return n_seeded * len(self.seeds) + len(self.weights) - n_seeded

    def __iter__(self) -> Iterator[Network]:
        for place, seed in enumerate(self.seeds):
            for name, weights in zip(self.names, self.weights, strict=True):
                if place == 0 or _has_seed(weights):
                    yield self.create(name, weights=weights, seed=seed)


def _has_seed(weights: str) -> bool:
    return weights == "random" or weights.startswith("permuted:")
