"""Mahalanobis, crossnobis and Poisson distances, against loops over pairs and rsatoolbox."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from dnnbrain_cpp import rsa
from oracle import rdms as oracle
from tolerances import TOLERANCES

Array = NDArray[np.float64]


def close(ours: Array, expected: Array) -> None:
    atol = TOLERANCES["fp64_score"] * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def spread(runs: Array) -> tuple[Array, NDArray[Any], NDArray[Any]]:
    """Patterns (n_run, n_cond, p) as shuffled observations with their conditions and runs."""
    n_run, n_cond, p = runs.shape
    order = np.random.default_rng(9).permutation(n_run * n_cond)
    conditions = np.tile(np.arange(n_cond), n_run)[order]
    return runs.reshape(-1, p)[order], conditions, np.repeat(np.arange(n_run), n_cond)[order]


def some_precision(p: int, seed: int = 3) -> Array:
    factor = draw(p, p + 3, seed=seed)
    return factor @ factor.T / p


def cells_of(runs: Array) -> dict[tuple[Any, Any], Array]:
    return {(r, c): runs[r, c] for r in range(len(runs)) for c in range(runs.shape[1])}


@pytest.mark.parametrize("n_run", [2, 3, 7])
@pytest.mark.parametrize("shape", [(3, 1), (5, 12), (9, 4)])
@pytest.mark.parametrize("whitened", [False, True])
def test_crossnobis_by_definition(n_run: int, shape: tuple[int, int], whitened: bool) -> None:
    runs = draw(n_run, *shape) + 5
    precision = some_precision(shape[1]) if whitened else np.eye(shape[1])
    expected = oracle.crossnobis(cells_of(runs), list(range(shape[0])), precision)
    options: dict[str, Any] = {"metric": "crossnobis"}
    if whitened:
        options["precision"] = precision
    close(rsa.rdm(runs, **options).dissimilarities, expected)
    patterns, conditions, labels = spread(runs)
    ours = rsa.rdm(patterns, conditions=conditions, runs=labels, **options)
    close(ours.dissimilarities, expected)
    assert (ours.ids, ours.metric) == (tuple(str(i) for i in range(shape[0])), "crossnobis")


@pytest.mark.parametrize("whitened", [False, True])
def test_unequal_repeats_and_missing_conditions(whitened: bool) -> None:
    """Each pair is averaged over the runs that have both; repeats within a run are averaged."""
    rng = np.random.default_rng(4)
    conditions = rng.choice(list("abcde"), 60)
    labels = rng.choice(["r1", "r2", "r3", "r4"], 60)
    gone = ((labels == "r2") & (conditions == "b")) | ((labels == "r4") & (conditions == "e"))
    patterns, conditions, labels = draw(60, 7)[~gone], conditions[~gone], labels[~gone]
    assert len({*zip(labels, conditions, strict=True)}) == 18
    cells = {
        (r, c): patterns[(labels == r) & (conditions == c)].mean(0)
        for r, c in zip(labels, conditions, strict=True)
    }
    precision = some_precision(7) if whitened else np.eye(7)
    expected = oracle.crossnobis(cells, list("abcde"), precision)
    ours = rsa.rdm(
        patterns,
        metric="crossnobis",
        conditions=list(conditions),
        runs=list(labels),
        precision=precision if whitened else None,
    )
    close(ours.dissimilarities, expected)
    assert ours.ids == tuple("abcde")


def test_noise_from_repeats_and_residuals() -> None:
    runs, residuals = draw(4, 6, 5), draw(40, 5, seed=7) * np.arange(1, 6)
    precision = rsa.noise_precision(residuals, method="shrunk-diagonal")
    ours = rsa.rdm(runs, metric="crossnobis", residuals=residuals, noise="shrunk-diagonal")
    expected = oracle.crossnobis(cells_of(runs), list(range(6)), precision)
    close(ours.dissimilarities, expected)
    default = rsa.rdm(runs, metric="crossnobis", residuals=residuals).dissimilarities
    precision = rsa.noise_precision(residuals)
    close(default, oracle.crossnobis(cells_of(runs), list(range(6)), precision))
    repeats = runs - runs.mean(0) - runs.mean(1, keepdims=True) + runs.mean((0, 1))
    precision = rsa.noise_precision(repeats.reshape(-1, 5), dof=3 * 5)
    ours = rsa.rdm(runs, metric="crossnobis", noise="ledoit-wolf")
    close(ours.dissimilarities, oracle.crossnobis(cells_of(runs), list(range(6)), precision))
    patterns, conditions, labels = spread(runs)
    again = rsa.rdm(
        patterns, metric="crossnobis", conditions=conditions, runs=labels, noise="ledoit-wolf"
    )
    close(again.dissimilarities, ours.dissimilarities)


def test_each_run_whitened_by_its_own() -> None:
    runs = draw(3, 5, 4)
    precisions = np.stack([some_precision(4, seed) for seed in range(3)])
    values, vectors = np.linalg.eigh(precisions)
    roots = np.einsum("rij,rj,rkj->rik", vectors, np.sqrt(values), vectors)
    whitened = np.stack([run @ root for run, root in zip(runs, roots, strict=True)])
    expected = oracle.crossnobis(cells_of(whitened), list(range(5)), np.eye(4))
    ours = rsa.rdm(runs, metric="crossnobis", precision=precisions).dissimilarities
    close(ours, expected)
    same = rsa.rdm(runs, metric="crossnobis", precision=np.stack([precisions[0]] * 3))
    one = rsa.rdm(runs, metric="crossnobis", precision=precisions[0])
    close(same.dissimilarities, one.dissimilarities)


def test_crossnobis_without_signal_has_mean_zero() -> None:
    """And is negative for half of the pairs, where the squared distance is biased upwards."""
    rng = np.random.default_rng(5)
    means = [
        rsa.rdm(rng.standard_normal((6, 20, 30)), metric="crossnobis").dissimilarities.mean()
        for _ in range(400)
    ]
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means)) < 4 * error
    assert error < 2e-3
    one = rsa.rdm(rng.standard_normal((6, 20, 30)), metric="crossnobis").dissimilarities
    assert 0.3 < (one < 0).mean() < 0.7


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_crossnobis_equals_rsatoolbox() -> None:
    data = pytest.importorskip("rsatoolbox.data")
    calc = pytest.importorskip("rsatoolbox.rdm.calc")
    runs = draw(5, 8, 10)
    patterns, conditions, labels = spread(runs)
    precision = some_precision(10)
    dataset = data.Dataset(patterns, obs_descriptors={"cond": conditions, "run": labels})
    theirs = calc.calc_rdm_crossnobis(dataset, "cond", noise=precision, cv_descriptor="run")
    ours = rsa.rdm(
        patterns, metric="crossnobis", conditions=conditions, runs=labels, precision=precision
    )
    close(ours.dissimilarities, theirs.dissimilarities[0])


@pytest.mark.parametrize("shape", [(4, 6), (10, 3), (3, 1)])
def test_mahalanobis(shape: tuple[int, int]) -> None:
    patterns, precision = draw(*shape), some_precision(shape[1])
    ours = rsa.rdm(patterns, metric="mahalanobis", precision=precision).dissimilarities
    close(ours, pdist(patterns, "mahalanobis", VI=precision) ** 2 / shape[1])
    calc, data = pytest.importorskip("rsatoolbox.rdm.calc"), pytest.importorskip("rsatoolbox.data")
    theirs = calc.calc_rdm_mahalanobis(data.Dataset(patterns), noise=precision)
    close(ours, theirs.dissimilarities[0])


@pytest.mark.parametrize("n_obs", [30, 60])
def test_discriminant_t_by_definition(n_obs: int) -> None:
    """Unequal repeats; with 30 observations, runs lack conditions."""
    rng = np.random.default_rng(1)
    conditions, labels = rng.choice(list("abcd"), n_obs), rng.choice([1, 2, 3, 4], n_obs)
    patterns, precision = draw(n_obs, 6), some_precision(6)
    cells = {
        (r, c): patterns[(labels == r) & (conditions == c)]
        for r, c in zip(labels.tolist(), conditions.tolist(), strict=True)
    }
    assert (len(cells) == 16) == (n_obs == 60)
    ours = rsa.rdm(
        patterns, metric="ldt", conditions=conditions, runs=labels, precision=precision
    ).dissimilarities
    close(ours, oracle.discriminant_t(cells, list("abcd"), precision))


def test_discriminant_t_without_signal_is_standard_normal_in_each_fold() -> None:
    rng = np.random.default_rng(2)
    precision = some_precision(12)
    coloured = np.linalg.cholesky(np.linalg.inv(precision))
    values = [
        rsa.rdm(
            rng.standard_normal((2, 3, 12)) @ coloured.T, metric="ldt", precision=precision
        ).dissimilarities[0]
        for _ in range(1500)
    ]
    # The mean of two folds that share their differences: variances lie between 1/2 and 1.
    assert abs(np.mean(values)) < 4 / np.sqrt(1500)
    assert 0.5 < np.var(values) < 1.0


def test_mahalanobis_with_noise_from_repeats() -> None:
    patterns, conditions = draw(20, 4), np.repeat(list("abcde"), 4)
    means, ids = rsa.average_conditions(patterns, conditions)
    residuals = patterns - np.repeat(means, 4, axis=0)
    precision = rsa.noise_precision(residuals, dof=15)
    ours = rsa.rdm(patterns, metric="mahalanobis", conditions=conditions, noise="ledoit-wolf")
    expected = rsa.rdm(means, metric="mahalanobis", precision=precision)
    close(ours.dissimilarities, expected.dissimilarities)
    assert ours.ids == ids == tuple("abcde")


def test_equal_patterns_have_mahalanobis_and_poisson_distance_zero() -> None:
    patterns = np.abs(draw(150, 40)) * 20
    patterns[140] = patterns[3]
    for options in (
        {"metric": "mahalanobis", "precision": some_precision(40)},
        {"metric": "poisson"},
    ):
        values = rsa.rdm(patterns, **options).dissimilarities  # type: ignore[call-overload]
        assert (values == 0).sum() == 1
        assert rsa.RDM(values).square()[3, 140] == 0
        assert (values >= 0).all()


def test_poisson() -> None:
    counts = np.random.default_rng(6).poisson(4.0, (6, 15)).astype(float)
    close(
        rsa.rdm(counts, metric="poisson").dissimilarities,
        oracle.poisson((counts + 1.0 * 0.1) / 1.1),
    )
    ours = rsa.rdm(counts, metric="poisson", prior_rate=2.0, prior_weight=0.5).dissimilarities
    close(ours, oracle.poisson((counts + 2.0 * 0.5) / 1.5))
    calc, data = pytest.importorskip("rsatoolbox.rdm.calc"), pytest.importorskip("rsatoolbox.data")
    theirs = calc.calc_rdm_poisson(data.Dataset(counts), prior_lambda=2.0, prior_weight=0.5)
    close(ours, theirs.dissimilarities[0])


def test_poisson_cv_averages_over_folds() -> None:
    """Rsatoolbox overwrites the RDM in every fold and returns the last one's."""
    counts = np.random.default_rng(7).poisson(6.0, (4, 5, 12)).astype(float)
    rates = (counts + 0.1) / 1.1
    ours = rsa.rdm(counts, metric="poisson_cv").dissimilarities
    close(ours, oracle.poisson_cv(rates))
    for order in permutations(range(4)):
        again = rsa.rdm(counts[list(order)], metric="poisson_cv").dissimilarities
        close(again, ours)
    patterns, conditions, labels = spread(counts)
    spread_out = rsa.rdm(patterns, metric="poisson_cv", conditions=conditions, runs=labels)
    close(spread_out.dissimilarities, ours)


