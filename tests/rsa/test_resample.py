"""Scores and ceilings in samples, against samples that are written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp.rsa import _resample
from dnnbrain_cpp.rsa._resample import draw_counts, make_sampler
from oracle.resampling import sample_ceilings, sample_scores
from tolerances import TOLERANCES

METHODS = ("corr", "cosine", "corr_cov", "cosine_cov", "spearman", "rho-a", "tau-a", "tau-b")
RANKS = ("spearman", "rho-a", "tau-a", "tau-b")
KINDS = ("mean-rdm", "optimal")

Values = NDArray[np.float64]


def rdms(n_rdm: int, n_cond: int, seed: int, *, ties: str = "none") -> Values:
    """RDMs that share something, at unequal scales; ties="few" or "many" rounds them."""
    rng = np.random.default_rng(seed)
    n_pair = n_cond * (n_cond - 1) // 2
    values = 3 * np.random.default_rng(99).random(n_pair) + 2 * rng.random((n_rdm, n_pair))
    if ties != "none":
        values = np.round(values * (5 if ties == "few" else 0.8))
    return values * rng.integers(1, 4, (n_rdm, 1))


def counts_of(n_boot: int, n_cond: int, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    return draw_counts(rng, n_boot, n_cond, at_least=3, groups=np.arange(n_cond))


@pytest.mark.parametrize("ties", ["none", "few", "many"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_cond", [10, 13])
def test_scores_are_those_of_written_out_samples(method: str, n_cond: int, ties: str) -> None:
    models, subjects = rdms(3, n_cond, 1, ties=ties), rdms(2, n_cond, 2)
    subjects = np.vstack([subjects, rdms(1, n_cond, 3, ties=ties)])
    counts = counts_of(6, n_cond, 4)
    scores = make_sampler(models, subjects, method, None, 1).scores(counts, None)
    expected = np.stack([sample_scores(method, models, subjects, c) for c in counts])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ties", ["none", "few"])
def test_ceilings_are_those_of_written_out_samples(method: str, kind: str, ties: str) -> None:
    subjects = rdms(4, 9, 5, ties=ties)
    counts = counts_of(5, 9, 6)
    copies = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [3, 1, 0, 0], [0, 2, 2, 0], [1, 0, 0, 3.0]])
    sampler = make_sampler(subjects[:1], subjects, method, kind, 1)
    ceilings = sampler.ceilings(counts, copies, None)
    expected = [
        sample_ceilings(method, kind, subjects, c, u) for c, u in zip(counts, copies, strict=True)
    ]
    np.testing.assert_allclose(ceilings, expected, rtol=0, atol=TOLERANCES["fp64_score"])
    assert (ceilings[:, 0] < ceilings[:, 1]).all()
    one = np.ones((1, 9))
    np.testing.assert_allclose(
        sampler.ceilings(one, copies, None),
        [sample_ceilings(method, kind, subjects, one[0], u) for u in copies],
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )


@pytest.mark.parametrize("method", METHODS)
def test_one_distinct_subject_has_no_lower_bound(method: str) -> None:
    subjects = rdms(3, 8, 7)
    sampler = make_sampler(subjects, subjects, method, "optimal", 1)
    ceilings = sampler.ceilings(counts_of(1, 8, 8), np.array([[0, 3.0, 0]]), None)
    assert np.isnan(ceilings[0, 0])
    if method not in ("tau-a", "rho-a"):  # those of copies, which are ties, are below 1
        assert ceilings[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_that_was_not_drawn_has_no_say(method: str, kind: str) -> None:
    subjects = rdms(3, 8, 9)
    counts = np.array([[3, 3, 1, 1, 0, 0, 0, 0.0]])
    copies = np.array([[2, 1, 0.0]])
    changed = subjects.copy()
    changed[2] = 0  # undefined
    before, after = (
        make_sampler(subjects[:1], data, method, kind, 1).ceilings(counts, copies, None)
        for data in (subjects, changed)
    )
    np.testing.assert_allclose(before, after, rtol=0, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("method", ["corr", "spearman", "tau-b", "corr_cov"])
def test_an_rdm_that_is_constant_in_a_sample_has_no_score(method: str) -> None:
    n_cond = 6
    rows, columns = np.triu_indices(n_cond, 1)
    category = ((rows < 3) != (columns < 3)).astype(float)  # constant within a category
    models = np.vstack([category, rdms(1, n_cond, 10)[0]])
    counts = np.array([[2, 2, 2, 0, 0, 0], [2, 1, 0, 2, 1, 0.0]])
    scores = make_sampler(models, rdms(2, n_cond, 11), method, None, 1).scores(counts, None)
    assert np.isnan(scores[0, 0]).all()
    assert np.isfinite(scores[0, 1]).all()
    assert np.isfinite(scores[1]).all()


@pytest.mark.parametrize("n_cond", [6, 8, 10])
@pytest.mark.parametrize("method", ["corr_cov", "cosine_cov"])
def test_whitening_where_one_condition_is_most_of_the_sample(method: str, n_cond: int) -> None:
    """At c = n / 2 + 1 copies a diagonal entry vanishes; beyond, it is negative."""
    counts = np.zeros((3, n_cond))
    for row, most in enumerate((n_cond // 2, n_cond // 2 + 1, n_cond - 3)):
        counts[row, 1] = most
        counts[row, 3:5] = 1
        counts[row, 5] = n_cond - most - 2
    assert (counts.sum(1) == n_cond).all()
    models, subjects = rdms(2, n_cond, 12), rdms(2, n_cond, 13)
    scores = make_sampler(models, subjects, method, None, 1).scores(counts, None)
    expected = np.stack([sample_scores(method, models, subjects, c) for c in counts])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_scale_and_offset(method: str, scale: float) -> None:
    models, subjects = rdms(2, 8, 14), rdms(3, 8, 15)
    counts = counts_of(4, 8, 16)
    copies = np.ones((4, 3))
    expected, scaled = (
        make_sampler(models, subjects * by, method, "optimal", 1) for by in (1, scale)
    )
    tolerance = TOLERANCES["fp64_score"]
    np.testing.assert_allclose(
        scaled.scores(counts, None), expected.scores(counts, None), rtol=0, atol=tolerance
    )
    np.testing.assert_allclose(
        scaled.ceilings(counts, copies, None),
        expected.ceilings(counts, copies, None),
        rtol=0,
        atol=tolerance,
    )


@pytest.mark.parametrize("method", RANKS)
def test_same_bits_for_any_thread_count(method: str) -> None:
    models, subjects = rdms(3, 14, 17, ties="few"), rdms(4, 14, 18)
    counts, copies = counts_of(300, 14, 19), counts_of(300, 4, 20)
    one, three = (make_sampler(models, subjects, method, "mean-rdm", n) for n in (1, 3))
    np.testing.assert_array_equal(one.scores(counts, None), three.scores(counts, None))
    np.testing.assert_array_equal(
        one.ceilings(counts, copies, None), three.ceilings(counts, copies, None)
    )


def test_more_copies_than_16_bits_count() -> None:
    """Counters widen when a sample holds more than 65,535 pairs."""
    models, subjects = rdms(2, 8, 21, ties="few"), rdms(2, 8, 22)
    counts = np.full((1, 8), 1.0)
    many = 60 * counts  # 100,800 pairs, of which each of the 28 comes 3,600 times
    for method in ("tau-b", "spearman"):
        sampler = make_sampler(models, subjects, method, None, 1)
        np.testing.assert_allclose(
            sampler.scores(many, None),
            sampler.scores(counts, None),
            rtol=0,
            atol=TOLERANCES["fp64_score"],
        )


@pytest.mark.parametrize("n_cond", [20, 63])
def test_many_ranks_and_all_digits(n_cond: int) -> None:
    """Ranks of one, two and three digits of the counters."""
    models, subjects = rdms(2, n_cond, 23, ties="few"), rdms(1, n_cond, 24)
    counts = counts_of(2, n_cond, 25)
    scores = make_sampler(models, subjects, "tau-b", None, 1).scores(counts, None)
    expected = np.stack([sample_scores("tau-b", models, subjects, c) for c in counts])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("method", RANKS)
def test_models_in_parts(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large jobs go through a few models at a time, so that they can be stopped."""
    models, subjects = rdms(5, 9, 29), rdms(2, 9, 30)
    counts = counts_of(3, 9, 31)
    sampler = make_sampler(models, subjects, method, None, 1)
    whole = sampler.scores(counts, None)
    monkeypatch.setattr(_resample, "_MOST_COMPARED", 2 * 36 * 2)
    steps: list[tuple[int, int]] = []
    parts = sampler.scores(counts, lambda done, total: steps.append((done, total)))
    np.testing.assert_array_equal(parts, whole)
    assert {total for _, total in steps} <= {9}


