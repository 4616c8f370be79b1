"""Figures: what is drawn is what was given, and nothing global changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dnnbrain_cpp import plot
from dnnbrain_cpp.rsa import RDMs
from dnnbrain_cpp.rsa import dendrogram as rsa_dendrogram
from dnnbrain_cpp.rsa import mds as rsa_mds

LAYERS = ["conv1", "conv2", "fc"]


def new_axes() -> Axes:
    return Figure().add_subplot()


def test_layer_curve_draws_scores_errors_seeds_and_marks() -> None:
    ax = plot.layer_curve(
        LAYERS, [0.1, 0.3, 0.2], sem=[0.01, np.nan, 0.02], seeds=np.ones((4, 3)),
        p=[0.2, 0.01, np.nan], label="net", color="#0072B2",
    )  # fmt: skip
    assert [tick.get_text() for tick in ax.get_xticklabels()] == LAYERS
    curves = [line for line in ax.lines if len(line.get_xdata()) == 3]
    heights = [list(line.get_ydata()) for line in curves]
    assert heights.count([1.0, 1.0, 1.0]) == 4
    assert [0.1, 0.3, 0.2] in heights
    points = ax.collections[-1]
    np.testing.assert_allclose(points.get_offsets(), [[0, 0.1], [1, 0.3], [2, 0.2]])
    # Filled only where p is below the level.
    white = (points.get_facecolors()[:, :3] == 1).all(axis=1)
    assert white.tolist() == [True, False, True]
    assert ax.get_legend_handles_labels()[1] == ["net"]


def test_curves_add_up_in_given_axes() -> None:
    ax = new_axes()
    assert plot.layer_curve(LAYERS, [1, 2, 3], ax=ax) is ax
    n_line = len(ax.lines)
    assert plot.layer_curve(LAYERS, [3, 2, 1], ax=ax) is ax
    assert len(ax.lines) == 2 * n_line
    assert plot.ceiling_band(0.3, 0.4, label="mean RDM", ax=ax) is ax
    assert ax.patches[-1].get_y() == pytest.approx(0.3)
    assert ax.patches[-1].get_height() == pytest.approx(0.1)
    assert "mean RDM" in [text.get_text() for text in ax.texts]


def test_many_layers_have_few_names() -> None:
    names = [f"layer{i}" for i in range(100)]
    ax = plot.layer_curve(names, np.zeros(100))
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert 8 <= len(ticks) <= 16
    assert ticks[1] == names[int(ax.get_xticks()[1])]


@pytest.mark.parametrize("name", ["scores", "sem", "p"])
def test_lengths_must_agree(name: str) -> None:
    given = {"scores": [1.0, 2.0, 3.0], name: [1.0]}
    with pytest.raises(ValueError, match=f"{name} must have one value per layer, 3; got 1"):
        plot.layer_curve(LAYERS, **given)  # type: ignore[arg-type]


def test_distribution_leaves_out_what_is_not_finite() -> None:
    scores = {"a": [0.1, 0.2, np.nan], "b": [np.nan, np.nan], "c": [0.5, 0.5, 0.5]}
    ax = plot.score_distribution(scores)
    (means,) = ax.lines
    np.testing.assert_allclose(means.get_ydata(), [0.15, np.nan, 0.5])
    bodies = [body for body in ax.collections if body.get_paths() and body.get_alpha() == 0.25]
    assert len(bodies) == 2
    ax.figure.canvas.draw()


def test_rdm_is_drawn_with_a_white_diagonal() -> None:
    condensed = np.arange(1.0, 7.0)
    rdms = RDMs(np.stack([condensed, condensed[::-1]]))
    for ax in (plot.rdm_matrix(rdms, index=1), plot.rdm_matrix(rdms.square()[1])):
        shown = ax.images[0].get_array()
        assert np.ma.getmaskarray(shown).diagonal().all()
        assert shown[0, 1] == 6
        assert shown[2, 3] == 1
        np.testing.assert_allclose(ax.images[0].get_clim(), np.percentile(condensed, (2, 98)))
    square = rdms.square()[0]
    plot.rdm_matrix(square, limits=(0, 9))
    assert (square.diagonal() == 0).all()  # the user's array is not touched
    with pytest.raises(ValueError, match="square"):
        plot.rdm_matrix(np.zeros((2, 3)))


def test_slices_show_each_voxel_the_right_way_up() -> None:
    volume = np.full((4, 5, 3), np.nan)
    volume[1, 3, 0], volume[2, 1, 2] = 1.0, 2.0
    ax = plot.slice_map(volume)
    shown = np.ma.filled(ax.images[0].get_array(), np.nan)
    # Two slices have voxels; each is the box x 0-3, y 0-4 with the front (large y) on top.
    assert shown.shape == (5, 9)
    expected = np.full((5, 9), np.nan)
    expected[1, 1], expected[3, 5 + 2] = 1.0, 2.0
    np.testing.assert_array_equal(shown, expected)
    assert ax.images[0].get_clim() == (1.0, 2.0)

    # An image whose first axis runs from right to left is turned.
    flipped = nib.Nifti1Image(volume[::-1], np.diag([-1.0, 1, 1, 1]))
    np.testing.assert_array_equal(
        np.ma.filled(plot.slice_map(flipped).images[0].get_array(), np.nan), expected
    )


def test_slices_of_labels() -> None:
    volume = np.array([[[1.0, 2.0, 3.0]]])
    ax = plot.slice_map(volume, categories=["a", "b", "c"], n_slice=2)
    assert ax.images[0].get_clim() == (0.5, 3.5)
    bar = ax.images[0].colorbar
    assert bar is not None
    assert [tick.get_text() for tick in bar.ax.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="finite voxel"):
        plot.slice_map(np.full((2, 2, 2), np.nan))


def test_contact_sheet_keeps_order_and_aspect() -> None:
    images = [Image.new("RGB", size, colour) for size, colour in
              (((50, 50), "red"), ((50, 25), "lime"), ((10, 10), "blue"))]  # fmt: skip
    ax = plot.contact_sheet(images, n_col=2, size=24)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (2 * 26, 2 * 26, 3)
    assert sheet[13, 13].tolist() == [255, 0, 0]
    assert sheet[13, 26 + 13].tolist() == [0, 255, 0]
    assert sheet[3, 26 + 13].tolist() == [255, 255, 255]  # the second is half as high
    assert sheet[26 + 13, 13].tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match="at least"):
        plot.contact_sheet([])


def test_nothing_global_changes(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    plot.layer_curve(LAYERS, [1, 2, 3]).figure.canvas.draw()
    assert dict(mpl.rcParams) == before
    code = (
        "import sys, dnnbrain_cpp.plot as p;"
        "assert 'matplotlib' not in sys.modules;"
        "p.layer_curve(['a'], [1.0]).figure.savefig(sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], env=environment, check=True)


def test_rdm_matrix_takes_one_rdm_and_several() -> None:
    rdms = RDMs(np.arange(12.0).reshape(2, 6))
    for given, options in ((rdms[1], {}), (rdms, {"index": 1}), (rdms.square(), {"index": 1})):
        ax = plot.rdm_matrix(given, **options)
        drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
        assert drawn[0, 1] == 6.0
        assert np.isnan(np.diagonal(drawn)).all()


def test_mds_draws_each_category_with_its_own_colour_and_shape() -> None:
    layout = rsa_mds(np.random.default_rng(0).random(15), random_state=0)
    ax = plot.mds(layout, categories=["a", "b", "a", "b", "a", "b"])
    assert ax.get_aspect() == 1
    drawn = np.concatenate([points.get_offsets() for points in ax.collections])
    np.testing.assert_allclose(drawn, layout.positions[[0, 2, 4, 1, 3, 5]])
    assert ax.get_legend_handles_labels()[1] == ["a", "b"]
    assert [text.get_text() for text in ax.texts] == list("012345")
    assert not plot.mds(layout.positions).texts
    with pytest.raises(ValueError, match="categories must name 6 conditions; got 2"):
        plot.mds(layout, categories=["a", "b"])
    with pytest.raises(ValueError, match="two dimensions; got 1"):
        plot.mds(layout.positions[:, :1])


def test_dendrogram_colours_clusters() -> None:
    places = np.array([0.0, 1.0, 30.0, 31.0, 32.5])
    tree = rsa_dendrogram(np.abs(np.subtract.outer(places, places)))
    ax = plot.dendrogram(tree, n_cluster=2)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [str(i) for i in tree.order]
    colours = {tuple(np.round(c[:3], 3)) for lines in ax.collections for c in lines.get_color()}
    assert len(colours) == 3  # two clusters, and the join of both
    heights = [path.vertices[1, 1] for lines in ax.collections for path in lines.get_paths()]
    assert sorted(heights) == pytest.approx(sorted(tree.linkage[:, 2]))
    with pytest.raises(ValueError, match="from 1 to 5; got 6"):
        plot.dendrogram(tree, n_cluster=6)


def test_timecourse_draws_curves_bands_and_marks() -> None:
    times = np.linspace(-0.1, 0.4, 6)
    ax = plot.timecourse(
        times, [0, 0.1, np.nan, 0.3, 0.2, 0.1], sem=np.full(6, 0.02), label="early",
        significant=[False, False, False, True, True, False], ceiling=[[0.3] * 6, [0.4] * 6],
    )  # fmt: skip
    curve = next(line for line in ax.lines if line.get_label() == "early")
    np.testing.assert_array_equal(curve.get_ydata(), [0, 0.1, np.nan, 0.3, 0.2, 0.1])
    (marks,) = (line for line in ax.lines if line.get_gid() == "significant")
    np.testing.assert_array_equal(marks.get_xdata(), times[3:5])
    assert len(ax.collections) == 2  # ceiling, standard error
    again = plot.timecourse(times, np.zeros(6), significant=np.ones(6), color="#D55E00", ax=ax)
    assert again is ax
    heights = [float(line.get_ydata()[0]) for line in ax.lines if line.get_gid() == "significant"]
    assert heights[1] > heights[0]
    assert ax.get_xlim() == (times[0], times[-1])
    with pytest.raises(ValueError, match="one value per time, 6"):
        plot.timecourse(times, [1.0])


def test_time_matrix_has_the_first_time_upwards() -> None:
    times = np.arange(5) * 0.1
    scores = np.arange(25.0).reshape(5, 5)
    ax = plot.time_matrix(times, scores, significant=scores > 20)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), scores)
    assert image.origin == "lower"
    np.testing.assert_allclose(image.get_extent(), (-0.05, 0.45, -0.05, 0.45))
    assert image.get_clim() == (-24.0, 24.0)
    assert len(ax.get_xticks()) > 2
    with pytest.raises(ValueError, match="for each of 5 times"):
        plot.time_matrix(times, np.ones((5, 4)))
    with pytest.raises(ValueError, match="shape of scores"):
        plot.time_matrix(times, scores, significant=np.ones((5, 4)))
