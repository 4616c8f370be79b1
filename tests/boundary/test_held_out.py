"""The binding of the held-out test: what it refuses, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp._native import core

pytestmark = pytest.mark.boundary


def call(**change: Any) -> tuple[NDArray[Any], ...]:
    rng = np.random.default_rng(0)
    arguments: dict[str, Any] = {
        "measured": rng.standard_normal((12, 5)),
        "predicted": rng.standard_normal((12, 5)),
        "rows": list(range(12)),
        "block_starts": list(range(13)),
        "fold_starts": [0, 6, 12],
        "exchange": core.Exchange.permute,
        "agreement": core.Agreement.r,
        "alternative": core.Alternative.greater,
        "min_shift": 0,
        "n_perm": 10,
        "seed": 1,
        "quantiles": [0.0, 0.5, 1.0],
        "n_threads": 1,
        "progress": None,
    }
    return core.held_out_test(**{**arguments, **change})


@pytest.mark.parametrize("exchange", core.Exchange, ids=lambda e: e.name)
@pytest.mark.parametrize("agreement", core.Agreement, ids=lambda a: a.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_kinds(exchange: Any, agreement: Any, dtype: Any) -> None:
    y, p = np.random.default_rng(1).standard_normal((2, 12, 5)).astype(dtype)
    y.flags.writeable = False
    before = p.copy()
    scores, exceed, family, extremes, band = call(
        measured=y,
        predicted=p,
        exchange=exchange,
        agreement=agreement,
        block_starts=[0, 3, 6, 9, 12],
        fold_starts=[0, 2, 4],
    )
    assert scores.shape == exceed.shape == family.shape == (1, 5)
    assert extremes.shape == (1, 10)
    assert band.shape == (3, 5)
    assert (family >= exceed).all()
    assert (band[0] <= band[1]).all()
    assert (band[1] <= band[2]).all()
    assert extremes.max() == band[2].max()
    np.testing.assert_array_equal(p, before)


def test_some_rows_and_no_quantiles() -> None:
    _, _, _, _, band = call(
        rows=[3, 1, 4, 5], block_starts=[0, 1, 2, 3, 4], fold_starts=[0, 4], quantiles=[]
    )
    assert band.shape == (0, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measured": np.zeros((12, 4))}, r"one shape; got \(12, 4\) and \(12, 5\)"),
        ({"measured": np.zeros(12)}, "measured must be 2-D; got 1-D"),
        ({"measured": np.zeros((12, 0)), "predicted": np.zeros((12, 0))}, "at least one voxel"),
        ({"rows": []}, "blocks must hold from 1 to"),
        ({"rows": [*range(11), 12]}, "rows must be from 0 to 11; got 12"),
        ({"rows": [*range(11), -1]}, "rows must be from 0 to 11; got -1"),
        ({"block_starts": [0, 5]}, "block_starts must run from 0 to 12"),
        ({"block_starts": []}, "block_starts must run from 0 to 12"),
        ({"fold_starts": [0, 6, 6, 12]}, "fold_starts must ascend"),
        ({"n_perm": 0}, "n_perm must be positive"),
        ({"min_shift": -1}, "min_shift must not be negative"),
        ({"n_threads": 0}, "n_threads must be positive"),
        ({"quantiles": [1.5]}, r"quantiles must be in \[0, 1\]; got 1.5"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(**change)


@pytest.mark.parametrize(
    "measured",
    [
        np.zeros((12, 5), dtype=np.float32),  # of another dtype than the predictions
        np.zeros((12, 5), dtype=np.int64),
        np.zeros((5, 12)).T,
    ],
)
def test_kinds_that_are_not_converted(measured: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        call(measured=measured)
