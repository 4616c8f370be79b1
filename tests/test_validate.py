"""The array boundary: array-like in, one dtype, layout and rank out, without needless copies."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dnnbrain_cpp._validate import (
    as_array,
    as_float_array,
    check_choice,
    check_finite,
    check_ids,
    check_integer,
)

VALUES = np.arange(12.0).reshape(3, 4)


class DlpackOnly:
    """What another array library hands over: DLPack and nothing else."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class ArrayProtocolOnly:
    """Anything with `__array__`."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype=dtype, copy=copy)


def _read_only(array: np.ndarray) -> np.ndarray:
    out = array.copy()
    out.flags.writeable = False
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_copied_that_need_not_be(dtype: type, tmp_path: Path) -> None:
    values = VALUES.astype(dtype)
    np.save(tmp_path / "values.npy", values)
    tensor = torch.from_numpy(values.copy())
    sources: list[tuple[Any, int]] = [
        (values, values.ctypes.data),
        (values[1:], values[1:].ctypes.data),
        (tensor, tensor.data_ptr()),
        (tensor.clone().requires_grad_(), 0),
        (DlpackOnly(values), values.ctypes.data),
    ]
    read_only = _read_only(values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    sources += [(read_only, read_only.ctypes.data), (mapped, mapped.ctypes.data)]
    for source, address in sources:
        for array in (as_array(source, "X", dtype=dtype), as_float_array(source, "X")):
            assert type(array) is np.ndarray
            assert array.dtype == dtype
            assert array.flags.c_contiguous
            assert address == 0 or array.ctypes.data == address
            np.testing.assert_array_equal(array, values[-len(array) :])


@pytest.mark.parametrize(
    "make",
    [
        lambda: VALUES.tolist(),
        lambda: [tuple(row) for row in VALUES],
        lambda: np.asfortranarray(VALUES),
        lambda: np.repeat(VALUES, 2, axis=1)[:, ::2],
        lambda: VALUES[::-1][::-1],
        lambda: VALUES.astype(np.int16),
        lambda: VALUES.astype(">f8"),
        lambda: VALUES.astype(np.float16),
        lambda: pd.DataFrame(VALUES),
        lambda: torch.from_numpy(VALUES.copy()).requires_grad_(),
        lambda: torch.from_numpy(VALUES.copy()).bfloat16(),
        lambda: torch.from_numpy(VALUES.T.copy()).T,
        lambda: list(torch.from_numpy(VALUES.copy())),
        lambda: ArrayProtocolOnly(VALUES),
        lambda: DlpackOnly(np.asfortranarray(VALUES)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_array_likes_become_the_dtype_and_layout(make: Callable[[], Any], dtype: type) -> None:
    source = make()
    array = as_array(source, "X", dtype=dtype, ndim=2)
    assert array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, VALUES)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float64),
        (np.int64, np.float64),
        (np.bool_, np.float64),
        (">f4", np.float64),
    ],
)
def test_floats_are_kept_and_the_rest_is_float64(given: Any, kept: type) -> None:
    assert as_float_array(VALUES.astype(given), "X").dtype == np.dtype(kept)


def test_inputs_are_never_changed() -> None:
    source = np.asfortranarray(VALUES)
    out = as_array(source, "X", dtype=np.float64)
    out[:] = -1
    np.testing.assert_array_equal(source, VALUES)


def test_a_scalar_keeps_its_rank() -> None:
    assert as_array(3, "x", dtype=np.float64).shape == ()
    with pytest.raises(ValueError, match=r"x must be 1-D; got shape \(\)"):
        as_array(3, "x", dtype=np.float64, ndim=1)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (VALUES.astype(complex), "complex128"),
        (np.array(["a", "b"]), "<U1"),
        (np.array([None, 1.0]), "object"),
        (pd.Series(["x", "y"], dtype=object), "object"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        (np.zeros(2, dtype=[("a", float)]), r"\[\('a', '<f8'\)\]"),
        (torch.zeros(2, dtype=torch.complex64), "complex64"),
        (None, "object"),
        ({"a": 1}, "object"),
    ],
)
@pytest.mark.parametrize("convert", [as_float_array, lambda v, n: as_array(v, n, dtype=np.float32)])
def test_what_is_not_real_numbers_is_a_type_error(
    value: Any, dtype: str, convert: Callable[[Any, str], Any]
) -> None:
    with pytest.raises(TypeError, match=f"weights must hold real numbers; got dtype {dtype}"):
        convert(value, "weights")


def test_ragged_sequences_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="X must be a rectangular array; got sequences of unequal"):
        as_float_array([[1.0, 2.0], [3.0]], "X")


@pytest.mark.parametrize(("ndim", "wanted"), [(1, "1-D"), ((3, 1), "1-D or 3-D"), ({4}, "4-D")])
def test_a_wrong_rank_is_a_value_error(ndim: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"X must be {wanted}; got shape (3, 4)")):
        as_float_array(VALUES, "X", ndim=ndim)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_value_that_is_not_finite_is_named(bad: float, dtype: type) -> None:
    values = VALUES.astype(dtype)
    check_finite(values, "X")
    values[1, 2] = bad
    values[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"X must be finite; 2 of 12 .* the first at \(1, 2\)"):
        check_finite(values, "X")


@pytest.mark.parametrize(
    "values",
    [
        np.full(10, 1e308),  # finite, though their sum is not
        np.full(10, np.finfo(np.float32).max, dtype=np.float32),
        np.zeros((0, 3)),
        np.array([1, 2]),
    ],
)
def test_finite_values_pass(values: np.ndarray) -> None:
    check_finite(values, "X")


def test_infinities_that_cancel_are_found() -> None:
    with pytest.raises(ValueError, match="2 of 2"):
        check_finite(np.array([np.inf, -np.inf]), "X")


def test_choices() -> None:
    assert check_choice("mean", "reduce", ["mean", "max"]) == "mean"
    with pytest.raises(ValueError, match="reduce must be one of 'mean', 'max'; got 'Mean'"):
        check_choice("Mean", "reduce", ["mean", "max"])
    for value in (None, 1, ["mean"]):
        with pytest.raises(TypeError, match="reduce must be one of"):
            check_choice(value, "reduce", ["mean", "max"])


def test_integers() -> None:
    assert type(check_integer(np.int16(3), "n", minimum=0)) is int
    assert check_integer(3, "n", minimum=3, maximum=3) == 3
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        check_integer(0, "n", minimum=1)
    with pytest.raises(ValueError, match="n must be from 1 to 5; got 6"):
        check_integer(6, "n", minimum=1, maximum=5)
    for value in (True, 2.0, "2", None):
        with pytest.raises(TypeError, match="n must be an integer; got"):
            check_integer(value, "n", minimum=0)


def test_ids() -> None:
    assert check_ids(["a", "b"], "ids", n=2) == ("a", "b")
    assert check_ids(np.array([1, 2]), "ids") == ("1", "2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ids must name 3 items; got 2"):
        check_ids(["a", "b"], "ids", n=3)
    with pytest.raises(ValueError, match="'b' comes more than once"):
        check_ids(["a", "b", "c", "b", "c"], "ids")
