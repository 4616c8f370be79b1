"""What an extraction will do and need, known before it runs."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from dnnbrain_cpp._memory import available_bytes, format_bytes
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.features._capture import evaluating, network_device
from dnnbrain_cpp.features._trace import LayerTrace, Trace, trace_layers
from dnnbrain_cpp.networks import Network

if TYPE_CHECKING:
    from dnnbrain_cpp.stimuli import Stimuli

__all__ = ["REDUCTIONS", "LayerPlan", "Plan", "make_plan", "plan"]

T = TypeVar("T")

REDUCTIONS = ("keep", "mean", "max", "min", "l1", "l2", "gram")

_BYTES = 4  # features are float32
_N_PIXELS = 3  # batches of pixels alive: two waiting, one in the network
_GRAM_CHUNK = 64 << 20  # as in tensor/gram.hpp
_AUTO_BATCH = 32
_AUTO_BATCH_BYTES = 1 << 30


@dataclass(frozen=True)
class LayerPlan:
    """What one layer gives and how it is reduced."""

    trace: LayerTrace
    reduce: str
    channel_axis: int
    """Among the axes of a batch with stimuli in front, so at least 1."""

    @property
    def name(self) -> str:
        """Layer name."""
        return self.trace.name

    @property
    def n_feat(self) -> int:
        """Columns of the buffer: units for keep and gram, channels for pooling."""
        if self.reduce in ("keep", "gram") or not self.trace.shape:
            return self.trace.n_unit
        return self.trace.shape[self.channel_axis - 1]


@dataclass(frozen=True)
class Plan:
    """Layers, shapes, bytes, batch and predicted peak memory of an extraction.

    Attributes
    ----------
    layers : tuple of LayerPlan
        In the order in which the network computes them.
    silent : tuple of str
        Modules that the patterns match and that gave no activation: not called in evaluation mode,
        or without a floating-point tensor in what they return.
    n_stim : int
    batch_size : int
    device : str
    buffer_bytes : int
        What the sinks write to: the result, and for ``gram`` the units that wait.
    peak_bytes : int
        Predicted peak of main memory beyond what the process holds already: buffers, waiting
        batches of pixels, and on the CPU what a pass takes at its widest.
    available_bytes : int or None
        Memory free now.
    """

    network: str
    layers: tuple[LayerPlan, ...]
    silent: tuple[str, ...]
    n_stim: int
    batch_size: int
    device: str
    working_bytes: int
    pixels_shape: tuple[int, ...]
    available_bytes: int | None

    @property
    def buffer_bytes(self) -> int:
        """Bytes of all sinks' buffers."""
        return sum(self.layer_bytes(layer) for layer in self.layers)

    def layer_bytes(self, layer: LayerPlan) -> int:
        """Bytes that a layer's buffer and result take."""
        moments = 8 * self.n_stim**2 if layer.reduce == "gram" else 0
        return _BYTES * self.n_stim * layer.n_feat + moments

    @property
    def peak_bytes(self) -> int:
        """Predicted peak memory beyond what is held now."""
        n_ahead = min(self.n_stim, _N_PIXELS * self.batch_size)
        in_pass = _BYTES * math.prod(self.pixels_shape) * n_ahead
        if self.device == "cpu":
            in_pass += self.working_bytes * min(self.n_stim, self.batch_size)
        summing = max((self._gram_bytes(layer) for layer in self.layers), default=0)
        return self.buffer_bytes + max(in_pass, summing)

    def _gram_bytes(self, layer: LayerPlan) -> int:
        """Bytes of the fp64 chunk from which a Gram matrix is summed, as it is and centred."""
        if layer.reduce != "gram":
            return 0
        return 2 * min(_GRAM_CHUNK, 8 * self.n_stim * layer.n_feat)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.name,
                layer.trace.type,
                "x".join(str(n) for n in layer.trace.shape),
                str(layer.trace.batch_axis),
                layer.reduce,
                str(layer.n_feat),
                format_bytes(self.layer_bytes(layer)),
                f"same as {layer.trace.duplicate_of}" if layer.trace.duplicate_of else "",
            )
            for layer in self.layers
        ]

    _HEAD = ("layer", "type", "activation", "batch axis", "reduce", "features", "bytes", "note")

    def _summary(self) -> str:
        free = (
            ""
            if self.available_bytes is None
            else (f" of {format_bytes(self.available_bytes)} free")
        )
        return (
            f"{self.network}: {self.n_stim} stimuli in batches of {self.batch_size} on "
            f"{self.device}; buffers {format_bytes(self.buffer_bytes)}, predicted peak "
            f"{format_bytes(self.peak_bytes)}{free}"
        )

    def __repr__(self) -> str:
        table = [self._HEAD, *self._rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(self._HEAD))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        if self.silent:
            lines.append(f"no activation: {', '.join(self.silent)}")
        return "\n".join([f"Plan for {self._summary()}", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in self._HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        silent = f"<p>No activation: {html.escape(', '.join(self.silent))}</p>"
        return (
            f"<p>Plan for {html.escape(self._summary())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"{silent if self.silent else ''}"
        )


def plan(
    network: Network,
    stimuli: Stimuli,
    layers: str | Sequence[str] | None = None,
    *,
    reduce: str | Mapping[str, str] = "keep",
    channel_axis: int | Mapping[str, int] | None = None,
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
) -> Plan:
    """Show what `extract` would do, without doing it.

    The network runs on the first stimulus that can be read, twice over and three times over; the
    axis whose length follows is the one that counts stimuli.

    Parameters
    ----------
    network, stimuli, layers, reduce, channel_axis, batch_size, device
        As in `extract`.

    Returns
    -------
    Plan
        Per layer its activation, batch axis, features, bytes and whether it repeats another layer;
        over all the batch size and the predicted peak memory. Prints as a table.

    Examples
    --------
    >>> plan(networks.alexnet(), stimuli, "features.*", reduce="mean")  # doctest: +SKIP
    """
    with evaluating(network, device):
        return make_plan(
            network,
            stimuli,
            layers,
            reduce=reduce,
            channel_axis=channel_axis,
            batch_size=batch_size,
        )


def make_plan(
    network: Network,
    stimuli: Stimuli,
    layers: str | Sequence[str] | None,
    *,
    reduce: str | Mapping[str, str],
    channel_axis: int | Mapping[str, int] | None,
    batch_size: int | str,
) -> Plan:
    """Do what `plan` promises, inside `evaluating`."""
    if layers is None and isinstance(reduce, Mapping):
        layers = list(reduce)
    paths = network.layers if layers is None else network.resolve(layers)
    device = network_device(network)
    pixels = _first_pixels(network, stimuli).to(device)
    trace = trace_layers(network, paths, pixels)
    _check_patterns(network, layers, trace)
    return Plan(
        network=network.name,
        layers=_plan_layers(network, trace, reduce, channel_axis),
        silent=trace.silent,
        n_stim=len(stimuli),
        batch_size=_choose_batch_size(batch_size, trace, len(stimuli)),
        device=str(device),
        working_bytes=trace.working_bytes,
        pixels_shape=trace.pixels_shape,
        available_bytes=available_bytes(),
    )


def _first_pixels(network: Network, stimuli: Stimuli) -> torch.Tensor:
    if len(stimuli) == 0:
        raise ValueError("stimuli must hold at least one stimulus; got none.")
    batches = stimuli.batches(network.transform, batch_size=1, n_workers=1, on_error="skip")
    failures: list[tuple[str, str]] = []
    for batch in batches:
        if len(batch.indices):
            batches.close()
            return batch.pixels
        failures += batch.failures
    raise ValueError(
        f"none of the {len(stimuli)} stimuli could be read; the first: {failures[0][1]}"
    )


def _check_patterns(network: Network, layers: str | Sequence[str] | None, trace: Trace) -> None:
    """Raise if a pattern gives nothing because none of its modules gives an activation."""
    silent = set(trace.silent)
    if layers is None:
        groups = {"the default selection": network.layers}
    else:
        patterns = [layers] if isinstance(layers, str) else layers
        groups = {repr(pattern): network.resolve(pattern) for pattern in patterns}
    for name, paths in groups.items():
        if silent.issuperset(paths):
            raise ValueError(
                f"layers must give activations when {network.name} runs on an image; {name} gives "
                f"none ({len(paths)} modules, the first {paths[0]!r}). A module counts if it is "
                "called in evaluation mode and returns a floating-point tensor."
            )


def _plan_layers(
    network: Network,
    trace: Trace,
    reduce: str | Mapping[str, str],
    channel_axis: int | Mapping[str, int] | None,
) -> tuple[LayerPlan, ...]:
    reduce_of = _by_path(network, trace, reduce)
    axis_of = _by_path(network, trace, channel_axis)
    plans = []
    for layer in trace.layers:
        how = reduce_of.get(layer.slot.path)
        if how is None:
            raise ValueError(
                f"reduce must say what to do with every layer; it is silent on {layer.name!r}. "
                "Add a pattern that matches it."
            )
        axis = axis_of.get(layer.slot.path)
        plans.append(
            LayerPlan(layer, check_choice(how, "reduce", REDUCTIONS), _channel_axis(layer, axis))
        )
    return tuple(plans)


def _by_path(network: Network, trace: Trace, spec: T | Mapping[str, T]) -> dict[str, T]:
    """Spread one value, or {pattern: value}, over module paths; earlier patterns win."""
    if not isinstance(spec, Mapping):
        return {layer.slot.path: spec for layer in trace.layers}
    by_path: dict[str, T] = {}
    for pattern, value in spec.items():
        for path in network.resolve(pattern):
            by_path.setdefault(path, value)
    return by_path


def _channel_axis(layer: LayerTrace, axis: int | None) -> int:
    """Place the channels: behind stimuli in maps, behind the tokens in (n_stim, n_token, n_chn)."""
    ndim = max(2, len(layer.shape) + 1)  # one number per stimulus is one channel
    if axis is None:
        return 2 if ndim == 3 else 1
    axis = check_integer(axis, "channel_axis", minimum=-ndim + 1, maximum=ndim - 1)
    axis %= ndim
    if axis == 0:
        raise ValueError("channel_axis must not be 0: that axis counts stimuli.")
    return axis


def _choose_batch_size(batch_size: int | str, trace: Trace, n_stim: int) -> int:
    if batch_size == "auto":
        # Beyond some thirty images a CPU gains nothing; wide networks get less, to stay in memory.
        fits = _AUTO_BATCH_BYTES // max(1, trace.working_bytes)
        return max(1, min(_AUTO_BATCH, fits, n_stim))
    if isinstance(batch_size, str):
        raise ValueError(f"batch_size must be 'auto' or a positive integer; got {batch_size!r}.")
    return check_integer(batch_size, "batch_size", minimum=1)