def test_poisson_cv_with_a_missing_condition() -> None:
    counts = np.random.default_rng(8).poisson(6.0, (3, 4, 10)).astype(float)
    patterns, conditions, labels = spread(counts)
    kept = ~((conditions == 2) & (labels == 0))
    ours = rsa.rdm(
        patterns[kept], metric="poisson_cv", conditions=conditions[kept], runs=labels[kept]
    ).square()
    rates = (counts + 0.1) / 1.1
    everywhere = rsa.RDM(oracle.poisson_cv(rates)).square()
    without_first = rsa.RDM(oracle.poisson_cv(rates[1:])).square()
    others = [0, 1, 3]
    close(ours[np.ix_(others, others)], everywhere[np.ix_(others, others)])
    close(ours[2], without_first[2])


def test_same_bits_for_any_number_of_threads() -> None:
    runs, precision = draw(4, 150, 270), some_precision(270)
    features = draw(200, 3000).astype(np.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for n_thread in (1, 2):
            torch.set_num_threads(n_thread)
            results.append(
                [
                    rsa.rdm(runs, metric="crossnobis", precision=precision).dissimilarities,
                    rsa.rdm(runs[0], metric="mahalanobis", precision=precision).dissimilarities,
                    rsa.rdm(np.abs(runs), metric="poisson_cv").dissimilarities,
                    *(rsa.noise_precision(draw(300, 270, seed=seed)) for seed in range(3)),
                    *(rsa.rdm(features, metric=m).dissimilarities for m in rsa.METRICS),
                ]
            )
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


RUNS = draw(3, 4, 5)
OBS, COND, RUN = spread(RUNS)
HALVES = list("xxxxyyyyyyyy")


def with_nan() -> Array:
    runs = RUNS.copy()
    runs[1, 2, 3] = np.nan
    return runs


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (with_nan(), {"metric": "crossnobis"}, "1 of 5 channels have such values: 3"),
        (with_nan()[1], {}, "1 of 5 channels have such values: 3"),
        (OBS, {"metric": "crossnobis"}, "crossnobis needs runs= and conditions="),
        (OBS, {"metric": "crossnobis", "runs": RUN}, "need conditions=, one per observation"),
        (RUNS, {"metric": "crossnobis", "conditions": COND}, "averages already"),
        (RUNS[:1], {"metric": "crossnobis"}, "two runs or more; .* has 1"),
        (
            OBS,
            {"metric": "crossnobis", "conditions": COND, "runs": [1] * 12},
            "two runs or more; all observations .* are of run '1'",
        ),
        (
            OBS,
            {"metric": "crossnobis", "conditions": list("abcdabcdabce"), "runs": HALVES},
            r"'a' and 'e' .* do not",
        ),
        (
            OBS,
            {"metric": "crossnobis", "conditions": COND[:3], "runs": RUN},
            "conditions must be one",
        ),
        (RUNS, {"metric": "crossnobis", "precision": np.eye(4)}, "of the 5 channels"),
        (RUNS, {"metric": "crossnobis", "precision": -np.eye(5)}, "positive definite"),
        (
            RUNS,
            {"metric": "crossnobis", "precision": -np.stack([np.eye(5)] * 3)},
            "positive definite",
        ),
        (RUNS, {"metric": "crossnobis", "precision": np.tri(5)}, "must be symmetric"),
        (RUNS, {"metric": "crossnobis", "precision": np.stack([np.eye(5)] * 2)}, "as many runs"),
        (
            RUNS,
            {"metric": "crossnobis", "precision": np.eye(5), "noise": "full"},
            "give precision=, or what to estimate it from; got precision and noise",
        ),
        (RUNS, {"metric": "crossnobis", "noise": "eye"}, "noise must be one of.*got 'eye'"),
        (OBS, {"metric": "mahalanobis"}, "mahalanobis needs precision="),
        (RUNS, {"metric": "ldt"}, "ldt needs precision="),
        (RUNS * 0, {"metric": "ldt", "precision": np.eye(5)}, "differs from the others"),
        (OBS, {"metric": "mahalanobis", "noise": "full"}, "only where conditions="),
        (OBS, {"precision": np.eye(5)}, "precision is for the metrics mahalanobis, cross"),
        (OBS, {"runs": RUN, "conditions": COND}, "runs are for the crossvalidated metrics"),
        (OBS, {"conditions": COND, "ids": list("abcd")}, "ids= or conditions="),
        (OBS, {"metric": "poisson"}, "not negative; layer 'features' has values down to"),
        (np.abs(OBS) * 0, {"metric": "poisson", "prior_weight": 0.0}, "rates of zero"),
        (np.abs(OBS), {"metric": "poisson", "prior_rate": 0.0}, "prior_rate must be positive"),
        (OBS, {"conditions": [np.nan] * 12}, "must not be NaN"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(features: Array, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.rdm(features, **options)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_unbalanced_designs_leak_no_memory() -> None:
    """Rsatoolbox's compiled loop for them keeps 2.9 MB of each call at 600 conditions."""
    runs = draw(2, 600, 3)
    patterns, conditions, labels = spread(runs)
    twice = np.flatnonzero((conditions == 8) & (labels == 0))
    rows = np.concatenate([np.arange(len(patterns)), twice])

    def call() -> None:
        rsa.rdm(patterns[rows], metric="crossnobis", conditions=conditions[rows], runs=labels[rows])

    for _ in range(5):
        call()
    before = resident_bytes()
    for _ in range(20):
        call()
    assert resident_bytes() - before < 20e6
