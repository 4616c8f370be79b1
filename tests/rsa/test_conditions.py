"""Averages over repeats and categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp import rsa
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses


@pytest.mark.parametrize(
    ("labels", "ids"),
    [
        (["b", "a", "b", "c", "a", "b"], ("a", "b", "c")),
        ([10, 9, 10, 100, 9, 10], ("9", "10", "100")),
        (pd.Series(["b", "a", "b", "c", "a", "b"]), ("a", "b", "c")),
        (pd.Series(["b", "a", "b", "c", "a", "b"], dtype="category"), ("a", "b", "c")),
        (np.array(["b", "a", "b", "c", "a", "b"], dtype=object), ("a", "b", "c")),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_in_the_order_of_the_labels(labels: Any, ids: tuple[str, ...], dtype: type) -> None:
    """Numbers in the order of numbers: 9 before 10."""
    patterns = np.random.default_rng(0).standard_normal((6, 4)).astype(dtype)
    means, found = rsa.average_conditions(patterns, labels)
    assert found == ids
    assert means.dtype == dtype
    for row, members in enumerate(([1, 4], [0, 2, 5], [3])):
        expected = patterns[members].astype(float).mean(0)
        np.testing.assert_allclose(means[row], expected, rtol=4 * np.finfo(dtype).eps)


def test_sums_are_fp64() -> None:
    patterns = np.full((3000, 1), 1e4, np.float32)
    patterns[:1500] += 0.5
    means, _ = rsa.average_conditions(patterns, [0] * 3000)
    assert means[0, 0] == np.float32(1e4 + 0.25)


def test_layers_are_averaged_before_they_are_compared() -> None:
    rng = np.random.default_rng(1)
    layers = {"conv": rng.standard_normal((8, 5)), "fc": rng.standard_normal((8, 30))}
    labels = ["cat", "dog", "eel", "cat", "dog", "eel", "eel", "cat"]
    ours = rsa.rdm(Features.from_arrays(layers, ids=[f"s{i}" for i in range(8)]), conditions=labels)
    assert (ours.names, ours.ids) == (("conv", "fc"), ("cat", "dog", "eel"))
    for name, layer in layers.items():
        means, _ = rsa.average_conditions(layer, labels)
        np.testing.assert_array_equal(ours[name].dissimilarities, rsa.rdm(means).dissimilarities)


def test_gram_matrices_cannot_be_averaged() -> None:
    gram = Gram.from_features(np.random.default_rng(2).standard_normal((6, 4)))
    with pytest.raises(ValueError, match=r"a Gram matrix gives .* of its own stimuli alone"):
        rsa.rdm(gram, conditions=list("aabbcc"))
    with pytest.raises(ValueError, match="a Gram matrix gives"):
        rsa.rdm(gram, metric="poisson")


def test_responses_by_region() -> None:
    rng = np.random.default_rng(3)
    data, ids = rng.standard_normal((5, 9)).astype(np.float32), [f"s{i}" for i in range(5)]
    rois = ["V1"] * 4 + ["IT"] * 5
    both = rsa.rdm(Responses(data, ids=ids, rois=rois))
    assert isinstance(both, rsa.RDMs)
    assert (both.names, both.ids) == (("V1", "IT"), tuple(ids))
    np.testing.assert_array_equal(both["IT"].dissimilarities, rsa.rdm(data[:, 4:]).dissimilarities)
    one = rsa.rdm(Responses(data, ids=ids), metric="euclidean", name="whole")
    assert isinstance(one, rsa.RDM)
    assert (one.name, one.ids) == ("whole", tuple(ids))
    region = rsa.rdm(Responses(data, rois=["IT"] * 9))
    assert isinstance(region, rsa.RDM)
    assert region.name == "IT"
    averaged = rsa.rdm(Responses(data, ids=ids, rois=rois), conditions=list("aabcc"))
    assert averaged.ids == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 5, r"one per observation, 6; got shape \(5,\)"),
        ([1.0, 2.0, np.nan, 1.0, 2.0, 3.0], "must not be NaN; that of observation 2 is"),
        ([["a"]] * 6, r"got shape \(6, 1\)"),
    ],
)
def test_wrong_labels(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.average_conditions(np.ones((6, 2)), labels)
