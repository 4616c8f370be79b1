"""One forward pass over the stimuli; every layer goes into its sink inside the hook."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._memory import available_bytes, format_bytes
from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.features._buffer import Buffer, file_name
from dnnbrain_cpp.features._capture import Slot, capturing, evaluating, run_forward
from dnnbrain_cpp.features._features import Features, Layer
from dnnbrain_cpp.features._gram import Gram
from dnnbrain_cpp.features._plan import LayerPlan, Plan, make_plan
from dnnbrain_cpp.networks import Network

if TYPE_CHECKING:
    from dnnbrain_cpp.stimuli import Stimuli

__all__ = ["extract"]

_POOLINGS = {
    "mean": core.Pooling.mean,
    "max": core.Pooling.max,
    "min": core.Pooling.min,
    "l1": core.Pooling.l1,
    "l2": core.Pooling.l2,
}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def extract(
    network: Network,
    stimuli: Stimuli,
    layers: str | Sequence[str] | None = None,
    *,
    reduce: str | Mapping[str, str] = "keep",
    channel_axis: int | Mapping[str, int] | None = None,
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    memory_format: str | None = None,
    store: str | Path | None = None,
    n_workers: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Progress = False,
) -> Features:
    """Run a network once over the stimuli and return the features of all layers wanted.

    Parameters
    ----------
    network : Network
        Comes back as it was: mode, device, hooks and ``requires_grad``.
    stimuli : Stimuli
    layers : str or sequence of str, optional
        Patterns (see `Network.resolve`); by default ``network.layers``. A module that is called
        k times in a pass gives k layers, ``"path#1"`` to ``"path#k"``; a module that returns
        several tensors gives one layer for each, such as ``"path[0]"``.
    reduce : str or mapping of pattern to str
        ``"keep"`` all units in the order (channel, row, column); per channel over all positions
        ``"mean"``, ``"max"``, ``"min"``, or the entrywise norm ``"l1"`` or ``"l2"``; or
        ``"gram"``, the inner products of all pairs of stimuli over all units.
    channel_axis : int or mapping of pattern to int, optional
        Axis of channels in the layer's output with stimuli in front. By default 1 for maps
        (n_stim, n_chn, n_row, n_col) and 2 for tokens (n_stim, n_token, n_chn).
    batch_size : int or "auto"
        Does not change results beyond rounding.
    device : str or torch.device, optional
        Where the network runs; by default where it is. Features come back to the CPU.
    dtype : {"float32", "bfloat16"}, optional
        Precision of the forward pass. With bfloat16 the first batch is run in both and
        ``Features.fidelity`` holds the correlation.
    memory_format : {"channels_last"}, optional
        Often faster for convolutions. The order of features does not change.
    store : path, optional
        Folder for one ``.npy`` file per layer, memory-mapped, where features do not fit in memory.
    n_workers : int, optional
        Threads that decode images.
    on_error : {"raise", "skip"}
        What an unreadable stimulus does. Those skipped are listed in ``Features.skipped``.
    progress : bool or callable
        True for a bar; or a function of (done, total) in stimuli, which stops the run by
        returning False.

    Returns
    -------
    Features
        Mapping from layer to float32 array (n_stim, n_feat), or `Gram`; layers in the order in
        which the network computes them.

    Raises
    ------
    ValueError
        For patterns without a match, unreadable stimuli, or activations that are not finite.
    MemoryError
        If the buffers would not fit into the memory that is free; no batch has run then.
    OSError
        If the files of `store` would not fit on its disk.

    Notes
    -----
    The forward pass stops at the deepest layer wanted. A sink takes a tensor inside the hook, so an
    in-place operation behind the layer does not change what is captured. When a device runs out of
    memory, the batch is halved and taken again.

    Examples
    --------
    >>> network = networks.alexnet(seed=0)  # doctest: +SKIP
    >>> features = extract(network, stimuli, "type:ReLU", reduce="mean")  # doctest: +SKIP
    """
    check_choice(on_error, "on_error", ("raise", "skip"))
    if memory_format is not None:
        check_choice(memory_format, "memory_format", ("channels_last",))
    precision = _check_dtype(dtype)
    with evaluating(network, device):
        run_plan = make_plan(
            network,
            stimuli,
            layers,
            reduce=reduce,
            channel_axis=channel_axis,
            batch_size=batch_size,
        )
        _check_memory(run_plan, stored=store is not None)
        if store is not None:
            _check_disk(run_plan, Path(store))
        with (
            _Run(network, run_plan, precision, memory_format, store) as run,
            progress_callback(progress, f"{network.name} on {len(stimuli)} stimuli") as report,
            closing(
                stimuli.batches(
                    network.transform,
                    batch_size=run_plan.batch_size,
                    n_workers=n_workers,
                    on_error=on_error,
                )
            ) as batches,
        ):
            done = 0
            for batch in batches:
                run.take(batch.pixels, [stimuli.ids[i] for i in batch.indices])
                run.skipped += batch.failures
                done += len(batch.indices) + len(batch.failures)
                del batch  # the next one is waited for without this one in memory
                if report is not None and report(done, len(stimuli)) is False:
                    raise Cancelled("cancelled by the caller")
            return run.result()


class _Run:
    """The state of one extraction: a sink and a buffer per layer, and what has been taken."""

    def __init__(
        self,
        network: Network,
        run_plan: Plan,
        precision: torch.dtype,
        memory_format: str | None,
        store: str | Path | None,
    ) -> None:
        self.network = network
        self.plan = run_plan
        self.precision = precision
        self.channels_last = memory_format == "channels_last"
        self.device = torch.device(run_plan.device)
        self.buffers = {
            layer.name: Buffer(
                (run_plan.n_stim, layer.n_feat),
                file=None if store is None else Path(store) / file_name(layer.name),
                kept=layer.reduce != "gram",
            )
            for layer in run_plan.layers
        }
        self.sinks = {
            layer.trace.slot: _sink(layer, self.buffers[layer.name].array)
            for layer in run_plan.layers
        }
        self.ids: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.fidelity: dict[str, float] = {}
        self._fitting = run_plan.batch_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for buffer in self.buffers.values():
            buffer.discard()

    def take(self, pixels: torch.Tensor, ids: list[str]) -> None:
        """Run one batch through the network and into the sinks."""
        if not ids:
            return
        first = len(self.ids)
        for part in torch.split(pixels, self._fitting):
            self._take(part)
        if self.precision != torch.float32 and not self.ids:
            # Full precision takes twice the memory of half.
            self._compare_with_full_precision(pixels[: max(1, self._fitting // 2)])
        self.ids += ids
        self._check_rows(first)

    def _take(self, pixels: torch.Tensor) -> None:
        """Take what fits on the device at once; halve what does not, for the rest of the run."""
        if self._fits(pixels):
            return
        self._fitting = len(pixels) // 2
        for half in torch.split(pixels, self._fitting):
            self._take(half)

    def _fits(self, pixels: torch.Tensor) -> bool:
        rows = [(sink, sink.n_stim) for sink in self.sinks.values()]
        try:
            self._forward(pixels, self.sinks, self.precision)
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
        else:
            return True
        # Not in the handler: until it ends, the error's traceback holds the activations.
        for sink, n_stim in rows:
            sink.rewind(n_stim)
        return False

    def _check_rows(self, first: int) -> None:
        """Raise at once if the stimuli from row `first` on have no numbers, or not one row each."""
        for layer in self.plan.layers:
            came = self.sinks[layer.trace.slot].n_stim
            if came != len(self.ids):
                raise ValueError(
                    f"layer {layer.name!r} must give one row per stimulus; it gave {came - first} "
                    f"for {len(self.ids) - first}. Choose a layer before or after it."
                )
            rows = self.buffers[layer.name].array[first:came]
            # The sum is finite unless an entry is not (or it overflows): cheap, and mostly enough.
            if not torch.from_numpy(rows).sum().isfinite():
                self._check_each(layer, rows, first)

    def _check_each(self, layer: LayerPlan, rows: NDArray[np.float32], first: int) -> None:
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise ValueError(
                f"the activation of layer {layer.name!r} must be finite; it is not for stimulus "
                f"{self.ids[first + bad[0]]!r} ({len(bad)} of {len(rows)} in its batch). Look for "
                "an overflow or a division by zero in the network or its weights."
            )

    def _forward(
        self, pixels: torch.Tensor, sinks: Mapping[Slot, core.Sink], precision: torch.dtype
    ) -> None:
        inputs = pixels.to(self.device, non_blocking=True)
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)

        def take(slot: Slot, activation: torch.Tensor) -> None:
            sink = sinks.get(slot)
            if sink is not None:
                sink.consume(activation)

        paths = list(dict.fromkeys(slot.path for slot in sinks))
        last = self.plan.layers[-1].trace.slot
        with (
            capturing(self.network, paths, take, stop_after=last),
            self._at(precision),
        ):
            run_forward(self.network, inputs)

    def _at(self, precision: torch.dtype) -> AbstractContextManager[object]:
        if precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=precision)

    def _compare_with_full_precision(self, pixels: torch.Tensor) -> None:
        exact = {
            layer.name: np.empty((len(pixels), layer.n_feat), dtype=np.float32)
            for layer in self.plan.layers
        }
        sinks = {layer.trace.slot: _sink(layer, exact[layer.name]) for layer in self.plan.layers}
        self._forward(pixels, sinks, torch.float32)
        for name, expected in exact.items():
            reduced = self.buffers[name].array[: len(pixels)]
            with np.errstate(invalid="ignore", divide="ignore"):
                self.fidelity[name] = float(np.corrcoef(reduced.ravel(), expected.ravel())[0, 1])

    def result(self) -> Features:
        """Return what the sinks hold."""
        n_stim = len(self.ids)
        if n_stim == 0:
            raise ValueError(
                f"none of the {self.plan.n_stim} stimuli could be read; the first: "
                f"{self.skipped[0][1]}"
            )
        layers: dict[str, Layer] = {}
        for layer in self.plan.layers:
            buffer = self.buffers.pop(layer.name)
            sink = self.sinks.pop(layer.trace.slot)
            if isinstance(sink, core.GramSink):
                layers[layer.name] = Gram(sink.moments())
            del sink
            rows = buffer.finish(n_stim)
            if rows is not None:
                layers[layer.name] = rows
        return Features(
            layers,
            ids=self.ids,
            reduce={layer.name: layer.reduce for layer in self.plan.layers},
            shapes={layer.name: layer.trace.shape for layer in self.plan.layers},
            skipped=self.skipped,
            fidelity=self.fidelity,
        )


def _sink(layer: LayerPlan, buffer: NDArray[np.float32]) -> core.Sink:
    out = torch.from_numpy(buffer)
    if layer.reduce == "keep":
        return core.KeepSink(out, layer.trace.batch_axis)
    if layer.reduce == "gram":
        return core.GramSink(out, layer.trace.batch_axis)
    return core.PoolSink(out, layer.trace.batch_axis, layer.channel_axis, _POOLINGS[layer.reduce])


def _check_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    name = str(dtype).removeprefix("torch.")
    return _DTYPES[check_choice(name, "dtype", tuple(_DTYPES))]


def _check_memory(run_plan: Plan, *, stored: bool) -> None:
    free = available_bytes()
    needed = run_plan.peak_bytes - (run_plan.buffer_bytes if stored else 0)
    if free is None or needed <= free:
        return
    widest = max(run_plan.layers, key=run_plan.layer_bytes)
    raise MemoryError(
        f"the extraction needs about {format_bytes(needed)} and {format_bytes(free)} are free; the "
        f"widest layer, {widest.name!r}, takes {format_bytes(run_plan.layer_bytes(widest))}. "
        "Reduce it (reduce='mean'), choose fewer layers, or give a folder (store=)."
    )


def _check_disk(run_plan: Plan, store: Path) -> None:
    """Raise if files would outgrow the disk: writing to a map of a full disk ends the process."""
    store.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store).free
    if run_plan.buffer_bytes > free:
        raise OSError(
            errno.ENOSPC,
            f"the features take {format_bytes(run_plan.buffer_bytes)} and {format_bytes(free)} are "
            "free there; reduce them (reduce='mean') or choose fewer layers",
            str(store),
        )
