"""Dissimilarities between patterns, against SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from dnnbrain_cpp import rsa
from dnnbrain_cpp.features import Features, Gram
from tolerances import TOLERANCES

METRICS = list(rsa.METRICS)


def patterns(n_stim: int, n_feat: int, seed: int = 0, offset: float = 0.0) -> NDArray[np.float64]:
    """Units of unequal variance and mean, as layers have."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_stim, n_feat)) * rng.exponential(1, n_feat) + offset


def close(ours: NDArray[Any], expected: NDArray[Any], tolerance: str = "fp64_reduction") -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES[tolerance] * scale)


def both_routes(features: Any, metric: str) -> list[NDArray[np.float64]]:
    """From the array, and from the Gram matrix of centred units."""
    return [
        rsa.rdm(layer, metric=metric).dissimilarities
        for layer in (features, Gram.from_features(features))
    ]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 2), (5, 300), (40, 7), (17, 17), (92, 4096)])
def test_equal_to_scipy(metric: str, dtype: type, shape: tuple[int, int]) -> None:
    features = patterns(*shape).astype(dtype)
    expected = pdist(features.astype(np.float64), metric)
    for ours in both_routes(features, metric):
        assert ours.dtype == np.float64
        close(ours, expected)


@pytest.mark.parametrize("metric", ["correlation", "euclidean", "sqeuclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_common_offset_costs_no_digits(metric: str, dtype: type) -> None:
    features = patterns(20, 500, seed=1, offset=1e6).astype(dtype)
    expected = pdist(features.astype(np.float64), metric)
    for ours in both_routes(features, metric):
        close(ours, expected, "fp64_score")


def test_cosine_with_a_large_common_offset_is_as_exact_as_one_minus_it() -> None:
    features = patterns(20, 500, seed=1, offset=1e6).astype(np.float32)
    expected = pdist(features.astype(np.float64), "cosine")
    for ours in both_routes(features, "cosine"):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_reduction"])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
def test_one_feature(metric: str) -> None:
    features = np.array([[1.0], [-2.0], [4.0], [0.5]])
    expected = pdist(features, metric)
    for ours in both_routes(features, metric):
        close(ours, expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(12, 7), (92, 100), (93, 4096), (101, 9216)])
def test_equal_patterns_have_distance_zero(metric: str, shape: tuple[int, int]) -> None:
    """Exactly: so that they tie with each other. Blocked products leave rounding there."""
    features = patterns(*shape, seed=2) + 3.0
    twins = [(0, shape[0] - 1), (3, shape[0] // 2), (shape[0] - 2, 5)]
    for first, second in twins:
        features[second] = features[first]
    for ours in both_routes(features, metric):
        square = rsa.RDMs(ours).square()[0]
        assert [square[pair] for pair in twins] == [0.0, 0.0, 0.0]
        assert (ours == 0).sum() == len(twins)  # and only they


@pytest.mark.parametrize("metric", METRICS)
def test_close_patterns_are_not_taken_for_equal(metric: str) -> None:
    features = patterns(6, 50, seed=3)
    features[1] = features[0]
    features[1, 0] += 1e-4
    expected = pdist(features, metric)
    for ours in both_routes(features, metric):
        assert ours[0] == pytest.approx(expected[0], rel=1e-3)


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, 1e-8, -3.3e7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_feat", [3, 5000])
def test_a_pattern_without_variance_is_named(value: float, dtype: type, n_feat: int) -> None:
    """Although the mean of equal numbers is often not that number."""
    features = (patterns(6, n_feat, seed=4) * abs(value) + value).astype(dtype)
    features[3] = value
    for layer in (features, Gram.from_features(features)):
        with pytest.raises(ValueError, match=r"correlation.*layer 'fc'.*'cat' does not"):
            rsa.rdm({"fc": layer}, ids=["a", "b", "c", "cat", "d", "e"])
        rsa.rdm(layer, metric="euclidean")


def test_a_pattern_of_zeros_has_no_angle() -> None:
    features = patterns(6, 40, seed=5)
    features[2] = 0
    for layer in (features, Gram.from_features(features)):
        with pytest.raises(ValueError, match=r"cosine.*stimulus 2 does not"):
            rsa.rdm(layer, metric="cosine")


def test_one_feature_has_no_correlation() -> None:
    with pytest.raises(ValueError, match="varies over features"):
        rsa.rdm(patterns(5, 1))


@pytest.mark.parametrize("metric", METRICS)
def test_any_array_like_gives_the_same(metric: str, tmp_path: Path) -> None:
    features = patterns(12, 30, seed=6)
    expected = rsa.rdm(features, metric=metric).dissimilarities
    read_only = features.copy()
    read_only.setflags(write=False)
    np.save(tmp_path / "features.npy", features)
    wide = np.repeat(features, 2, axis=1)
    for other in (
        read_only,
        np.load(tmp_path / "features.npy", mmap_mode="r"),
        np.asfortranarray(features),
        wide[:, ::2],
        features[::-1][::-1],
        features.tolist(),
        torch.tensor(features),
        torch.tensor(features, requires_grad=True),
        torch.tensor(features).T.contiguous().T,
        features.astype(">f8"),
    ):
        np.testing.assert_array_equal(rsa.rdm(other, metric=metric).dissimilarities, expected)
    assert not read_only.flags.writeable
    np.testing.assert_array_equal(read_only, features)


@pytest.mark.parametrize("metric", METRICS)
def test_half_precision_and_integers_become_real_numbers(metric: str) -> None:
    features = np.random.default_rng(7).integers(-4, 5, (9, 20))
    expected = rsa.rdm(features.astype(float), metric=metric).dissimilarities
    tensor = torch.tensor(features)
    for other in (features, tensor.half(), tensor.bfloat16(), tensor):
        close(rsa.rdm(other, metric=metric).dissimilarities, expected)


@pytest.mark.parametrize("metric", METRICS)
def test_chosen_stimuli_of_a_gram_matrix(metric: str) -> None:
    features = patterns(15, 60, seed=8, offset=5.0)
    rows = [7, 2, 14, 3, 0]
    gram = Gram.from_features(features)
    expected = pdist(features[rows], metric)
    close(rsa.rdm(gram.select(rows), metric=metric).dissimilarities, expected)
    twice = gram.select([3, 7, 2, 14, 0, 9]).select([1, 2, 3, 0, 4])
    close(rsa.rdm(twice, metric=metric).dissimilarities, expected)


def test_layers_ids_and_names() -> None:
    ids = [f"s{i}" for i in range(8)]
    layers = {"conv": patterns(8, 5), "fc": patterns(8, 90)}
    rdms = rsa.rdm(Features.from_arrays(layers, ids=ids), metric="cosine")
    assert (rdms.names, rdms.ids, rdms.metric) == (("conv", "fc"), tuple(ids), "cosine")
    for name, layer in layers.items():
        close(rdms[name].dissimilarities, pdist(layer, "cosine"))
    assert rsa.rdm(layers, ids=ids).ids == tuple(ids)
    assert rsa.rdm(layers).ids is None


@pytest.mark.parametrize(
    ("features", "options", "error", "message"),
    [
        (patterns(5, 4), {"metric": "euclid"}, ValueError, "'sqeuclidean'.*; got 'euclid'"),
        (patterns(5, 4), {"ids": ["a", "b"]}, ValueError, "ids must name 5 items; got 2"),
        ({"a": patterns(5, 4), "b": patterns(6, 4)}, {}, ValueError, "same n_stim; got"),
        ({}, {}, ValueError, "at least one layer"),
        (patterns(2, 4), {}, ValueError, "at least 3 conditions; got 2"),
        (patterns(1, 4), {}, ValueError, "at least two stimuli"),
        (np.zeros((5, 0)), {"metric": "euclidean"}, ValueError, "one feature"),
        (patterns(5, 4)[0], {}, ValueError, r"must be 2-D; got shape \(4,\)"),
        (patterns(5, 4) + 1j, {}, TypeError, "real numbers; got dtype complex128"),
        ([["a", "b"], ["c", "d"]], {}, TypeError, "real numbers"),
        ([[1.0, 2.0], [3.0]], {}, ValueError, "rectangular"),
        (np.full((5, 4), np.inf), {}, ValueError, r"20 of 20 values are not, the first at \(0, 0"),
    ],
)
def test_wrong_features(
    features: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rsa.rdm(features, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["correlation", "cosine", "euclidean", "sqeuclidean"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("averaged", [False, True])
def test_no_value_that_is_not_finite_gets_through(
    bad: float, metric: str, averaged: bool, dtype: type
) -> None:
    features = np.random.default_rng(0).standard_normal((6, 40)).astype(dtype)
    for row in range(6):
        spoiled = features.copy()
        spoiled[row, 39 - row] = bad
        with pytest.raises(ValueError, match=rf"must be finite; 1 of 240.*\({row}, {39 - row}\)"):
            rsa.rdm(spoiled, metric=metric, conditions=list("aabbcc") if averaged else None)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e12])
def test_a_constant_pattern_of_any_size_is_found(offset: float) -> None:
    features = np.random.default_rng(0).standard_normal((4, 100_003)) + offset
    features[2] = offset + 1 / 3
    with pytest.raises(ValueError, match="that of stimulus 2 does not"):
        rsa.rdm(features)


def test_nan_is_found_and_placed() -> None:
    features = patterns(5, 4)
    features[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"'fc' must be finite; 1 of 20.*\(3, 2\)"):
        rsa.rdm({"fc": features})


@settings(deadline=None, max_examples=40)
@given(
    n_stim=st.integers(3, 12),
    n_feat=st.integers(2, 40),
    seed=st.integers(0, 2**16),
    metric=st.sampled_from(METRICS),
)
def test_properties(n_stim: int, n_feat: int, seed: int, metric: str) -> None:
    features = patterns(n_stim, n_feat, seed)
    rdms = rsa.rdm(features, metric=metric)
    square = rdms.square()
    np.testing.assert_array_equal(square, square.T)
    assert not np.diagonal(square).any()
    assert (square >= 0).all()
    order = np.random.default_rng(seed).permutation(n_feat)
    close(rsa.rdm(features[:, order], metric=metric).dissimilarities, rdms.dissimilarities)
    rows = np.random.default_rng(seed + 1).permutation(n_stim)
    close(rsa.rdm(features[rows], metric=metric).square(), square[np.ix_(rows, rows)])
    doubled = rsa.rdm(features * 2, metric=metric).dissimilarities
    factor = {"euclidean": 2, "sqeuclidean": 4}.get(metric, 1)
    close(doubled, factor * rdms.dissimilarities)
