"""Crossvalidated reweighting against every split written out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls

from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import core
from oracle.rsa import SCORES
from tolerances import TOLERANCES

N_COND, N_SUBJECT = 20, 5
METHODS = ("corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b")


def draw(
    seed: int = 0, n_cond: int = N_COND, n_subject: int = N_SUBJECT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Models that share a part and subjects that hold two of them; one model has ties."""
    rng = np.random.default_rng(seed)
    rows, columns = np.triu_indices(n_cond, 1)
    shared = rng.standard_normal((n_cond, 2))
    models = []
    for _ in range(3):
        patterns = shared + rng.standard_normal((n_cond, 2))
        models.append(((patterns[rows] - patterns[columns]) ** 2).sum(1))
    models[2] = np.round(models[2] / models[2].max() * 4)
    signal = models[0] / models[0].std() + models[2] / models[2].std()
    return np.array(models), signal + 3 + 1.2 * rng.standard_normal((n_subject, len(rows)))


def unit(vector: NDArray[Any], method: str) -> NDArray[np.float64]:
    about = vector if method == "cosine" else vector - vector.mean()
    return np.asarray(about / np.linalg.norm(about))


def splits(plan: core.SplitPlan, sample: int, n_split: int) -> Iterator[Any]:
    for split in range(n_split):
        yield [np.array(counts) for counts in plan.draw(sample, split)]


