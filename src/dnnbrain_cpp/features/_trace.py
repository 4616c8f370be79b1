"""A dry run on two batch sizes: what each layer gives, in which order, and on which axis."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dnnbrain_cpp.features._capture import Slot, capturing, run_forward
from dnnbrain_cpp.networks import Network

__all__ = ["LayerTrace", "Trace", "trace_layers"]

_BATCHES = (2, 3)


@dataclass(frozen=True)
class LayerTrace:
    """What the dry run learnt of one layer."""

    name: str
    slot: Slot
    type: str
    shape: tuple[int, ...]
    """Activation of one stimulus, without the batch axis."""
    batch_axis: int
    dtype: torch.dtype
    duplicate_of: str | None
    """An earlier layer whose tensor this is, such as dropout's in evaluation mode."""

    @property
    def n_unit(self) -> int:
        """Units of one stimulus."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Trace:
    """What the dry run learnt of the network."""

    layers: tuple[LayerTrace, ...]
    """In the order in which they are computed."""
    working_bytes: int
    """Activations alive at once in a pass, for one stimulus: the largest input plus output."""
    pixels_shape: tuple[int, ...]


@dataclass(frozen=True)
class _Seen:
    slot: Slot
    tensor: torch.Tensor
    version: int


def _dry_run(
    network: Network, wanted: Sequence[str], watched: Sequence[str], pixels: torch.Tensor
) -> tuple[list[_Seen], list[int]]:
    """Return what the wanted modules gave, and the bytes that the watched ones did, in order."""
    seen: list[_Seen] = []
    sizes = [pixels.nbytes]
    wanted_paths, watched_paths = set(wanted), set(watched)

    def take(slot: Slot, tensor: torch.Tensor) -> None:
        if slot.path in watched_paths:
            sizes.append(tensor.nbytes)
        if slot.path in wanted_paths:
            # Keeping every output alive keeps its address from being used again, so that equal
            # addresses mean one tensor; the version tells an in-place change in between.
            seen.append(_Seen(slot, tensor, tensor._version))

    with capturing(network, list(wanted_paths | watched_paths), take):
        run_forward(network, pixels)
    return seen, sizes


def _batch_axis(name: str, small: torch.Tensor, large: torch.Tensor) -> int:
    axes = [
        axis
        for axis, lengths in enumerate(zip(small.shape, large.shape, strict=False))
        if lengths == _BATCHES
    ]
    if small.ndim != large.ndim or not axes:
        raise ValueError(
            f"layer {name!r} must have one axis that counts stimuli; batches of {_BATCHES[0]} and "
            f"{_BATCHES[1]} stimuli gave shapes {tuple(small.shape)} and {tuple(large.shape)}. "
            "Choose a layer before or after it."
        )
    return axes[0]


def _leaves(network: Network) -> list[str]:
    return [
        path
        for path, module in network.module.named_modules()
        if path and next(module.children(), None) is None
    ]


def trace_layers(network: Network, paths: Sequence[str], pixels: torch.Tensor) -> Trace:
    """Run the network on batches of two and three stimuli and compare.

    Parameters
    ----------
    network : Network
        In evaluation mode (see `Network.evaluating`), on the device of `pixels`.
    paths : sequence of str
        Modules wanted.
    pixels : tensor of shape (1, n_chn, n_row, n_col)
        One stimulus, as the network takes it; repeated to fill the batches.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        If a module is not called, or gives no floating-point tensor with one axis for stimuli.
    """
    with torch.no_grad():
        batches = [pixels.repeat(n, 1, 1, 1) for n in _BATCHES]
        first, sizes = _dry_run(network, paths, _leaves(network), batches[0])
        second, _ = _dry_run(network, paths, (), batches[1])
    small = {entry.slot: entry for entry in first if entry.tensor.is_floating_point()}
    large = {entry.slot: entry for entry in second}
    n_calls = Counter({slot.path: slot.call for slot in small})  # the last call counts them all
    for path in paths:
        if path not in n_calls:
            raise ValueError(
                f"layer {path!r} must give an activation when {network.name} runs on an image; it "
                "does not. Is it used in training only?"
            )
    layers: list[LayerTrace] = []
    first_name: dict[tuple[int, int, tuple[int, ...]], str] = {}
    for slot, entry in small.items():
        name = slot.name(called_once=n_calls[slot.path] == 1)
        if slot not in large:
            raise ValueError(
                f"layer {name!r} must run the same way for any batch; it did not for "
                f"{_BATCHES[1]} stimuli."
            )
        axis = _batch_axis(name, entry.tensor, large[slot].tensor)
        identity = (entry.tensor.data_ptr(), entry.version, tuple(entry.tensor.shape))
        layers.append(
            LayerTrace(
                name=name,
                slot=slot,
                type=type(network.module.get_submodule(slot.path)).__name__,
                shape=tuple(n for place, n in enumerate(entry.tensor.shape) if place != axis),
                batch_axis=axis,
                dtype=entry.tensor.dtype,
                duplicate_of=first_name.get(identity),
            )
        )
        first_name.setdefault(identity, name)
    # Two modules that run one after the other hold an input and an output between them.
    working = max((a + b for a, b in itertools.pairwise(sizes)), default=sizes[0])
    return Trace(tuple(layers), working // _BATCHES[0], tuple(pixels.shape[1:]))
