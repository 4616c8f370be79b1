"""The Mantel test: what it unpacks into, exact where it can be, right about bad RDMs."""

from __future__ import annotations

import itertools
import math
import os
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import squareform

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import AlignmentWarning, Cancelled
from oracle.rsa import null_scores, relabel
from tolerances import TOLERANCES

EXACT = TOLERANCES["fp64_reduction"]


def draw(n_cond: int, seed: int, levels: int | None = None) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    n_pair = n_cond * (n_cond - 1) // 2
    if levels is None:
        return rng.standard_normal(n_pair)
    drawn = rng.integers(0, levels, n_pair).astype(float)
    drawn[:2] = 0, levels - 1
    return drawn


def test_it_unpacks_and_names_its_parts() -> None:
    result = rsa.mantel(draw(12, 0), draw(12, 1), n_perm=99, random_state=5)
    statistic, p_value, n_perm, null = result
    assert (statistic, p_value, n_perm) == (result.statistic, result.p_value, result.n_perm)
    assert n_perm == 99
    assert null.shape == (99,)
    assert (result.method, result.alternative, result.exact, result.seed) == (
        "tau-b",
        "two-sided",
        False,
        5,
    )
    for fact in ("tau-b", "seed 5", "99 relabellings"):
        assert fact in repr(result)
    again = pickle.loads(pickle.dumps(result))
    assert again.method == "tau-b"
    np.testing.assert_array_equal(again.null, null)


@pytest.mark.parametrize("method", ["corr", "spearman", "tau-b", "cosine_cov"])
def test_the_null_holds_the_scores_of_the_relabelled_rdm(method: str) -> None:
    x, y = draw(10, 2), draw(10, 3, levels=5)
    null = rsa.mantel(x, y, method, n_perm=40, random_state=7).null
    expected = null_scores(method, x[None], y[None], n_perm=40, seed=7)[:, 0, 0]
    np.testing.assert_allclose(null, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("method", list(rsa.METHODS))
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("levels", [None, 3])
def test_few_conditions_are_gone_through_completely(
    method: str, alternative: str, levels: int | None
) -> None:
    """Against brute force over all 120; p is a part of them and needs no +1."""
    x, y = draw(5, 4, levels), draw(5, 6, levels)
    result = rsa.mantel(x, y, method, n_perm=10, alternative=alternative, random_state=0)
    assert result.exact
    assert result.n_perm == math.factorial(5)
    assert result.seed is None
    assert "all 120 relabellings" in repr(result)
    expected = np.array(
        [
            rsa.compare(relabel(x, np.array(order)), y, method=method).scores[0, 0]
            for order in itertools.permutations(range(5))
        ]
    )
    np.testing.assert_allclose(result.null, expected, rtol=0, atol=EXACT)
    assert result.null[0] == result.statistic
    observed = expected[0]
    extreme = {
        "two-sided": np.abs(expected) >= abs(observed) - EXACT,
        "greater": expected >= observed - EXACT,
        "less": expected <= observed + EXACT,
    }[alternative]
    assert result.p_value == extreme.mean()


def test_all_relabellings_are_the_limit_of_drawn_ones() -> None:
    """9 conditions are drawn, 8 are not; p agrees with a large draw from the same test."""
    x, y = draw(8, 8), draw(8, 9)
    exact = rsa.mantel(x, y, "corr")
    assert exact.n_perm == math.factorial(8)
    square = squareform(x)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(8) for _ in range(2000)]
    drawn = [np.corrcoef(squareform(square[np.ix_(o, o)]), y)[0, 1] for o in orders]
    estimate = (np.abs(drawn) >= abs(exact.statistic) - EXACT).mean()
    error = np.sqrt(exact.p_value * (1 - exact.p_value) / len(orders))
    assert abs(estimate - exact.p_value) < 4 * error
    assert not rsa.mantel(draw(9, 8), draw(9, 9), n_perm=20).exact


def test_square_condensed_and_rdms_are_the_same() -> None:
    x, y = draw(9, 10), draw(9, 11)
    expected = rsa.mantel(x, y, n_perm=50, random_state=1)
    for other in (squareform(x), rsa.RDM(x), rsa.RDMs(x), list(x)):
        result = rsa.mantel(other, squareform(y), n_perm=50, random_state=1)
        assert result[:3] == expected[:3]
        np.testing.assert_array_equal(result.null, expected.null)


