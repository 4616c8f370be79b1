"""Sign flips and clusters: against flips and clusters counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy import stats as scipy_stats

from dnnbrain_cpp import stats
from tolerances import TOLERANCES

ALTERNATIVES = ["two-sided", "greater", "less"]
DIRECTED: dict[str, Callable[[Any], Any]] = {
    "two-sided": np.abs,
    "greater": lambda t: t,
    "less": lambda t: -t,
}


def maps(*shape: int, seed: int = 0, shift: float = 0.4) -> NDArray[np.float64]:
    """Smooth maps of subjects with an effect in the first half of the first axis."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, [0] + [1.0] * (len(shape) - 1)) * 2
    smooth[:, : shape[1] // 2] += shift
    return smooth


def t_map(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(scipy_stats.ttest_1samp(values, 0).statistic)


def all_flips(n_subject: int) -> list[NDArray[np.float64]]:
    return [np.array(signs) for signs in itertools.product([1.0, -1.0], repeat=n_subject)]


def flipped(values: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    return values * signs.reshape(-1, *[1] * (values.ndim - 1))


def naive_clusters(
    t: NDArray[np.float64], threshold: float, alternative: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Label neighbours on a grid; positive clusters first."""
    labels, masses = np.zeros(t.shape, np.int64), []
    for sign in {"two-sided": (1, -1), "greater": (1,), "less": (-1,)}[alternative]:
        found, n = ndimage.label(sign * t > threshold)
        for k in range(1, n + 1):
            masses.append(t[found == k].sum())
            labels[found == k] = len(masses)
    return labels, np.array(masses)


def naive_tfce(t: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros(t.shape)
    for sign in (1, -1):
        for level in range(1, int(np.abs(t).max() / 0.1) + 1):
            found, n = ndimage.label((sign * t / 0.1).astype(np.int64) >= level)
            for k in range(1, n + 1):
                inside = found == k
                out[inside] += sign * inside.sum() ** 0.5 * (level * 0.1) ** 2 * 0.1
    return out


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_all_flips_are_counted(alternative: str) -> None:
    values = maps(7, 5, 4)
    result = stats.sign_flip_test(values, alternative=alternative)
    assert result.exact
    assert (result.n_perm, result.seed) == (127, None)
    rounding = TOLERANCES["fp64_score"]
    np.testing.assert_allclose(result.t, t_map(values), rtol=0, atol=rounding)
    directed = DIRECTED[alternative]
    null = np.array([directed(t_map(flipped(values, signs))) for signs in all_flips(7)])
    observed = directed(t_map(values))
    np.testing.assert_array_equal(result.p, (null >= observed - rounding).mean(0))
    extremes = null.max((1, 2))
    fwe = (extremes[:, None, None] >= observed - rounding).mean(0)
    np.testing.assert_array_equal(result.p_fwe, fwe)
    np.testing.assert_allclose(np.sort(result.null_extremes), np.sort(extremes[1:]), atol=rounding)
    assert (result.p_fwe >= result.p).all()


def test_drawn_flips_are_those_of_the_seed_and_come_near_all_of_them() -> None:
    values = maps(12, 30)
    one = stats.sign_flip_test(values, n_perm=3000, random_state=5, n_threads=1)
    two = stats.sign_flip_test(values, n_perm=3000, random_state=5, n_threads=2)
    np.testing.assert_array_equal(one.null_extremes, two.null_extremes)
    np.testing.assert_array_equal(one.p, two.p)
    assert not one.exact
    assert len(np.unique(one.null_extremes)) > 1000
    exact = stats.sign_flip_test(values, n_perm=4096)
    assert exact.exact
    # Standard error of a p of 0.5 from 3000 draws, times four.
    np.testing.assert_allclose(one.p, exact.p, rtol=0, atol=4 * 0.5 / np.sqrt(3000))
    assert stats.sign_flip_test(values, n_perm=99, random_state=0).p.min() >= 0.01


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("shape", [(40,), (9, 8), (4, 5, 3)])
def test_clusters_of_all_flips(alternative: str, shape: tuple[int, ...]) -> None:
    """What MNE's permutation_cluster_1samp_test counts, counted here one by one."""
    values = maps(7, *shape, seed=2)
    result = stats.cluster_test(values, threshold=1.0, alternative=alternative)
    labels, masses = naive_clusters(t_map(values), 1.0, alternative)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.mass, masses, rtol=TOLERANCES["fp64_score"])
    null = []
    for signs in all_flips(7):
        found = naive_clusters(t_map(flipped(values, signs)), 1.0, alternative)[1]
        null.append(np.abs(found).max(initial=0.0))
    expected = [(np.array(null) >= abs(mass) - 1e-9).mean() for mass in masses]
    np.testing.assert_array_equal(result.p, expected)
    np.testing.assert_allclose(np.sort(result.null_extremes), np.sort(null[1:]), atol=1e-9)
    np.testing.assert_array_equal(result.p_map, np.array([1.0, *expected])[labels])
    frame = result.to_frame()
    assert list(frame["size"]) == [int((labels == k + 1).sum()) for k in range(len(masses))]
    for k, peak in enumerate(frame["peak"], start=1):
        assert labels[peak] == k
        assert abs(result.t[peak]) == np.abs(result.t[labels == k]).max()


def test_default_threshold_is_that_of_one_place() -> None:
    values = maps(9, 20)
    two = stats.cluster_test(values, n_perm=10, random_state=0)
    assert two.threshold == pytest.approx(scipy_stats.t.ppf(0.975, 8))
    one = stats.cluster_test(values, n_perm=10, random_state=0, alternative="less")
    assert one.threshold == pytest.approx(scipy_stats.t.ppf(0.95, 8))


@pytest.mark.parametrize("shape", [(25,), (7, 6)])
def test_enhancement_without_threshold(shape: tuple[int, ...]) -> None:
    values = maps(6, *shape, seed=3)
    result = stats.cluster_test(values, threshold="tfce")
    rounding = TOLERANCES["fp64_score"]
    expected = naive_tfce(t_map(values))
    assert result.enhanced is not None
    np.testing.assert_allclose(result.enhanced, expected, rtol=rounding, atol=rounding)
    null = np.array(
        [np.abs(naive_tfce(t_map(flipped(values, signs)))).max() for signs in all_flips(6)]
    )
    p = (null >= np.abs(expected)[..., None] - rounding).mean(-1)
    np.testing.assert_array_equal(result.p_map, p)
    np.testing.assert_array_equal(result.labels > 0, p <= 0.05)


def test_any_neighbourhood() -> None:
    """A ring: both ends of a line are neighbours."""
    values = maps(6, 12, seed=4, shift=0.0)
    values[:, [0, 1, 10, 11]] += 2.0
    index = np.arange(12)
    ring = sparse.coo_array((np.ones(12), (index, (index + 1) % 12)), shape=(12, 12))
    on_line = stats.cluster_test(values, threshold=2.5)
    on_ring = stats.cluster_test(values, threshold=2.5, adjacency=ring)
    assert on_line.labels[0] != on_line.labels[11]
    assert on_ring.labels[0] == on_ring.labels[11] > 0
    assert on_ring.mass.max() == pytest.approx(on_line.mass[on_line.mass > 0].sum())


def test_places_that_a_subject_lacks_are_left_out_and_connect_nothing() -> None:
    values = maps(6, 20, seed=5) + 2
    values[2, 9] = np.nan
    result = stats.cluster_test(values, threshold=0.5)
    assert np.isnan(result.t[9])
    assert np.isnan(result.p_map[9])
    assert result.labels[9] == 0
    assert result.labels[8] != result.labels[10]
    rest = stats.sign_flip_test(np.delete(values, 9, axis=1))
    whole = stats.sign_flip_test(values)
    np.testing.assert_array_equal(np.delete(whole.p_fwe, 9), rest.p_fwe)
    assert np.isnan(whole.p_fwe[9])


def test_one_number_for_each_subject() -> None:
    values = np.array([0.5, 1.0, 0.2, 0.8, 0.9])
    one = stats.sign_flip_test(values, alternative="greater")
    assert one.p == 1 / 32
    assert one.to_frame().p_fwe.tolist() == [1 / 32]
    cluster = stats.cluster_test(values, alternative="greater")
    assert cluster.to_frame()[["size", "peak", "p"]].to_numpy().tolist() == [[1, (0,), 1 / 32]]


def test_neighbours_on_a_mask() -> None:
    inside = np.random.default_rng(0).random((4, 3, 5)) < 0.6
    places = np.argwhere(inside)
    expected = np.abs(places[:, None] - places[None]).sum(2) == 1
    np.testing.assert_array_equal(stats.grid_adjacency(inside).toarray() != 0, expected)


def test_same_bits_for_any_number_of_threads() -> None:
    values = maps(20, 300)
    for threshold in (2.0, "tfce"):
        one, two = (
            stats.cluster_test(values, threshold=threshold, n_perm=200, random_state=1, n_threads=n)
            for n in (1, 2)
        )
        np.testing.assert_array_equal(one.null_extremes, two.null_extremes)
        np.testing.assert_array_equal(one.p_map, two.p_map)
        assert "20" not in repr(one) or "flips" in repr(one)


def test_values_that_are_all_alike() -> None:
    values = np.zeros((5, 4))
    values[:, 1] = 3.0
    result = stats.sign_flip_test(values)
    assert np.isfinite(result.t).all()
    assert result.t[1] > 1e6
    assert result.p[0] == 1.0
    assert result.p[1] == 2 / 32
    # Enhancement ends although t is some 1e7.
    enhanced = stats.cluster_test(values, threshold="tfce")
    np.testing.assert_array_equal(enhanced.p_map, result.p)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.ones((1, 5)), {}, "at least 2"),
        (np.full((3, 5), np.inf), {}, "finite"),
        (np.full((3, 5), np.nan), {}, "no point has a value"),
        (np.ones((3, 5)), {"threshold": 0.0}, "threshold must be positive"),
        (np.ones((3, 5)), {"threshold": "other"}, "threshold must be one of"),
        (np.ones((3, 5)), {"adjacency": np.eye(4)}, "for each of 5 places"),
        (np.ones((3, 5)), {"alternative": "more"}, "alternative must be one of"),
        (np.ones((3, 5)), {"n_perm": 0}, "n_perm must be at least 1"),
    ],
)
def test_misuse(values: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stats.cluster_test(values, **options)


def test_progress_and_cancellation() -> None:
    calls: list[tuple[int, int]] = []
    values = maps(10, 50)
    stats.cluster_test(values, n_perm=50, progress=lambda *now: calls.append(now))
    assert calls[-1] == (50, 50)
