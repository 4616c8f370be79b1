"""A dry run: what each layer gives, in which order, and on which axis stimuli are counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.weak import TensorWeakRef

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
    silent: tuple[str, ...]
    """Paths of wanted modules that gave no activation."""
    working_bytes: int
    """Memory that a pass takes for one stimulus: the activations alive at once, and once more the
    one being computed, which convolutions reorder."""
    pixels_shape: tuple[int, ...]


@dataclass(frozen=True)
class _Seen:
    shape: tuple[int, ...]
    dtype: torch.dtype
    same_as: Slot | None


class _Watch:
    """Notes what passes by, and keeps no tensor alive."""

    def __init__(self, wanted: Sequence[str], leaves: Sequence[str]) -> None:
        self._wanted, self._leaves = set(wanted), set(leaves)
        self._first: dict[tuple[int, tuple[int, ...]], tuple[TensorWeakRef, int, Slot]] = {}
        self._alive: dict[int, tuple[TensorWeakRef, int]] = {}
        self.seen: dict[Slot, _Seen] = {}
        self.working_bytes = 0

    @property
    def paths(self) -> list[str]:
        return list(self._wanted | self._leaves)

    def take(self, slot: Slot, tensor: torch.Tensor) -> None:
        if slot.path in self._leaves:
            self._weigh(tensor)
        if slot.path in self._wanted and tensor.is_floating_point():
            self.seen[slot] = _Seen(tuple(tensor.shape), tensor.dtype, self._twin(slot, tensor))

    def _weigh(self, tensor: torch.Tensor) -> None:
        self._alive = {
            place: known for place, known in self._alive.items() if known[0]() is not None
        }
        self._alive[tensor.data_ptr()] = (TensorWeakRef(tensor), tensor.nbytes)
        held = sum(n_bytes for _, n_bytes in self._alive.values())
        self.working_bytes = max(self.working_bytes, held + tensor.nbytes)

    def _twin(self, slot: Slot, tensor: torch.Tensor) -> Slot | None:
        """Return an earlier slot that gave the same memory, if nobody has written to it since."""
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if place in self._first:
            earlier, version, first = self._first[place]
            # A tensor that is gone may have left its address to this one.
            if earlier() is not None and version == tensor._version:
                return first
        self._first[place] = (TensorWeakRef(tensor), tensor._version, slot)
        return None


def _leaves(network: Network) -> list[str]:
    return [
        path
        for path, module in network.module.named_modules()
        if path and next(module.children(), None) is None
    ]


def _dry_run(
    network: Network, wanted: Sequence[str], leaves: Sequence[str], pixels: torch.Tensor
) -> _Watch:
    watch = _Watch(wanted, leaves)
    with capturing(network, watch.paths, watch.take):
        run_forward(network, pixels)
    return watch


def _counts_stimuli(shape: tuple[int, ...]) -> bool:
    """Whether the first axis, and no other, has as many entries as the smaller batch."""
    return shape[:1] == _BATCHES[:1] and shape.count(_BATCHES[0]) == 1


def _batch_axis(name: str, small: tuple[int, ...], large: tuple[int, ...] | None) -> int:
    if large is not None and len(small) == len(large):
        for axis, lengths in enumerate(zip(small, large, strict=True)):
            if lengths == _BATCHES:
                return axis
    raise ValueError(
        f"layer {name!r} must have one axis that counts stimuli; a batch of {_BATCHES[0]} gave "
        f"shape {small}, and one of {_BATCHES[1]} gave {large}. Choose a layer before or after it."
    )


def trace_layers(network: Network, paths: Sequence[str], pixels: torch.Tensor) -> Trace:
    """Run the network on a batch of two stimuli, and where that leaves doubt on one of three.

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
        If an activation has no axis for stimuli.

    Notes
    -----
    A first axis with two entries, when no other has two, counts stimuli. Any other layer needs the
    second batch: the axis that follows is the one.
    """
    watch = _dry_run(network, paths, _leaves(network), pixels.repeat(_BATCHES[0], 1, 1, 1))
    small = watch.seen
    doubtful = [slot.path for slot, entry in small.items() if not _counts_stimuli(entry.shape)]
    large: dict[Slot, _Seen] = {}
    if doubtful:
        large = _dry_run(network, doubtful, (), pixels.repeat(_BATCHES[1], 1, 1, 1)).seen

    n_calls = Counter({slot.path: slot.call for slot in small})  # the last call counts them all
    names = {slot: slot.name(called_once=n_calls[slot.path] == 1) for slot in small}
    layers = []
    for slot, entry in small.items():
        axis = 0
        if not _counts_stimuli(entry.shape):
            batch = large.get(slot)
            axis = _batch_axis(names[slot], entry.shape, None if batch is None else batch.shape)
        layers.append(
            LayerTrace(
                name=names[slot],
                slot=slot,
                type=type(network.module.get_submodule(slot.path)).__name__,
                shape=entry.shape[:axis] + entry.shape[axis + 1 :],
                batch_axis=axis,
                dtype=entry.dtype,
                duplicate_of=None if entry.same_as is None else names[entry.same_as],
            )
        )
    return Trace(
        layers=tuple(layers),
        silent=tuple(path for path in paths if path not in n_calls),
        working_bytes=watch.working_bytes // _BATCHES[0],
        pixels_shape=tuple(pixels.shape[1:]),
    )
