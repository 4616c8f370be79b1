"""Stimuli that hold their pixels give what stimuli that read them give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dnnbrain_cpp import Stimuli, transforms
from dnnbrain_cpp.stimuli import Batch, prepare

SQUASH = transforms.squash(8)


@pytest.fixture
def stimuli() -> Stimuli:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 9, 11, 3), dtype=np.uint8)
    return Stimuli.from_array(pixels, layout="NHWC", labels={"kind": np.arange(37)})


def facts(batches: list[Batch]) -> list[tuple[list[int], list[tuple[str, str]]]]:
    return [(batch.indices, batch.failures) for batch in batches]


@pytest.mark.parametrize("batch_size", [1, 5, 37, 64])
def test_same_batches(stimuli: Stimuli, batch_size: int) -> None:
    prepared = prepare(stimuli, SQUASH)
    assert prepared.ids == stimuli.ids
    assert prepared.labels.equals(stimuli.labels)
    found = list(prepared.batches(SQUASH, batch_size=batch_size))
    expected = list(stimuli.batches(SQUASH, batch_size=batch_size))
    assert facts(found) == facts(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.pixels, theirs.pixels)


def test_no_pixels_are_read_again(stimuli: Stimuli, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(stimuli, SQUASH)
    monkeypatch.setattr(type(stimuli._source), "picture", lambda *_: pytest.fail("read again"))
    # An equal transform is the same transform.
    assert len(list(prepared.batches(transforms.squash(8), batch_size=10))) == 4


def test_what_a_network_does_in_place_is_not_kept(stimuli: Stimuli) -> None:
    prepared = prepare(stimuli, SQUASH)
    for batch in prepared.batches(SQUASH, batch_size=10):
        batch.pixels.zero_()
    assert all(batch.pixels.any() for batch in prepared.batches(SQUASH, batch_size=10))


def test_another_transform_reads_anew(stimuli: Stimuli) -> None:
    (batch,) = prepare(stimuli, SQUASH).batches(transforms.squash(6), batch_size=40)
    assert batch.pixels.shape == (37, 3, 6, 6)
    (batch,) = prepare(stimuli, SQUASH)[3:5].batches(SQUASH, batch_size=40)
    assert batch.pixels.shape == (2, 3, 8, 8)


def test_unreadable_stimuli_are_named_once(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("RGB", (9, 9), "red").save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    stimuli = Stimuli.from_folder(tmp_path)
    prepared = prepare(stimuli, SQUASH, on_error="skip")
    batches = list(prepared.batches(SQUASH, batch_size=1, on_error="skip"))
    assert [batch.indices for batch in batches] == [[0], [2]]
    assert [name for batch in batches for name, _ in batch.failures] == ["b"]
    with pytest.raises(ValueError, match=r"b\.png"):
        list(prepared.batches(SQUASH, batch_size=1))
    with pytest.raises(ValueError, match=r"b\.png"):
        prepare(stimuli, SQUASH)


def test_the_monitor_hears_and_stops(stimuli: Stimuli) -> None:
    heard: list[tuple[int, int]] = []

    def monitor(done: int, total: int) -> bool:
        heard.append((done, total))
        return done < 20

    assert len(list(prepare(stimuli, SQUASH).batches(SQUASH, batch_size=10, monitor=monitor))) == 2
    assert heard == [(10, 37), (20, 37)]


def test_only_fixed_transforms(stimuli: Stimuli) -> None:
    with pytest.raises(TypeError, match=r"one of dnnbrain_cpp\.transforms"):
        prepare(stimuli, lambda image: torch.zeros(3, 1, 1))  # type: ignore[arg-type]
