"""What crosses without a copy, and what the binding refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from mantel_tests import mantel_tests

pytestmark = pytest.mark.boundary

N_COND = 6
N_PAIR = 15


def _matrix(dtype: type = np.float64) -> NDArray[Any]:
    return np.random.default_rng(0).random((4, N_PAIR)).astype(dtype)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _compare(models: Any, subjects: Any) -> NDArray[np.float64]:
    scores, _, _ = mantel_tests(
        models,
        subjects,
        N_COND,
        core.Comparator.tau_b,
        core.Alternative.two_sided,
        0,
        0,
        1,
        None,
    )
    return scores


def _mapped(dtype: type, mode: str, folder: Path) -> NDArray[Any]:
    np.save(folder / "array.npy", _matrix(dtype))
    return np.load(folder / "array.npy", mmap_mode=mode)  # type: ignore[call-overload]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype, _: _matrix(dtype),
        lambda dtype, _: _read_only(_matrix(dtype)),
        lambda dtype, _: _matrix(dtype)[1:3],
        lambda dtype, _: _matrix(dtype).reshape(2, 2, N_PAIR),
        lambda dtype, _: _matrix(dtype)[:0],
        lambda dtype, folder: _mapped(dtype, "r", folder),
        lambda dtype, folder: _mapped(dtype, "c", folder),
    ],
    ids=["owned", "read-only", "row slice", "3-D", "empty", "mapped", "mapped copy-on-write"],
)
def test_tensors_share_the_memory_of_arrays(
    make: Callable[[type, Path], NDArray[Any]], dtype: type, tmp_path: Path
) -> None:
    array = make(dtype, tmp_path)
    for tensor in (as_tensor(array), core.view_as_tensor(array)):
        assert tensor.dtype == (torch.float32 if dtype is np.float32 else torch.float64)
        assert tuple(tensor.shape) == array.shape
        if array.size:
            assert tensor.data_ptr() == array.ctypes.data
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_a_tensor_keeps_its_array_alive() -> None:
    expected = _matrix()
    array = _matrix()
    tensor = as_tensor(array)
    rows = tensor[1:]
    del array, tensor
    _ = [np.full((4, N_PAIR), np.nan) for _ in range(100)]  # would take freed memory over
    np.testing.assert_array_equal(rows.numpy(), expected[1:])


def test_an_array_is_let_go_when_its_tensor_is() -> None:
    import sys

    array = _matrix()
    before = sys.getrefcount(array)
    tensor = as_tensor(array)
    assert sys.getrefcount(array) == before + 1
    del tensor
    assert sys.getrefcount(array) == before


WRONG_LAYOUTS: dict[str, Callable[[], Any]] = {
    "Fortran order": lambda: np.asfortranarray(_matrix()),
    "column slice": lambda: _matrix()[:, ::2],
    "row stride": lambda: _matrix()[::2],
    "reversed": lambda: _matrix()[::-1],
    "broadcast": lambda: np.broadcast_to(_matrix()[0], (4, N_PAIR)),
}
WRONG_KINDS: dict[str, Callable[[], Any]] = {
    "int64": lambda: _matrix().astype(np.int64),
    "float16": lambda: _matrix().astype(np.float16),
    "big-endian": lambda: _matrix().astype(">f8"),
    "complex": lambda: _matrix().astype(complex),
    "object": lambda: _matrix().astype(object),
    "list": lambda: _matrix().tolist(),
    "tensor": lambda: torch.zeros(4, N_PAIR, dtype=torch.float64),
    "None": lambda: None,
}


@pytest.mark.parametrize(
    "make", (WRONG_LAYOUTS | WRONG_KINDS).values(), ids=WRONG_LAYOUTS | WRONG_KINDS
)
def test_views_of_anything_else_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        core.view_as_tensor(make())


@pytest.mark.parametrize(
    "make",
    (WRONG_LAYOUTS | WRONG_KINDS | {"float32": lambda: _matrix(np.float32)}).values(),
    ids=WRONG_LAYOUTS | WRONG_KINDS | {"float32": None},
)
def test_compare_refuses_what_is_not_exactly_its_type(make: Callable[[], Any]) -> None:
    good = _matrix()
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _compare(make(), good)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _compare(good, make())


def test_compare_takes_read_only_and_mapped_arrays(tmp_path: Path) -> None:
    expected = _compare(_matrix(), _matrix())
    np.testing.assert_array_equal(_compare(_read_only(_matrix()), _matrix()), expected)
    mapped = _mapped(np.float64, "r", tmp_path)
    np.testing.assert_array_equal(_compare(mapped, mapped), expected)


def test_results_own_their_memory() -> None:
    scores = _compare(_matrix(), _matrix())
    copy = scores.copy()
    assert scores.flags.writeable
    assert scores.flags.c_contiguous
    _ = [_compare(_matrix(), _matrix()[::-1].copy()) for _ in range(20)]
    np.testing.assert_array_equal(scores, copy)


@pytest.mark.parametrize(
    "call",
    [
        lambda array: core.gram_moments(array),
        lambda array: core.dissimilarities(array, core.Dissimilarity.cosine),
        lambda array: core.KeepSink(array, 0),
        lambda array: core.KeepSink(torch.zeros(4, N_PAIR), 0).consume(array),
    ],
)
def test_tensor_functions_refuse_arrays(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="incompatible"):
        call(_matrix())


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_tensor_functions_refuse_what_is_not_floating_point(dtype: torch.dtype) -> None:
    features = torch.ones(4, 3, dtype=dtype)
    with pytest.raises(ValueError, match="floating point; got"):
        core.gram_moments(features)
    for metric in core.Dissimilarity:
        with pytest.raises(ValueError, match="floating point; got"):
            core.dissimilarities(features, metric)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_any_layout_are_taken_and_results_are_float64(dtype: torch.dtype) -> None:
    plain = torch.linspace(0, 1, 30, dtype=torch.float64).sin().reshape(5, 6).to(dtype)
    strided = plain.t().contiguous().t()
    assert not strided.is_contiguous()
    for features in (plain, strided, plain.clone().requires_grad_()):
        before = features.detach().clone()
        kernel = core.gram_moments(features).centred
        assert kernel.dtype == torch.float64
        assert kernel.device == features.device
        assert not kernel.requires_grad
        centred = before.double() - before.double().mean(0)
        torch.testing.assert_close(kernel, centred @ centred.T, rtol=1e-12, atol=1e-12)
        assert torch.equal(features.detach(), before)
