"""Exceptions of C++ and of ATen, as Python knows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnnbrain_cpp._native import core
from dnnbrain_cpp.exceptions import Cancelled

pytestmark = pytest.mark.boundary

TRAIN, TEST = torch.arange(4), torch.arange(4, 6)


def _regress(
    gram: torch.Tensor, *, train: torch.Tensor = TRAIN, test: torch.Tensor = TEST, n_comp: int = 2
) -> torch.Tensor:
    responses = torch.arange(12.0).reshape(6, 2)
    folds = [(train, test)]
    return core.cross_validate_pcr(
        gram, responses, folds, [n_comp], [0.0], core.Score.r, True, None
    )


def test_a_broken_contract_is_a_value_error() -> None:
    kernel = torch.eye(6, dtype=torch.float64)
    with pytest.raises(ValueError, match="gram must be a square float64 matrix"):
        _regress(kernel.float())
    with pytest.raises(ValueError, match="got 4 with 4 training stimuli in fold 0"):
        _regress(kernel, n_comp=4)
    with pytest.raises(ValueError, match="fold 0 holds out 1"):
        _regress(kernel, test=TEST[:1])


def test_a_factorisation_that_fails_is_a_linalg_error() -> None:
    kernel = torch.full((6, 6), torch.nan, dtype=torch.float64)
    with pytest.raises(np.linalg.LinAlgError, match="failed to converge") as caught:
        _regress(kernel)
    assert "frame #" not in str(caught.value)


def test_an_index_out_of_range_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="out of range") as caught:
        _regress(torch.eye(6, dtype=torch.float64), test=torch.tensor([4, 6]))
    assert "frame #" not in str(caught.value)


def test_other_errors_of_aten_are_one_line() -> None:
    with pytest.raises(RuntimeError, match="dtype int32 or int64") as caught:
        _regress(torch.eye(6, dtype=torch.float64), train=TRAIN.double())
    assert "\n" not in str(caught.value)


def test_cancelled_is_a_runtime_error() -> None:
    assert issubclass(Cancelled, RuntimeError)
