"""Noise ceilings against closed forms, rsatoolbox, and explicit pools."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from dnnbrain_cpp import rsa
from oracle.resampling import sample_ceilings, similarity
from oracle.rsa import SCORES
from tolerances import TOLERANCES

METHODS = ["corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b"]


def subjects(n_subject: int = 6, n_pair: int = 66, seed: int = 0) -> NDArray[np.float64]:
    """RDMs that share something, at unequal scales and with unequal noise."""
    rng = np.random.default_rng(seed)
    shared = rng.random(n_pair)
    noise = rng.random((n_subject, n_pair)) * rng.uniform(0.3, 2, (n_subject, 1))
    return (shared + noise) * rng.uniform(0.1, 10, (n_subject, 1))


@pytest.mark.parametrize("kind", ["mean-rdm", "optimal"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ties", [False, True])
def test_equal_to_explicit_pools(method: str, kind: str, ties: bool) -> None:
    data = np.round(subjects()) if ties else subjects()
    seen = data
    if kind == "optimal":
        centred = data - data.mean(1, keepdims=True)
        seen = {
            "cosine": data / np.linalg.norm(data, axis=1, keepdims=True),
            "corr": centred / centred.std(1, keepdims=True),
        }.get(method, rankdata(data, axis=1))
    score = SCORES[method]
    upper = np.mean([score(y, seen.mean(0)) for y in data])
    lower = np.mean([score(y, np.delete(seen, s, 0).mean(0)) for s, y in enumerate(data)])
    ceiling = rsa.noise_ceiling(rsa.RDMs(data), method=method, kind=kind)
    assert ceiling.upper == pytest.approx(upper, abs=TOLERANCES["fp64_score"])
    assert ceiling.lower == pytest.approx(lower, abs=TOLERANCES["fp64_score"])
    assert (ceiling.method, ceiling.kind) == (method, kind)
    assert ceiling.lower < ceiling.upper


@pytest.mark.parametrize("method", ["cosine", "corr"])
@pytest.mark.parametrize("kind", ["mean-rdm", "optimal"])
def test_closed_form_from_the_similarity_of_subjects(method: str, kind: str) -> None:
    """Each pool is a sum of subjects, so that its product with a subject is a row sum of R.

    upper = mean_s sum_t R_st / sqrt(sum R), and lower likewise without s.
    """
    data = subjects()
    vectors = data - data.mean(1, keepdims=True) if method == "corr" else data
    norm = np.linalg.norm(vectors, axis=1)
    if kind == "optimal":
        vectors, norm = vectors / norm[:, None], np.ones(len(data))
    r = vectors @ vectors.T
    rows, own, total = r.sum(1), np.diagonal(r), r.sum()
    upper = (rows / (norm * np.sqrt(total))).mean()
    lower = ((rows - own) / (norm * np.sqrt(total - 2 * rows + own))).mean()
    ceiling = rsa.noise_ceiling(rsa.RDMs(data), method=method, kind=kind)
    assert ceiling.upper == pytest.approx(upper, abs=TOLERANCES["fp64_reduction"])
    assert ceiling.lower == pytest.approx(lower, abs=TOLERANCES["fp64_reduction"])


@pytest.mark.parametrize("method", ["cosine", "corr", "spearman", "rho-a", "tau-a"])
def test_optimal_pools_are_those_of_rsatoolbox(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("rsatoolbox")
        from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
        from rsatoolbox.rdm import RDMs

        data = subjects(seed=1)
        lower, upper = boot_noise_ceiling(RDMs(data), method=method)
    ceiling = rsa.noise_ceiling(rsa.RDMs(data), method=method, kind="optimal")
    assert ceiling.lower == pytest.approx(lower, abs=TOLERANCES["fp64_score"])
    assert ceiling.upper == pytest.approx(upper, abs=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("method", ["cosine", "corr", "spearman", "rho-a"])
def test_no_rdm_exceeds_the_optimal_upper_bound(method: str) -> None:
    data = rsa.RDMs(subjects(seed=2))
    upper = rsa.noise_ceiling(data, method=method, kind="optimal").upper
    assert rsa.noise_ceiling(data, method=method, kind="mean-rdm").upper <= upper + 1e-12
    rng = np.random.default_rng(3)
    pool = data.dissimilarities.mean(0)
    tries = rsa.RDMs(pool + rng.standard_normal((200, len(pool))) * rng.random((200, 1)))
    assert rsa.compare(tries, data, method=method).group_scores.max() < upper


def test_scales_of_subjects_matter_to_the_mean_rdm_alone() -> None:
    data = subjects(seed=4)
    scaled = data * np.array([1, 100, 1, 0.01, 1, 1])[:, None]
    for method in ("corr", "tau-b"):
        for kind, same in (("optimal", True), ("mean-rdm", False)):
            before, after = (
                rsa.noise_ceiling(rsa.RDMs(values), method=method, kind=kind).upper
                for values in (data, scaled)
            )
            assert (abs(before - after) < TOLERANCES["fp64_score"]) is same


@pytest.mark.parametrize("method", METHODS)
def test_equal_subjects_have_a_ceiling_of_one(method: str) -> None:
    same = rsa.RDMs(np.tile(np.random.default_rng(5).random(45), (4, 1)))
    for kind in ("mean-rdm", "optimal"):
        ceiling = rsa.noise_ceiling(same, method=method, kind=kind)
        assert (ceiling.lower, ceiling.upper) == (pytest.approx(1), pytest.approx(1))


def test_compare_gives_the_ceiling_of_its_data() -> None:
    data = rsa.RDMs(subjects(seed=6))
    result = rsa.compare(data[0], data, method="spearman")
    assert result.ceiling == rsa.noise_ceiling(data, method="spearman")
    assert repr(result.ceiling).startswith("NoiseCeiling(0.")


def test_one_subject_has_none() -> None:
    with pytest.raises(ValueError, match="at least 2 subjects; got 1"):
        rsa.noise_ceiling(rsa.RDMs(subjects(1)))


@pytest.mark.parametrize("kind", ["mean-rdm", "optimal"])
@pytest.mark.parametrize("method", ["corr", "spearman", "tau-b", "cosine"])
def test_a_constant_subject_is_named(method: str, kind: str) -> None:
    data = subjects()
    data[2] = 0
    names = ["a", "b", "flat", "c", "d", "e"]
    with pytest.raises(ValueError, match=rf"{method}.*'flat' in rdms"):
        rsa.noise_ceiling(rsa.RDMs(data, names=names), method=method, kind=kind)


@pytest.mark.parametrize("method", ["corr_cov", "cosine_cov"])
def test_whitened_pools(method: str) -> None:
    """The pool adds RDMs of unit length after whitening; rsatoolbox scales by the plain length."""
    data = subjects(seed=7)
    everyone = np.ones(12)
    for kind in ("mean-rdm", "optimal"):
        ceiling = rsa.noise_ceiling(data, method=method, kind=kind)
        expected = sample_ceilings(method, kind, data, everyone, np.ones(len(data)))
        assert (ceiling.lower, ceiling.upper) == pytest.approx(
            expected, abs=TOLERANCES["fp64_score"]
        )
    tries = data.mean(0) + np.random.default_rng(8).standard_normal((100, 66)) * 0.1
    best = max(
        np.mean([similarity(method, x, y, everyone) for y in data])
        for x in [*tries, *data, data.mean(0)]
    )
    assert best < rsa.noise_ceiling(data, method=method, kind="optimal").upper
    assert rsa.noise_ceiling(data, method="cka") == rsa.noise_ceiling(data, method="cosine_cov")


@pytest.mark.parametrize("method", ["corr", "spearman", "tau-a", "cosine_cov"])
def test_split_half_goes_through_all_partitions(method: str) -> None:
    data = subjects(5, seed=9)
    everyone = np.ones(12)
    r = np.mean(
        [
            similarity(method, data[list(half)].mean(0), np.delete(data, half, 0).mean(0), everyone)
            for half in itertools.combinations(range(5), 2)
        ]
    )
    ceiling = rsa.noise_ceiling(data, method=method, kind="split-half")
    assert ceiling.lower == pytest.approx(2 * r / (1 + r))
    assert ceiling.upper == pytest.approx(np.sqrt(2 * r / (1 + r)))
    even = rsa.noise_ceiling(data[:4], method=method, kind="split-half")
    r = np.mean(
        [
            similarity(method, data[[0, s]].mean(0), data[[t, u]].mean(0), everyone)
            for s, t, u in ((1, 2, 3), (2, 1, 3), (3, 1, 2))
        ]
    )
    assert even.lower == pytest.approx(2 * r / (1 + r))


def test_split_half_is_the_reliability_of_the_mean() -> None:
    """Of 20 subjects who share half of their variance it is 20 / 21."""
    rng = np.random.default_rng(10)
    data = rng.standard_normal(4950) + rng.standard_normal((20, 4950))
    first, second = (
        rsa.noise_ceiling(data, method="corr", kind="split-half", n_split=20, random_state=seed)
        for seed in (0, 1)
    )
    assert first.lower == pytest.approx(20 / 21, abs=0.005)
    assert first.upper == pytest.approx(np.sqrt(20 / 21), abs=0.003)
    assert first != second
    again = rsa.noise_ceiling(data, method="corr", kind="split-half", n_split=20, random_state=0)
    assert first == again


def test_subjects_who_share_nothing_have_no_ceiling() -> None:
    data = np.random.default_rng(11).standard_normal((2, 45))
    assert np.corrcoef(data)[0, 1] < 0
    assert rsa.noise_ceiling(data, method="corr", kind="split-half").upper == 0


@pytest.mark.parametrize("method", ["corr", "tau-b"])
@pytest.mark.parametrize("kind", ["mean-rdm", "optimal", "split-half"])
def test_folds_of_conditions(method: str, kind: str) -> None:
    data = rsa.RDMs(subjects(4, seed=12), ids=[f"c{i}" for i in range(12)])
    folds = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    within = [
        rsa.noise_ceiling(
            data.select([f"c{i}" for i in np.flatnonzero(folds == fold)]), method=method, kind=kind
        )
        for fold in range(3)
    ]
    ceiling = rsa.noise_ceiling(data, method=method, kind=kind, folds=folds)
    if kind == "split-half":  # similarities are averaged before the correction
        r = np.mean([part.lower / (2 - part.lower) for part in within])
        assert ceiling.lower == pytest.approx(2 * r / (1 + r))
        return
    assert ceiling.lower == pytest.approx(np.mean([part.lower for part in within]))
    assert ceiling.upper == pytest.approx(np.mean([part.upper for part in within]))


def test_folds_that_cannot_be() -> None:
    data = subjects()
    with pytest.raises(ValueError, match="folds must hold 12 labels; got 3"):
        rsa.noise_ceiling(data, folds=[0, 1, 2])
    with pytest.raises(ValueError, match="at least 3 conditions; fold 'b' has 2"):
        rsa.noise_ceiling(data, folds=list("aaaaaaaaaabb"))
    data[0, :3] = data[0, 11:13] = 1  # among the first three conditions
    data[0, [0, 1, 11]] = 1
    with pytest.raises(ValueError, match="corr is not defined for all subjects in each fold"):
        rsa.noise_ceiling(data, method="corr", folds=[0, 0, 0, *[1] * 9])


def test_wrong_choices() -> None:
    data = rsa.RDMs(subjects())
    with pytest.raises(ValueError, match="'mean-rdm', 'optimal', 'split-half'; got 'best'"):
        rsa.noise_ceiling(data, kind="best")
    with pytest.raises(ValueError, match="got 'tau'"):
        rsa.noise_ceiling(data, method="tau")
    with pytest.raises(TypeError, match="rdms must be RDMs, made with"):
        rsa.noise_ceiling(None)  # type: ignore[arg-type]
