"""The bootstrap of models' scores: against loops, rsatoolbox, and what must hold."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.rsa._resample import draw_counts
from oracle.resampling import sample_ceilings, sample_scores
from tolerances import TOLERANCES

METHODS = ("corr", "cosine", "corr_cov", "cosine_cov", "spearman", "rho-a", "tau-a", "tau-b")
N_MODEL, N_SUBJECT, N_COND = 3, 5, 9

Values = NDArray[np.float64]


def make(n_cond: int = N_COND, n_subject: int = N_SUBJECT, seed: int = 0) -> tuple[Values, Values]:
    rng = np.random.default_rng(seed)
    shared = rng.random(n_cond * (n_cond - 1) // 2)
    weight = np.array([1.0, 0.5, 0.2])[:, None]
    models = weight * shared + rng.random((N_MODEL, len(shared)))
    return models, shared + 1.5 * rng.random((n_subject, len(shared)))


def draws(result: rsa.BootstrapResult, n_cond: int, n_subject: int) -> tuple[Values, Values]:
    """Draw what the seed stands for: conditions first, then subjects."""
    rng = np.random.default_rng(result.seed)
    conditions = draw_counts(rng, result.n_boot, n_cond, at_least=3, groups=np.arange(n_cond))
    return conditions, draw_counts(
        rng, result.n_boot, n_subject, at_least=1, groups=np.arange(n_subject)
    )


@pytest.mark.parametrize("kind", ["mean-rdm", "optimal"])
@pytest.mark.parametrize("method", METHODS)
def test_samples_are_those_of_a_loop(method: str, kind: str) -> None:
    models, data = make()
    result = rsa.bootstrap(models, data, n_boot=6, method=method, ceiling=kind, random_state=1)
    conditions, subjects = draws(result, N_COND, N_SUBJECT)
    ones_c, ones_s = np.ones(N_COND), np.ones(N_SUBJECT)
    for samples, cs, us in (
        (result.samples, conditions, subjects),
        (result.parts["conditions"], conditions, [ones_s] * 6),
        (result.parts["subjects"], [ones_c] * 6, subjects),
    ):
        for i, (c, u) in enumerate(zip(cs, us, strict=True)):
            scores = sample_scores(method, models, data, c)
            np.testing.assert_allclose(
                samples.scores[i],
                np.average(scores, axis=1, weights=u),
                rtol=0,
                atol=TOLERANCES["fp64_score"],
            )
            assert samples.ceilings is not None
            np.testing.assert_allclose(
                samples.ceilings[i],
                sample_ceilings(method, kind, data, c, u),
                rtol=0,
                atol=TOLERANCES["fp64_score"],
            )
    np.testing.assert_allclose(
        result.scores,
        sample_scores(method, models, data, ones_c).mean(1),
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )
    assert result.ceiling is not None
    assert (result.ceiling.lower, result.ceiling.upper) == pytest.approx(
        sample_ceilings(method, kind, data, ones_c, ones_s), abs=TOLERANCES["fp64_score"]
    )


@pytest.mark.parametrize("over", ["conditions", "subjects"])
def test_variance_over_one_factor(over: str) -> None:
    models, data = make()
    result = rsa.bootstrap(models, data, n_boot=50, over=over, method="corr", random_state=2)
    n = {"conditions": N_COND, "subjects": N_SUBJECT}[over]
    assert (result.over, dict(result.n), result.dof) == ((over,), {over: n}, n - 1)
    expected = result.samples.scores.var(0, ddof=1) * n / (n - 1)
    np.testing.assert_allclose(result.variance, expected, rtol=TOLERANCES["fp64_reduction"])


def test_variance_of_subjects_is_that_of_their_mean() -> None:
    """With one factor and many samples: the squared standard error of the mean."""
    models, data = make(seed=3)
    result = rsa.bootstrap(
        models, data, n_boot=20_000, over="subjects", method="corr", ceiling=None, random_state=0
    )
    scores = rsa.compare(models, data, method="corr").scores
    sem = scores.var(1, ddof=1) / N_SUBJECT
    # A variance from 20,000 samples has a relative standard error of sqrt(2 / 20,000) = 0.01.
    np.testing.assert_allclose(result.variance, sem, rtol=0.04)


def test_dual_variance_is_that_of_the_formula_and_its_bounds() -> None:
    models, data = make(seed=4)
    result = rsa.bootstrap(models, data, n_boot=200, method="spearman", random_state=5)
    assert result.samples.ceilings is not None
    c, s = N_COND / (N_COND - 1), N_SUBJECT / (N_SUBJECT - 1)
    both, of_c, of_s = (
        samples.scores.var(0, ddof=1)
        for samples in (result.samples, result.parts["conditions"], result.parts["subjects"])
    )
    plain = s * of_s + c * of_c - s * c * (both - of_s - of_c)
    expected = np.minimum(np.maximum(plain, np.maximum(s * of_s, c * of_c)), both)
    np.testing.assert_allclose(result.variance, expected, rtol=TOLERANCES["fp64_reduction"])
    assert result.dof == min(N_COND, N_SUBJECT) - 1
    assert (result.variance <= both).all()


def oracle_variances(result: rsa.BootstrapResult) -> tuple[Values, Values, Values]:
    """Variances of models, of their differences, and of ceilings less models, by rsatoolbox."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("rsatoolbox")
        from rsatoolbox.util.inference_util import extract_variances

    parts = [result.samples, result.parts["subjects"], result.parts["conditions"]]
    covariances = []
    for part in parts:
        assert part.ceilings is not None
        covariances.append(np.cov(np.hstack([part.scores, part.ceilings]).T))
    n = {"n_rdm": result.n["subjects"], "n_pattern": result.n["conditions"]}
    return extract_variances(np.stack(covariances), nc_included=True, **n)  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", ["corr", "tau-a"])
