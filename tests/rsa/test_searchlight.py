"""Searchlights: the neighbourhoods, their RDMs and scores, images in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial.distance import pdist

from dnnbrain_cpp import rsa
from dnnbrain_cpp.exceptions import AlignmentWarning, UndefinedRDMWarning
from dnnbrain_cpp.io import Responses, VolumeGeometry, read_responses
from dnnbrain_cpp.rsa._neighbours import in_ball
from oracle.rsa import SCORES
from tolerances import TOLERANCES

IDS = [f"c{i}" for i in range(7)]


def geometry(mask: NDArray[np.bool_], affine: NDArray[Any]) -> VolumeGeometry:
    img = nib.Nifti1Image(mask.astype(np.int16), affine)
    return VolumeGeometry(mask.astype(np.int32), {1: "mask"}, affine, img.header)


def oblique() -> NDArray[np.float64]:
    """Voxels of 2 x 3 x 4 mm, turned and mirrored."""
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.0, -3.0, 4.0])
    affine[:3, 3] = [-40.0, 12.5, 7.0]
    return affine


@pytest.fixture(scope="module")
def small() -> tuple[NDArray[np.float64], VolumeGeometry]:
    """Return 7 patterns over the voxels of a ragged mask, and the mask."""
    rng = np.random.default_rng(0)
    mask = rng.random((6, 5, 4)) < 0.7
    return rng.standard_normal((7, int(mask.sum()))) + 5, geometry(mask, oblique())


def models(n: int = 2, ids: list[str] | None = None) -> rsa.RDMs:
    """RDMs with ties."""
    values = np.random.default_rng(1).integers(0, 9, (n, 21))
    return rsa.RDMs(values.astype(float), names=[f"model-{i}" for i in range(n)], ids=ids)


def naive_neighbours(where: VolumeGeometry, radius: float) -> list[NDArray[np.int64]]:
    places = np.argwhere(where.inside) @ where.affine[:3, :3].T
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    return [np.flatnonzero(row <= radius * (1 + 1e-9)) for row in distance]


# ---- Neighbourhoods -----------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 2.0, 3.0, 4.9, 8.0, 1000.0])
def test_balls_in_mm_are_truncated_at_the_mask(small: Any, radius: float) -> None:
    """Defect of rsatoolbox: voxels outside the mask are taken by default; radius in voxels."""
    found = in_ball(small[1], radius)
    expected = naive_neighbours(small[1], radius)
    assert len(found.starts) == len(expected) + 1
    for i, members in enumerate(expected):
        np.testing.assert_array_equal(found.members[found.starts[i] : found.starts[i + 1]], members)


def test_the_radius_is_included() -> None:
    """Defect of rsatoolbox: its test is strict."""
    affine = np.diag([2.1, 2.1, 2.1, 1]).astype(np.float32)  # 2.1 is not a float32
    line = geometry(np.ones((5, 1, 1), bool), affine)
    np.testing.assert_array_equal(in_ball(line, 2.1).counts, [2, 3, 3, 3, 2])
    np.testing.assert_array_equal(in_ball(line, 2.09).counts, [1] * 5)


# ---- Scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "method"),
    [(metric, "spearman") for metric in ("correlation", "cosine", "euclidean", "sqeuclidean")]
    + [("correlation", method) for method in SCORES if method != "spearman"],
)
def test_scores_are_those_of_each_searchlight_alone(small: Any, metric: str, method: str) -> None:
    values, where = small
    result = rsa.searchlight(
        values, where, models=models(), radius=4.5, metric=metric, method=method, keep_rdms=True
    )
    assert result.scores.shape == (2, values.shape[1])
    assert result.rdms is not None
    for voxel, members in enumerate(naive_neighbours(where, 4.5)):
        assert result.n_neighbours[voxel] == len(members)
        if len(members) < 5:
            assert np.isnan(result.scores[:, voxel]).all()
            assert np.isnan(result.rdms[voxel]).all()
            continue
        own = rsa.rdm(values[:, members], metric=metric)
        np.testing.assert_allclose(
            result.rdms[voxel],
            own.dissimilarities,
            rtol=0,
            atol=TOLERANCES["fp64_reduction"] * own.dissimilarities.max(),
        )
        expected = [
            SCORES[method](model, own.dissimilarities) for model in models().dissimilarities
        ]
        np.testing.assert_allclose(
            result.scores[:, voxel], expected, rtol=0, atol=TOLERANCES["fp64_score"]
        )


def test_many_conditions_and_voxels() -> None:
    """Several tiles, several chunks of voxels, and a last one of each that is not full."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((101, 343)) * 10 + 1000  # far from zero, as BOLD is
    where = geometry(np.ones((7, 7, 7), bool), np.eye(4))
    model = rsa.RDMs(rng.random(101 * 50))
    for method in ("spearman", "corr"):
        result = rsa.searchlight(values, where, models=model, radius=20, method=method)
        whole = rsa.compare(model, rsa.rdm(values), method=method).scores[0, 0]
        np.testing.assert_allclose(
            result.scores, np.full((1, 343), whole), rtol=0, atol=TOLERANCES["fp64_score"]
        )


