"""Probing and decoding against scikit-learn refitted in every fold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnnbrain_cpp.encoding import CLASS_SCORINGS, Decoder, Probe, Scores, decode, encode, probe
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses
from oracle.encoding import refit
from tolerances import TOLERANCES

N_STIM = 60
FULL = {"svd_solver": "full"}
TIGHT = {"max_iter": 2000, "tol": 1e-9}


def simulate(n_feat: int = 90, n_class: int = 3) -> tuple[NDArray[np.float64], NDArray[Any]]:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, n_class, N_STIM))
    x = rng.standard_normal((N_STIM, n_feat)) * rng.uniform(0.5, 2, n_feat) + 3
    x[:, :5] += 1.5 * rng.standard_normal((n_class, 5))[labels]
    return x, np.array(["cat", "dog", "elk"])[labels]


def by_hand(
    estimator: Any, x: NDArray[Any], labels: NDArray[Any], scoring: str, splits: Any
) -> NDArray[np.float64]:
    scores = []
    for train, test in splits:
        model = clone(estimator).fit(x[train], labels[train])
        if scoring == "accuracy":
            scores.append(model.score(x[test], labels[test]))
        elif scoring == "balanced_accuracy":
            scores.append(balanced_accuracy_score(labels[test], model.predict(x[test])))
        elif len(model.classes_) == 2:
            scores.append(roc_auc_score(labels[test], model.predict_proba(x[test])[:, 1]))
        else:
            scores.append(
                roc_auc_score(labels[test], model.predict_proba(x[test]), multi_class="ovr")
            )
    return np.array(scores)


CLASSIFIERS = {
    "native: PCA(6) + LogisticRegression": make_pipeline(
        PCA(6, **FULL), LogisticRegression(**TIGHT)
    ),
    "native: StandardScaler + PCA(6) + LogisticRegression": make_pipeline(
        StandardScaler(), PCA(6, whiten=True, **FULL), LogisticRegression(C=0.1, **TIGHT)
    ),
    "scikit-learn: KNeighborsClassifier as it is": KNeighborsClassifier(5),
    "scikit-learn: StandardScaler + LogisticRegression as it is": make_pipeline(
        StandardScaler(), LogisticRegression(**TIGHT)
    ),
}


@pytest.mark.parametrize("scoring", CLASS_SCORINGS)
@pytest.mark.parametrize("n_class", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_equal_to_scikit_learn(name: str, n_class: int, scoring: str) -> None:
    estimator = CLASSIFIERS[name]
    for n_feat in (12, 90):
        x, labels = simulate(n_feat, n_class)
        scores = probe(x, labels, estimator, cv=4, scoring=scoring)
        assert scores.route["features"].startswith(name)
        expected = by_hand(estimator, x, labels, scoring, StratifiedKFold(4).split(x, labels))
        np.testing.assert_allclose(
            scores.scores["features"][:, 0], expected, atol=TOLERANCES["fp64_factor"]
        )


@pytest.mark.parametrize("n_feat", [12, 90])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
def test_decision_values_equal_those_of_the_pipeline(
    n_feat: int, standardize: bool, whiten: bool
) -> None:
    """Components differ by signs at most, which logistic regression does not see."""
    from dnnbrain_cpp.encoding._routes import choose_classifier
    from dnnbrain_cpp.linear import FoldPlan

    x, labels = simulate(n_feat)
    steps = [PCA(6, whiten=whiten, **FULL), LogisticRegression(**TIGHT)]
    estimator = make_pipeline(*([StandardScaler()] if standardize else []), *steps)
    folds = FoldPlan.make(StratifiedKFold(4), n_stim=N_STIM, y=labels)
    route = choose_classifier(estimator, x, folds, name="fc")
    for (train, test), (model, outside) in zip(folds, route.fitted(x, labels, folds), strict=True):
        expected = clone(estimator).fit(x[train], labels[train])
        np.testing.assert_allclose(
            model.decision_function(outside), expected.decision_function(x[test]), atol=1e-6
        )
        np.testing.assert_allclose(
            np.abs(outside), np.abs(expected[:-1].transform(x[test])), atol=1e-8
        )


def test_chance_is_what_a_guess_scores() -> None:
    x, labels = simulate()
    _, counts = np.unique(labels, return_counts=True)
    assert probe(x, labels, cv=4).chance == [counts.max() / 60]
    assert probe(x, labels, cv=4, scoring="balanced_accuracy").chance == [pytest.approx(1 / 3)]
    assert "chance 0.5" in repr(probe(x, labels, cv=4, scoring="auc"))
    rng = np.random.default_rng(0)
    shuffled = pd.DataFrame({f"{i}": rng.permutation(labels) for i in range(40)})
    scores = probe(x, shuffled, cv=4, scoring="balanced_accuracy")
    assert scores.mean("features").mean() == pytest.approx(1 / 3, abs=0.04)


def test_several_attributes_are_targets() -> None:
    x, labels = simulate()
    rng = np.random.default_rng(1)
    order = rng.permutation(N_STIM)
    ids = [f"s{i}" for i in range(N_STIM)]
    table = pd.DataFrame({"animal": labels, "big": x[:, 7] > 3}, index=ids)
    scores = probe(Features({"fc": x, "gram": Gram.from_features(x)}, ids=ids), table.iloc[order])
    assert scores.targets == ["animal", "big"]
    assert scores.scores["fc"].shape == (10, 2)
    np.testing.assert_allclose(scores.scores["gram"], scores.scores["fc"], atol=1e-12)
    for place, name in enumerate(table):
        alone = probe(x, table[name].to_numpy())
        np.testing.assert_array_equal(alone.scores["features"][:, 0], scores.scores["fc"][:, place])
    with pytest.warns(AlignmentWarning, match="the features have no ids"):
        probe(x, table)


def test_numbers_are_regressed() -> None:
    x, _ = simulate(20)
    y = x[:, :2] @ [[1.0], [2.0]]
    scores = probe(x, y[:, 0], Ridge(1.0), cv=5)
    assert scores.scoring == "r2"
    assert scores.chance is None
    expected = refit(Ridge(1.0), x, y, KFold(5).split(x), "r2")
    np.testing.assert_allclose(scores.scores["features"], expected, atol=TOLERANCES["fp64_score"])
    as_numbers = probe(x, np.arange(N_STIM), LinearRegression(), cv=5, task="regression")
    assert as_numbers.scoring == "r2"


def test_groups_are_kept_together_and_stratified() -> None:
    x, labels = simulate()
    groups = np.arange(N_STIM) % 12
    estimator = CLASSIFIERS["native: PCA(6) + LogisticRegression"]
    ours = probe(x, labels, estimator, cv=3, groups=groups).scores["features"][:, 0]
    splits = StratifiedGroupKFold(3).split(x, labels, groups)
    np.testing.assert_allclose(ours, by_hand(estimator, x, labels, "accuracy", splits), atol=1e-12)


def test_predictions_and_channels() -> None:
    x, labels = simulate(24)
    maps = x.reshape(N_STIM, 4, 3, 2)
    probed = Probe(cv=4, iter_axis="channel", return_predictions=True).fit({"conv": maps}, labels)
    scores = probed.scores_
    assert scores.layers[3] == "conv[channel=3]"
    predicted = scores.predictions["conv[channel=0]"][:, 0]
    hits = [
        (predicted[test] == labels[test]).mean() for _, test in StratifiedKFold(4).split(x, labels)
    ]
    np.testing.assert_allclose(scores.scores["conv[channel=0]"][:, 0], hits)


def test_a_fold_without_a_class_has_no_auc() -> None:
    x, labels = simulate()
    scores = probe(x, labels, cv=KFold(6), scoring="auc").scores["features"]
    assert np.isnan(scores).all()  # sorted by class


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"] * N_STIM, {}, "two classes at least; all are"),
        (["a"] * 57 + ["b"] * 3, {}, "smallest class, 3 of .*'b'.*; got 10"),
        (["a"] * 30 + [None] * 30, {}, "must be complete; 30 are missing"),
        (np.zeros((N_STIM, 2, 2)), {}, r"\(n_stim, n_attribute\); got \(60, 2, 2\)"),
        (["a", "b"] * 30, {"scoring": "r2"}, "'accuracy', 'balanced_accuracy', 'auc'; got 'r2'"),
        (np.arange(60.0), {"scoring": "auc"}, "'r', 'r2', 'mse', 'ev'; got 'auc'"),
        (["a", "b"] * 30, {"task": "guess"}, "'auto', 'classification', 'regression'"),
        (["a", "b"] * 20, {}, "has 60, the responses 40"),
        (["a"] * 30 + ["b"] * 30, {"cv": KFold(2)}, "fold 0 has .*'b'.* alone"),
        (
            ["a", "b"] * 30,
            {"estimator": make_pipeline(PCA(54), LogisticRegression())},
            "from 1 to 53",
        ),
    ],
)
def test_wrong_labels(labels: Any, options: dict[str, Any], message: str) -> None:
    x, _ = simulate()
    with pytest.raises(ValueError, match=message):
        probe(x, labels, **options)


def test_what_is_not_a_classifier() -> None:
    x, labels = simulate()
    with pytest.raises(TypeError, match="must be a scikit-learn classifier"):
        probe(x, labels, LogisticRegression)
    with pytest.raises(TypeError, match=r"needs the features themselves; layer 'fc'"):
        probe({"fc": Gram.from_features(x)}, labels, LogisticRegression())


def brain() -> Responses:
    x, _ = simulate()
    rng = np.random.default_rng(2)
    seen = x[:, :5] @ rng.standard_normal((5, 10)) + rng.standard_normal((N_STIM, 10))
    data = np.hstack([seen, rng.standard_normal((N_STIM, 8))])
    return Responses(data, rois=["IT"] * 10 + ["V1"] * 8, ids=[f"s{i}" for i in range(N_STIM)])


def test_features_are_decoded_from_responses() -> None:
    x, _ = simulate()
    responses = brain()
    layers = {"a": x[:, :5], "b": x[:, 50:53]}
    scores = decode(responses, layers, estimator=Ridge(10.0), cv=4)
    assert isinstance(scores, dict)
    assert list(scores) == ["a", "b"]
    for name, layer in layers.items():
        expected = encode(responses.data, layer, estimator=Ridge(10.0), cv=4)
        np.testing.assert_array_equal(scores[name].scores["responses"], expected.scores["features"])
    assert scores["a"].mean("responses").mean() > 0.5
    order = np.random.default_rng(0).permutation(N_STIM)
    shuffled = Features(
        {name: layer[order] for name, layer in layers.items()}, ids=[f"s{i}" for i in order]
    )
    again = decode(responses, shuffled, estimator=Ridge(10.0), cv=4)
    np.testing.assert_array_equal(again["a"].scores["responses"], scores["a"].scores["responses"])
    with pytest.raises(TypeError, match="needs the units of layer 'g'"):
        decode(responses, {"g": Gram.from_features(x)})


def test_labels_are_decoded_from_regions() -> None:
    _, labels = simulate()
    scores = Decoder(cv=4, by_roi=True).fit(brain(), labels).scores_
    assert isinstance(scores, Scores)
    assert scores.layers == ["IT", "V1"]
    assert scores.scoring == "accuracy"
    assert scores.mean("IT")[0] > scores.mean("V1")[0] + 0.1
    whole = decode(brain(), labels, cv=4)
    assert isinstance(whole, Scores)
    np.testing.assert_allclose(
        whole.scores["responses"], probe(brain().data, labels, cv=4).scores["features"]
    )
    numbers = decode(brain(), np.arange(60.0), estimator=Ridge(1.0))
    assert isinstance(numbers, Scores)
    assert numbers.scoring == "r"
    with pytest.raises(ValueError, match="by_roi needs responses with regions"):
        decode(brain().data, labels, by_roi=True)


def test_nothing_is_warned_of_by_default() -> None:
    x, labels = simulate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe(x, labels, cv=3)