def test_ids_join() -> None:
    ids = [f"c{i}" for i in range(9)]
    x, y = draw(9, 12), draw(9, 13)
    order = np.random.default_rng(0).permutation(9)
    shuffled = rsa.RDM(relabel(y, order), ids=[ids[i] for i in order])
    assert (
        rsa.mantel(rsa.RDM(x, ids=ids), shuffled, n_perm=0).statistic
        == rsa.mantel(x, y, n_perm=0).statistic
    )
    with pytest.raises(ValueError, match="same condition ids"):
        rsa.mantel(rsa.RDM(x, ids=ids), rsa.RDM(y, ids=[*ids[1:], "new"]))
    with pytest.warns(AlignmentWarning, match="have no ids") as caught:
        rsa.mantel(rsa.RDM(x, ids=ids), y, n_perm=9)
    assert caught[0].filename == __file__


def test_without_permutations() -> None:
    result = rsa.mantel(draw(9, 14), draw(9, 15), n_perm=0)
    assert np.isnan(result.p_value)
    assert (result.n_perm, result.seed, len(result.null)) == (0, None, 0)


@pytest.mark.parametrize("method", ["corr", "tau-b"])
def test_it_may_stop_after_some_exceedances(method: str) -> None:
    """The p-value is their number over that of the relabellings it took, wherever blocks end."""
    x, y = draw(12, 30), draw(12, 31)
    full = rsa.mantel(x, y, method, 9000, random_state=1)
    extreme = np.abs(full.null) >= abs(full.statistic) - EXACT
    assert extreme.sum() > 40
    for h in (1, 7, 40):
        last = int(np.flatnonzero(extreme)[h - 1]) + 1
        for n_threads in (1, 2):
            result = rsa.mantel(
                x, y, method, 9000, random_state=1, stop_after=h, n_threads=n_threads
            )
            assert result.n_perm == last
            assert result.p_value == h / last
            np.testing.assert_array_equal(result.null, full.null[:last])
    never = rsa.mantel(x, y, method, 9000, random_state=1, stop_after=9001)
    assert never.p_value == full.p_value
    with pytest.raises(ValueError, match="stop_after must be at least 1; got 0"):
        rsa.mantel(x, y, stop_after=0)


def test_few_conditions_are_not_stopped() -> None:
    x, y = draw(5, 32), draw(5, 33)
    assert rsa.mantel(x, y, stop_after=1)[:3] == rsa.mantel(x, y)[:3]


def test_threads_do_not_matter() -> None:
    x, y = draw(40, 16), draw(40, 17)
    for method in ("spearman", "corr", "tau-b", "cka-unbiased"):
        one, two = (
            rsa.mantel(x, y, method, n_perm=333, random_state=3, n_threads=n) for n in (1, 2)
        )
        assert one[:3] == two[:3]
        assert one.null.tobytes() == two.null.tobytes()


@pytest.mark.parametrize("n_cond", [20, 90, 130, 170, 300])
def test_ranks_are_exact_at_every_width_of_registers(n_cond: int) -> None:
    """Spearman from whole numbers: tied with the definition in the last digits, ties or none."""
    for levels in (None, 7):
        x, y = draw(n_cond, 18, levels), draw(n_cond, 19, levels)
        null = rsa.mantel(x, y, "spearman", n_perm=3, random_state=2).null
        expected = null_scores("spearman", x[None], y[None], n_perm=3, seed=2)[:, 0, 0]
        np.testing.assert_allclose(null, expected, rtol=0, atol=EXACT)


_NARROW = """
import sys
import numpy as np
from dnnbrain_cpp import rsa

rng = np.random.default_rng(29)
x, y = rng.random((2, int(sys.argv[1]))).round(2)
nulls = [rsa.mantel(x, y, m, 20, random_state=1).null for m in ("spearman", "rho-a", "corr")]
sys.stdout.write(np.array(nulls).tobytes().hex())
"""


