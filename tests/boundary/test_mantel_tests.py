"""Permutation tests of RDMs: against a twin, and the same bits however the work is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, pearsonr, spearmanr

from dnnbrain_cpp._native import core
from mantel_tests import mantel_tests
from tolerances import TOLERANCES

pytestmark = pytest.mark.boundary

N_COND = 8
N_PAIR = N_COND * (N_COND - 1) // 2

PEERS = {
    core.Comparator.corr: lambda x, y: pearsonr(x, y)[0],
    core.Comparator.cosine: lambda x, y: x @ y / np.sqrt((x @ x) * (y @ y)),
    core.Comparator.spearman: lambda x, y: spearmanr(x, y)[0],
    core.Comparator.tau_b: lambda x, y: kendalltau(x, y, variant="b")[0],
    core.Comparator.tau_a: lambda x, y: (
        np.sign(np.subtract.outer(x, x) * np.subtract.outer(y, y)).sum() / (len(x) * (len(x) - 1))
    ),
}


def _rdms(n_rdm: int, seed: int) -> NDArray[np.float64]:
    """RDMs with ties."""
    return np.random.default_rng(seed).integers(1, 12, (n_rdm, N_PAIR)).astype(float)


def _compare(
    comparator: Any,
    *,
    n_perm: int,
    alternative: Any = core.Alternative.two_sided,
    n_threads: int = 1,
    seed: int = 5,
) -> tuple[NDArray[Any], ...]:
    return mantel_tests(
        _rdms(2, 0),
        _rdms(3, 1),
        N_COND,
        comparator,
        alternative,
        n_perm,
        seed,
        n_threads,
        None,
    )


@pytest.mark.parametrize("comparator", PEERS, ids=lambda c: c.name)
@pytest.mark.parametrize("alternative", core.Alternative, ids=lambda a: a.name)
def test_exceedances_match_relabelled_rdms(comparator: Any, alternative: Any) -> None:
    n_perm = 60
    models, subjects = _rdms(2, 0), _rdms(3, 1)
    peer = PEERS[comparator]
    scores = np.array([[peer(x, y) for y in subjects] for x in models])
    orders = core.random_permutations(5, 0, n_perm, N_COND)
    null = np.array(
        [
            [
                [peer(squareform(squareform(x)[np.ix_(order, order)]), y) for y in subjects]
                for x in models
            ]
            for order in orders
        ]
    )

    def count(permuted: NDArray[Any], observed: NDArray[Any]) -> NDArray[Any]:
        rounding = TOLERANCES["fp64_score"]
        if alternative is core.Alternative.greater:
            return (permuted >= observed - rounding).sum(0)
        if alternative is core.Alternative.less:
            return (permuted <= observed + rounding).sum(0)
        return (np.abs(permuted) >= np.abs(observed) - rounding).sum(0)

    got, exceed, group = _compare(comparator, n_perm=n_perm, alternative=alternative, n_threads=2)
    np.testing.assert_allclose(got, scores, rtol=0, atol=TOLERANCES["fp64_score"])
    np.testing.assert_array_equal(exceed, count(null, scores))
    np.testing.assert_array_equal(group[:, 0], count(null.mean(2), scores.mean(1)))


@pytest.mark.parametrize("comparator", core.Comparator, ids=lambda c: c.name)
def test_the_same_bits_for_any_number_of_threads(comparator: Any) -> None:
    alone = _compare(comparator, n_perm=203)
    for n_threads in (2, 3, 5):
        for a, b in zip(_compare(comparator, n_perm=203, n_threads=n_threads), alone, strict=True):
            assert a.tobytes() == b.tobytes()


def test_more_permutations_begin_with_the_fewer() -> None:
    def step(n_perm: int) -> NDArray[Any]:
        _, exceed, group = _compare(core.Comparator.tau_b, n_perm=n_perm)
        return np.hstack([exceed, group])

    counts = np.array([step(n_perm) for n_perm in range(30)])
    assert set(np.unique(np.diff(counts, axis=0))) == {0, 1}


def test_seeds_differ() -> None:
    results = {_compare(core.Comparator.corr, n_perm=500, seed=s)[1].tobytes() for s in range(5)}
    assert len(results) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_cond": 9}, r"9 conditions must have 36 pairs; got 28 \(models\) and 28 \(subjects\)"),
        ({"models": np.zeros(N_PAIR)}, "models must be 2-D; got 1-D"),
        ({"subjects": np.zeros((1, 1, N_PAIR))}, "subjects must be 2-D; got 3-D"),
        ({"models": np.zeros((0, N_PAIR))}, "at least one model and one subject; got 0 and 3"),
        ({"models": np.zeros((1, N_PAIR))}, "one is constant"),
        ({"n_perm": -1}, "n_perm must not be negative; got -1"),
        ({"n_threads": 0}, "n_threads must be positive; got 0"),
    ],
)
def test_wrong_values_are_value_errors(change: dict[str, Any], message: str) -> None:
    arguments = {
        "models": _rdms(2, 0),
        "subjects": _rdms(3, 1),
        "n_cond": N_COND,
        "comparator": core.Comparator.tau_b,
        "alternative": core.Alternative.less,
        "n_perm": 2,
        "seed": 0,
        "n_threads": 1,
        "progress": None,
    }
    with pytest.raises(ValueError, match=message):
        mantel_tests(**(arguments | change))


@pytest.mark.parametrize(
    "change",
    [{"comparator": "tau-b"}, {"comparator": core.Score.r}, {"n_perm": 2.5}, {"n_cond": "8"}],
)
def test_wrong_kinds_are_type_errors(change: dict[str, Any]) -> None:
    arguments = {
        "models": _rdms(2, 0),
        "subjects": _rdms(3, 1),
        "n_cond": N_COND,
        "comparator": core.Comparator.tau_b,
        "alternative": core.Alternative.less,
        "n_perm": 2,
        "seed": 0,
        "n_threads": 1,
        "progress": None,
    }
    with pytest.raises(TypeError, match="incompatible"):
        mantel_tests(**(arguments | change))
