"""Twins of the fast paths, written to be obviously right, and the small networks of these tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dnnbrain_cpp import Network, Stimuli, transforms

REDUCTIONS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "mean": lambda units: units.mean(axis=-1),
    "max": lambda units: units.max(axis=-1),
    "min": lambda units: units.min(axis=-1),
    "l1": lambda units: np.abs(units).sum(axis=-1),
    "l2": lambda units: np.sqrt((units**2).sum(axis=-1)),
}


def make_stimuli(n_stim: int = 5, side: int = 32, seed: int = 0) -> Stimuli:
    """Return pictures of noise, each with an id that tells its place."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n_stim, side, side, 3), dtype=np.uint8)
    return Stimuli.from_array(pixels, layout="NHWC", ids=[f"s{i:03d}" for i in range(n_stim)])


def make_network(build: Callable[[], nn.Module], *, side: int = 32, **options: Any) -> Network:
    """Build a network whose values are always the same."""
    options.setdefault("transform", transforms.squash(side))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(build(), **options)


def pixels_of(network: Network, stimuli: Stimuli) -> torch.Tensor:
    """Return all stimuli as one batch."""
    (batch,) = stimuli.batches(network.transform, batch_size=len(stimuli))
    return batch.pixels


def activations(network: Network, pixels: torch.Tensor, paths: Sequence[str]) -> dict[str, Any]:
    """Return clones of what plain hooks see in one pass: name of the layer to (n_stim, ...)."""
    seen: list[tuple[str, torch.Tensor]] = []
    handles = [
        network.module.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: seen.append((path, output.clone()))
        )
        for path in paths
    ]
    modes = [(child, child.training) for child in network.module.modules()]
    network.module.eval()
    with torch.no_grad():
        network.module(pixels)
    for child, mode in modes:
        child.training = mode
    for handle in handles:
        handle.remove()
    calls = Counter(path for path, _ in seen)
    counts: Counter[str] = Counter()
    named = {}
    for path, tensor in seen:
        counts[path] += 1
        named[path if calls[path] == 1 else f"{path}#{counts[path]}"] = tensor.numpy()
    return named


def difference(came: Any, expected: Any) -> float:
    """Return the distance of two arrays, relative to the norm of the expected one."""
    came, expected = np.asarray(came, np.float64), np.asarray(expected, np.float64)
    assert came.shape == expected.shape
    return float(np.linalg.norm(came - expected) / max(np.linalg.norm(expected), 1e-300))


def small_cnn() -> nn.Module:
    """Three convolutions, each with an in-place ReLU behind it, and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 10, 3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(90, 12),
        nn.ReLU(inplace=True),
        nn.Linear(12, 4),
    )
