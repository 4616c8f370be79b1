"""Forward hooks that hand a layer's output on while it is being computed.

What a hook sees is named by a *slot*: the module's path, ``#k`` for call k of a module that is
called more than once in a pass, and the way to a tensor inside a nested output, such as ``[0]`` or
``["logits"]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dnnbrain_cpp.networks import Network

__all__ = ["Slot", "StopForward", "capturing", "evaluating", "network_device", "run_forward"]


@dataclass(frozen=True)
class Slot:
    """One tensor that a forward pass produces."""

    path: str
    call: int
    way: str

    def name(self, *, called_once: bool) -> str:
        """Return the layer name that users see."""
        return f"{self.path}{'' if called_once else f'#{self.call}'}{self.way}"


class StopForward(BaseException):
    """Raised inside a hook when nothing behind it is wanted.

    A BaseException, so that a network's own ``except Exception`` cannot swallow it.
    """


def _tensors(output: Any, way: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(output, torch.Tensor):
        yield way, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _tensors(value, f"{way}[{key!r}]")
    elif isinstance(output, Sequence) and not isinstance(output, str | bytes):
        for place, value in enumerate(output):
            yield from _tensors(value, f"{way}[{place}]")


def network_device(network: Network) -> torch.device:
    """Return where the network's first tensor lies; the CPU for a network without any."""
    for tensor in (*network.module.parameters(), *network.module.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def evaluating(network: Network, device: str | torch.device | None) -> Iterator[torch.device]:
    """Make the network ready for forward passes that leave no trace; yield where it runs.

    On top of `Network.evaluating`: no gradients, and a network that draws random numbers in
    evaluation mode leaves the global random state where it was.
    """
    with network.evaluating(device), torch.no_grad():
        place = network_device(network)
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            yield place


@contextmanager
def capturing(
    network: Network,
    paths: Sequence[str],
    take: Callable[[Slot, torch.Tensor], None],
    *,
    stop_after: Slot | None = None,
) -> Iterator[None]:
    """Give `take` each tensor of the modules at `paths` at once, inside the forward hook.

    Parameters
    ----------
    network : Network
    paths : sequence of str
        Module paths.
    take : callable
        Called with the slot and the tensor. Taking it there, and not after the pass, is what keeps
        an in-place operation behind the layer from changing what is captured.
    stop_after : Slot, optional
        Once this slot has been taken, `StopForward` ends the pass.

    Notes
    -----
    For one forward pass: calls of a module are counted from the start of the context. Hooks are
    removed at its end, also after errors.
    """
    calls: Counter[str] = Counter()

    def hook_for(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[path] += 1
            for way, tensor in _tensors(output):
                slot = Slot(path, calls[path], way)
                take(slot, tensor)
                if slot == stop_after:
                    raise StopForward

        return hook

    handles = [
        network.module.get_submodule(path).register_forward_hook(hook_for(path)) for path in paths
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_forward(network: Network, pixels: torch.Tensor) -> None:
    """Run one forward pass, as far as it is wanted."""
    try:
        network.module(pixels)
    except StopForward:
        return
