"""What weights are asked for, and the two kinds that depend on a seed."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

__all__ = [
    "WeightSource",
    "Weights",
    "permute_parameters",
    "seeded",
    "weight_source",
]

Weights = str | os.PathLike[str] | enum.Enum
"""``"random"``, a path, ``"permuted:PATH"``, ``"torchvision:NAME"`` or torchvision's enum."""


@dataclass(frozen=True)
class WeightSource:
    """What a `weights` argument asks for."""

    kind: Literal["random", "file", "permuted", "torchvision"]
    value: str = ""

    def __str__(self) -> str:
        if self.kind == "random":
            return "random"
        return self.value if self.kind == "file" else f"{self.kind}:{self.value}"

    @property
    def has_seed(self) -> bool:
        """Whether the values depend on a seed."""
        return self.kind in ("random", "permuted")

    @property
    def path(self) -> str | None:
        """The file to read, if there is one."""
        return self.value if self.kind in ("file", "permuted") else None


def weight_source(weights: Weights) -> WeightSource:
    """Return what `weights` asks for; raise `TypeError` or `ValueError` if it asks for nothing."""
    if isinstance(weights, enum.Enum):
        return WeightSource("torchvision", weights.name)
    if not isinstance(weights, str | os.PathLike):
        raise TypeError(
            "weights must be 'random', the path of a file, 'permuted:PATH' or 'torchvision:NAME'; "
            f"got {weights!r}."
        )
    text = os.fspath(weights)
    if text == "random":
        return WeightSource("random")
    for kind in ("permuted", "torchvision"):
        prefix, _, value = text.partition(":")
        if prefix == kind:
            if not value:
                raise ValueError(f"weights must say what follows '{kind}:'; got {text!r}.")
            return WeightSource("permuted" if kind == "permuted" else "torchvision", value)
    if not text:
        raise ValueError("weights must not be empty; give 'random' or the path of a file.")
    return WeightSource("file", text)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block as after ``torch.manual_seed(seed)``, on the CPU, and leave no trace of it.

    Only the CPU's generator is seeded and put back: the generators of other devices, which
    ``torch.manual_seed`` would reset too, stay as they are.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        yield


def permute_parameters(module: nn.Module, *, seed: int) -> None:
    """Put the values of every parameter tensor into a random order, in place.

    Each tensor keeps its distribution of values and loses its structure: a null model of what the
    arrangement of trained weights does. Buffers, such as the moments of a batch norm, stay.

    Parameters
    ----------
    module : torch.nn.Module
    seed : int
        Of the orders, drawn tensor after tensor from one generator.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
