"""Noise ceilings against closed forms, rsatoolbox, and explicit pools."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from dnnbrain_cpp import rsa
from oracle.rsa import SCORES
from tolerances import TOLERANCES

METHODS = list(rsa.METHODS)


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


def test_wrong_choices() -> None:
    data = rsa.RDMs(subjects())
    with pytest.raises(ValueError, match="'mean-rdm', 'optimal'; got 'best'"):
        rsa.noise_ceiling(data, kind="best")
    with pytest.raises(ValueError, match="got 'tau'"):
        rsa.noise_ceiling(data, method="tau")
    with pytest.raises(TypeError, match="rdms must be RDMs, made with"):
        rsa.noise_ceiling(None)  # type: ignore[arg-type]
