"""Remixing against the same read-outs of scikit-learn on the units themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from dnnbrain_cpp import rsa
from dnnbrain_cpp.features import Features


def draw(n_train: int = 60, n_stim: int = 12, p: int = 200, n_category: int = 4) -> Any:
    """Categories live in three units of many."""
    rng = np.random.default_rng(0)
    labels = np.arange(n_train) % n_category
    new = np.arange(n_stim) % n_category
    centres = np.zeros((n_category, p))
    centres[:, :3] = 4 * rng.standard_normal((n_category, 3))
    train = centres[labels] + rng.standard_normal((n_train, p))
    stimuli = centres[new] + rng.standard_normal((n_stim, p))
    return train, labels, stimuli, new


def in_span(train: NDArray[Any], new: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """All principal components by a singular value decomposition, at a mean variance of one."""
    mean = train.mean(0)
    _, _, vt = np.linalg.svd(train - mean, full_matrices=False)
    a, b = (train - mean) @ vt.T, (new - mean) @ vt.T
    scale = np.sqrt((a**2).mean())
    return a / scale, b / scale


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("svm", OneVsRestClassifier(LinearSVC(dual=True, max_iter=20_000, random_state=0))),
        ("logistic", OneVsRestClassifier(LogisticRegression(max_iter=2000))),
    ],
)
def test_all_components_lose_nothing(name: str, model: Any) -> None:
    train, labels, stimuli, _ = draw()
    values = rsa.decision_values(train, labels, stimuli, classifier=name)["features"]
    a, b = in_span(train, stimuli)
    expected = model.fit(a, labels).decision_function(b)
    np.testing.assert_allclose(values, expected, atol=0.02 * np.abs(expected).max())


def test_ridge_on_components_is_ridge_on_units() -> None:
    """A penalty that rotation does not change; the scale is the same for all units."""
    train, labels, stimuli, _ = draw()
    scale = np.sqrt(((train - train.mean(0)) ** 2).sum() / len(train) / len(train))
    values = rsa.decision_values(train, labels, stimuli, classifier=RidgeClassifier(2.0))
    units = RidgeClassifier(2.0 * scale**2).fit(train, labels).decision_function(stimuli)
    np.testing.assert_allclose(values["features"], units, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("classifier", ["lda", "svm", "logistic"])
def test_remixed_rdms_show_categories_that_the_layer_hides(classifier: str) -> None:
    train, labels, stimuli, new = draw(p=2000)
    model = rsa.RDMs((new[:, None] != new)[np.triu_indices(len(new), 1)].astype(float))
    layer = rsa.RDMs([rsa.rdm(stimuli)])
    remixed = rsa.remix(train, labels, stimuli, classifier=classifier)
    assert remixed.metric == "correlation"
    before = rsa.compare(model, layer, method="corr").scores[0, 0]
    after = rsa.compare(model, remixed, method="corr").scores[0, 0]
    assert after > before + 0.05


@pytest.mark.parametrize("classifier", ["lda", "logistic"])
def test_faint_components_do_not_drown_the_categories(classifier: str) -> None:
    """Categories lie in the strongest directions; the others are noise, the last one rounding."""
    rng = np.random.default_rng(1)
    labels, new = np.arange(72) % 6, np.arange(60) % 6
    spectrum = np.logspace(0, -4, 400)
    centres = 2 * rng.standard_normal((6, 400)) * spectrum * (np.arange(400) < 5)
    train, stimuli = (
        (centres[rows] + rng.standard_normal((len(rows), 400)) * spectrum).astype(np.float32)
        for rows in (labels, new)
    )
    values = rsa.decision_values(train, labels, stimuli, classifier=classifier)["features"]
    assert (values.argmax(1) == new).mean() > 0.75


def test_layers_and_ids_come_through() -> None:
    train, labels, stimuli, _ = draw()
    ids = [f"im{i}" for i in range(len(stimuli))]
    features = Features.from_arrays({"conv": stimuli[:, :50], "fc": stimuli}, ids=ids)
    training = {"conv": train[:, :50], "fc": train}
    values = rsa.decision_values(training, labels, features, n_components=10)
    assert values["conv"].shape == (12, 4)
    rdms = rsa.remix(training, labels, features, n_components=10, metric="euclidean")
    assert rdms.names == ("conv", "fc")
    assert rdms.ids == tuple(ids)
    np.testing.assert_allclose(rdms["fc"].dissimilarities, pdist(values["fc"]), rtol=1e-9)


def test_two_categories_have_one_decision_value() -> None:
    train, labels, stimuli, _ = draw(n_category=2)
    assert rsa.decision_values(train, labels, stimuli)["features"].shape == (12, 1)
    assert len(rsa.remix(train, labels, stimuli, metric="euclidean")) == 1
    with pytest.raises(ValueError, match="at least 3 categories"):
        rsa.remix(train, labels, stimuli)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": np.zeros(60)}, "at least 2 categories; got 1"),
        ({"train_labels": np.arange(59) % 4}, "each of the 60 rows"),
        ({"train_labels": np.zeros((60, 1))}, "must be 1-D"),
        ({"features": draw()[2][:, :9]}, "same units in both; got 200 and 9"),
        ({"features": {"fc": draw()[2]}}, "same layers"),
        ({"features": np.full((12, 200), np.nan)}, "must be finite"),
        ({"classifier": "knn"}, "classifier must be one of"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    train, labels, stimuli, _ = draw()
    arguments = {"train_features": train, "train_labels": labels, "features": stimuli} | change
    with pytest.raises(ValueError, match=message):
        rsa.remix(**arguments)


def test_a_classifier_must_decide() -> None:
    train, labels, stimuli, _ = draw()
    with pytest.raises(TypeError, match="decision_function"):
        rsa.remix(train, labels, stimuli, classifier=object())