def entries(square: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Pairs of a sample; copies of one condition against each other are left out."""
    drawn = np.repeat(np.arange(len(counts)), counts)
    return np.array([square[i, j] for a, i in enumerate(drawn) for j in drawn[a + 1 :] if i != j])


def by_hand(
    models: NDArray[Any], data: NDArray[Any], plan: core.SplitPlan, sample: int, n: int, method: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    x, y = rsa.RDMs(models).square(), rsa.RDMs(data).square()
    whole = rsa.RDMs([unit(one, method) for one in data]).square()

    def score(a: NDArray[Any], b: NDArray[Any]) -> float:
        return SCORES[method](a, b) if np.ptp(a) > 1e-12 else 0.0

    scores, ceilings, weights = np.zeros(4), np.zeros(2), np.zeros(3)
    for train_c, test_c, train_s, test_s in splits(plan, sample, n):
        fit = np.array([entries(one, train_c) for one in x])
        fit = fit if method == "cosine" else fit - fit.mean(1, keepdims=True)
        target = sum(
            times * unit(entries(y[s], train_c), method) for s, times in enumerate(train_s) if times
        )
        w, _ = nnls(fit.T, target)
        tested = np.array([entries(one, test_c) for one in x])
        tested = np.vstack([tested, (w[:, None] * tested).sum(0)])  # copies stay tied
        apart = not np.array_equal(train_s, test_s)
        all_s = train_s + test_s if apart else train_s
        pools = np.array([entries(one, test_c) for one in whole])
        part = np.zeros(6)
        for s in np.flatnonzero(test_s):
            subject = entries(y[s], test_c)
            lower = train_s.copy()
            if not apart:
                lower[s] = 0
            means = [(counts[:, None] * pools).sum(0) for counts in (lower, all_s)]
            vectors = [*tested, *means]
            part += test_s[s] * np.array([score(v, subject) for v in vectors])
        part /= test_s.sum()
        scores += part[:4] / n
        ceilings += part[4:] / n
        weights += (w / w.sum() if w.any() else w) / n
    return scores, ceilings, weights


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_test_subjects", [2, 0])
def test_scores_of_every_split_by_hand(method: str, n_test_subjects: int) -> None:
    models, data = draw()
    n_split, n_boot, seed = 3, 4, 11
    result = rsa.reweight(
        models,
        data,
        n_boot=n_boot,
        n_split=n_split,
        n_test_conditions=5,
        n_test_subjects=n_test_subjects,
        method=method,
        random_state=seed,
    )
    plan = core.SplitPlan(N_COND, N_SUBJECT, n_split, 5, n_test_subjects, True, True, seed)
    scores = np.vstack([result.scores, result.samples])
    ceilings = np.vstack([[result.lower, result.upper], result.ceiling_samples])
    weights = np.vstack([result.weights, result.weight_samples])
    for sample in range(n_boot + 1):
        expected = by_hand(models, data, plan, sample, n_split, method)
        np.testing.assert_allclose(scores[sample], expected[0], atol=TOLERANCES["fp64_score"])
        np.testing.assert_allclose(ceilings[sample], expected[1], atol=TOLERANCES["fp64_score"])
        np.testing.assert_allclose(weights[sample], expected[2], atol=TOLERANCES["fp64_factor"])
    assert np.ptp(result.samples[:, 3]) > 0.01


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("subjects", [True, False])
def test_splits_keep_copies_together(conditions: bool, subjects: bool) -> None:
    plan = core.SplitPlan(N_COND, N_SUBJECT, 4, 4, 1, conditions, subjects, 5)
    seen = set()
    for sample in range(6):
        sums = []
        for train_c, test_c, train_s, test_s in splits(plan, sample, 4):
            assert not (train_c * test_c).any()
            assert not (train_s * test_s).any()
            assert np.count_nonzero(test_c) == 4
            assert np.count_nonzero(train_c) >= 3
            assert np.count_nonzero(test_s) == 1
            assert (train_c + test_c).sum() == N_COND
            assert (train_s + test_s).sum() == N_SUBJECT
            sums.append((tuple(train_c + test_c), tuple(train_s + test_s)))
            seen.add(tuple(test_c > 0))
        assert len(set(sums)) == 1  # splits share their sample
        assert ((np.array(sums[0][0]) != 1).any()) == (conditions and sample > 0)
        assert ((np.array(sums[0][1]) != 1).any()) <= (subjects and sample > 0)
    assert len(seen) > 12


def test_every_item_is_held_out_equally_often() -> None:
    plan = core.SplitPlan(N_COND, N_SUBJECT, 3000, 4, 2, False, False, 6)
    held_c, held_s = np.zeros(N_COND), np.zeros(N_SUBJECT)
    for _, test_c, _, test_s in splits(plan, 0, 3000):
        held_c += test_c
        held_s += test_s
    for held, share in ((held_c, 4 / N_COND), (held_s, 2 / N_SUBJECT)):
        error = np.sqrt(share * (1 - share) / 3000)
        assert (np.abs(held / 3000 - share) < 4.5 * error).all()


def test_same_bits_for_any_number_of_threads_and_samples() -> None:
    models, data = draw(1)
    one = rsa.reweight(models, data, n_boot=30, random_state=2, n_threads=1)
    two = rsa.reweight(models, data, n_boot=40, random_state=2, n_threads=2)
    np.testing.assert_array_equal(one.samples, two.samples[:30])
    np.testing.assert_array_equal(one.weights, two.weights)
    other = rsa.reweight(models, data, n_boot=30, random_state=3)
    assert not np.allclose(one.samples, other.samples)


def test_the_sum_is_better_where_the_truth_is_a_sum() -> None:
    models, data = draw(2, n_cond=30, n_subject=8)
    result = rsa.reweight(models, data, n_boot=200, random_state=0)
    frame = result.to_frame().set_index("model")
    best_alone = frame["score"].drop("weighted").max()
    assert frame.loc["weighted", "score"] > best_alone + 0.03
    assert result.weights[1] < 0.15
    assert result.lower < result.upper
    low, high = result.ci()[3]
    assert low < result.scores[3] + 0.05
    assert low < high
    assert "weighted" in repr(result)


def test_held_out_noise_does_not_score() -> None:
    """Fitted and tested on the same pairs, weights would follow the noise."""
    rng = np.random.default_rng(3)
    n_pair = 20 * 19 // 2
    result = rsa.reweight(
        rng.standard_normal((7, n_pair)),
        rng.standard_normal((6, n_pair)),
        n_boot=0,
        n_split=300,
        random_state=0,
    )
    assert abs(result.scores[-1]) < 0.06


def test_one_subject_is_split_by_conditions_alone() -> None:
    models, data = draw(4)
    result = rsa.reweight(models, data[:1], n_boot=3, over=["conditions"], random_state=0)
    assert result.n_test_subjects == 0
    assert result.lower == 0  # nobody else
    assert result.upper == pytest.approx(1)


def test_scales_do_not_matter() -> None:
    models, data = draw(5)
    before = rsa.reweight(models, data, n_boot=3, random_state=0)
    after = rsa.reweight(models * 1e120, data * 1e-90, n_boot=3, random_state=0)
    np.testing.assert_allclose(after.samples, before.samples, atol=TOLERANCES["fp64_score"])
    np.testing.assert_allclose(after.weights, before.weights, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_test_conditions": 2}, "n_test_conditions must be from 3 to 17; got 2"),
        ({"n_test_conditions": 18}, "n_test_conditions must be from 3 to 17; got 18"),
        ({"n_test_subjects": 5}, "n_test_subjects must be from 0 to 4; got 5"),
        ({"over": ["voxels"]}, "over must be of"),
        ({"over": []}, "over must be of"),
        ({"n_split": 0}, "n_split must be at least 1"),
        ({"method": "tau"}, "method must be one of"),
        ({"data": np.ones((2, 190))}, "'rdm-01' is constant"),
        ({"data": draw(0, 9)[1]}, "same conditions; got 20 and 9"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    models, data = draw()
    arguments = {"models": models, "data": data, "n_boot": 2} | change
    with pytest.raises(ValueError, match=message):
        rsa.reweight(**arguments)


def test_no_samples_no_intervals() -> None:
    models, data = draw()
    result = rsa.reweight(models, data, n_boot=0, random_state=0)
    with pytest.raises(ValueError, match="no bootstrap samples"):
        result.ci()
    assert result.to_frame()["low"].isna().all()