@pytest.mark.parametrize("form", ["portable", "avx2"])
@pytest.mark.parametrize("n_cond", [50, 150])  # ranks of one digit, and of two
def test_other_instructions_give_the_same(form: str, n_cond: int) -> None:
    """Whole numbers to the bit, real ones but for the rounding of fused products."""
    n_pair = n_cond * (n_cond - 1) // 2
    done = subprocess.run(
        [sys.executable, "-c", _NARROW, str(n_pair)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "DNNBRAIN_SIMD": form},
    )
    narrow = np.frombuffer(bytes.fromhex(done.stdout)).reshape(3, -1)
    x, y = np.random.default_rng(29).random((2, n_pair)).round(2)
    for null, method in zip(narrow, ("spearman", "rho-a", "corr"), strict=True):
        here = rsa.mantel(x, y, method, 20, random_state=1).null
        np.testing.assert_allclose(here, null, rtol=0, atol=EXACT if method == "corr" else 0)


@pytest.mark.parametrize(
    ("peer", "method"), [("pearson", "corr"), ("spearman", "spearman"), ("kendalltau", "tau-b")]
)
def test_agrees_with_scikit_bio_on_matrices(peer: str, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distance = pytest.importorskip("skbio.stats.distance")
        x, y = np.abs(draw(11, 20)), np.abs(draw(11, 21))
        score, p, _ = distance.mantel(
            squareform(x), squareform(y), method=peer, permutations=300, seed=1
        )
    result = rsa.mantel(squareform(x), squareform(y), method=peer, n_perm=300, random_state=1)
    assert result.method == method
    assert result.statistic == pytest.approx(score, abs=EXACT)
    assert abs(result.p_value - p) < 4 * np.sqrt(2 * p * (1 - p) / 300) + 2 / 300


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: np.triu(s), "symmetric"),
        (lambda s: s + np.eye(6), "zero diagonal"),
        (lambda s: np.where(s == s[0, 1], np.nan, s), "finite"),
        (lambda s: s[:, :5], "n \\(n - 1\\) / 2 values; got 5"),
        (lambda s: s[:2, :2], "at least 3 conditions"),
        (lambda s: np.zeros((6, 6)), "'rdm-01' in x are"),
        (lambda s: np.stack([s, s]), "x must be one RDM; got 2"),
        (lambda s: s[:5, :5], "same conditions; got 5 and 6"),
    ],
    ids=["asymmetric", "diagonal", "nan", "oblong", "two", "constant", "several", "unequal"],
)
def test_bad_rdms_are_told_what_is_wrong(spoil: Any, message: str) -> None:
    good = squareform(np.abs(draw(6, 22)))
    with pytest.raises(ValueError, match=message):
        rsa.mantel(spoil(good), good, n_perm=9)


def test_negative_dissimilarities_are_dissimilarities() -> None:
    """Crossvalidated distances are negative by chance; only cosine sees where zero is."""
    x, y = draw(9, 23), draw(9, 24)
    for method in ("corr", "spearman", "tau-b", "corr_cov"):
        moved = rsa.mantel(x - 5, y, method, n_perm=0).statistic
        assert moved == pytest.approx(rsa.mantel(x, y, method, n_perm=0).statistic, abs=EXACT)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "tau"}, ValueError, "method must be one of"),
        ({"alternative": "both"}, ValueError, "alternative must be one of"),
        ({"n_perm": -1}, ValueError, "n_perm must be at least 0"),
        ({"n_perm": 1.5}, TypeError, "n_perm must be an integer"),
        ({"random_state": "a"}, TypeError, "random_state must be"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rsa.mantel(draw(9, 25), draw(9, 26), **change)


def test_progress_may_stop_it() -> None:
    with pytest.raises(Cancelled):
        rsa.mantel(draw(99, 27), draw(99, 28), n_perm=10**7, progress=lambda done, total: False)


def test_ranks_of_thousands_of_conditions() -> None:
    # Their products add up to more than 64 bits hold.
    x, y = np.random.default_rng(0).random((2, 2600 * 2599 // 2))
    y += x
    assert rsa.mantel(x, x, "spearman", n_perm=2, random_state=0).statistic == pytest.approx(
        1, abs=1e-15
    )
    expected = stats.spearmanr(x, y).statistic
    assert rsa.mantel(x, y, "spearman", n_perm=2, random_state=0).statistic == pytest.approx(
        expected, abs=1e-12
    )
