"""Models with weights, against SciPy, all supports, a dense search, and RDMs written out."""

from __future__ import annotations

import itertools
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls

from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import core
from dnnbrain_cpp.exceptions import AlignmentWarning
from tolerances import TOLERANCES

N_COND = 14
N_PAIR = N_COND * (N_COND - 1) // 2
METHODS = ("corr", "cosine")


def draw(n_rdm: int, seed: int, n_cond: int = N_COND) -> NDArray[np.float64]:
    """Squared distances of patterns that share a part."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_cond, 3))
    rows, columns = np.triu_indices(n_cond, 1)
    out = []
    for _ in range(n_rdm):
        patterns = 0.7 * shared + rng.standard_normal((n_cond, 3))
        out.append(((patterns[rows] - patterns[columns]) ** 2).sum(1))
    return np.array(out)


def subjects(models: NDArray[Any], weights: list[float], n: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    signal = np.array(weights) @ models
    return signal + signal.std() * rng.standard_normal((n, models.shape[1])) + 5 * signal.std()


def written_out(condensed: NDArray[Any], conditions: NDArray[Any]) -> NDArray[np.float64]:
    """Entries of a sample of the conditions; copies of one against each other are left out."""
    square = rsa.RDMs(condensed).square()
    keep = [(i, j) for i, j in itertools.combinations(conditions, 2) if i != j]
    return np.array([[one[i, j] for i, j in keep] for one in square])


def normalised(vectors: NDArray[Any], method: str) -> NDArray[np.float64]:
    about = vectors - vectors.mean(1, keepdims=True) if method == "corr" else vectors
    return np.asarray(about / np.linalg.norm(about, axis=1, keepdims=True))


def mean_score(vector: NDArray[Any], data: NDArray[Any], method: str) -> float:
    return float((normalised(vector[None], method) @ normalised(data, method).T).mean())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_weights_are_scipys_nnls(method: str, seed: int) -> None:
    models = draw(5, seed)
    data = subjects(models, [1, 0, 0.5, 0, 0.1], 6, seed + 50)
    weights = rsa.WeightedModel(models, method=method).fit(data)
    x = models - models.mean(1, keepdims=True) if method == "corr" else models
    expected, _ = nnls(x.T, normalised(data, method).mean(0))
    np.testing.assert_allclose(weights, expected, atol=TOLERANCES["fp64_score"])
    assert (weights > 0).any()


@pytest.mark.parametrize("method", METHODS)
def test_no_other_weights_do_better(method: str) -> None:
    models = draw(4, 9)
    data = subjects(models, [1, 0.3, 0, 0], 5, 10)
    model = rsa.WeightedModel(models, method=method)
    best = mean_score(model.predict(model.fit(data)).dissimilarities, data, method)
    rng = np.random.default_rng(11)
    for weights in rng.exponential(size=(300, 4)) * rng.integers(0, 2, (300, 4)):
        if weights.any():
            assert mean_score(weights @ models, data, method) <= best + 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_any_sign_are_those_of_least_squares(method: str) -> None:
    models = draw(4, 12) * np.array([[1e-6], [1.0], [1e6], [1.0]])
    data = subjects(draw(4, 12), [1, -0.5, 0, 1], 5, 13)
    weights = rsa.WeightedModel(models, method=method, nonnegative=False).fit(data)
    x = models - models.mean(1, keepdims=True) if method == "corr" else models
    scale = np.linalg.norm(x, axis=1)
    expected = np.linalg.lstsq((x / scale[:, None]).T, normalised(data, method).mean(0))[0] / scale
    np.testing.assert_allclose(weights * scale, expected * scale, atol=TOLERANCES["fp64_factor"])
    assert (weights < 0).any() == (method == "corr")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [rsa.WeightedModel, rsa.SelectionModel, rsa.InterpolationModel])
def test_samples_of_conditions_are_as_if_written_out(kind: Any, method: str) -> None:
    models = draw(4, 14)
    data = subjects(models, [0.2, 1, 0.8, 0], 4, 15)
    sample = np.random.default_rng(16).integers(0, N_COND, N_COND)
    assert len(set(sample)) < N_COND
    weights = kind(models, method=method).fit(data, sample)
    x, y = written_out(models, sample), written_out(data, sample)
    best = mean_score(weights @ x, y, method)
    if kind is rsa.WeightedModel:
        about = x - x.mean(1, keepdims=True) if method == "corr" else x
        expected, _ = nnls(about.T, normalised(y, method).mean(0))
        np.testing.assert_allclose(weights, expected, atol=TOLERANCES["fp64_score"])
    elif kind is rsa.SelectionModel:
        alone = [mean_score(one, y, method) for one in x]
        assert weights.tolist() == np.eye(4)[int(np.argmax(alone))].tolist()
    else:
        path = [(1 - t) * x[k] + t * x[k + 1] for k in range(3) for t in np.linspace(0, 1, 2001)]
        dense = max(mean_score(one, y, method) for one in path)
        assert dense <= best + 1e-12
        assert dense == pytest.approx(best, abs=1e-6)
    full = kind(models, method=method).fit(data)
    assert not np.allclose(weights, full) or kind is rsa.SelectionModel


def test_interpolation_finds_the_inside_of_a_segment() -> None:
    models = draw(3, 17)
    truth = 0.35 * models[1] + 0.65 * models[2]
    weights = rsa.InterpolationModel(models).fit(truth)
    np.testing.assert_allclose(weights, [0, 0.35, 0.65], atol=TOLERANCES["fp64_score"])
    at_end = rsa.InterpolationModel(models).fit(models[0])
    np.testing.assert_allclose(at_end, [1, 0, 0], atol=TOLERANCES["fp64_score"])


def test_prediction_is_the_weighted_sum_and_compares() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    models = rsa.RDMs(draw(3, 18), ids=ids, names=["a", "b", "c"], metric="sqeuclidean")
    model = rsa.WeightedModel(models, name="sum")
    predicted = model.predict([1.0, 0.0, 2.0])
    np.testing.assert_array_equal(
        predicted.dissimilarities, models.dissimilarities[0] + 2 * models.dissimilarities[2]
    )
    assert (predicted.name, predicted.ids, predicted.metric) == ("sum", tuple(ids), "sqeuclidean")
    score = rsa.compare(rsa.RDMs([predicted]), models[:1], method="tau-a").scores[0, 0]
    assert 0 < score < 1


def test_data_are_joined_by_id() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    models = draw(3, 19)
    data = subjects(models, [1, 0, 1], 3, 20)
    expected = rsa.WeightedModel(rsa.RDMs(models, ids=ids)).fit(rsa.RDMs(data, ids=ids))
    shuffled = rsa.RDMs(data, ids=ids).select(ids[::-1])
    got = rsa.WeightedModel(rsa.RDMs(models, ids=ids)).fit(shuffled)
    np.testing.assert_allclose(got, expected, atol=TOLERANCES["fp64_score"])
    with pytest.warns(AlignmentWarning):
        rsa.WeightedModel(rsa.RDMs(models, ids=ids)).fit(data)


def test_fixed_model() -> None:
    one = draw(1, 21)
    model = rsa.FixedModel(rsa.RDMs(one, names=["category"]))
    assert model.name == "category"
    np.testing.assert_array_equal(model.fit(draw(2, 22)), [1.0])
    np.testing.assert_array_equal(model.predict(model.fit(one)).dissimilarities, one[0])
    with pytest.raises(ValueError, match="must be of one RDM; got 2"):
        rsa.FixedModel(draw(2, 23))


def test_what_goes_against_the_data_has_no_weight() -> None:
    models = draw(2, 24)
    assert not rsa.WeightedModel(models).fit(-models.sum(0)).any()


def test_constant_predictors_have_no_weight() -> None:
    models = np.vstack([draw(1, 25), np.full(N_PAIR, 0.1), draw(1, 26)])
    data = subjects(models, [1, 1, 1], 2, 27)
    for nonnegative in (True, False):
        weights = rsa.WeightedModel(models, nonnegative=nonnegative).fit(data)
        assert weights[1] == 0
        assert weights[0] > 0
    assert rsa.SelectionModel(models[1:]).fit(data)[1] == 1


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda: rsa.WeightedModel(draw(2, 0), method="tau-a"),
            "must be 'corr' or 'cosine'",
        ),
        (lambda: rsa.WeightedModel(draw(2, 0)).fit(draw(1, 1, 9)), "same conditions; got 14 and 9"),
        (lambda: rsa.WeightedModel(draw(2, 0)).fit(draw(1, 1), [0, 1, 1]), "at least 3 different"),
        (lambda: rsa.WeightedModel(draw(2, 0)).fit(draw(1, 1), [0, 1, 14]), "from 0 to 13; got 0"),
        (lambda: rsa.WeightedModel(draw(2, 0)).fit(np.full(N_PAIR, 0.3)), "'rdm-01' does not"),
        (lambda: rsa.WeightedModel(draw(2, 0)).predict([1.0]), "weights must be 2; got 1"),
        (lambda: rsa.InterpolationModel(draw(1, 0)), "at least 2 RDMs; got 1"),
    ],
)
def test_errors(run: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()


def test_conditions_must_be_integers() -> None:
    with pytest.raises(TypeError, match="integer places"):
        rsa.WeightedModel(draw(2, 0)).fit(draw(1, 1), [0.0, 1.0, 2.0])


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e12, 1e200])
def test_nnls_does_not_depend_on_the_scale(scale: float) -> None:
    x = draw(6, 28)
    y = subjects(x, [1, 0, 0, 2, 0, 1], 1, 29)[0]
    gram, products = x @ x.T, (x @ y)[None]
    expected = core.nnls(gram.reshape(1, -1), products, 1, None)
    np.testing.assert_allclose(expected[0], nnls(x.T, y)[0], atol=TOLERANCES["fp64_factor"])
    got = core.nnls(scale * gram.reshape(1, -1), scale * products, 1, None)
    np.testing.assert_allclose(got, expected, rtol=TOLERANCES["fp64_factor"])


def test_nnls_of_many_weights_is_scipys() -> None:
    rng = np.random.default_rng(30)
    x = rng.standard_normal((300, 120)) + 0.3 * rng.standard_normal((300, 1))
    y = x @ np.maximum(rng.standard_normal(120), 0) + 5 * rng.standard_normal(300)
    got = core.nnls((x.T @ x).reshape(1, -1), (x.T @ y)[None], 1, None)[0]
    expected, _ = nnls(x, y)
    assert 20 < np.count_nonzero(expected) < 110
    np.testing.assert_array_equal(got > 0, expected > 0)
    np.testing.assert_allclose(got, expected, atol=TOLERANCES["fp64_factor"])


@pytest.mark.parametrize(("method", "n_subject"), [("cosine", 15), ("corr", 8)])
def test_the_fit_that_never_ends_in_rsatoolbox(method: str, n_subject: int, data_dir: Path) -> None:
    """It compares gradients with 100 eps, whatever the scale, and loops for ever here.

    Seven AlexNet RDMs, subjects' IT RDMs of 92 images.
    """
    with np.load(data_dir / "alexnet-activations-92" / "alexnet_relu_pooled.npz") as archive:
        layers = {name: archive[name] for name in archive.files if name != "fc8"}
    models = rsa.rdm({name: layer for name, layer in layers.items() if layer.ndim == 2})
    data = rsa.load_rdms(data_dir / "algonauts2019-92" / "target_fmri.mat", key="IT_RDMs")
    data = data[:n_subject]
    model = rsa.WeightedModel(models, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one side has no ids
        start = time.process_time()
        weights = model.fit(data)
        assert time.process_time() - start < 1.0
    x = models.dissimilarities
    x = x - x.mean(1, keepdims=True) if method == "corr" else x
    expected, _ = nnls(x.T, normalised(data.dissimilarities, method).mean(0))
    np.testing.assert_allclose(weights, expected, atol=TOLERANCES["fp64_score"])
