"""Joining, folds, results: whatever does not depend on the estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneGroupOut

from dnnbrain_cpp.encoding import Scores, encode
from dnnbrain_cpp.exceptions import AlignmentWarning, Cancelled
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses

N_STIM = 30
IDS = [f"s{i:02d}" for i in range(N_STIM)]


def draw(n_vox: int = 4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N_STIM, 10)).astype(np.float32)
    y = x[:, :4] @ rng.standard_normal((4, n_vox)) + rng.standard_normal((N_STIM, n_vox))
    return x, y.astype(np.float32)


@pytest.mark.parametrize("gram", [False, True])
def test_ids_join_in_any_order(gram: bool) -> None:
    x, y = draw()
    layer: Any = Gram.from_features(x) if gram else x
    expected = encode(layer, y).scores["features"]
    order = np.random.default_rng(1).permutation(N_STIM)
    responses = Responses(y[order], ids=[IDS[i] for i in order])
    scores = encode(Features({"fc": layer}, ids=IDS), responses)
    np.testing.assert_array_equal(scores.scores["fc"], expected)


def test_groups_follow_the_features() -> None:
    x, y = draw()
    groups = np.arange(N_STIM) // 5
    expected = encode(x, y, cv=LeaveOneGroupOut(), groups=groups).scores["features"]
    order = np.random.default_rng(2).permutation(N_STIM)
    responses = Responses(y[order], ids=[IDS[i] for i in order])
    features = Features({"features": x}, ids=IDS)
    scores = encode(features, responses, cv=LeaveOneGroupOut(), groups=groups)
    np.testing.assert_array_equal(scores.scores["features"], expected)


def test_without_ids_on_one_side_it_warns_and_says_which() -> None:
    x, y = draw()
    with pytest.warns(AlignmentWarning, match="the features have no ids") as caught:
        encode(x, Responses(y, ids=IDS))
    assert caught[0].filename == __file__
    with pytest.warns(AlignmentWarning, match="the responses have no ids"):
        encode(Features({"a": x}, ids=IDS), Responses(y))
    encode(x, Responses(y))
    encode(Features({"a": x}, ids=IDS), y)  # an array is in the order of the features


def test_unequal_stimuli_are_errors() -> None:
    x, y = draw()
    features = Features({"a": x}, ids=IDS)
    with pytest.raises(ValueError, match=r"same stimuli; 2 ids are on one side only.*'new'"):
        encode(features, Responses(y, ids=["new", *IDS[1:]]))
    with pytest.raises(ValueError, match=r"same stimuli; 1 ids.*'s29'"):
        encode(features, Responses(y[:-1], ids=IDS[:-1]))
    with pytest.raises(ValueError, match="layer 'b' has 29, the responses 30"):
        encode({"a": x, "b": x[:-1]}, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cv": 1}, ValueError, "from 2 to the number of stimuli, 30; got 1"),
        ({"cv": N_STIM}, ValueError, r"hold out at least 2 stimuli.*fold 0 has 29 and 1"),
        ({"cv": 5, "groups": np.arange(N_STIM) // 10}, ValueError, "number of groups, 3; got 5"),
        ({"groups": [1, 2]}, ValueError, r"groups must have shape \(30,\); got \(2,\)"),
        ({"scoring": "pearson"}, ValueError, "'r', 'r2', 'mse', 'ev'; got 'pearson'"),
        ({"progress": "yes"}, TypeError, "progress must be"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        encode(*draw(), **options)


def test_wrong_data() -> None:
    x, y = draw()
    holes = y.copy()
    holes[3, 1] = np.nan
    for features, responses, message in (
        (x, holes, r"responses must be finite; 1 of 120 values are not, the first at \(3, 1\)"),
        ({"fc": np.where(x > 2, np.inf, x)}, y, "layer 'fc' must be finite"),
        (x, y[:, 0], r"responses must be 2-D; got shape \(30,\)"),
        (x, y[:, :0], "at least one target"),
        ({}, y, "at least one layer"),
        ({"fc": x.reshape(N_STIM, 5, 2)}, y, r"'fc' must be 2-D; got shape \(30, 5, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            encode(features, responses)


def test_progress_of_each_layer_and_cancellation() -> None:
    x, y = draw()
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    encode({"a": x, "b": x}, y, cv=3, progress=watch)
    assert seen.count((6, 6)) == 2  # the maps of 3 folds, then their scores, for each layer
    with pytest.raises(Cancelled):
        encode(x, y, progress=lambda done, total: False)

    def fail(done: int, total: int) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        encode(x, y, progress=fail)


def test_inputs_are_not_changed() -> None:
    x, y = draw()
    x.setflags(write=False)
    y.setflags(write=False)
    before = x.copy(), y.copy()
    encode(x, y)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def planted() -> Scores:
    """Two layers, each of which knows half of the voxels."""
    rng = np.random.default_rng(3)
    layers = {name: rng.standard_normal((60, 6)) for name in ("early", "late")}
    y = np.hstack([layer @ rng.standard_normal((6, 3)) for layer in layers.values()])
    y += 0.3 * rng.standard_normal(y.shape)
    return encode(layers, Responses(y, rois=["V1"] * 3 + ["IT"] * 3))


def test_frame() -> None:
    scores = planted()
    frame = scores.to_frame()
    assert list(frame.columns) == ["layer", "target", "roi", "fold", "score"]
    assert len(frame) == 2 * 6 * 5
    for layer in ("early", "late"):
        for fold, target in ((0, 0), (4, 2), (3, 5)):
            row = frame.query("layer == @layer and fold == @fold and target == @target")
            assert row["score"].item() == scores.scores[layer][fold, target]
            assert row["roi"].item() == ("V1" if target < 3 else "IT")
    assert list(encode(*draw()).to_frame().columns) == ["layer", "target", "fold", "score"]


def test_best_layer_and_regions() -> None:
    scores = planted()
    best = scores.best_layer()
    assert list(best["layer"]) == ["early"] * 3 + ["late"] * 3
    assert list(best.columns) == ["target", "roi", "layer", "score"]
    np.testing.assert_allclose(best["score"][:3], scores.mean("early")[:3])
    table = scores.by_roi().set_index(["layer", "roi"])
    for layer, roi, places in (("early", "V1", slice(0, 3)), ("late", "V1", slice(0, 3))):
        assert table.loc[(layer, roi), "score"] == pytest.approx(scores.mean(layer)[places].mean())
        assert table.loc[(layer, roi), "n_vox"] == 3
    assert table.loc[("early", "V1"), "score"] > 0.8
    assert abs(table.loc[("late", "V1"), "score"]) < 0.5


def test_targets_without_a_score() -> None:
    nan = np.nan
    scores = Scores(
        {"a": np.array([[nan, 0.5, nan], [nan, 0.1, 0.2]]), "b": np.full((2, 3), nan)},
        scoring="r",
        route={},
    )
    np.testing.assert_allclose(scores.mean("a"), [nan, 0.3, 0.2])
    best = scores.best_layer()
    assert best["layer"].isna().tolist() == [True, False, False]
    assert list(best["layer"][1:]) == ["a", "a"]
    assert scores.by_roi().set_index("layer").loc["a", "n_vox"] == 2
    assert "nan" in repr(scores)


def test_repr() -> None:
    text = repr(planted())
    for fact in ("r, 6 targets, 5 folds", "early", "late", "median", "native: PCA("):
        assert fact in text
