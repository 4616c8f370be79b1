"""RSA over time: each moment, windows, across moments, movies, groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import AlignmentWarning
from oracle.rsa import SCORES
from tolerances import TOLERANCES

N_TIME, N_COND, N_CHN = 11, 8, 9
N_PAIR = N_COND * (N_COND - 1) // 2
IDS = [f"c{i}" for i in range(N_COND)]


@pytest.fixture(scope="module")
def data() -> NDArray[np.float64]:
    """Return three subjects whose patterns appear at time 4 and stay."""
    rng = np.random.default_rng(0)
    code = rng.standard_normal((3, 1, N_COND, N_CHN))
    there = (np.arange(N_TIME) >= 4).astype(float)[None, :, None, None]
    return rng.standard_normal((3, N_TIME, N_COND, N_CHN)) + 2 * code * there


@pytest.fixture(scope="module")
def models() -> rsa.RDMs:
    values = np.random.default_rng(1).integers(0, 5, (2, N_PAIR)).astype(float)
    return rsa.RDMs(values, names=["a", "b"], ids=IDS)


@pytest.mark.parametrize("metric", ["correlation", "euclidean"])
@pytest.mark.parametrize("method", ["spearman", "tau-b", "cosine"])
def test_each_time_is_an_rdm_of_its_own(
    data: NDArray[Any], models: rsa.RDMs, metric: str, method: str
) -> None:
    result = rsa.timecourse(data, models, metric=metric, method=method, conditions=IDS)
    assert result.scores.shape == (3, 2, N_TIME)
    for subject in range(3):
        for time in range(N_TIME):
            own = rsa.rdm(data[subject, time], metric=metric).dissimilarities
            expected = [SCORES[method](model, np.ravel(own)) for model in models.dissimilarities]
            np.testing.assert_allclose(
                result.scores[subject, :, time], expected, rtol=0, atol=TOLERANCES["fp64_score"]
            )
    np.testing.assert_allclose(result.group_scores, result.scores.mean(0))
    np.testing.assert_allclose(result.sem, result.scores.std(0, ddof=1) / np.sqrt(3))


def test_windows_lay_samples_end_to_end(data: NDArray[Any], models: rsa.RDMs) -> None:
    times = np.linspace(-0.1, 0.4, N_TIME)
    result = rsa.timecourse(
        data[0], models, window=3, step=2, times=times, conditions=IDS, method="corr"
    )
    np.testing.assert_allclose(result.times, times[::2])
    assert result.scores.shape == (1, 2, 6)
    for place, centre in enumerate(range(0, N_TIME, 2)):
        samples = data[0, max(centre - 1, 0) : centre + 2]
        together = np.concatenate(list(samples), axis=1)
        expected = rsa.compare(models, rsa.rdm(together, ids=IDS), method="corr").scores[:, 0]
        np.testing.assert_allclose(
            result.scores[0, :, place], expected, rtol=0, atol=TOLERANCES["fp64_score"]
        )


def test_movie_is_what_is_scored(data: NDArray[Any], models: rsa.RDMs) -> None:
    movies = [rsa.rdm_movie(subject, conditions=IDS) for subject in data]
    assert len(movies[0]) == N_TIME
    assert movies[0].names[3] == "3"
    direct = rsa.timecourse(data, models, conditions=IDS, ceiling=True)
    scored = rsa.timecourse(movies, models, ceiling=True)
    np.testing.assert_allclose(scored.scores, direct.scores, rtol=0, atol=TOLERANCES["fp64_score"])
    assert direct.ceiling is not None
    assert scored.ceiling is not None
    np.testing.assert_allclose(
        scored.ceiling, direct.ceiling, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    at_five = rsa.RDMs(np.stack([movie.dissimilarities[5] for movie in movies]))
    expected = rsa.noise_ceiling(at_five, method="spearman")
    np.testing.assert_allclose(direct.ceiling[:, 5], [expected.lower, expected.upper])


def test_conditions_are_joined_by_id(data: NDArray[Any], models: rsa.RDMs) -> None:
    order = [2, 0, 1, 7, 5, 6, 3, 4]
    expected = rsa.timecourse(data, models, conditions=IDS)
    shuffled = rsa.timecourse(data[:, :, order], models, conditions=[IDS[i] for i in order])
    np.testing.assert_allclose(
        shuffled.scores, expected.scores, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    with pytest.warns(AlignmentWarning) as told:
        rsa.timecourse(data, models)
    assert told[0].filename == __file__
    unnamed = [rsa.RDMs(rsa.rdm_movie(subject).dissimilarities) for subject in data]
    with pytest.warns(AlignmentWarning) as told:
        rsa.timecourse(unnamed, models)
    assert told[0].filename == __file__


def across(left: NDArray[Any], right: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Distances across two times, pair by pair."""
    out = []
    for i in range(N_COND):
        for j in range(i + 1, N_COND):
            if metric == "correlation":
                r = [np.corrcoef(left[a], right[b])[0, 1] for a, b in ((i, j), (j, i))]
                out.append(1 - np.mean(r))
            else:
                out.append((left[i] - left[j]) @ (right[i] - right[j]))
    return np.array(out)


