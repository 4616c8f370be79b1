"""What is left behind: nothing, in the network, on the disk and in the global state."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dnnbrain_cpp import Network, Stimuli, extract, plan
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.features import Features
from features.naive import difference, make_network, make_stimuli, small_cnn
from tolerances import TOLERANCES


class Raising(nn.Module):
    """Raises on the call of the given number."""

    def __init__(self, on_call: int, error: BaseException) -> None:
        super().__init__()
        self.on_call, self.error, self.n_calls = on_call, error, 0

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        if self.n_calls == self.on_call:
            raise self.error
        return maps


def state_of(module: nn.Module) -> dict[str, Any]:
    """Return all that must come back as it was."""
    return {
        "hooks": [
            (list(child._forward_hooks), list(child._forward_pre_hooks))
            for child in module.modules()
        ],
        "training": [child.training for child in module.modules()],
        "requires_grad": [value.requires_grad for value in module.parameters()],
        "grad": [value.grad for value in module.parameters()],
        "identity": [id(value) for value in (*module.parameters(), *module.buffers())],
        "strides": [value.stride() for value in module.parameters()],
        "values": [value.clone() for value in (*module.parameters(), *module.buffers())],
        "device": {value.device for value in module.parameters()},
    }


def assert_same_state(module: nn.Module, before: dict[str, Any]) -> None:
    after = state_of(module)
    values = zip(after.pop("values"), before["values"], strict=True)
    assert all(torch.equal(came, expected) for came, expected in values)
    assert after == {key: value for key, value in before.items() if key != "values"}


def half_frozen(extra: nn.Module | None = None) -> nn.Module:
    """Return a network in training mode, with a part that is not and parameters that are not."""
    module = small_cnn()
    if extra is not None:
        module.append(extra)
    module.train()
    module.get_submodule("3").eval()
    module.get_submodule("0").requires_grad_(False)
    module.get_submodule("2").register_forward_hook(lambda module, inputs, output: None)
    return module


@pytest.mark.parametrize("call", [plan, extract])
@pytest.mark.parametrize("n_run", [1, 2])
def test_a_network_comes_back_as_it_was(
    call: Callable[..., Any], n_run: int, stimuli: Stimuli
) -> None:
    network = make_network(half_frozen)
    before = state_of(network.module)
    for _ in range(n_run):
        call(network, stimuli, device="cpu", batch_size=2)
    assert_same_state(network.module, before)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ZeroDivisionError("in the network"), ZeroDivisionError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
    ],
)
@pytest.mark.parametrize("on_call", [1, 2, 3])
def test_a_network_comes_back_as_it_was_after_errors(
    error: BaseException, raised: type[BaseException], on_call: int, stimuli: Stimuli
) -> None:
    network = make_network(lambda: half_frozen(Raising(on_call, error)))
    before = state_of(network.module)
    with pytest.raises(raised):
        extract(network, stimuli, "*", batch_size=2)
    assert_same_state(network.module, before)
    assert not [t for t in threading.enumerate() if t.name.startswith("dnnbrain")]


def test_ctrl_c_ends_the_run_and_leaves_nothing(stimuli: Stimuli, tmp_path: Path) -> None:
    class Interrupting(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            if len(maps) == 4:  # not in the dry run
                os.kill(os.getpid(), signal.SIGINT)
            return maps

    network = make_network(lambda: half_frozen(Interrupting()))
    before = state_of(network.module)
    with pytest.raises(KeyboardInterrupt):
        extract(network, stimuli, batch_size=4, store=tmp_path)
    assert_same_state(network.module, before)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_draws_random_numbers_leaves_the_global_state_alone(
    stimuli: Stimuli,
) -> None:
    class Noisy(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps + torch.randn_like(maps)

    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Noisy()))
    state = torch.get_rng_state()
    plan(network, stimuli)
    first = extract(network, stimuli, batch_size=2)
    assert torch.equal(state, torch.get_rng_state())
    again = extract(network, stimuli, batch_size=2)
    assert difference(first["1"], again["1"]) == TOLERANCES["exact"]


def with_bad_file(folder: Path) -> Stimuli:
    stimuli = make_stimuli(6)
    for i, name in enumerate(stimuli.ids):
        stimuli.image(i).save(folder / f"{name}.png")
    for name in ("s000", "s003"):
        (folder / f"{name}.png").write_bytes(b"no picture")
    return Stimuli.from_folder(folder)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_unreadable_stimuli_are_skipped_and_named(
    batch_size: int, network: Network, tmp_path: Path
) -> None:
    stimuli = with_bad_file(tmp_path)
    features = extract(network, stimuli, batch_size=batch_size, on_error="skip")
    good = ["s001", "s002", "s004", "s005"]
    assert features.ids == tuple(good)
    assert [name for name, _ in features.skipped] == ["s000", "s003"]
    assert all(
        "s00" in reason and "no known image format" in reason for _, reason in features.skipped
    )
    expected = extract(network, stimuli.select(good), batch_size=4)
    for layer in expected:
        assert difference(features[layer], expected[layer]) < TOLERANCES["fp32_forward"]


def test_unreadable_stimuli_raise_by_default(network: Network, tmp_path: Path) -> None:
    stimuli = with_bad_file(tmp_path)
    with pytest.raises(ValueError, match=r"s000\.png"):
        extract(network, stimuli)


def test_only_unreadable_stimuli_are_an_error(network: Network, tmp_path: Path) -> None:
    stimuli = with_bad_file(tmp_path).select(["s000", "s003"])
    with pytest.raises(ValueError, match=r"none of the 2 stimuli could be read.*s000\.png"):
        extract(network, stimuli, on_error="skip")


def test_stored_layers_are_files_that_are_mapped(network: Network, tmp_path: Path) -> None:
    stimuli = make_stimuli(9)
    folder = tmp_path / "not" / "there yet"
    stored = extract(network, stimuli, batch_size=4, store=folder)
    expected = extract(network, stimuli, batch_size=4)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{layer}.npy" for layer in network.layers
    )
    for layer in expected:
        mapped = stored[layer]
        assert isinstance(mapped, np.memmap)
        assert difference(mapped, expected[layer]) == TOLERANCES["exact"]
        assert difference(np.load(folder / f"{layer}.npy"), expected[layer]) == TOLERANCES["exact"]


def test_stored_layers_end_with_the_last_stimulus_that_could_be_read(
    network: Network, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    stimuli = with_bad_file(tmp_path / "images")
    store = tmp_path / "store"
    stored = extract(network, stimuli, "0", on_error="skip", batch_size=2, store=store)
    assert np.load(store / "0.npy").shape[0] == 4
    expected = extract(network, stimuli.select(stored.ids or ()), "0", batch_size=4)
    assert difference(stored["0"], expected["0"]) < TOLERANCES["fp32_forward"]
    assert [path.name for path in store.iterdir()] == ["0.npy"]


def test_names_of_layers_become_names_of_files(stimuli: Stimuli, tmp_path: Path) -> None:
    class Slashes(nn.Module):
        def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"a/b": pixels, "a_b": pixels + 1, "../c": pixels + 2}

    network = make_network(lambda: nn.Sequential(Slashes()))
    stored = extract(network, stimuli, store=tmp_path / "store")
    files = list((tmp_path / "store").iterdir())
    assert len(files) == len(stored) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    firsts = [float(np.asarray(stored[layer])[0, 0]) for layer in stored]
    assert firsts == pytest.approx([firsts[0], firsts[0] + 1, firsts[0] + 2])


@pytest.mark.parametrize("on_call", [2, 3])
def test_a_run_that_fails_leaves_earlier_files_as_they_were(on_call: int, tmp_path: Path) -> None:
    stimuli = make_stimuli(4)
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Raising(-1, KeyError())))
    first = np.array(extract(network, stimuli, store=tmp_path, batch_size=2)["0"])
    network.module[1].n_calls, network.module[1].on_call = 0, on_call
    network.module[1].error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        extract(network, make_stimuli(4, seed=1), store=tmp_path, batch_size=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npy", "1.npy"]
    assert difference(np.load(tmp_path / "0.npy"), first) == TOLERANCES["exact"]


def test_gram_matrices_leave_no_files(network: Network, tmp_path: Path) -> None:
    stimuli = make_stimuli(4)
    stored = extract(network, stimuli, reduce="gram", store=tmp_path)
    expected = extract(network, stimuli, reduce="gram")
    assert list(tmp_path.iterdir()) == []
    for layer in expected:
        assert difference(stored[layer], expected[layer]) == TOLERANCES["exact"]


def test_a_run_that_does_not_fit_into_memory_is_refused_before_it_runs(
    monkeypatch: pytest.MonkeyPatch, stimuli: Stimuli, tmp_path: Path
) -> None:
    counter = Raising(-1, KeyError())
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), counter))
    needed = plan(network, stimuli, batch_size=1).peak_bytes
    in_dry_run = counter.n_calls
    monkeypatch.setattr("dnnbrain_cpp.features._extract.available_bytes", lambda: needed - 1)
    with pytest.raises(MemoryError, match=r"widest layer, '0', takes .*reduce='mean'.*store="):
        extract(network, stimuli, batch_size=1)
    assert counter.n_calls == 2 * in_dry_run
    # What goes to disk needs no memory; and what fits, fits.
    extract(network, stimuli, batch_size=1, store=tmp_path)
    monkeypatch.setattr("dnnbrain_cpp.features._extract.available_bytes", lambda: needed)
    extract(network, stimuli, batch_size=1)
    monkeypatch.setattr("dnnbrain_cpp.features._extract.available_bytes", lambda: None)
    extract(network, stimuli, batch_size=1)


def test_a_store_that_does_not_fit_onto_the_disk_is_refused(
    monkeypatch: pytest.MonkeyPatch, network: Network, stimuli: Stimuli, tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")(1 << 40, 0, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="1000 B are free") as caught:
        extract(network, stimuli, store=tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("reduce", ["keep", "mean", "gram"])
def test_activations_that_are_not_finite_are_found_at_once(value: float, reduce: str) -> None:
    class Spoiling(nn.Module):
        """Spoils the third stimulus of a batch of four."""

        n_batch = 0

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            if len(maps) == 4:
                Spoiling.n_batch += 1
                maps = maps.clone()
                maps[2, 0, 0, 0] = value
            return maps

    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Spoiling(), nn.Identity()))
    with pytest.raises(ValueError, match=r"layer '1' must be finite.*stimulus 's002' \(1 of 4"):
        extract(network, make_stimuli(12), reduce=reduce, batch_size=4)
    assert Spoiling.n_batch == 1


def test_large_but_finite_activations_pass(stimuli: Stimuli) -> None:
    class Huge(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.full_like(pixels, 3e38)  # their sum overflows float32

    network = make_network(lambda: nn.Sequential(Huge()))
    assert np.asarray(extract(network, stimuli)["0"]).min() > 2e38


def test_progress_counts_stimuli_the_skipped_ones_included(
    network: Network, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    extract(
        network,
        with_bad_file(tmp_path),
        "0",
        batch_size=4,
        on_error="skip",
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(4, 6), (6, 6)]


def test_progress_cancels(network: Network, tmp_path: Path) -> None:
    calls = []

    def stop_at_second(done: int, total: int) -> bool:
        calls.append(done)
        return len(calls) < 2

    before = state_of(network.module)
    with pytest.raises(Cancelled, match="cancelled by the caller"):
        extract(network, make_stimuli(12), batch_size=3, progress=stop_at_second, store=tmp_path)
    assert calls == [3, 6]
    assert_same_state(network.module, before)
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("dnnbrain")]


def test_errors_of_the_progress_function_come_out_as_they_are(
    network: Network, stimuli: Stimuli
) -> None:
    def fail(done: int, total: int) -> None:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        extract(network, stimuli, progress=fail)


class SmallDevice(nn.Module):
    """Runs out of memory above `n_fits` stimuli, with layers taken before and not after it."""

    def __init__(self, n_fits: int) -> None:
        super().__init__()
        self.n_fits = n_fits
        self.batches: list[int] = []

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(maps))
        if len(maps) > self.n_fits:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return maps


def on_small_device(n_fits: int) -> tuple[Network, SmallDevice]:
    device = SmallDevice(n_fits)
    return make_network(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), device, nn.ReLU(inplace=True))
    ), device


def run_small(n_fits: int, reduce: str, **options: Any) -> tuple[Features, list[int]]:
    network, device = on_small_device(n_fits)
    features = extract(network, make_stimuli(19), reduce=reduce, batch_size=8, **options)
    return features, device.batches


@pytest.mark.parametrize("n_fits", [2, 3, 5])
@pytest.mark.parametrize("reduce", ["keep", "mean", "gram"])
def test_a_batch_that_does_not_fit_is_halved(n_fits: int, reduce: str) -> None:
    features, batches = run_small(n_fits, reduce)
    expected, _ = run_small(19, reduce)
    assert features.ids == expected.ids
    for layer in expected:
        assert difference(features[layer], expected[layer]) < TOLERANCES["fp32_forward"]
    # What did not fit once is not tried again: 8 and, where that is still too much, 4.
    too_large = [n for n in batches if n > n_fits]
    assert too_large == [8] if n_fits >= 4 else [8, 4]


def test_memory_of_the_failed_batch_is_free_when_it_is_halved() -> None:
    import weakref

    alive: list[bool] = []
    kept: list[weakref.ref[torch.Tensor]] = []

    class Watching(SmallDevice):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            alive.extend(ref() is not None for ref in kept)
            kept[:] = [weakref.ref(maps)]
            return super().forward(maps)

    device = Watching(4)
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), device))
    extract(network, make_stimuli(8), batch_size=8)
    assert device.batches[-3:] == [8, 4, 4]
    assert not any(alive)


def test_one_stimulus_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="made up"):
        run_small(0, "mean")


def test_bfloat16_is_compared_on_a_batch_that_fits_too() -> None:
    features, _ = run_small(4, "keep", dtype="bfloat16")
    assert all(r > 1 - TOLERANCES["bf16_correlation"] for r in features.fidelity.values())
