"""Pictures to batches of network input, decoded ahead by a bounded pool of threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from PIL import Image

from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp.stimuli._sources import Source, as_image
from dnnbrain_cpp.transforms import Picture, Transform

__all__ = ["Batch", "ImageTransform", "generate_batches"]

ImageTransform = Transform | Callable[[Image.Image], torch.Tensor]
"""A `Transform`, or any function from a Pillow image (RGB) to a tensor (3, n_row, n_col)."""

# While the network works on one batch, the next two are decoded: one to hand over at once, one so
# that no worker waits when images differ in cost.
_N_AHEAD = 2

# Handing a task to a worker costs tens of microseconds, an image from an array not much more; this
# many tasks per worker and batch keep both that cost and the idle end of a batch small.
_TASKS_PER_WORKER = 4


@dataclass(frozen=True)
class Batch:
    """Consecutive stimuli as one network input.

    Attributes
    ----------
    indices : list of int
        Positions of the stimuli in `pixels`; failed ones are missing.
    pixels : tensor of shape (len(indices), 3, n_row, n_col), float32
        The network's input; its memory is used by nothing else.
    failures : list of (str, str)
        Id and reason of each stimulus of this stretch that could not be read.
    """

    indices: list[int]
    pixels: torch.Tensor
    failures: list[tuple[str, str]]


class _Slots(ABC):
    """Room for the outputs of one batch, filled in any order."""

    @abstractmethod
    def put(self, slot: int, picture: Picture) -> None:
        """Transform `picture` into `slot`."""

    @abstractmethod
    def collect(self, slots: list[int], names: Sequence[str]) -> torch.Tensor:
        """Return what lies in `slots` as one tensor."""


class _FixedSlots(_Slots):
    """For a `Transform`, whose output size is known: written in place, never stacked."""

    def __init__(self, transform: Transform, n_slot: int) -> None:
        self._transform = transform
        self._pixels = torch.empty((n_slot, 3, *transform.output_size), dtype=torch.float32)
        self._view = self._pixels.numpy()

    def put(self, slot: int, picture: Picture) -> None:
        self._transform.into(picture, self._view[slot])

    def collect(self, slots: list[int], names: Sequence[str]) -> torch.Tensor:
        return self._pixels if len(slots) == len(self._pixels) else self._pixels[slots]


class _FreeSlots(_Slots):
    """For any other function: its outputs are checked, then stacked."""

    def __init__(self, transform: Callable[[Image.Image], torch.Tensor], n_slot: int) -> None:
        self._transform = transform
        self._outputs: list[torch.Tensor] = [torch.empty(0)] * n_slot

    def put(self, slot: int, picture: Picture) -> None:
        output: object = self._transform(as_image(picture))
        if not isinstance(output, torch.Tensor):
            raise TypeError(
                f"transform must return a tensor; got {type(output).__name__}. End it with "
                "torchvision's ToTensor, or use dnnbrain_cpp.transforms."
            )
        if output.ndim != 3 or output.shape[0] != 3 or not output.is_floating_point():
            raise ValueError(
                "transform must return a floating tensor of shape (3, n_row, n_col); "
                f"got {tuple(output.shape)}, {output.dtype}."
            )
        self._outputs[slot] = output.detach().to("cpu", torch.float32)

    def collect(self, slots: list[int], names: Sequence[str]) -> torch.Tensor:
        if not slots:
            return torch.empty((0, 3, 0, 0))
        first = self._outputs[slots[0]].shape
        for slot in slots:
            if self._outputs[slot].shape != first:
                raise ValueError(
                    "transform must give every stimulus the same shape; got "
                    f"{tuple(first)} for {names[slots[0]]} and "
                    f"{tuple(self._outputs[slot].shape)} for {names[slot]}. Add a resize or crop."
                )
        return torch.stack([self._outputs[slot] for slot in slots])


class _Job:
    """One batch in the making."""

    def __init__(
        self,
        source: Source,
        transform: ImageTransform,
        indices: range,
        *,
        skip: bool,
        cancelled: threading.Event,
    ) -> None:
        self._source = source
        self._indices = indices
        self._skip = skip
        self._cancelled = cancelled
        self._errors: dict[int, Exception] = {}
        self._slots = (
            _FixedSlots(transform, len(indices))
            if isinstance(transform, Transform)
            else _FreeSlots(transform, len(indices))
        )
        self.futures: list[Future[None]] = []

    def submit(self, pool: ThreadPoolExecutor, n_workers: int) -> None:
        n = len(self._indices)
        step = max(1, n // (n_workers * _TASKS_PER_WORKER))
        self.futures = [
            pool.submit(self._fill, range(start, min(start + step, n)))
            for start in range(0, n, step)
        ]

    def _fill(self, slots: range) -> None:
        for slot in slots:
            if self._cancelled.is_set():
                return
            try:
                self._slots.put(slot, self._source.picture(self._indices[slot]))
            except MemoryError:
                raise
            except Exception as error:
                self._errors[slot] = error
                if not self._skip:
                    return

    def batch(self, ids: tuple[str, ...]) -> Batch:
        """Wait for every stimulus; raise the first error unless failures are skipped."""
        for future in self.futures:
            future.result()
        names = [self._source.name(i) for i in self._indices]
        if self._errors and not self._skip:
            slot = min(self._errors)
            error = self._errors[slot]
            if names[slot] not in str(error):
                error.add_note(f"The stimulus was {ids[self._indices[slot]]!r}: {names[slot]}.")
            raise error
        kept = [slot for slot in range(len(self._indices)) if slot not in self._errors]
        return Batch(
            indices=[self._indices[slot] for slot in kept],
            pixels=self._slots.collect(kept, names),
            failures=[
                (ids[self._indices[slot]], str(error) or type(error).__name__)
                for slot, error in sorted(self._errors.items())
            ],
        )


def generate_batches(
    source: Source,
    ids: tuple[str, ...],
    transform: ImageTransform,
    *,
    batch_size: int,
    n_workers: int,
    skip: bool,
    monitor: ProgressCallback | None,
) -> Generator[Batch, None, None]:
    """Yield all stimuli in order; see `Stimuli.batches`, which checks the arguments."""
    cancelled = threading.Event()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="dnnbrain-stimuli")
    stretches = (
        range(start, min(start + batch_size, len(source)))
        for start in range(0, len(source), batch_size)
    )
    jobs: deque[_Job] = deque()

    def start_jobs(n_job: int) -> None:
        for indices in islice(stretches, n_job):
            job = _Job(source, transform, indices, skip=skip, cancelled=cancelled)
            job.submit(pool, n_workers)
            jobs.append(job)

    try:
        start_jobs(_N_AHEAD)
        n_done = 0
        while jobs:
            start_jobs(1)
            batch = jobs.popleft().batch(ids)
            n_done += len(batch.indices) + len(batch.failures)
            yield batch
            del batch  # so that the next one is waited for without this one in memory
            if monitor is not None and monitor(n_done, len(source)) is False:
                return
    finally:
        # Also on Ctrl-C and when the caller stops early: at most one image per worker is finished.
        cancelled.set()
        pool.shutdown(wait=True, cancel_futures=True)