def test_ties_and_outliers_are_ranked_as_scipy_ranks_them() -> None:
    """Equal distances share a rank; one huge distance leaves all others in one bucket."""
    rng = np.random.default_rng(3)
    where = geometry(np.ones((3, 3, 3), bool), np.eye(4))
    model = rsa.RDMs(rng.integers(0, 5, 40 * 39 // 2).astype(float))
    tied = rng.integers(0, 2, (40, 27)).astype(float)
    outlying = rng.standard_normal((40, 27))
    outlying[0] *= 1e7
    for values in (tied, tied + 1e6, outlying):
        result = rsa.searchlight(values, where, models=model, radius=9, metric="sqeuclidean")
        expected = SCORES["spearman"](model.dissimilarities[0], pdist(values, "sqeuclidean"))
        np.testing.assert_allclose(result.scores, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_equal_to_rsatoolbox(small: Any) -> None:
    rsatoolbox = pytest.importorskip("rsatoolbox")
    from rsatoolbox.util.searchlight import get_searchlight_RDMs

    values, where = small
    neighbours = naive_neighbours(where, 6.0)
    kept = [i for i, members in enumerate(neighbours) if len(members) >= 5]
    theirs = get_searchlight_RDMs(
        values, np.array(kept), [neighbours[i] for i in kept], np.arange(7), verbose=False
    )
    model = models(1)
    scores = rsatoolbox.rdm.compare(
        theirs, rsatoolbox.rdm.RDMs(model.dissimilarities), method="spearman"
    )
    ours = rsa.searchlight(values, where, models=model, radius=6.0, keep_rdms=True)
    assert ours.rdms is not None
    np.testing.assert_allclose(
        ours.rdms[kept], theirs.dissimilarities, rtol=0, atol=TOLERANCES["fp64_score"]
    )
    np.testing.assert_allclose(
        ours.scores[0, kept], scores[:, 0], rtol=0, atol=TOLERANCES["fp64_score"]
    )


# ---- Crossnobis ---------------------------------------------------------------------------------


def naive_crossnobis(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over ordered pairs of different runs; runs of shape (n_run, n_cond, n_vox)."""
    n_run, n_cond, n_vox = runs.shape
    out = []
    for i in range(n_cond):
        for j in range(i + 1, n_cond):
            difference = runs[:, i] - runs[:, j]
            terms = [
                difference[r] @ difference[s] / n_vox
                for r in range(n_run)
                for s in range(n_run)
                if r != s
            ]
            out.append(np.mean(terms))
    return np.array(out)


def test_crossnobis_over_unequal_repeats(small: Any) -> None:
    _, where = small
    rng = np.random.default_rng(4)
    conditions = [i for i in IDS for _ in range(6)] + ["c2", "c2", "c5"]
    runs = [r for _ in IDS for r in "AABBCC"] + ["A", "C", "B"]
    values = rng.standard_normal((len(runs), where.n_vox)) + 100
    result = rsa.searchlight(
        values, where, models=models(ids=IDS), radius=5.0, metric="crossnobis", method="cosine",
        conditions=conditions, runs=runs, keep_rdms=True,
    )  # fmt: skip
    assert result.rdms is not None
    means = np.array(
        [
            [
                values[[c == i and r == k for c, r in zip(conditions, runs, strict=True)]].mean(0)
                for i in IDS
            ]
            for k in "ABC"
        ]
    )
    for voxel, members in enumerate(naive_neighbours(where, 5.0)):
        if len(members) < 5:
            continue
        np.testing.assert_allclose(
            result.rdms[voxel],
            naive_crossnobis(means[:, :, members]),
            rtol=0,
            atol=TOLERANCES["fp64_score"],
        )
    assert (result.rdms < 0).any()  # noise has no distance, on average
    assert abs(np.nanmean(result.rdms)) < 0.1


def test_repeats_are_averaged_without_runs(small: Any) -> None:
    values, where = small
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(values.shape)
    twice = np.concatenate([values + noise, values - noise])
    once = rsa.searchlight(values, where, models=models(), radius=5.0)
    again = rsa.searchlight(
        twice, where, models=models(ids=IDS), radius=5.0, conditions=[*IDS, *IDS]
    )
    np.testing.assert_allclose(again.scores, once.scores, rtol=0, atol=TOLERANCES["fp64_score"])


# ---- Surfaces -----------------------------------------------------------------------------------


def test_surface_neighbours_and_distances_along_edges() -> None:
    """A ring of 30 vertices, 1.5 mm apart."""
    n = 30
    ring = sparse.coo_array((np.full(n, 1.5), (np.arange(n), (np.arange(n) + 1) % n)), shape=(n, n))
    values = np.random.default_rng(6).standard_normal((7, n))
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    distance = np.minimum(distance, n - distance) * 1.5
    for radius, reach in ((None, 1.5), (4.5, 4.5), (4.4, 3.0)):
        symmetric = ring + ring.T
        result = rsa.searchlight(
            values, adjacency=symmetric, models=models(), radius=radius, min_voxels=3
        )
        assert result.radius == radius
        for vertex in range(n):
            members = np.flatnonzero(distance[vertex] <= reach + 1e-9)
            assert result.n_neighbours[vertex] == len(members)
            own = rsa.rdm(values[:, members])
            expected = rsa.compare(models(), own, method="spearman").scores[:, 0]
            np.testing.assert_allclose(
                result.scores[:, vertex], expected, rtol=0, atol=TOLERANCES["fp64_score"]
            )
    with pytest.raises(ValueError, match="have none"):
        result.to_img()


# ---- Images, ids, results -----------------------------------------------------------------------


def test_images_in_and_out(small: Any, tmp_path: Path) -> None:
    values, where = small
    volume = np.full((*where.shape, 7), np.nan, np.float32)
    volume[where.inside] = values.T
    img = nib.Nifti1Image(volume, where.affine)
    mask_img = nib.Nifti1Image(where.inside.astype(np.int16), where.affine)
    nib.save(img, tmp_path / "bold.nii.gz")
    nib.save(mask_img, tmp_path / "mask.nii.gz")
    expected = rsa.searchlight(values.astype(np.float32), where, models=models(), radius=5.0)
    for source, mask in (
        (tmp_path / "bold.nii.gz", tmp_path / "mask.nii.gz"),
        (img, mask_img),
        (img, where),
        (str(tmp_path / "bold.nii.gz"), mask_img),
        (img, tmp_path / "mask.nii.gz"),
        (read_responses(tmp_path / "bold.nii.gz", mask=tmp_path / "mask.nii.gz"), None),
    ):
        result = rsa.searchlight(source, mask, models=models(), radius=5.0)
        np.testing.assert_array_equal(result.scores, expected.scores)
        out = result.to_img()
        assert out.shape == (*where.shape, 2)
        np.testing.assert_allclose(out.affine, where.affine, rtol=0, atol=1e-5)
        one = result.to_img("model-1")
        data = one.get_fdata()
        assert np.isnan(data[~where.inside]).all()
        np.testing.assert_allclose(
            data[where.inside], expected.scores[1], rtol=TOLERANCES["fp32_reduction"]
        )
    shifted = nib.Nifti1Image(where.inside.astype(np.int16), np.eye(4))
    with pytest.raises(ValueError, match="same place"):
        rsa.searchlight(img, shifted, models=models())
    with pytest.raises(ValueError, match="must be finite"):
        rsa.searchlight(img, models=models())


def test_conditions_are_joined_by_id(small: Any) -> None:
    values, where = small
    named = models(ids=IDS)
    expected = rsa.searchlight(values, where, models=named, radius=5.0, conditions=IDS)
    order = [3, 0, 6, 1, 5, 2, 4]
    shuffled = Responses(values[order], ids=[IDS[i] for i in order], geometry=where)
    result = rsa.searchlight(shuffled, models=named, radius=5.0, keep_rdms=True)
    np.testing.assert_allclose(
        result.scores, expected.scores, rtol=0, atol=TOLERANCES["fp32_reduction"]
    )
    assert result.ids == tuple(IDS)
    best = int(np.nanargmax(result.scores[0]))
    own = result.rdm(best)
    score = rsa.compare(named[:1], own, method="spearman").scores[0, 0]
    assert score == pytest.approx(result.scores[0, best])
    with pytest.warns(AlignmentWarning) as told:
        rsa.searchlight(values, where, models=named, radius=5.0)
    assert told[0].filename == __file__
    with pytest.raises(ValueError, match="same condition ids"):
        rsa.searchlight(values, where, models=named, radius=5.0, conditions=[*IDS[:6], "other"])


def test_table_and_repr(small: Any) -> None:
    values, where = small
    result = rsa.searchlight(values, where, models=models(), radius=5.0)
    frame = result.to_frame()
    assert list(frame) == ["x_mm", "y_mm", "z_mm", "n_neighbours", "model-0", "model-1"]
    place = where.affine @ [*np.argwhere(where.inside)[11], 1]
    np.testing.assert_allclose(frame.iloc[11][["x_mm", "y_mm", "z_mm"]], place[:3])
    np.testing.assert_array_equal(frame["model-1"], result.map("model-1"))
    assert "model-0" in repr(result)
    with pytest.raises(KeyError, match="no model"):
        result.map("other")
    with pytest.raises(ValueError, match="keep_rdms"):
        result.rdm(0)


def test_a_pattern_without_direction_has_no_score(small: Any) -> None:
    values, where = small
    flat = values.copy()
    flat[3, :30] = 5.0
    with pytest.warns(UndefinedRDMWarning, match="constant"):
        result = rsa.searchlight(flat, where, models=models(), radius=4.0)
    for voxel, members in enumerate(naive_neighbours(where, 4.0)):
        gone = len(members) < 5 or (members < 30).all()
        assert np.isnan(result.scores[:, voxel]).all() == gone
    flat[3] = 0.0
    with pytest.warns(UndefinedRDMWarning, match="zero"):
        result = rsa.searchlight(flat, where, models=models(), radius=4.0, metric="cosine")
    assert np.isnan(result.scores).all()


@pytest.mark.parametrize("metric", ["correlation", "crossnobis"])
def test_same_bits_for_any_number_of_threads(small: Any, metric: str) -> None:
    _, where = small
    values = np.random.default_rng(8).standard_normal((14, where.n_vox))
    options: dict[str, Any] = {
        "models": models(ids=IDS), "conditions": [*IDS, *IDS], "radius": 6.0, "metric": metric
    }  # fmt: skip
    if metric == "crossnobis":
        options["runs"] = [0] * 7 + [1] * 7
    calls: list[tuple[int, int]] = []
    one = rsa.searchlight(
        values, where, n_threads=1, progress=lambda *now: calls.append(now), **options
    )
    two = rsa.searchlight(values, where, n_threads=2, **options)
    np.testing.assert_array_equal(one.scores, two.scores)
    assert calls
    assert calls[-1] == (where.n_vox, where.n_vox)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": -1.0}, "radius must be positive"),
        ({"metric": "crossnobis"}, "needs runs="),
        ({"metric": "crossnobis", "runs": [0] * 7}, "need conditions="),
        ({"runs": [0] * 7}, "runs are for"),
        ({"metric": "other"}, "metric must be one of"),
        ({"method": "other"}, "method must be one of"),
        ({"models": None}, "there must be models"),
        ({"conditions": ["a", "a", "a", "b", "b", "b", "b"]}, "at least 3 conditions"),
        ({"conditions": IDS[:5]}, "one per observation, 7"),
        ({"min_voxels": 500}, "the largest has"),
        ({"adjacency": np.eye(3)}, "exclude each other"),
        ({"models": np.ones(21)}, "not all equal"),
        ({"models": np.arange(15.0)}, "same conditions"),
    ],
)
def test_misuse(small: Any, change: dict[str, Any], message: str) -> None:
    values, where = small
    with pytest.raises(ValueError, match=message):
        rsa.searchlight(values, where, **({"models": models(), "radius": 5.0} | change))


def test_misuse_of_places(small: Any) -> None:
    values, where = small
    with pytest.raises(ValueError, match="must know where"):
        rsa.searchlight(values, models=models())
    with pytest.raises(ValueError, match="a column for each voxel"):
        rsa.searchlight(values[:, :9], where, models=models())
    with pytest.raises(ValueError, match="for each of 9 channels"):
        rsa.searchlight(values[:, :9], adjacency=np.eye(3), models=models())
    with pytest.raises(ValueError, match="lacks 'c0'"):
        rsa.searchlight(
            np.vstack([values, values])[1:], where, models=models(), metric="crossnobis",
            conditions=[*IDS, *IDS][1:], runs=[0] * 6 + [1] * 7,
        )  # fmt: skip


# ---- Real voxels --------------------------------------------------------------------------------


def test_haxby_categories_are_apart_where_the_brain_tells_them_apart(data_dir: Path) -> None:
    folder = data_dir / "haxby2001-pymvpa"
    responses = read_responses(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
    lines = [line.split() for line in (folder / "attributes_literal.txt").read_text().splitlines()]
    label, run = np.array([line for line in lines if len(line) == 2]).T
    shown = label != "rest"
    data = responses.data.astype(np.float64)
    for number in np.unique(run):  # each voxel in units of its noise in the run
        within = data[run == number]
        data[run == number] = (within - within.mean(0)) / np.maximum(within.std(0), 1e-9)
    ids = list(dict.fromkeys(label[shown]))
    face = np.array([name in ("face", "cat") for name in ids])  # animate or not
    rows, columns = np.triu_indices(8, 1)
    model = rsa.RDMs((face[rows] != face[columns]).astype(float), ids=ids, names=["animacy"])
    result = rsa.searchlight(
        data[shown], responses.geometry, models=model, radius=8.0, metric="crossnobis",
        method="tau-a", conditions=label[shown], runs=run[shown], keep_rdms=True,
    )  # fmt: skip
    # Voxels are 3.1 x 3.75 mm in one slice: up to 2 steps along each side, not both.
    assert result.n_neighbours.max() == 17
    assert result.rdms is not None
    distances = np.nanmean(result.rdms, axis=1)
    assert np.nanmean(distances > 0) > 0.9  # crossvalidated: chance would be a half
    assert np.nanmax(result.scores) > 0.3
    img = result.to_img("animacy")
    np.testing.assert_allclose(img.affine, nib.load(folder / "bold.nii.gz").affine)
