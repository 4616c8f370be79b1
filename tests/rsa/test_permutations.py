"""The permutation test: exact against a loop, right under the null, the same bits always."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import Cancelled
from oracle.rsa import null_scores, p_values, relabel, score_matrix
from tolerances import TOLERANCES

METHODS = list(rsa.METHODS)
ALTERNATIVES = ["two-sided", "greater", "less"]
N_COND = 9
N_PAIR = N_COND * (N_COND - 1) // 2


def draw(n_rdm: int, levels: int, seed: int) -> NDArray[np.float64]:
    """RDMs of integers from 1 on; few levels are heavy ties."""
    return np.random.default_rng(seed).integers(1, levels + 1, (n_rdm, N_PAIR)).astype(float)


@pytest.mark.parametrize("levels", [(10**9, 10**9), (5, 4), (2, 2)], ids=["untied", "ties", "two"])
@pytest.mark.parametrize("method", METHODS)
def test_p_values_equal_a_loop_over_the_same_permutations(
    method: str, levels: tuple[int, int]
) -> None:
    n_perm, seed = 99, 7
    models, data = draw(2, levels[0], 0), draw(3, levels[1], 1)
    null = null_scores(method, models, data, n_perm=n_perm, seed=seed)
    observed = score_matrix(method, models, data)
    for alternative in ALTERNATIVES:
        result = rsa.compare(
            rsa.RDMs(models),
            rsa.RDMs(data),
            method=method,
            n_perm=n_perm,
            alternative=alternative,
            random_state=seed,
        )
        rounding = TOLERANCES["fp64_reduction"]
        np.testing.assert_array_equal(
            result.p_values, p_values(null, observed, alternative, rounding)
        )
        np.testing.assert_array_equal(
            result.group_p_values,
            p_values(null.mean(2), observed.mean(1), alternative, rounding),
        )
        assert (result.seed, result.n_perm, result.alternative) == (seed, n_perm, alternative)


def permutations(n: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(n)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n_cond", [3, 5])
def test_few_conditions_are_gone_through_completely(
    method: str, alternative: str, n_cond: int
) -> None:
    """The part of all relabellings that is as extreme, those that change nothing included."""
    n_cond += method == "cka-unbiased"  # which needs 4
    rng = np.random.default_rng(3)
    n_pair = n_cond * (n_cond - 1) // 2
    x, y = rng.random((2, n_pair)), rng.random((3, n_pair))
    null = np.stack(
        [
            score_matrix(method, [relabel(model, np.array(o)) for model in x], y)
            for o in permutations(n_cond)
        ]
    )
    rounding = TOLERANCES["fp64_reduction"]
    n_order = len(null)
    result = rsa.compare(rsa.RDMs(x), rsa.RDMs(y), method=method, n_perm=9, alternative=alternative)
    assert result.exact
    assert result.n_perm == n_order
    assert result.seed is None
    assert f"all {n_order} relabellings" in repr(result)

    def exact(null: NDArray[Any], observed: NDArray[Any]) -> NDArray[Any]:
        return (p_values(null, observed, alternative, rounding) * (n_order + 1) - 1) / n_order

    np.testing.assert_allclose(result.p_values, exact(null, null[0]), rtol=1e-12)
    np.testing.assert_allclose(
        result.group_p_values, exact(null.mean(2), null[0].mean(1)), rtol=1e-12
    )


@pytest.mark.parametrize("method", METHODS)
def test_drawn_relabellings_that_change_nothing_count(method: str) -> None:
    """All conditions but three alike: most relabellings give an RDM back that was there before."""
    square = np.ones((9, 9))
    square[:3, :3] = [[0, 2, 3], [2, 0, 4], [3, 4, 0]]
    np.fill_diagonal(square, 0)
    x = squareform(square)[None]
    n_perm = 400
    null = null_scores(method, x, x, n_perm=n_perm, seed=0)
    result = rsa.compare(x, x, method=method, n_perm=n_perm, alternative="greater", random_state=0)
    expected = p_values(null, null.max(0), "greater", TOLERANCES["fp64_reduction"])
    assert expected[0, 0] > 1 / (1 + n_perm)  # the RDM itself was drawn
    np.testing.assert_array_equal(result.p_values, expected)


def test_the_smallest_p_is_one_over_one_more_than_the_permutations() -> None:
    x = rsa.RDMs(np.random.default_rng(0).random((1, 190)))
    result = rsa.compare(x, x, n_perm=199, random_state=0)
    assert result.p_values is not None
    assert result.p_values[0, 0] == 1 / 200


def test_the_first_permutations_do_not_depend_on_how_many_follow() -> None:
    models, data = draw(2, 6, 8), draw(2, 6, 9)

    null = null_scores("tau-b", models, data, n_perm=60, seed=11)
    observed = score_matrix("tau-b", models, data)
    for n_perm in (1, 17, 40, 60):
        result = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), n_perm=n_perm, random_state=11)
        rounding = TOLERANCES["fp64_reduction"]
        np.testing.assert_array_equal(
            result.p_values, p_values(null[:n_perm], observed, "two-sided", rounding)
        )


@pytest.mark.parametrize("method", METHODS)
def test_same_bits_for_any_number_of_threads(method: str) -> None:
    rng = np.random.default_rng(12)
    models, data = rsa.RDMs(rng.random((3, 435))), rsa.RDMs(rng.random((4, 435)))
    results = [
        rsa.compare(models, data, method=method, n_perm=333, random_state=5, n_threads=n_threads)
        for n_threads in (1, 2, 5)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].scores, other.scores)
        np.testing.assert_array_equal(results[0].p_values, other.p_values)
        np.testing.assert_array_equal(results[0].group_p_values, other.group_p_values)


def test_one_relabelling_serves_all_models_and_subjects() -> None:
    """So what a model is tested with does not change with its company."""
    models, data = draw(3, 50, 13), draw(4, 50, 14)
    options: dict[str, Any] = {"method": "corr", "n_perm": 150, "random_state": 6}
    together = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), **options)
    assert together.p_values is not None
    for i, j in itertools.product(range(3), range(4)):
        alone = rsa.compare(rsa.RDMs(models[[i]]), rsa.RDMs(data[[j]]), **options)
        assert alone.p_values is not None
        assert alone.p_values[0, 0] == together.p_values[i, j]


def test_tau_a_and_tau_b_have_the_same_p() -> None:
    models, data = rsa.RDMs(draw(2, 5, 15)), rsa.RDMs(draw(3, 5, 16))
    a, b = (
        rsa.compare(models, data, method=method, n_perm=200, random_state=1)
        for method in ("tau-a", "tau-b")
    )
    np.testing.assert_array_equal(a.p_values, b.p_values)


def test_random_state() -> None:
    models, data = rsa.RDMs(draw(1, 9, 17)), rsa.RDMs(draw(2, 9, 18))

    def run(random_state: Any) -> rsa.RSAResult:
        return rsa.compare(models, data, n_perm=50, random_state=random_state)

    for make in (np.random.default_rng, np.random.RandomState):
        first, second = run(make(3)), run(make(3))
        assert first.seed == second.seed
        np.testing.assert_array_equal(first.p_values, second.p_values)
    unseeded = run(None)
    again = run(unseeded.seed)
    np.testing.assert_array_equal(unseeded.p_values, again.p_values)
    assert run(None).seed != unseeded.seed
    assert rsa.compare(models, data).seed is None


@pytest.mark.parametrize(
    ("method", "peer", "alternative"),
    [
        ("corr", "pearson", "two-sided"),
        ("corr", "pearson", "less"),
        ("spearman", "spearman", "greater"),
        ("tau-b", "kendalltau", "two-sided"),
    ],
)
def test_agrees_with_scikit_bio(method: str, peer: str, alternative: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distance = pytest.importorskip("skbio.stats.distance")
    rng = np.random.default_rng(21)
    shared = rng.standard_normal((12, 4))
    x = pdist(shared + 1.6 * rng.standard_normal((12, 4)))
    y = pdist(shared + 1.6 * rng.standard_normal((12, 4)))
    n_perm = 400  # scikit-bio sorts again in each
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score, p, _ = distance.mantel(
            rsa.RDMs(x).square()[0],
            rsa.RDMs(y).square()[0],
            method=peer,
            permutations=n_perm,
            alternative=alternative,
            seed=np.random.default_rng(2),
        )
    result = rsa.compare(
        rsa.RDMs(x),
        rsa.RDMs(y),
        method=method,
        n_perm=n_perm,
        alternative=alternative,
        random_state=3,
    )
    assert result.p_values is not None
    assert result.scores[0, 0] == pytest.approx(score, abs=TOLERANCES["fp64_reduction"])
    assert 0.002 < p < 0.998  # where the two can disagree
    error = np.sqrt(2 * p * (1 - p) / n_perm)
    assert abs(result.p_values[0, 0] - p) < 4 * error + 2 / n_perm


def null_p(make: Any, n_test: int, n_perm: int, method: str = "spearman") -> NDArray[np.float64]:
    """One p per pair of RDMs that have nothing to do with each other."""
    out = []
    for test in range(n_test):
        models, data = make(np.random.default_rng([31, test]))
        result = rsa.compare(
            rsa.RDMs(models),
            rsa.RDMs(data),
            method=method,
            n_perm=n_perm,
            alternative="greater",
            random_state=test,
            n_threads=1,
        )
        assert result.p_values is not None
        out.append(result.p_values[0, 0])
    return np.array(out)


def of_patterns(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """RDMs of few dimensions: entries that share a condition depend on each other."""
    return pdist(rng.standard_normal((14, 2))), pdist(rng.standard_normal((14, 2)))


@pytest.mark.parametrize("method", ["corr", "tau-b"])
def test_p_is_uniform_under_the_null(method: str) -> None:
    n_perm = 99
    p = null_p(of_patterns, 2000, n_perm, method)
    # Discrete on 1/100 .. 1: spread evenly inside its step, it is uniform on (0, 1).
    spread = p - np.random.default_rng(4).random(len(p)) / (n_perm + 1)
    assert kstest(spread, "uniform").pvalue > 0.001
    for level in (0.01, 0.05, 0.2):
        error = np.sqrt(level * (1 - level) / len(p))
        assert abs((p <= level).mean() - level) < 4 * error


def test_the_p_of_a_group_is_uniform_although_its_subjects_resemble_each_other() -> None:
    n_perm, n_test = 99, 1000
    p = np.empty(n_test)
    for test in range(n_test):
        rng = np.random.default_rng([32, test])
        shared = rng.standard_normal((12, 2))
        data = [pdist(shared + 0.5 * rng.standard_normal((12, 2))) for _ in range(5)]
        result = rsa.compare(
            rsa.RDMs(pdist(rng.standard_normal((12, 2)))),
            rsa.RDMs(data),
            method="spearman",
            n_perm=n_perm,
            alternative="greater",
            random_state=test,
            n_threads=1,
        )
        assert result.group_p_values is not None
        p[test] = result.group_p_values[0]
    spread = p - np.random.default_rng(4).random(n_test) / (n_perm + 1)
    assert kstest(spread, "uniform").pvalue > 0.001


def test_shuffling_entries_in_place_of_conditions_would_fail() -> None:
    """The wrong unit of permutation rejects a true null far too often: the test above has power."""
    rng = np.random.default_rng(5)
    n_test, n_perm = 150, 59
    rejected = 0
    for test in range(n_test):
        x, y = of_patterns(np.random.default_rng([31, test]))
        null = np.array([np.corrcoef(rng.permutation(x), y)[0, 1] for _ in range(n_perm)])
        p = (1 + (null >= np.corrcoef(x, y)[0, 1]).sum()) / (1 + n_perm)
        rejected += p <= 0.05
    ours = (null_p(of_patterns, n_test, n_perm, "corr") <= 0.05).mean()
    assert rejected / n_test > 0.1
    assert ours < 0.09


def test_a_shared_structure_is_found() -> None:
    """Power: what is there is found, by every method."""
    rng = np.random.default_rng(6)
    shared = rng.standard_normal((15, 3))
    model = rsa.RDMs(pdist(shared))
    data = rsa.RDMs([pdist(shared + rng.standard_normal((15, 3))) for _ in range(8)])
    for method in METHODS:
        result = rsa.compare(model, data, method=method, n_perm=499, random_state=0)
        assert result.group_p_values is not None
        assert result.group_p_values[0] < 0.01


def test_a_progress_function_sees_the_whole_and_may_stop_it() -> None:
    rng = np.random.default_rng(7)
    models, data = rsa.RDMs(rng.random((2, 4950))), rsa.RDMs(rng.random((2, 4950)))
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    rsa.compare(models, data, n_perm=3000, random_state=0, progress=watch)
    assert seen[-1] == (6002, 6002)
    assert all(earlier[0] < later[0] for earlier, later in itertools.pairwise(seen))
    with pytest.raises(Cancelled):
        rsa.compare(models, data, n_perm=10**7, random_state=0, progress=lambda done, total: False)
