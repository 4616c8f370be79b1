"""Sinks: what they take, when they take it, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dnnbrain_cpp._native import as_tensor, core
from tolerances import TOLERANCES

pytestmark = pytest.mark.boundary

NAIVE: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
    core.Pooling.mean: lambda x: x.mean((2, 3)),
    core.Pooling.max: lambda x: x.amax((2, 3)),
    core.Pooling.min: lambda x: x.amin((2, 3)),
    core.Pooling.l1: lambda x: x.abs().sum((2, 3)),
    core.Pooling.l2: lambda x: (x * x).sum((2, 3)).sqrt(),
}


def _activations(n_stim: int = 7) -> torch.Tensor:
    return torch.randn(n_stim, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def _feed(sink: Any, activations: torch.Tensor, sizes: tuple[int, ...]) -> None:
    for batch in activations.split(sizes):
        sink.consume(batch)


@pytest.mark.parametrize("sizes", [(7,), (1,) * 7, (3, 3, 1)])
@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "strided", "batch axis 1"])
def test_keeping_and_pooling_match_their_definitions(sizes: tuple[int, ...], layout: str) -> None:
    activations = _activations()
    axis = 0
    given = activations
    if layout == "channels-last":
        given = activations.to(memory_format=torch.channels_last)
    elif layout == "strided":
        given = activations.transpose(2, 3).contiguous().transpose(2, 3)
    elif layout == "batch axis 1":
        given, axis = activations.transpose(0, 1), 1
    kept = torch.full((7, 60), torch.nan)
    sink = core.KeepSink(kept, axis)
    for batch in given.split(sizes, dim=axis):
        sink.consume(batch)
    assert sink.n_stim == 7
    assert torch.equal(kept, activations.flatten(1))
    for pooling, naive in NAIVE.items():
        pooled = torch.full((7, 3), torch.nan)
        sink = core.PoolSink(pooled, axis, 1, pooling)
        for batch in given.split(sizes, dim=axis):
            sink.consume(batch)
        torch.testing.assert_close(
            pooled, naive(activations), rtol=TOLERANCES["fp32_reduction"], atol=1e-6
        )


def test_pooling_of_vectors_keeps_them() -> None:
    activations = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
    for pooling in core.Pooling:
        out = torch.zeros(2, 2)
        core.PoolSink(out, 0, 1, pooling).consume(activations)
        norm = pooling in (core.Pooling.l1, core.Pooling.l2)
        assert torch.equal(out, activations.abs() if norm else activations)


@pytest.mark.parametrize("sizes", [(7,), (2, 5)])
def test_gram_moments_of_a_sink_are_those_of_its_array(sizes: tuple[int, ...]) -> None:
    activations = _activations()
    sink = core.GramSink(torch.empty(7, 60), 0)
    _feed(sink, activations, sizes)
    whole = core.gram_moments(activations.flatten(1))
    assert torch.equal(sink.moments().centred, whole.centred)
    assert sink.moments().n_feat == 60


@pytest.mark.parametrize(
    ("make", "width"),
    [
        (lambda out: core.KeepSink(out, 0), 60),
        (lambda out: core.PoolSink(out, 0, 1, core.Pooling.mean), 3),
        (lambda out: core.GramSink(out, 0), 60),
    ],
    ids=["keep", "pool", "gram"],
)
def test_a_change_in_place_after_consuming_does_not_reach_the_sink(
    make: Callable[[torch.Tensor], Any], width: int
) -> None:
    out = torch.zeros(7, width)
    sink = make(out)
    activations = _activations()
    sink.consume(activations)
    taken = out.clone()
    activations.clamp_(min=0).mul_(3)
    assert torch.equal(out, taken)
    assert taken.abs().sum() > 0


def test_sinks_write_into_the_array_that_was_given() -> None:
    array = np.zeros((7, 60), dtype=np.float32)
    core.KeepSink(as_tensor(array), 0).consume(_activations())
    np.testing.assert_array_equal(array, _activations().flatten(1).numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_activations_of_other_dtypes_are_cast_to_the_buffer(dtype: torch.dtype) -> None:
    activations = (_activations() * 10).to(dtype)
    out = torch.zeros(7, 60)
    core.KeepSink(out, 0).consume(activations)
    assert torch.equal(out, activations.flatten(1).float())


def test_half_precision_is_pooled_in_single() -> None:
    # 4096 ones: the running sum of fp16 stops at 2048.
    out = torch.zeros(1, 1)
    core.PoolSink(out, 0, 1, core.Pooling.l1).consume(torch.ones(1, 1, 64, 64).half())
    assert out.item() == 4096


def test_gradients_are_not_followed() -> None:
    activations = _activations().requires_grad_()
    out = torch.zeros(7, 60)
    core.KeepSink(out, 0).consume(activations * 2)
    assert not out.requires_grad
    assert torch.equal(out, _activations().flatten(1) * 2)


def test_a_batch_can_be_taken_again() -> None:
    activations = _activations()
    out = torch.zeros(7, 60)
    sink = core.KeepSink(out, 0)
    sink.consume(activations[:3])
    sink.consume(-activations[3:6])
    sink.rewind(3)
    assert sink.n_stim == 3
    sink.consume(activations[3:])
    assert torch.equal(out, activations.flatten(1))
    for n_stim in (-1, 8):
        with pytest.raises(ValueError, match=f"holds 7 stimuli cannot go back to {n_stim}"):
            sink.rewind(n_stim)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: core.KeepSink(torch.zeros(7), 0), "shape .n_stim, n_feat.; got 1 axes"),
        (lambda: core.KeepSink(torch.zeros(7, 2, dtype=torch.int64), 0), "floating-point CPU"),
        (lambda: core.GramSink(torch.zeros(7, 2, device="meta"), 0), "floating-point CPU"),
        (lambda: core.KeepSink(torch.zeros(7, 2), -1), "batch_axis must not be negative; got -1"),
        (
            lambda: core.PoolSink(torch.zeros(7, 2), 0, 0, core.Pooling.mean),
            "channel_axis must come behind the batch axis; got 0",
        ),
    ],
)
def test_wrong_sinks_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (torch.tensor(1.0), "batch axis 0; got 0 axes"),
        (torch.zeros(8, 60), "sink for 7 stimuli got 8"),
        (torch.zeros(7, 59), "same number of features for every stimulus: 60.*got 59"),
        (torch.zeros(7, 60, dtype=torch.complex64), "must be real; got c10::complex<float>"),
    ],
)
def test_wrong_activations_are_refused_and_leave_the_sink_as_it_was(
    activation: torch.Tensor, message: str
) -> None:
    out = torch.zeros(7, 60)
    sink = core.KeepSink(out, 0)
    with pytest.raises(ValueError, match=message):
        sink.consume(activation)
    assert sink.n_stim == 0
    assert not out.any()
    sink.consume(_activations())
    assert sink.n_stim == 7


def test_a_channel_axis_that_is_not_there_is_refused() -> None:
    sink = core.PoolSink(torch.zeros(7, 3), 0, 2, core.Pooling.max)
    with pytest.raises(ValueError, match="channel_axis must be below 2; got 2"):
        sink.consume(torch.zeros(7, 3))