def test_variances_are_those_of_rsatoolbox(method: str) -> None:
    models, data = make(seed=6)
    result = rsa.bootstrap(models, data, n_boot=300, method=method, random_state=7)
    of_models, of_differences, of_ceilings = oracle_variances(result)
    np.testing.assert_allclose(result.variance, of_models, rtol=TOLERANCES["fp64_score"])
    table = result.compare_models()
    reach = scipy_stats.t.ppf(0.975, result.dof) * np.sqrt(of_differences)
    np.testing.assert_allclose(table["high"] - table["difference"], reach, rtol=1e-9)
    np.testing.assert_allclose(
        table["p"],
        2 * scipy_stats.t.sf(np.abs(table["difference"]) / np.sqrt(of_differences), result.dof),
        rtol=1e-9,
    )
    ceiling = result.compare_ceiling()
    reach = scipy_stats.t.ppf(0.975, result.dof) * np.sqrt(of_ceilings[:, 0])
    np.testing.assert_allclose(ceiling["difference"] - ceiling["low"], reach, rtol=1e-9)


@pytest.mark.parametrize(
    "method", ["corr", "cosine", "spearman", "rho-a", "tau-a", "cosine_cov", "corr_cov"]
)
def test_samples_of_conditions_are_those_of_rsatoolbox(method: str) -> None:
    """Copies against each other are NaN there and left out here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("rsatoolbox")
        from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
        from rsatoolbox.rdm import RDMs, compare

        models, data = make(n_cond=10, seed=8)
        result = rsa.bootstrap(
            models,
            data,
            n_boot=5,
            over="conditions",
            method=method,
            ceiling="optimal",
            random_state=9,
        )
        conditions, _ = draws(result, 10, N_SUBJECT)
        ours = np.column_stack([result.samples.scores, result.samples.ceilings])
        for row, c in zip(ours, conditions, strict=True):
            drawn = np.repeat(np.arange(10), c.astype(int))
            sample, predicted = (
                RDMs(values).subsample_pattern("index", drawn) for values in (data, models)
            )
            scores = compare(predicted, sample, method).mean(1)
            np.testing.assert_allclose(row[:N_MODEL], scores, rtol=0, atol=1e-9)
            if not method.endswith("_cov"):  # whose pools rsatoolbox scales without whitening
                np.testing.assert_allclose(
                    row[N_MODEL:], boot_noise_ceiling(sample, method), rtol=0, atol=1e-9
                )


def test_intervals() -> None:
    models, data = make(seed=10)
    result = rsa.bootstrap(models, data, n_boot=199, random_state=11)
    t = result.conf_int(0.9)
    reach = scipy_stats.t.ppf(0.95, result.dof) * result.standard_error
    np.testing.assert_allclose(t, np.stack([result.scores - reach, result.scores + reach], 1))
    # rsatoolbox's limits have one sign on both sides.
    assert ((t[:, 0] < result.scores) & (result.scores < t[:, 1])).all()
    percentile = result.conf_int(0.9, kind="percentile")
    np.testing.assert_allclose(percentile.T, np.quantile(result.samples.scores, [0.05, 0.95], 0))


def test_pairs_of_models() -> None:
    models, data = make(seed=12)
    result = rsa.bootstrap(models, data, n_boot=99, over="subjects", random_state=13)
    table = result.compare_models(test="percentile", adjust="bonferroni")
    for row, (a, b) in zip(table.itertuples(), itertools.combinations(range(3), 2), strict=True):
        difference = result.samples.scores[:, a] - result.samples.scores[:, b]
        assert (row.model_a, row.model_b) == (result.models[a], result.models[b])
        assert row.difference == pytest.approx(result.scores[a] - result.scores[b])
        count = min((difference <= 0).sum(), (difference >= 0).sum())
        assert row.p == pytest.approx(min(1, 2 * (count + 1) / 100))
        assert row.p_adjusted == pytest.approx(min(1, 3 * row.p))
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(difference, [0.025, 0.975])))


def test_p_values_of_a_bootstrap_are_never_above_one() -> None:
    """They are (count + 1) / (N + 1): with N samples, all ties, rsatoolbox gives (N + 1) / N."""
    models, data = make(seed=14)
    same = np.vstack([models[0], models[0]])
    result = rsa.bootstrap(same, data, n_boot=50, random_state=15)
    table = result.compare_models(test="percentile")
    assert table["p"].item() == 1
    assert table["difference"].item() == 0


def test_a_difference_is_surer_than_its_parts() -> None:
    """Samples are shared by models, so what moves both cancels."""
    models, data = make(seed=16)
    alike = np.vstack([models[0], models[0] + 1e-3 * models[1]])
    result = rsa.bootstrap(alike, data, n_boot=200, method="corr", random_state=17)
    table = result.compare_models()
    assert table["high"].item() - table["low"].item() < 0.02 * np.ptp(result.conf_int(), axis=1)[0]


def test_frame_and_text() -> None:
    models, data = make(seed=18)
    result = rsa.bootstrap(
        rsa.RDMs(models, names=["a", "b", "c"]), data, n_boot=60, method="pearson", random_state=19
    )
    frame = result.to_frame()
    assert list(frame["model"]) == ["a", "b", "c"]
    np.testing.assert_allclose(frame["score"], result.scores)
    p = scipy_stats.t.sf(result.scores / result.standard_error, result.dof)
    np.testing.assert_allclose(frame["p"], p)
    text = repr(result)
    assert text.startswith(
        "BootstrapResult: 3 models, corr, 60 samples of 9 conditions x 5 subjects, seed 19"
    )
    assert "NoiseCeiling(" in text


def test_groups_are_drawn_together() -> None:
    models, data = make(n_cond=12, n_subject=6, seed=20)
    result = rsa.bootstrap(
        models,
        data,
        n_boot=40,
        condition_groups=list("aabbccddeeff"),
        subject_groups=[0, 0, 1, 1, 2, 2],
        method="corr",
        random_state=21,
    )
    assert dict(result.n) == {"conditions": 6, "subjects": 3}
    assert result.dof == 2
    rng = np.random.default_rng(21)
    conditions = draw_counts(rng, 40, 12, at_least=3, groups=np.arange(12) // 2)
    expected = sample_scores("corr", models, data, conditions[0]).mean(1)
    np.testing.assert_allclose(result.parts["conditions"].scores[0], expected, atol=1e-10, rtol=0)


def test_joined_by_id_and_repeatable() -> None:
    models, data = make(seed=22)
    ids = [f"s{i}" for i in range(N_COND)]
    order = np.random.default_rng(0).permutation(N_COND)
    there = rsa.RDMs(data, ids=ids).select([ids[i] for i in order])
    first, again, plain = (
        rsa.bootstrap(x, y, n_boot=20, method="corr", random_state=np.random.default_rng(3))
        for x, y in (
            (rsa.RDMs(models, ids=ids), there),
            (rsa.RDMs(models, ids=ids), there),
            (models, data),
        )
    )
    np.testing.assert_array_equal(first.samples.scores, again.samples.scores)
    np.testing.assert_allclose(first.samples.scores, plain.samples.scores, rtol=0, atol=1e-12)
    assert first.seed == plain.seed


@pytest.mark.parametrize("method", METHODS)
def test_same_bits_for_any_thread_count(method: str) -> None:
    import torch

    models, data = make(n_cond=15, seed=23)
    before = torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            results.append(rsa.bootstrap(models, data, n_boot=300, method=method, random_state=1))
    finally:
        torch.set_num_threads(before)
    one, two = results
    np.testing.assert_array_equal(one.samples.scores, two.samples.scores)
    np.testing.assert_array_equal(one.samples.ceilings, two.samples.ceilings)
    np.testing.assert_array_equal(one.variance, two.variance)


def test_one_subject() -> None:
    models, data = make(n_subject=1, seed=24)
    with pytest.raises(ValueError, match="over subjects needs at least 2 of them; got 1"):
        rsa.bootstrap(models, data)
    result = rsa.bootstrap(models, data, over="conditions", n_boot=30, random_state=0)
    assert result.ceiling is None
    assert np.isfinite(result.variance).all()
    with pytest.raises(ValueError, match="there is no ceiling"):
        result.compare_ceiling()


def test_undefined_samples_are_left_out() -> None:
    rows, columns = np.triu_indices(6, 1)
    category = ((rows < 3) != (columns < 3)).astype(float)
    _, data = make(n_cond=6, seed=25)
    result = rsa.bootstrap(
        category, data, n_boot=400, over="conditions", method="corr", random_state=0
    )
    undefined = np.isnan(result.samples.scores[:, 0])
    assert 0 < undefined.sum() < 200
    known = result.samples.scores[~undefined, 0]
    assert result.variance[0] == pytest.approx(known.var(ddof=1) * 6 / 5)


def test_wrong_arguments() -> None:
    models, data = make()
    with pytest.raises(ValueError, match=r"method must be one of .*got 'tau'"):
        rsa.bootstrap(models, data, method="tau")
    with pytest.raises(ValueError, match="over must be one of 'conditions', 'subjects'"):
        rsa.bootstrap(models, data, over="patterns")
    with pytest.raises(ValueError, match="got nothing"):
        rsa.bootstrap(models, data, over=())
    with pytest.raises(ValueError, match="n_boot must be at least 2"):
        rsa.bootstrap(models, data, n_boot=1)
    with pytest.raises(ValueError, match="condition_groups must hold 9 labels; got 2"):
        rsa.bootstrap(models, data, condition_groups=[1, 2])
    with pytest.raises(ValueError, match="same conditions; got 9 and 8"):
        rsa.bootstrap(models, make(n_cond=8)[1])
    constant = np.vstack([models, np.ones(36)])
    for method in ("corr", "corr_cov", "spearman", "tau-b"):
        with pytest.raises(ValueError, match="not all equal"):
            rsa.bootstrap(constant, data, method=method)
    with pytest.raises(ValueError, match="not all zero"):
        rsa.bootstrap(0 * models, data, method="cosine_cov")
    result = rsa.bootstrap(models[0], data, n_boot=10)
    with pytest.raises(ValueError, match="at least 2 models; got 1"):
        result.compare_models()
    with pytest.raises(ValueError, match="level must be in"):
        result.conf_int(95)
    with pytest.raises(ValueError, match="kind must be one of"):
        result.conf_int(kind="bca")


@pytest.mark.parametrize("method", ["corr", "tau-b"])
def test_it_can_be_stopped(method: str) -> None:
    models, data = make()
    with pytest.raises(Cancelled):
        rsa.bootstrap(models, data, n_boot=5000, method=method, progress=lambda done, total: False)
