"""Crossvalidated bootstraps of fitted models, against one fit and one score at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import Cancelled
from dnnbrain_cpp.rsa._crossval_samples import CrossvalidatedSamples, Folds, assign
from dnnbrain_cpp.rsa._resample import draw_counts
from oracle.resampling import resampled, sample_ceilings, similarity
from tolerances import TOLERANCES

Values = NDArray[np.float64]

N_COND, N_SUBJECT, N_REPEAT = 14, 5, 3


def make(n_cond: int = N_COND, n_subject: int = N_SUBJECT, seed: int = 0) -> tuple[Values, Values]:
    rng = np.random.default_rng(seed)
    parts = rng.random((3, n_cond * (n_cond - 1) // 2))
    return parts, np.array([0.2, 1.0, 0.5]) @ parts + rng.random((n_subject, parts.shape[1]))


def models_of(parts: Values, method: str = "corr") -> list[rsa.Model]:
    return [
        rsa.FixedModel(parts[0], name="fixed"),
        rsa.WeightedModel(parts, method=method, name="weighted"),
        rsa.SelectionModel(parts, method=method, name="selection"),
        rsa.InterpolationModel(parts[::-1], method=method, name="interpolation"),
    ]


def written_out(values: Values) -> list[int]:
    return [i for i, count in enumerate(values) for _ in range(int(count))]


@pytest.mark.parametrize(("condition_folds", "subject_folds"), [(2, 1), (1, 2), (2, 2), (1, 1)])
@pytest.mark.parametrize(
    ("method", "criterion"),
    [
        ("corr", "corr"),
        ("cosine", "cosine"),
        ("cosine", "corr"),
        ("tau-a", "corr"),
        ("spearman", "cosine"),
        ("corr_cov", "corr"),
    ],
)
def test_samples_are_those_of_a_loop(
    method: str, criterion: str, condition_folds: int, subject_folds: int
) -> None:
    parts, data = make()
    models = models_of(parts, criterion)
    rng = np.random.default_rng(1)
    counts = draw_counts(rng, 2, N_COND, at_least=8, groups=np.arange(N_COND))
    copies = draw_counts(rng, 2, N_SUBJECT, at_least=3, groups=np.arange(N_SUBJECT))
    work = CrossvalidatedSamples(
        models,
        [model.rdms for model in models],
        rsa.RDMs(data),
        method,
        "optimal",
        Folds(condition_folds, subject_folds),
        1,
    )
    samples = work.samples(counts, {"x": copies}, N_REPEAT, np.random.default_rng(2), None)["x"]
    same = np.random.default_rng(2)
    folds = [assign(counts, condition_folds, same) for _ in range(N_REPEAT)]
    groups = [assign(copies, subject_folds, same) for _ in range(N_REPEAT)]
    assert samples.by_repeat is not None
    assert samples.ceilings_by_repeat is not None
    for r in range(N_REPEAT):
        for b in range(2):
            scores, ceilings = [], []
            for f in range(condition_folds):
                test = np.where(folds[r][b] == f, counts[b], 0)
                train = test if condition_folds == 1 else counts[b] - test
                ceilings.append(sample_ceilings(method, "optimal", data, test, copies[b]))
                for g in range(subject_folds):
                    of_test = np.where(groups[r][b] == g, copies[b], 0)
                    of_train = of_test if subject_folds == 1 else copies[b] - of_test
                    scores.append(
                        [
                            np.mean(
                                [
                                    similarity(
                                        method,
                                        resampled(predicted, test),
                                        resampled(data[s], test),
                                        test,
                                    )
                                    for s in written_out(of_test)
                                ]
                            )
                            for predicted in (
                                model.predict(
                                    model.fit(data[written_out(of_train)], written_out(train))
                                ).dissimilarities
                                for model in models
                            )
                        ]
                    )
            np.testing.assert_allclose(
                samples.by_repeat[r, b],
                np.mean(scores, axis=0),
                rtol=0,
                atol=TOLERANCES["fp64_factor"],
            )
            np.testing.assert_allclose(
                samples.ceilings_by_repeat[r, b],
                np.mean(ceilings, axis=0),
                rtol=0,
                atol=TOLERANCES["fp64_score"],
            )
    np.testing.assert_allclose(samples.scores, samples.by_repeat.mean(0))


def test_folds_are_of_distinct_items_and_equal() -> None:
    counts = np.array([[2, 0, 1, 3, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1.0]])
    folds = assign(counts, 3, np.random.default_rng(0))
    assert ((folds == -1) == (counts == 0)).all()
    assert sorted(np.bincount(folds[0][counts[0] > 0])) == [2, 2, 2]
    assert sorted(np.bincount(folds[1])) == [2, 3, 3]


def test_variance_without_that_of_folds() -> None:
    """(c v_c - v_1) / (c - 1): of scores that are sample + fold noise, the sample's."""
    rng = np.random.default_rng(3)
    sample = rng.standard_normal((200_000, 1))
    by_repeat = sample + 2 * rng.standard_normal((2, 200_000, 1))
    samples = rsa.Samples(by_repeat.mean(0), None, by_repeat)
    c_mean, single = by_repeat.mean(0).var(ddof=1), by_repeat[:, :, 0].var(1, ddof=1).mean()
    found = samples.variance(np.ones((1, 1)))[0]
    assert found == pytest.approx(2 * c_mean - single)
    # Standard error of 2 v_2 - v_1 here: below 0.02.
    assert found == pytest.approx(1, abs=0.06)
    assert c_mean > 2.8


