"""Batches: the same pixels from everywhere, in order, bounded, and gone when told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import dnnbrain_cpp
from dnnbrain_cpp import Stimuli, transforms
from dnnbrain_cpp._torchvision import import_torchvision

TRANSFORMS = [
    transforms.squash(24),
    transforms.squash((20, 30)),
    transforms.resize_crop(24, 20),
    transforms.resize_crop(16, 24),
    transforms.resize_crop(24, 24, normalize=None),
    transforms.central_crop(0.875, 21),
]


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("dnnbrain-stimuli")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert workers() == []


def random_pixels(n_stim: int, n_row: int = 24, n_col: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (n_stim, n_row, n_col, 3), dtype=np.uint8)


def folder_of(path: Path, pixels: NDArray[np.uint8]) -> Path:
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(path / f"{i}.png")
    return path


def all_pixels(stimuli: Stimuli, transform: Any, **options: Any) -> torch.Tensor:
    options = {"batch_size": 4, **options}
    return torch.cat([batch.pixels for batch in stimuli.batches(transform, **options)])


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@pytest.mark.parametrize("n_row", [24, 17])
def test_files_and_arrays_give_the_same_bits(
    tmp_path: Path, transform: transforms.Transform, n_row: int
) -> None:
    pixels = random_pixels(7, n_row)
    expected = torch.stack([transform(Image.fromarray(p)) for p in pixels])
    channels_first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    sources = [
        Stimuli.from_folder(folder_of(tmp_path, pixels)),
        Stimuli.from_array(pixels, layout="NHWC"),
        Stimuli.from_array(channels_first, layout="NCHW"),
        Stimuli.from_array(pixels.astype(np.float32) / 255, layout="NHWC"),
        Stimuli.from_array(torch.from_numpy(channels_first), layout="NCHW"),
    ]
    for stimuli in sources:
        got = all_pixels(stimuli, transform)
        assert got.dtype == torch.float32
        assert torch.equal(got, expected)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
@pytest.mark.parametrize("n_workers", [1, 2, 7])
def test_order_and_sizes(batch_size: int, n_workers: int) -> None:
    pixels = random_pixels(10)
    stimuli = Stimuli.from_array(pixels, layout="NHWC")
    transform = transforms.squash(24)
    batches = list(stimuli.batches(transform, batch_size=batch_size, n_workers=n_workers))
    assert [i for batch in batches for i in batch.indices] == list(range(10))
    assert [len(b.pixels) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert all(b.failures == [] for b in batches)
    expected = torch.stack([transform(p) for p in pixels])
    assert torch.equal(torch.cat([b.pixels for b in batches]), expected)


def test_any_function_of_an_image(tmp_path: Path) -> None:
    import_torchvision()
    from torchvision import transforms as T

    pixels = random_pixels(6)
    theirs = T.Compose([T.Resize(20), T.CenterCrop(16), T.ToTensor()])
    ours = transforms.resize_crop(20, 16, normalize=None)
    stimuli = Stimuli.from_array(pixels, layout="NHWC")
    assert torch.equal(all_pixels(stimuli, theirs), all_pixels(stimuli, ours))
    as_double = all_pixels(stimuli, lambda image: theirs(image).double().requires_grad_())
    assert as_double.dtype == torch.float32
    assert not as_double.requires_grad


def test_real_images_equal_plain_pillow_and_torchvision(data_dir: Path) -> None:
    import_torchvision()
    from torchvision import transforms as T

    theirs = T.Compose(
        [
            *(T.Resize(256), T.CenterCrop(224), T.ToTensor()),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    stimuli = Stimuli.from_folder(data_dir / "algonauts2019-92" / "jpg")[:10]
    expected = [theirs(Image.open(file).convert("RGB")) for file in stimuli.files or ()]
    assert torch.equal(all_pixels(stimuli, transforms.resize_crop()), torch.stack(expected))


def test_pixels_are_the_callers_own(tmp_path: Path) -> None:
    stimuli = Stimuli.from_array(random_pixels(8), layout="NHWC")
    transform = transforms.squash(24)
    expected = all_pixels(stimuli, transform)
    kept = []
    for batch in stimuli.batches(transform, batch_size=2):
        kept.append(batch.pixels.clone())
        batch.pixels.fill_(float("nan"))
    assert torch.equal(torch.cat(kept), expected)


class TestFailures:
    @pytest.fixture
    def stimuli(self, tmp_path: Path) -> Stimuli:
        folder_of(tmp_path, random_pixels(9))
        (tmp_path / "0.png").write_bytes(b"")
        (tmp_path / "5.png").write_text("words")
        content = (tmp_path / "4.png").read_bytes()
        (tmp_path / "4.png").write_bytes(content[: len(content) // 2])
        return Stimuli.from_folder(tmp_path)

    @pytest.mark.parametrize("transform", [TRANSFORMS[0], lambda image: TRANSFORMS[0](image)])
    def test_skip_reports_and_keeps_the_rest(self, stimuli: Stimuli, transform: Any) -> None:
        batches = list(stimuli.batches(transform, batch_size=3, on_error="skip"))
        assert [b.indices for b in batches] == [[1, 2], [3], [6, 7, 8]]
        assert [[i for i, _ in b.failures] for b in batches] == [["0"], ["4", "5"], []]
        for batch in batches:
            assert len(batch.pixels) == len(batch.indices)
            for stimulus, reason in batch.failures:
                assert f"{stimulus}.png" in reason
            for index, got in zip(batch.indices, batch.pixels, strict=True):
                assert torch.equal(got, TRANSFORMS[0](stimuli.image(index)))

    @pytest.mark.parametrize("transform", [TRANSFORMS[0], lambda image: TRANSFORMS[0](image)])
    def test_a_batch_of_failures_only(self, stimuli: Stimuli, transform: Any) -> None:
        batches = list(stimuli[[4, 5, 1]].batches(transform, batch_size=2, on_error="skip"))
        assert batches[0].indices == []
        assert len(batches[0].pixels) == 0
        assert batches[0].pixels.ndim == 4
        assert [i for i, _ in batches[0].failures] == ["4", "5"]
        assert batches[1].indices == [2]

    @pytest.mark.parametrize("n_workers", [1, 4])
    def test_raise_names_the_first_file_after_all_batches_before_it(
        self, stimuli: Stimuli, n_workers: int
    ) -> None:
        batches = stimuli[1:].batches(TRANSFORMS[0], batch_size=2, n_workers=n_workers)
        assert next(batches).indices == [0, 1]
        with pytest.raises(ValueError, match=r"whole image.*4\.png"):
            next(batches)
        assert workers() == []

    def test_a_file_that_vanishes_during_the_run(self, stimuli: Stimuli) -> None:
        (stimuli.files or ())[8].unlink()
        batch = next(stimuli[8].batches(TRANSFORMS[0], batch_size=1, on_error="skip"))
        assert batch.failures[0][0] == "8"
        assert "8.png" in batch.failures[0][1]

    def test_an_error_in_the_users_transform_names_the_stimulus(self, stimuli: Stimuli) -> None:
        def transform(image: Image.Image) -> torch.Tensor:
            raise LookupError("no such thing")

        with pytest.raises(LookupError, match="no such thing") as caught:
            next(stimuli[1].batches(transform, batch_size=1))
        assert caught.value.__notes__ == [f"The stimulus was '1': {(stimuli.files or ())[1]}."]

    def test_memory_errors_are_never_skipped(self, stimuli: Stimuli) -> None:
        def transform(image: Image.Image) -> torch.Tensor:
            raise MemoryError

        with pytest.raises(MemoryError):
            next(stimuli[1].batches(transform, batch_size=1, on_error="skip"))


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (lambda image: image, TypeError, "return a tensor; got Image"),
        (lambda image: torch.zeros(1, 4, 4), ValueError, r"\(3, n_row, n_col\); got \(1, 4, 4\)"),
        (lambda image: torch.zeros(1, 3, 4, 4), ValueError, r"got \(1, 3, 4, 4\)"),
        (lambda image: torch.zeros(3, 4, 4, dtype=torch.uint8), ValueError, "torch.uint8"),
        (
            lambda image: torch.zeros(3, image.getpixel((0, 0))[0] + 1, 4),
            ValueError,
            r"same shape; got \(3, 1, 4\) for row 0 of the array and \(3, 2, 4\) for row 1",
        ),
    ],
)
def test_wrong_outputs(output: Any, kind: type[Exception], words: str) -> None:
    pixels = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 4, 4, 3), np.uint8)
    stimuli = Stimuli.from_array(pixels, layout="NHWC")
    with pytest.raises(kind, match=words):
        list(stimuli.batches(output, batch_size=3))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an integer"),
        ({"n_workers": 0}, ValueError, "n_workers must be at least 1"),
        ({"on_error": "ignore"}, ValueError, "'raise', 'skip'; got 'ignore'"),
        ({"transform": None}, TypeError, "transform must be a function"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    stimuli = Stimuli.from_array(random_pixels(2), layout="NHWC")
    with pytest.raises(kind, match=words):
        stimuli.batches(**{"transform": TRANSFORMS[0], "batch_size": 1, **options})


class TestStopping:
    def slow(
        self, seconds: float, *, after: int = 0
    ) -> tuple[Callable[[Image.Image], torch.Tensor], list[int]]:
        """Return a transform that takes its time from call `after` on, and a list of its calls."""
        seen: list[int] = []

        def transform(image: Image.Image) -> torch.Tensor:
            seen.append(1)
            time.sleep(seconds if len(seen) > after else 0)
            return torch.zeros(3, 1, 1)

        return transform, seen

    def test_at_most_two_batches_ahead(self) -> None:
        transform, seen = self.slow(0.0)
        stimuli = Stimuli.from_array(random_pixels(60, 2, 2), layout="NHWC")
        batches = stimuli.batches(transform, batch_size=5, n_workers=2)
        assert seen == [], "nothing is decoded before the first batch is asked for"
        for n_taken in (1, 2, 3):
            next(batches)
            deadline = time.monotonic() + 10
            while len(seen) < 5 * (n_taken + 2) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.05)
            assert len(seen) == 5 * (n_taken + 2)
        batches.close()

    @pytest.mark.parametrize("end", ["close", "drop", "break"])
    def test_ending_early_stops_the_threads_at_once(self, end: str) -> None:
        # Without cancelling, the two batches ahead would take five seconds.
        transform, seen = self.slow(0.1, after=50)
        stimuli = Stimuli.from_array(random_pixels(200, 2, 2), layout="NHWC")
        start = time.monotonic()
        if end == "break":
            for _ in stimuli.batches(transform, batch_size=50, n_workers=2):
                break
        else:
            batches = stimuli.batches(transform, batch_size=50, n_workers=2)
            next(batches)
            if end == "close":
                batches.close()
            else:
                del batches
        assert workers() == []
        assert time.monotonic() - start < 3
        assert len(seen) < 100

    def test_an_error_of_the_caller_stops_the_threads(self) -> None:
        transform, _ = self.slow(0.02)
        stimuli = Stimuli.from_array(random_pixels(100, 2, 2), layout="NHWC")

        def consume() -> None:
            for _ in stimuli.batches(transform, batch_size=10, n_workers=2):
                raise LookupError

        with pytest.raises(LookupError):
            consume()
        assert workers() == []

    def test_monitor_sees_every_batch_and_may_stop(self, tmp_path: Path) -> None:
        folder_of(tmp_path, random_pixels(7))
        (tmp_path / "2.png").write_bytes(b"")
        stimuli = Stimuli.from_folder(tmp_path)
        calls: list[tuple[int, int]] = []
        options: dict[str, Any] = {"batch_size": 3, "on_error": "skip"}

        def monitor(done: int, total: int) -> None:
            calls.append((done, total))

        list(stimuli.batches(TRANSFORMS[0], monitor=monitor, **options))
        assert calls == [(3, 7), (6, 7), (7, 7)]
        stopped = stimuli.batches(TRANSFORMS[0], monitor=lambda done, total: done < 6, **options)
        assert len(list(stopped)) == 2

    @pytest.mark.parametrize("where", ["decoding", "consuming"])
    def test_ctrl_c_stops_promptly_and_leaves_no_thread(self, where: str) -> None:
        program = textwrap.dedent(
            """
            import sys, threading, time
            import numpy as np, torch
            from dnnbrain_cpp import Stimuli

            def transform(image):
                time.sleep(0.05)
                return torch.zeros(3, 1, 1)

            pixels = np.zeros((1000, 2, 2, 3), np.uint8)
            stimuli = Stimuli.from_array(pixels, layout="NHWC")
            try:
                print("ready", flush=True)
                for batch in stimuli.batches(transform, batch_size=BATCH, n_workers=2):
                    time.sleep(PAUSE)
            except KeyboardInterrupt:
                alive = [t.name for t in threading.enumerate() if "dnnbrain" in t.name]
                print("interrupted", alive, flush=True)
            """
        )
        batch, pause = ("500", "0") if where == "decoding" else ("2", "60")
        program = program.replace("BATCH", batch).replace("PAUSE", pause)
        root = Path(dnnbrain_cpp.__file__).parents[1]
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert child.stdout is not None
        with child:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.5)
            start = time.monotonic()
            child.send_signal(signal.SIGINT)
            said = child.stdout.readline()
            waited = time.monotonic() - start
            assert child.wait(timeout=10) == 0
        assert said == "interrupted []\n"
        assert waited < 2


def test_a_thousand_files_use_few_descriptors_and_threads(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3)).save(tmp_path / "0.png")
    for i in range(1, 1000):
        os.link(tmp_path / "0.png", tmp_path / f"{i}.png")
    stimuli = Stimuli.from_folder(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    n_stim = 0
    for batch in stimuli.batches(transforms.squash(2), batch_size=64, n_workers=3):
        n_stim += len(batch.indices)
        assert len(workers()) <= 3
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
    assert n_stim == 1000
