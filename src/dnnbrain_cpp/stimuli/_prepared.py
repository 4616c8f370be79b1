"""Stimuli whose pixels are made once, for several networks of one transform."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import torch

from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.stimuli._batches import Batch, ImageTransform
from dnnbrain_cpp.stimuli._stimuli import Stimuli
from dnnbrain_cpp.transforms import Transform

__all__ = ["PreparedStimuli", "prepare"]

_BATCH = 32


@dataclass(frozen=True)
class _Pixels:
    transform: Transform
    indices: list[int]
    pixels: torch.Tensor
    failures: list[tuple[str, str]]


class PreparedStimuli(Stimuli):
    """Stimuli that hold their network input in memory; made by `prepare`."""

    _prepared: _Pixels | None = None

    def batches(
        self,
        transform: ImageTransform,
        *,
        batch_size: int,
        n_workers: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        monitor: ProgressCallback | None = None,
    ) -> Generator[Batch, None, None]:
        """Iterate as `Stimuli.batches` does, from memory where `transform` is the prepared one."""
        held = self._prepared
        if held is None or transform != held.transform or (held.failures and on_error == "raise"):
            return super().batches(
                transform,
                batch_size=batch_size,
                n_workers=n_workers,
                on_error=on_error,
                monitor=monitor,
            )
        return _slices(held, len(self), check_integer(batch_size, "batch_size", minimum=1), monitor)


def prepare(
    stimuli: Stimuli,
    transform: Transform,
    *,
    n_workers: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> PreparedStimuli:
    """Decode and transform all stimuli now, so that several networks read them from memory.

    Parameters
    ----------
    stimuli : Stimuli
    transform : Transform
        Of the networks; for any other, stimuli are read anew.
    n_workers, on_error
        As in `Stimuli.batches`.

    Returns
    -------
    PreparedStimuli
        With the ids and labels of `stimuli`.

    Notes
    -----
    Memory: 12 bytes for each pixel of the network's input, 0.6 MB per stimulus at 224 x 224.
    """
    if not isinstance(transform, Transform):
        raise TypeError(
            "transform must be one of dnnbrain_cpp.transforms, which always gives the same pixels; "
            f"got {transform!r}."
        )
    pixels = torch.empty((len(stimuli), 3, *transform.output_size), dtype=torch.float32)
    indices: list[int] = []
    failures: list[tuple[str, str]] = []
    for batch in stimuli.batches(
        transform, batch_size=_BATCH, n_workers=n_workers, on_error=on_error
    ):
        pixels[len(indices) : len(indices) + len(batch.indices)] = batch.pixels
        indices += batch.indices
        failures += batch.failures
    prepared = PreparedStimuli(stimuli._source, stimuli.ids, stimuli.labels)
    prepared._prepared = _Pixels(transform, indices, pixels[: len(indices)], failures)
    return prepared


def _slices(
    held: _Pixels, n_stim: int, batch_size: int, monitor: ProgressCallback | None
) -> Generator[Batch, None, None]:
    failures = held.failures
    done = 0
    for start in range(0, max(len(held.indices), 1), batch_size):
        rows = slice(start, start + batch_size)
        # A copy: a network may work in place on what it is given.
        batch = Batch(held.indices[rows], held.pixels[rows].clone(), failures)
        failures = []
        done += len(batch.indices) + len(batch.failures)
        yield batch
        if monitor is not None and monitor(done, n_stim) is False:
            return
