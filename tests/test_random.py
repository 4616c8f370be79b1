"""Seeds: whatever users hand in becomes one 64-bit number."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dnnbrain_cpp._random import as_seed


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1, np.int32(7), np.uint64(7)])
def test_an_integer_is_itself(seed: int) -> None:
    assert as_seed(seed) == int(seed)
    assert type(as_seed(seed)) is int


def test_none_takes_fresh_entropy() -> None:
    seeds = {as_seed(None) for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_is_asked_and_moves_on(make: type) -> None:
    generator = make(3)
    first, second = as_seed(generator), as_seed(generator)
    assert first != second
    again = make(3)
    assert (first, second) == (as_seed(again), as_seed(again))
    assert 0 <= first < 2**63


@pytest.mark.parametrize("seed", [-1, 2**63, np.int64(-5)])
def test_an_integer_out_of_range_is_a_value_error(seed: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"in [0, 2**63); got {seed}")):
        as_seed(seed)


@pytest.mark.parametrize("seed", [True, 1.0, "1", np.float64(2), [1], np.random])
def test_anything_else_is_a_type_error(seed: object) -> None:
    with pytest.raises(TypeError, match=r"must be an int, a numpy Generator.*got"):
        as_seed(seed)  # type: ignore[arg-type]
