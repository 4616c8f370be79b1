"""What scores turn into: tables, arrays, maps of volumes, surfaces and grayordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, Ridge

from dnnbrain_cpp.encoding import Encoder, Scores, encode
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import read_responses
from oracle.encoding import refit
from tolerances import TOLERANCES

N_STIM, SHAPE = 24, (3, 2, 4)  # channels, rows, columns


def draw(n_vox: int = 5) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_STIM, *SHAPE)).astype(np.float32)
    y = x.reshape(N_STIM, -1)[:, :3] @ rng.standard_normal((3, n_vox))
    return x, (y + rng.standard_normal(y.shape)).astype(np.float32)


def features(x: NDArray[Any], ids: Any = None) -> Features:
    return Features({"conv": x.reshape(len(x), -1)}, shapes={"conv": SHAPE}, ids=ids)


def test_channels_and_positions() -> None:
    x, y = draw()
    channels = encode(features(x), y, estimator=Ridge(1.0), iter_axis="channel", cv=3)
    assert channels.layers == [f"conv[channel={c}]" for c in range(3)]
    for c, name in enumerate(channels.layers):
        expected = encode(x[:, c].reshape(N_STIM, -1), y, estimator=Ridge(1.0), cv=3)
        np.testing.assert_array_equal(channels.scores[name], expected.scores["features"])
    positions = encode({"conv": x}, y, estimator=Ridge(1.0), iter_axis="row_col", cv=3)
    assert positions.layers[5] == "conv[row=1, column=1]"
    for place, name in enumerate(positions.layers):
        expected = encode(x[:, :, place // 4, place % 4], y, estimator=Ridge(1.0), cv=3)
        np.testing.assert_array_equal(positions.scores[name], expected.scores["features"])
    frame = positions.to_frame()
    assert list(frame.columns) == ["layer", "row", "column", "target", "fold", "score"]
    chosen = frame.query("row == 1 and column == 3 and target == 2 and fold == 1")["score"].item()
    assert chosen == positions.scores["conv[row=1, column=3]"][1, 2]
    best = channels.best_layer()
    assert list(best.columns) == ["target", "layer", "channel", "score"]
    np.testing.assert_array_equal(best["channel"], channels.means().argmax(0))
    assert set(best["layer"]) == {"conv"}
    array = positions.to_xarray()
    np.testing.assert_array_equal(array["column"], [0, 1, 2, 3] * 2)


def test_what_cannot_be_iterated() -> None:
    x, y = draw()
    flat = x.reshape(N_STIM, -1)
    with pytest.raises(ValueError, match="needs the shape of layer 'features'"):
        encode(flat, y, iter_axis="channel")
    with pytest.raises(TypeError, match="a Gram matrix has none"):
        encode(Gram.from_features(flat), y, iter_axis="channel")
    pooled = Features({"conv": flat[:, :3]}, shapes={"conv": SHAPE})
    assert len(encode(pooled, y, iter_axis="channel").layers) == 3
    with pytest.raises(
        ValueError, match=r"needs all units of layer 'conv'.*3 x 2 x 4; there are 3"
    ):
        encode(pooled, y, iter_axis="row_col")
    with pytest.raises(ValueError, match="'channel', 'row_col'; got 'row'"):
        encode(features(x), y, iter_axis="row")


def test_encoder_keeps_its_settings_and_returns_scores() -> None:
    x, y = draw()
    encoder = Encoder(LinearRegression(), cv=4, scoring="ev", fold_average="pooled")
    scores = encoder.fit(x[:, 0].reshape(N_STIM, -1), y).scores_
    expected = encode(
        x[:, 0].reshape(N_STIM, -1),
        y,
        estimator=LinearRegression(),
        cv=4,
        scoring="ev",
        fold_average="pooled",
    )
    np.testing.assert_array_equal(scores.scores["features"], expected.scores["features"])
    assert "LinearRegression" in repr(encoder)
    assert "cv=4" in repr(encoder)


def test_tables_join_by_their_index() -> None:
    x, y = draw()
    ids = [f"s{i}" for i in range(N_STIM)]
    order = np.random.default_rng(1).permutation(N_STIM)
    table = pd.DataFrame(y[order], index=[ids[i] for i in order], columns=list("abcde"))
    scores = encode(features(x, ids), table)
    np.testing.assert_array_equal(scores.scores["conv"], encode(features(x), y).scores["conv"])
    assert scores.targets == list("abcde")
    in_order = encode(features(x, ids), pd.DataFrame(y))  # numbered by pandas: in order
    np.testing.assert_array_equal(scores.scores["conv"], in_order.scores["conv"])
    with pytest.warns(AlignmentWarning, match="the features have no ids"):
        encode(features(x), table)
    with pytest.raises(ValueError, match="'s0' comes more than once"):
        encode(features(x, ids), table.rename(index={"s1": "s0"}))
    assert encode(features(x), table["a"].reset_index(drop=True)).targets == ["a"]


@pytest.fixture
def volume(tmp_path: Path) -> tuple[Path, Path, NDArray[np.float32]]:
    _, y = draw(n_vox=6)
    labels = np.zeros((3, 4, 2), np.int16)
    labels[1:, 1, 0], labels[0, :, 1] = 1, 2
    series = np.zeros((*labels.shape, N_STIM), np.float32)
    series[labels > 0] = y.T
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = -10, 5, 7
    img = nib.Nifti1Image(series, affine)
    img.header.set_xyzt_units("mm", "sec")
    nib.save(img, tmp_path / "bold.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "mask.nii.gz")
    return tmp_path / "bold.nii.gz", tmp_path / "mask.nii.gz", y


def test_a_nifti_path_in_and_a_map_out(volume: Any) -> None:
    bold, mask, y = volume
    x = draw()[0].reshape(N_STIM, -1)
    scores = encode({"a": x, "b": x[:, :4]}, str(bold), mask=mask, estimator=Ridge(1.0))
    np.testing.assert_array_equal(
        scores.scores["a"], encode(x, y, estimator=Ridge(1.0)).scores["features"]
    )
    img = scores.to_img("b")
    inside = np.asarray(nib.load(mask).dataobj) > 0
    np.testing.assert_array_equal(img.affine, nib.load(bold).affine)
    assert img.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(img.get_fdata()[inside], scores.mean("b").astype(np.float32))
    assert np.isnan(img.get_fdata()[~inside]).all()
    assert scores.to_img().shape == (3, 4, 2, 2)
    from_array = encode(x, y, estimator=Ridge(1.0))
    for where in (mask, read_responses(bold, mask=mask)):
        again = from_array.to_img("features", mask=where).get_fdata()
        np.testing.assert_array_equal(again, scores.to_img("a").get_fdata())
    numbers = scores.to_img(values=np.arange(6)).get_fdata()
    np.testing.assert_array_equal(numbers[inside], np.arange(6))
    with pytest.raises(ValueError, match="need the places of the targets; give mask="):
        from_array.to_img()
    with pytest.raises(ValueError, match="layer must be one of a, b; got 'c'"):
        scores.to_img("c")
    with pytest.raises(ValueError, match="mask is for responses that are read from a path"):
        encode(x, y, mask=mask)


def test_surfaces(tmp_path: Path) -> None:
    scores = two_layers()
    img = scores.to_gifti(tmp_path / "r.func.gii", structure="CortexLeft")
    loaded = nib.load(tmp_path / "r.func.gii")
    assert [array.meta["Name"] for array in loaded.darrays] == ["a", "b"]
    assert loaded.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    np.testing.assert_array_equal(loaded.darrays[1].data, scores.mean("b").astype(np.float32))
    assert len(img.darrays) == 2
    part = scores.to_gifti(layer="a", vertices=[7, 1, 4], n_vertices=9).darrays[0].data
    np.testing.assert_array_equal(part[[7, 1, 4]], scores.mean("a").astype(np.float32))
    assert np.isnan(np.delete(part, [7, 1, 4])).all()
    for options, message in (
        ({"vertices": [7, 1, 4]}, "n_vertices must come with vertices"),
        ({"vertices": [7, 1], "n_vertices": 9}, "each of 3 targets; got 2"),
        ({"vertices": [7, 1, 1], "n_vertices": 9}, "2 of them different"),
        ({"vertices": [7, 1, 9], "n_vertices": 9}, "from 0 to 8; got 1 to 9"),
        ({"n_vertices": 9}, "where the 3 targets lie among 9"),
        ({"path": tmp_path / "r.nii"}, "must end in .gii"),
    ):
        with pytest.raises(ValueError, match=message):
            scores.to_gifti(**options)


def test_grayordinates(tmp_path: Path) -> None:
    scores = two_layers()
    brain = nib.cifti2.BrainModelAxis.from_surface([2, 3, 5], 8, "CortexLeft")
    series = nib.cifti2.SeriesAxis(0, 1, 4)
    template = nib.Cifti2Image(
        np.zeros((4, 3), np.float32), nib.Cifti2Header.from_axes((series, brain))
    )
    nib.save(template, tmp_path / "t.dtseries.nii")
    for source in (template, tmp_path / "t.dtseries.nii"):
        scores.to_cifti(source, tmp_path / "r.dscalar.nii")
        loaded = nib.load(tmp_path / "r.dscalar.nii")
        np.testing.assert_array_equal(loaded.get_fdata()[0], scores.mean("a").astype(np.float32))
        assert list(loaded.header.get_axis(0).name) == ["a", "b"]
        assert loaded.header.get_axis(1) == brain
    with pytest.raises(ValueError, match="must have the 2 targets as grayordinates; it has 3"):
        Scores({"a": np.zeros((1, 2))}, scoring="r", route={}).to_cifti(template)
    with pytest.raises(TypeError, match="must be a CIFTI-2 image"):
        scores.to_cifti(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)))
    with pytest.raises(ValueError, match=r"must end in \.dscalar\.nii"):
        scores.to_cifti(template, tmp_path / "r.nii")


def two_layers() -> Scores:
    return Scores(
        {"a": np.array([[0.1, 0.5, 0.3], [0.3, 0.1, 0.1]]), "b": np.full((2, 3), 0.25)},
        scoring="r",
        route={"a": "native: x", "b": "scikit-learn: Y as it is; because"},
        rois=["V1", "V1", "IT"],
    )


def test_xarray() -> None:
    array = two_layers().to_xarray()
    assert array.dims == ("layer", "fold", "target")
    assert array.sel(layer="a", fold=1, target=0).item() == 0.3
    np.testing.assert_array_equal(array["roi"], ["V1", "V1", "IT"])
    assert array.attrs == {"scoring": "r", "fold_average": "mean"}
    x, y = draw()
    pooled = encode(features(x), y, fold_average="pooled").to_xarray()
    assert pooled.dims == ("layer", "target")


def test_regions() -> None:
    scores = two_layers()
    table = scores.by_roi(p_values={"a": [0.01, 0.2, 0.05], "b": [1, 1, 1]}).set_index(
        ["layer", "roi"]
    )
    assert table.loc[("a", "V1")].to_dict() == pytest.approx(
        {"score": 0.25, "median": 0.25, "n_vox": 2, "n_significant": 1}
    )
    assert table.loc[("a", "IT"), "n_significant"] == 1
    assert "n_significant" not in scores.by_roi()
    with pytest.raises(ValueError, match="'b' is missing"):
        scores.by_roi(p_values={"a": [1, 1, 1]})
    with pytest.raises(ValueError, match=r"shape \(3,\) per layer; got \(2,\)"):
        scores.by_roi(p_values={"a": [1, 1], "b": [1, 1]})


def test_the_least_error_is_the_best() -> None:
    scores = two_layers()
    assert list(scores.best_layer()["layer"]) == ["b", "a", "b"]
    errors = Scores(scores.scores, scoring="mse", route={})
    assert list(errors.best_layer()["layer"]) == ["a", "b", "a"]


def test_why_not_native() -> None:
    assert two_layers().fallbacks == {"b": "because"}


@pytest.mark.parametrize("scoring", ["mse", "ev"])
def test_other_scores_of_an_estimator_of_scikit_learn(scoring: str) -> None:
    x, y = draw()
    x = x.reshape(N_STIM, -1)
    splits = [(np.arange(8, 24), np.arange(8)), (np.arange(16), np.arange(16, 24))]
    estimator = Ridge(1.0, fit_intercept=False)
    ours = encode(x, y, estimator=estimator, cv=splits, scoring=scoring).scores["features"]
    expected = refit(estimator, x.astype(np.float64), y, splits, scoring)
    np.testing.assert_allclose(ours, expected, atol=TOLERANCES["fp32_reduction"])
