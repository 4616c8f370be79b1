"""Plans: which way, how much memory, and blocks where it is short."""

from __future__ import annotations

import numpy as np
import pytest

from dnnbrain_cpp.linear import RidgeCV, plan
from tolerances import TOLERANCES

ALPHAS = np.logspace(-1, 4, 9)


def test_the_smaller_side_decides() -> None:
    assert plan(1000, 100, 10).form == "features"
    assert plan(1000, 5000, 10).form == "kernel"
    assert plan(1000, 800, 10, n_fold=5).form == "kernel"  # 800 rows train


def test_it_says_what_it_will_do() -> None:
    text = repr(plan(1000, 100, 10, budget_bytes=1 << 30))
    for part in ("10 targets", "100 features", "1000 rows", "1.00 GiB allowed", "FLOP"):
        assert part in text


@pytest.mark.parametrize("p", [200, 2000])
def test_a_budget_too_small_says_what_would_do(p: int) -> None:
    with pytest.raises(MemoryError, match="needs at least") as raised:
        plan(1000, p, 10, budget_bytes=1 << 10)
    assert "1.0 KiB" in str(raised.value)


@pytest.mark.parametrize("p", [20, 150])
def test_blocks_change_nothing_but_rounding(p: int) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((100, p)), rng.standard_normal((100, 5))
    Y[:, 4] = 1.0
    whole = RidgeCV(ALPHAS, scoring="r2", store_cv_results=True).fit(X, Y)
    blocks = ["fold_block"] if p < 80 else ["fold_block", "alpha_block"]
    least = whole.plan_.peak_bytes
    for share in np.linspace(0.99, 0.2, 40):
        try:
            small = RidgeCV(
                ALPHAS, scoring="r2", store_cv_results=True, budget_bytes=int(share * least)
            ).fit(X, Y)
        except MemoryError:
            break
    for block in blocks:
        assert getattr(small.plan_, block) == 1
        assert getattr(whole.plan_, block) > 1
    both = [small.cv_results_, whole.cv_results_]
    assert np.nanmax(np.abs(both[0] - both[1])) < TOLERANCES["fp64_score"]
    assert np.isnan(small.best_score_[4])
    assert np.array_equal(small.alpha_, whole.alpha_)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="t must be at least 1"):
        plan(10, 10, 0)
    with pytest.raises(ValueError, match="dtype must be one of"):
        plan(10, 10, 1, dtype="float16")