@pytest.mark.parametrize("metric", ["correlation", "sqeuclidean"])
def test_generalisation_over_time(data: NDArray[Any], models: rsa.RDMs, metric: str) -> None:
    result = rsa.timecourse(
        data[:2], models, metric=metric, conditions=IDS, generalize=True, method="spearman"
    )
    assert result.generalized
    assert result.scores.shape == (2, 2, N_TIME, N_TIME)
    for t in range(N_TIME):
        for u in range(N_TIME):
            distances = across(data[1, t], data[1, u], metric)
            expected = [SCORES["spearman"](model, distances) for model in models.dissimilarities]
            np.testing.assert_allclose(
                result.scores[1, :, t, u], expected, rtol=0, atol=TOLERANCES["fp64_score"]
            )
    diagonal = rsa.timecourse(data[:2], models, metric=metric, conditions=IDS)
    np.testing.assert_allclose(
        np.diagonal(result.scores, axis1=2, axis2=3),
        diagonal.scores,
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )


def test_generalisation_of_windows_and_threads(data: NDArray[Any], models: rsa.RDMs) -> None:
    options: dict[str, Any] = {"window": 3, "generalize": True, "conditions": IDS}
    one = rsa.timecourse(data[0], models, n_threads=1, **options)
    two = rsa.timecourse(data[0], models, n_threads=2, **options)
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.times, np.arange(1, N_TIME - 1))


def test_crossnobis_over_time(models: rsa.RDMs) -> None:
    rng = np.random.default_rng(3)
    conditions, runs = IDS * 4, [run for run in range(4) for _ in IDS]
    values = rng.standard_normal((N_TIME, len(runs), 60)) + 50
    code = rng.standard_normal((N_COND, 60))
    values[5:] += np.tile(code, (4, 1))
    movie = rsa.rdm_movie(values, metric="crossnobis", conditions=conditions, runs=runs)
    truth = ((code[:, None] - code[None]) ** 2).mean(2)[np.triu_indices(N_COND, 1)]
    assert abs(movie.dissimilarities[:5].mean()) < 0.1
    # Four standard errors; without crossvalidation noise would add 2 / 4.
    assert abs((movie.dissimilarities[5:] - truth).mean()) < 0.2
    model = rsa.RDMs(truth, ids=IDS)
    square = rsa.timecourse(
        values, model, metric="crossnobis", method="corr", conditions=conditions, runs=runs,
        generalize=True,
    ).scores[0, 0]  # fmt: skip
    assert square[5:, 5:].min() > 0.5  # the code stays
    assert np.abs(square[:5, 5:]).mean() < 0.4