def test_counts() -> None:
    counts = counts_of(400, 9, 26)
    assert (counts.sum(1) == 9).all()
    assert ((counts > 0).sum(1) >= 3).all()
    # Standard error of a mean count over 400 samples: sqrt((1 - 1 / 9) / 400) = 0.047.
    np.testing.assert_allclose(counts.mean(0), 1, atol=4 * 0.047)
    groups = np.array([0, 0, 1, 1, 1, 2])
    grouped = draw_counts(np.random.default_rng(0), 200, 6, at_least=3, groups=groups)
    np.testing.assert_array_equal(grouped[:, 0], grouped[:, 1])
    np.testing.assert_array_equal(grouped[:, 2], grouped[:, 4])
    assert (grouped[:, [0, 2, 5]].sum(1) == 3).all()
    assert not np.array_equal(grouped[:, 0], grouped[:, 2])


def test_the_core_refuses_what_does_not_fit() -> None:
    x, counts = rdms(2, 6, 27), counts_of(2, 6, 28)
    with pytest.raises(ValueError, match="at least one RDM of 21 pairs; got shape \\(2, 15\\)"):
        core.resampled_scores(x, x, np.ones((2, 7)), core.Comparator.tau_a, 1, None)
    with pytest.raises(ValueError, match="must be one of ranks"):
        core.resampled_scores(x, x, counts, core.Comparator.corr, 1, None)
    with pytest.raises(ValueError, match="of the same samples"):
        core.resampled_ceilings(
            x, counts, np.ones((3, 2)), core.Comparator.tau_a, core.PooledAs.ranks, 1, None
        )
