"""Conditions in a plane and as a tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist
from sklearn.manifold import MDS

from dnnbrain_cpp import rsa

IDS = [f"c{i}" for i in range(12)]


def points(n: int = 12, p: int = 2, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, p)) * np.arange(p, 0, -1)


@pytest.mark.parametrize("kind", ["metric", "nonmetric", "classical"])
def test_points_of_a_plane_are_found_again(kind: str) -> None:
    distances = pdist(points())
    result = rsa.mds(rsa.RDM(distances, ids=IDS), kind=kind, random_state=0)
    assert result.stress < 1e-3
    assert (result.ids, result.kind) == (tuple(IDS), kind)
    if kind != "nonmetric":
        np.testing.assert_allclose(pdist(result.positions), distances, rtol=0, atol=1e-2)
    np.testing.assert_allclose(result.positions.mean(0), 0, atol=1e-12)
    covariance = result.positions.T @ result.positions
    assert abs(covariance[0, 1]) < 1e-8 * covariance[0, 0]
    assert covariance[0, 0] > covariance[1, 1]
    frame = result.to_frame()
    assert list(frame) == ["id", "dim1", "dim2"]


def test_nonmetric_sees_only_the_order() -> None:
    distances = pdist(points())
    bent = rsa.mds(distances**3, kind="nonmetric", random_state=1)
    assert bent.stress < 0.02
    assert rsa.mds(distances**3, random_state=1).stress > 5 * bent.stress


def test_as_good_as_scikit_learn() -> None:
    values = rsa.RDM(np.random.default_rng(2).random(66))
    ours = rsa.mds(values, random_state=0, n_init=6)
    options: dict[str, Any] = {"metric": "precomputed", "init": "random", "n_init": 6}
    theirs = MDS(2, random_state=0, normalized_stress=False, **options).fit(values.square())
    distances = pdist(theirs.embedding_)
    stress = np.sqrt(((distances - values.dissimilarities) ** 2).sum() / (distances**2).sum())
    assert ours.stress < stress * 1.01
    expected = pdist(ours.positions)
    raw = np.sqrt(((expected - values.dissimilarities) ** 2).sum() / (expected**2).sum())
    assert ours.stress == pytest.approx(raw, rel=1e-9)


def test_seeds_and_global_state() -> None:
    values = np.random.default_rng(3).random(66)
    one, two = (rsa.mds(values, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)


def test_negative_distances_count_as_zero() -> None:
    values = np.random.default_rng(4).random(66) - 0.3
    one = rsa.mds(values, random_state=0)
    two = rsa.mds(np.maximum(values, 0), random_state=0)
    np.testing.assert_array_equal(one.positions, two.positions)


@pytest.mark.parametrize("method", ["average", "single", "complete", "weighted", "ward"])
def test_tree_is_that_of_scipy(method: str) -> None:
    distances = pdist(points(p=4))
    tree = rsa.dendrogram(rsa.RDM(distances, ids=IDS), method=method)
    np.testing.assert_array_equal(
        tree.linkage, hierarchy.linkage(distances, method, optimal_ordering=True)
    )
    assert sorted(tree.order) == list(range(12))
    assert len(tree.to_frame()) == 11


def test_clusters_from_left_to_right() -> None:
    centres = np.repeat([0.0, 100.0, 10.0], 4)
    tree = rsa.dendrogram(pdist((centres + np.tile([0, 0.1, 0.3, 0.6], 3))[:, None]))
    labels = tree.clusters(3)
    assert (np.diff(labels[tree.order]) >= 0).all()
    assert [len(set(labels[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]
    assert len(set(labels)) == 3
    near = tree.clusters(2)
    assert near[0] == near[8] != near[4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: rsa.mds(rsa.RDMs(np.stack([x, x]))), r"one RDM; got 2.*rdms\.mean"),
        (lambda x: rsa.dendrogram(np.stack([x, x])), "one RDM; got 2"),
        (lambda x: rsa.mds(x, kind="isomap"), "'classical'; got 'isomap'"),
        (lambda x: rsa.mds(x, n_components=12), "from 1 to 11; got 12"),
        (lambda x: rsa.mds(x * 0), "all are zero"),
        (lambda x: rsa.dendrogram(-x), "not negative; the smallest"),
        (lambda x: rsa.dendrogram(x, method="centroid"), "method must be one of"),
        (lambda x: rsa.dendrogram(x).clusters(13), "from 1 to 12; got 13"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(pdist(points()))
