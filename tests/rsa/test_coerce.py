"""Whatever holds RDMs, as RDMs; and two sets over the same conditions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.rsa._coerce import as_rdms, join

IDS = ["ant", "bee", "cat", "dog"]
VALUES: NDArray[np.float64] = np.random.default_rng(0).random((3, 6))
RDMS = rsa.RDMs(VALUES, ids=IDS, names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (RDMS, VALUES),
        (RDMS["b"], VALUES[1:2]),
        ([RDMS["b"], RDMS["a"]], VALUES[[1, 0]]),
        (VALUES, VALUES),
        (VALUES[0], VALUES[:1]),
        (RDMS.square(), VALUES),
        (RDMS["c"].square(), VALUES[2:]),
        (torch.tensor(VALUES), VALUES),
        (VALUES.tolist(), VALUES),
    ],
)
def test_all_forms(value: Any, expected: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(as_rdms(value, "models").dissimilarities, expected)


def test_rdms_pass_through() -> None:
    assert as_rdms(RDMS, "models") is RDMS
    assert as_rdms(RDMS["b"], "models").names == ("b",)


def test_as_many_rows_as_columns_is_a_matrix() -> None:
    """Also where three condensed RDMs of three conditions have that shape."""
    with pytest.raises(ValueError, match=r"models must be RDMs.*symmetric"):
        as_rdms(np.arange(9.0).reshape(3, 3), "models")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ones((4, 4)), ValueError, "zero diagonal; got values up to 1"),
        (np.triu(np.ones((4, 4)), 1), ValueError, "symmetric"),
        (np.full(6, np.nan), ValueError, "finite"),
        (np.zeros((2, 2)), ValueError, "at least 3 conditions; got 2"),
        (np.ones(7), ValueError, r"n \(n - 1\) / 2 values; got 7"),
        (np.ones((2, 3, 4)), ValueError, "square; got matrices of 3 x 4"),
        (np.float64(3), ValueError, "1-D or 2-D or 3-D"),
        (["a"], TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
    ],
)
def test_what_holds_none(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^models must be RDMs, made with .*{message}"):
        as_rdms(value, "models")


def test_join_by_id_takes_the_order_of_the_models() -> None:
    turned = RDMS.select(IDS[::-1])
    models, data = join(RDMS, turned)
    assert models is RDMS
    assert data.ids == RDMS.ids
    np.testing.assert_array_equal(data.dissimilarities, VALUES)


def test_join_by_order() -> None:
    plain = rsa.RDMs(VALUES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert join(plain, plain) == (plain, plain)  # nobody has ids: nothing to warn of
    with pytest.warns(AlignmentWarning, match="the data have no ids"):
        join(RDMS, plain)
    with pytest.warns(AlignmentWarning, match="the models have no ids"):
        join(plain, RDMS)


def test_other_conditions() -> None:
    with pytest.raises(ValueError, match="same conditions; got 4 and 3"):
        join(RDMS, rsa.RDMs(np.ones(3)))
    other = rsa.RDMs(VALUES, ids=["ant", "bee", "cat", "fox"])
    with pytest.raises(ValueError, match=r"2 are on one side only, such as 'dog'"):
        join(RDMS, other)