def test_subjects_may_have_different_sensors(data: NDArray[Any], models: rsa.RDMs) -> None:
    ragged = [data[0], data[1][:, :, :6], data[2][:, :, :4]]
    result = rsa.timecourse(ragged, models, conditions=IDS, subjects=["x", "y", "z"])
    alone = rsa.timecourse(ragged[1], models, conditions=IDS)
    np.testing.assert_array_equal(result.scores[1], alone.scores[0])
    frame = result.to_frame()
    assert len(frame) == 3 * 2 * N_TIME
    row = frame[(frame.subject == "y") & (frame.model == "b") & (frame.time == 7)]
    assert row.score.item() == alone.scores[0, 1, 7]
    assert "highest mean" in repr(result)


def test_clusters_over_time(models: rsa.RDMs) -> None:
    rng = np.random.default_rng(4)
    scores = rng.standard_normal((12, 1, 40)) * 0.1
    scores[:, :, 20:30] += 0.15
    result = rsa.TimecourseResult(
        scores=scores, times=np.arange(40.0), ceiling=None, models=("a",),
        subjects=tuple(map(str, range(12))), method="corr", metric="correlation", window=1,
    )  # fmt: skip
    test = result.cluster_test("a", n_perm=500, random_state=0, alternative="greater")
    assert test.significant()[22:28].all()
    assert not test.significant()[:15].any()
    with pytest.raises(KeyError, match="no model"):
        result.of("b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 2}, "window must be odd"),
        ({"window": 99}, "window must be from 1 to"),
        ({"times": [0.0]}, "one entry per sample"),
        ({"ceiling": True, "generalize": True}, "noise ceiling needs"),
        ({"generalize": True, "metric": "euclidean"}, "squares"),
        ({"subjects": ["a"]}, "must name 3"),
        ({"conditions": None, "runs": [0] * N_COND, "metric": "crossnobis"}, "need conditions="),
    ],
)
def test_misuse(data: NDArray[Any], models: rsa.RDMs, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.timecourse(data, models, **({"conditions": IDS} | change))


def test_misuse_of_data(data: NDArray[Any], models: rsa.RDMs) -> None:
    bad = data.copy()
    bad[1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"data\[1\] must be finite"):
        rsa.timecourse(bad, models, conditions=IDS)
    with pytest.raises(ValueError, match="same times and observations"):
        rsa.timecourse([data[0], data[1][:5]], models, conditions=IDS)
    with pytest.raises(ValueError, match="have no sensors"):
        rsa.timecourse(rsa.rdm_movie(data[0], conditions=IDS), models, generalize=True)
    flat = data[0].copy()
    flat[6, 2] = 1.0
    with pytest.raises(ValueError, match="at time 6"):
        rsa.rdm_movie(flat)
    assert np.isnan(rsa.timecourse(flat, models, conditions=IDS).scores[0, :, 6]).all()


def test_meg_early_and_late_with_fmri(data_dir: Path) -> None:
    """Early MEG is like early visual cortex, late MEG like IT (Cichy et al. 2014)."""
    folder = data_dir / "algonauts2019-92"
    early, late = (
        rsa.load_rdms(folder / "meg_92_original_order.npz", key=key) for key in ("early", "late")
    )
    region = {
        name: rsa.load_rdms(folder / "fmri_92_vectors.npz", key=name).mean()
        for name in ("EVC", "IT")
    }
    model = rsa.RDMs(
        np.stack([np.ravel(region[name].dissimilarities) for name in region]), names=list(region)
    )
    movies = [
        rsa.RDMs(np.stack([early.dissimilarities[s], late.dissimilarities[s]]))
        for s in range(len(early))
    ]
    result = rsa.timecourse(movies, model, times=[0.08, 0.15], ceiling=True)
    evc, it = result.group_scores
    assert evc[0] > evc[1]
    assert it[1] > it[0]
    assert result.ceiling is not None
    assert (result.ceiling[0] < result.ceiling[1]).all()
    assert result.cluster_test("IT", alternative="greater", n_perm=999, random_state=0).p[0] < 0.01