def test_result() -> None:
    parts, data = make(n_cond=20, seed=4)
    models = models_of(parts)
    result = rsa.bootstrap_crossval(
        models, data, n_boot=40, condition_folds=2, subject_folds=2, random_state=5
    )
    assert result.models == ("fixed", "weighted", "selection", "interpolation")
    assert dict(result.n) == {"conditions": 20, "subjects": N_SUBJECT}
    assert set(result.parts) == {"conditions", "subjects"}
    frame = result.to_frame()
    assert np.isfinite(frame["se"]).all()
    assert frame["score"][1] > frame["score"][0]
    assert len(result.compare_models()) == 6
    assert len(result.compare_ceiling()) == 4
    again = rsa.bootstrap_crossval(
        models, data, n_boot=40, condition_folds=2, subject_folds=2, random_state=5, n_threads=2
    )
    np.testing.assert_array_equal(result.samples.scores, again.samples.scores)
    np.testing.assert_array_equal(result.variance, again.variance)


def test_a_weighted_model_ends_on_the_images_where_others_do_not(data_dir: object) -> None:
    """Least squares that stop at an absolute gradient never end on these RDMs."""
    from pathlib import Path

    folder = Path(str(data_dir))
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
    with np.load(folder / "alexnet-activations-92" / "alexnet_relu_pooled.npz") as archive:
        rdms = rsa.rdm({layer: archive[layer] for layer in layers})
    it = rsa.load_rdms(folder / "algonauts2019-92" / "target_fmri.mat", key="IT_RDMs")
    for method in ("corr", "cosine"):
        result = rsa.bootstrap_crossval(
            [
                rsa.WeightedModel(rdms, method=method, name="weighted"),
                rsa.FixedModel(rdms["conv4"]),
            ],
            it,
            n_boot=20,
            method=method,
            random_state=0,
        )
        assert result.ceiling is not None
        assert (result.scores > 0).all()
        assert (result.scores < result.ceiling.upper).all()
        assert np.isfinite(result.variance).all()


def test_wrong_arguments() -> None:
    parts, data = make()
    models = models_of(parts)
    with pytest.raises(ValueError, match="condition_folds must leave at least 3 in each fold"):
        rsa.bootstrap_crossval(models, data, condition_folds=4)
    with pytest.raises(ValueError, match="subject_folds must leave at least 1 in each fold"):
        rsa.bootstrap_crossval(models, data, subject_folds=4)
    with pytest.raises(ValueError, match="n_repeat must be at least 2"):
        rsa.bootstrap_crossval(models, data, n_repeat=1)
    with pytest.raises(TypeError, match=r"For RDMs as they are, use rsa\.bootstrap"):
        rsa.bootstrap_crossval([rsa.RDMs(parts)], data)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="names of models must be unique; 'fixed'"):
        rsa.bootstrap_crossval([models[0], models[0]], data)
    with pytest.raises(ValueError, match="models must hold at least one"):
        rsa.bootstrap_crossval([], data)
    with pytest.raises(ValueError, match="over subjects needs at least 2"):
        rsa.bootstrap_crossval(models, data[:1])
    with pytest.raises(Cancelled):
        rsa.bootstrap_crossval(models, data, n_boot=50, progress=lambda done, total: False)
