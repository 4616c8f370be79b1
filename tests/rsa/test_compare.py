"""Scores of models with subjects, against SciPy, rsatoolbox and all pairs of pairs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import AlignmentWarning
from oracle.rsa import SCORES, kendall_s, relabel, score_matrix
from tolerances import TOLERANCES

METHODS = list(rsa.METHODS)
N_COND = 9
N_PAIR = N_COND * (N_COND - 1) // 2


def draw(n_rdm: int, levels: int | None, seed: int, n_cond: int = N_COND) -> NDArray[np.float64]:
    """RDMs of reals, or of few levels: heavy ties."""
    rng = np.random.default_rng(seed)
    shape = (n_rdm, n_cond * (n_cond - 1) // 2)
    if levels is None:
        return rng.standard_normal(shape)
    drawn = rng.integers(0, levels, shape).astype(float)
    drawn[:, :2] = 0, levels - 1  # never constant
    return drawn


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("levels", [(None, None), (4, None), (None, 4), (2, 3), (2, 2)])
def test_scores_equal_scipy(method: str, levels: tuple[int | None, int | None]) -> None:
    models, data = draw(4, levels[0], 0), draw(3, levels[1], 1)
    result = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), method=method)
    expected = score_matrix(method, models, data)
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=TOLERANCES["fp64_reduction"])
    np.testing.assert_allclose(
        result.group_scores, expected.mean(1), rtol=0, atol=TOLERANCES["fp64_reduction"]
    )
    assert result.p_values is None
    assert result.group_p_values is None


@pytest.mark.parametrize("method", [name for name in METHODS if "cka" not in name])
@pytest.mark.parametrize("levels", [None, 5])
def test_scores_equal_rsatoolbox(method: str, levels: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        toolbox = pytest.importorskip("rsatoolbox")
    models, data = draw(3, levels, 2), draw(4, levels, 3)
    if method == "cosine":
        models, data = np.abs(models), np.abs(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = toolbox.rdm.compare(
            toolbox.rdm.RDMs(models), toolbox.rdm.RDMs(data), method=method
        )
    result = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), method=method)
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=TOLERANCES["fp64_reduction"])


@pytest.mark.parametrize("levels_x", [None, 1000, 30, 3, 2])
@pytest.mark.parametrize("levels_y", [None, 1000, 30, 3, 2])
def test_tau_is_exact_with_any_ties(levels_x: int | None, levels_y: int | None) -> None:
    x, y = draw(1, levels_x, 4, n_cond=31), draw(1, levels_y, 5, n_cond=31)
    m = x.shape[1]
    s = kendall_s(x[0], y[0])
    tau_a = rsa.compare(rsa.RDMs(x), rsa.RDMs(y), method="tau-a").scores[0, 0]
    tau_b = rsa.compare(rsa.RDMs(x), rsa.RDMs(y), method="tau-b").scores[0, 0]
    assert tau_a == s / (m * (m - 1) / 2)
    expected = kendalltau(x[0], y[0], variant="b").statistic
    assert tau_b == pytest.approx(expected, abs=TOLERANCES["fp64_reduction"])


def test_tau_with_more_pairs_than_16_bits_count() -> None:
    """363 conditions have more pairs than a 16-bit counter holds; 362 do not."""
    for n_cond in (362, 363):
        x, y = draw(1, 500, 6, n_cond=n_cond), draw(1, None, 7, n_cond=n_cond)
        tau = rsa.compare(rsa.RDMs(x), rsa.RDMs(y), method="tau-b").scores[0, 0]
        expected = kendalltau(x[0], y[0]).statistic
        assert tau == pytest.approx(expected, abs=TOLERANCES["fp64_reduction"])


@pytest.mark.parametrize("method", METHODS)
def test_of_itself_and_of_its_opposite(method: str) -> None:
    x = draw(1, None, 8)
    data = rsa.RDMs(np.vstack([x, -2 * x, -3 * x]))  # no pool of these is zero
    scores = rsa.compare(rsa.RDMs(x), data, method=method).scores[0]
    np.testing.assert_allclose(scores, [1, -1, -1], rtol=0, atol=TOLERANCES["fp64_reduction"])


@pytest.mark.parametrize("method", METHODS)
def test_joint_relabelling_of_conditions_changes_nothing(method: str) -> None:
    models, data = draw(2, 6, 9), draw(3, None, 10)
    order = np.random.default_rng(11).permutation(N_COND)
    before = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), method=method).scores
    after = rsa.compare(
        rsa.RDMs([relabel(x, order) for x in models]),
        rsa.RDMs([relabel(y, order) for y in data]),
        method=method,
    ).scores
    np.testing.assert_allclose(after, before, rtol=0, atol=TOLERANCES["fp64_reduction"])
    other = rsa.compare(
        rsa.RDMs([relabel(x, order) for x in models]), rsa.RDMs(data), method=method
    ).scores
    assert not np.allclose(other, before)  # or the test above could not fail


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e9, 1e150])
def test_scores_do_not_depend_on_the_scale(method: str, scale: float) -> None:
    models, data = np.abs(draw(2, None, 12)), np.abs(draw(3, None, 13))
    expected = rsa.compare(rsa.RDMs(models), rsa.RDMs(data), method=method)
    result = rsa.compare(rsa.RDMs(models * scale), rsa.RDMs(data * scale), method=method)
    np.testing.assert_allclose(
        result.scores, expected.scores, rtol=0, atol=TOLERANCES["fp64_reduction"]
    )


def test_ids_join_in_any_order() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    models, data = draw(2, None, 14), draw(3, None, 15)
    expected = rsa.compare(rsa.RDMs(models, ids=ids), rsa.RDMs(data, ids=ids)).scores
    order = np.random.default_rng(16).permutation(N_COND)
    shuffled = rsa.RDMs([relabel(y, order) for y in data], ids=[ids[i] for i in order])
    np.testing.assert_array_equal(rsa.compare(rsa.RDMs(models, ids=ids), shuffled).scores, expected)


def test_without_ids_on_one_side_it_warns_and_says_which() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    models, data = draw(1, None, 17), draw(1, None, 18)
    with pytest.warns(AlignmentWarning, match="the data have no ids"):
        rsa.compare(rsa.RDMs(models, ids=ids), rsa.RDMs(data))
    with pytest.warns(AlignmentWarning, match="the models have no ids") as caught:
        rsa.compare(rsa.RDMs(models), rsa.RDMs(data, ids=ids))
    assert caught[0].filename == __file__
    rsa.compare(rsa.RDMs(models), rsa.RDMs(data))  # neither has: nothing to say


def test_unequal_conditions_are_errors() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    x = rsa.RDMs(draw(1, None, 19), ids=ids)
    with pytest.raises(ValueError, match=r"same condition ids; 2 are on one side only.*'c0'"):
        rsa.compare(x, rsa.RDMs(draw(1, None, 20), ids=[*ids[1:], "new"]))
    with pytest.raises(ValueError, match="same conditions; got 9 and 5"):
        rsa.compare(x, rsa.RDMs(draw(1, None, 20, n_cond=5)))


@pytest.mark.parametrize("method", ["corr", "spearman", "tau-b", "cosine"])
def test_rdms_without_a_score_are_named(method: str) -> None:
    flat = np.zeros(N_PAIR) if method == "cosine" else np.full(N_PAIR, 0.3)
    good = rsa.RDMs(draw(2, None, 21), names=["a", "b"])
    bad = rsa.RDMs(np.vstack([draw(1, None, 22), flat]), names=["fine", "flat"])
    with pytest.raises(ValueError, match=rf"{method}.*'flat' in data"):
        rsa.compare(good, bad, method=method)
    with pytest.raises(ValueError, match=rf"{method}.*'flat' in models"):
        rsa.compare(bad, good, method=method)


@pytest.mark.parametrize("method", ["tau-a", "rho-a"])
def test_constant_rdms_score_zero_where_that_has_a_meaning(method: str) -> None:
    flat = rsa.RDMs(np.full((1, N_PAIR), 0.3))
    assert rsa.compare(flat, rsa.RDMs(draw(1, None, 23)), method=method).scores[0, 0] == 0


@pytest.mark.parametrize(
    ("alias", "method"), [("pearson", "corr"), ("kendalltau", "tau-b"), ("kendall", "tau-b")]
)
def test_scipys_names_are_understood(alias: str, method: str) -> None:
    x, y = rsa.RDMs(draw(1, None, 24)), rsa.RDMs(draw(1, None, 25))
    result = rsa.compare(x, y, method=alias)
    assert result.method == method
    assert result.scores[0, 0] == pytest.approx(
        SCORES[method](x.dissimilarities[0], y.dissimilarities[0])
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "tau"}, ValueError, "'cka', 'cka-unbiased'; got 'tau'"),
        ({"alternative": "both"}, ValueError, "'two-sided', 'greater', 'less'; got 'both'"),
        ({"n_perm": -1}, ValueError, "n_perm must be at least 0; got -1"),
        ({"n_perm": 10.0}, TypeError, "n_perm must be an integer; got 10.0"),
        ({"n_perm": 9, "random_state": -1}, ValueError, "random_state must be in"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1; got 0"),
        ({"progress": 3}, TypeError, "progress must be"),
    ],
)
def test_wrong_arguments(change: dict[str, object], error: type[Exception], message: str) -> None:
    x = rsa.RDMs(draw(1, None, 26))
    with pytest.raises(error, match=message):
        rsa.compare(x, x, **change)  # type: ignore[arg-type]


def test_arrays_and_single_rdms_do() -> None:
    x, y = draw(2, None, 27), draw(1, None, 28)
    expected = rsa.compare(rsa.RDMs(x), rsa.RDMs(y)).scores
    for models, data in ((x, y), (rsa.RDMs(x).square(), rsa.RDMs(y)[0]), (rsa.RDMs(x), y[0])):
        np.testing.assert_array_equal(rsa.compare(models, data).scores, expected)
    with pytest.raises(ValueError, match=r"models must be RDMs, made with .* got 5"):
        rsa.compare(np.ones(5), y)


def test_frame_summary_and_repr() -> None:
    models = rsa.RDMs(draw(2, None, 28), names=["conv1", "fc6"])
    data = rsa.RDMs(draw(3, None, 29), names=["s1", "s2", "s3"])
    result = rsa.compare(models, data, method="spearman", n_perm=19, random_state=4)
    frame = result.to_frame()
    assert list(frame.columns) == ["model", "subject", "method", "score", "p", "p_fwe"]
    assert len(frame) == 6
    one = frame[(frame.model == "fc6") & (frame.subject == "s2")].iloc[0]
    assert one.score == result.scores[1, 1]
    assert one.p == result.p_values[1, 1]
    summary = result.summary()
    np.testing.assert_array_equal(summary["score"], result.scores.mean(1))
    np.testing.assert_allclose(summary["sem"], result.scores.std(1, ddof=1) / np.sqrt(3))
    for fact in ("2 models x 3 subjects", "spearman", "19 permutations", "seed 4", "NoiseCeiling"):
        assert fact in repr(result)


def test_one_subject_has_no_ceiling_and_no_standard_error() -> None:
    result = rsa.compare(rsa.RDMs(draw(2, None, 30)), rsa.RDMs(draw(1, None, 31)))
    assert result.ceiling is None
    assert np.isnan(result.summary()["sem"]).all()
    assert np.isnan(result.to_frame()["p"]).all()
