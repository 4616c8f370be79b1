"""Counter-based random numbers: pinned, pure, the same however the work is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp._native import core

pytestmark = pytest.mark.boundary

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "random_stream_v1.csv"
MASK = 2**32 - 1


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10, written from the paper."""
    for round_ in range(10):
        k0, k1 = (key[0] + round_ * 0x9E3779B9) & MASK, (key[1] + round_ * 0xBB67AE85) & MASK
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (p1 >> 32) ^ counter[1] ^ k0,
            p1 & MASK,
            (p0 >> 32) ^ counter[3] ^ k1,
            p0 & MASK,
        ]
    return counter


def _draws(seed: int, stream: int, count: int) -> list[int]:
    words: list[int] = []
    block = 0
    while len(words) < count:
        counter = [block & MASK, block >> 32, stream & MASK, stream >> 32]
        words += _philox(counter, [seed & MASK, seed >> 32])
        block += 1
    return words[:count]


def _permutation(seed: int, index: int, n: int) -> list[int]:
    words = iter(_draws(seed, index, 8 * n + 8))

    def below(bound: int) -> int:
        while True:
            product = next(words) * bound
            if (product & MASK) >= 2**32 % bound:
                return product >> 32

    order = list(range(n))
    for last in range(n - 1, 0, -1):
        other = below(last + 1)
        order[last], order[other] = order[other], order[last]
    return order


def test_the_first_draws_are_the_golden_ones() -> None:
    assert core.RANDOM_VERSION == 1
    golden = pd.read_csv(GOLDEN)
    for (seed, stream), rows in golden.groupby(["seed", "stream"]):
        draws = core.random_draws(int(seed), int(stream), 16)
        assert draws.dtype == np.uint32
        assert draws.tolist() == rows["word"].tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 3, 2**63 - 1])
@pytest.mark.parametrize("stream", [0, 5, 2**33])
def test_draws_match_the_twin(seed: int, stream: int) -> None:
    assert core.random_draws(seed, stream, 21).tolist() == _draws(seed, stream, 21)


def test_a_longer_draw_starts_as_the_shorter_one() -> None:
    longer = core.random_draws(3, 4, 100)
    for count in (0, 1, 3, 4, 5, 99):
        np.testing.assert_array_equal(core.random_draws(3, 4, count), longer[:count])


@pytest.mark.parametrize("n", [1, 2, 3, 17, 92])
def test_permutations_match_the_twin_and_do_not_depend_on_where_the_block_begins(n: int) -> None:
    whole = core.random_permutations(8, 0, 12, n)
    assert whole.dtype == np.int32
    assert whole.shape == (12, n)
    assert whole.tolist() == [_permutation(8, i, n) for i in range(12)]
    for first in (1, 5, 11):
        np.testing.assert_array_equal(
            core.random_permutations(8, first, 12 - first, n), whole[first:]
        )


def test_negative_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"count must not be negative; got -1"):
        core.random_draws(0, 0, -1)
    with pytest.raises(ValueError, match=r"must not be negative; got 2 and -3"):
        core.random_permutations(0, 0, 2, -3)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "0", None])
def test_a_seed_is_an_unsigned_64_bit_integer(seed: object) -> None:
    with pytest.raises(TypeError, match="incompatible"):
        core.random_draws(seed, 0, 1)  # type: ignore[arg-type]
