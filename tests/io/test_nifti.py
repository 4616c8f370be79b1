"""Responses in NIfTI files: read with masks, maps written with everything kept."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dnnbrain_cpp.io import Responses, read_responses, write_responses
from dnnbrain_cpp.io import _nifti as nifti

SHAPE = (5, 4, 3)
N_STIM = 7
# Neither diagonal nor right-handed: axes flipped, sheared by a rotation, unequal voxels.
AFFINE = np.array(
    [[-3.0, 0.2, 0.0, 60.0], [0.1, 3.5, 0.3, -40.0], [0.0, -0.2, 4.0, 12.0], [0, 0, 0, 1]]
)


def make_image(
    data: np.ndarray, *, affine: np.ndarray = AFFINE, kind: type = nib.Nifti1Image
) -> nib.Nifti1Image:
    img = kind(data, affine)
    img.header.set_qform(affine, code="scanner", strip_shears=True)
    img.header.set_sform(affine, code="mni")
    img.header.set_xyzt_units("mm", "sec")
    img.header["descrip"] = b"study 7"
    if data.ndim == 4:
        img.header.set_zooms((*img.header.get_zooms()[:3], 2.5))
    img.header["cal_max"] = 2623
    return img


@pytest.fixture
def series(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(*SHAPE, N_STIM)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int16)
    labels[0, 1, 2] = 1
    labels[3:, 2, :] = 2
    labels[2, 0, 0] = 7
    return labels


@pytest.fixture
def study(tmp_path: Path, series: np.ndarray, labels: np.ndarray) -> tuple[Path, Path]:
    nib.save(make_image(series), tmp_path / "bold.nii.gz")
    nib.save(make_image(labels), tmp_path / "rois.nii.gz")
    return tmp_path / "bold.nii.gz", tmp_path / "rois.nii.gz"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_voxels_are_those_of_a_loop(
    tmp_path: Path, series: np.ndarray, labels: np.ndarray, suffix: str, kind: type
) -> None:
    path, mask = tmp_path / f"bold{suffix}", tmp_path / f"mask{suffix}"
    nib.save(make_image(series, kind=kind), path)
    nib.save(make_image(labels), mask)
    responses = read_responses(path, mask=mask)
    expected, rois = [], []
    for i in range(SHAPE[0]):
        for j in range(SHAPE[1]):
            for k in range(SHAPE[2]):
                if labels[i, j, k]:
                    expected.append(series[i, j, k])
                    rois.append(f"roi-{labels[i, j, k]}")
    np.testing.assert_array_equal(responses.data, np.array(expected).T)
    assert responses.data.dtype == np.float32
    assert responses.rois == tuple(rois)
    assert responses.roi_names == ("roi-1", "roi-7", "roi-2")
    assert responses.ids is None
    assert type(responses.to_img(np.zeros(len(rois)))) is kind


def test_blocks_do_not_change_the_result(
    study: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_responses(study[0], mask=study[1])
    monkeypatch.setattr(nifti, "_BLOCK_BYTES", 8 * int(np.prod(SHAPE)) * 3)  # 3 of 7 volumes
    blocks = read_responses(study[0], mask=study[1])
    np.testing.assert_array_equal(blocks.data, whole.data)


def test_scaled_integers(tmp_path: Path, labels: np.ndarray) -> None:
    img = make_image(np.arange(60 * N_STIM, dtype=np.int16).reshape(*SHAPE, N_STIM))
    img.header.set_slope_inter(0.5, -10)
    nib.save(img, tmp_path / "scaled.nii.gz")
    nib.save(make_image(labels), tmp_path / "mask.nii.gz")
    reread = np.asarray(nib.load(tmp_path / "scaled.nii.gz").dataobj)
    assert reread.max() == pytest.approx((60 * N_STIM - 1) * 0.5 - 10)  # scaling is in force
    responses = read_responses(tmp_path / "scaled.nii.gz", mask=tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(responses.data, reread[labels > 0].T.astype(np.float32))


def test_without_mask_all_voxels(study: tuple[Path, Path], series: np.ndarray) -> None:
    responses = read_responses(study[0])
    np.testing.assert_array_equal(responses.data, series.reshape(-1, N_STIM).T)
    assert responses.rois is None


def test_region_names_and_ids_from_sidecars(study: tuple[Path, Path]) -> None:
    folder = study[0].parent
    (folder / "rois.labels.csv").write_text("value,name\n7,FFA\n1,V1\n2,IT\n9,not in the mask\n")
    ids = ["001", "NA", "a b", "x,y", "ü", "None", "1e3"]
    rows = "".join(f'"{i}",7\n' for i in ids)
    (folder / "bold.ids.csv").write_text("\ufeffid,run\n" + rows, encoding="utf-8")
    responses = read_responses(study[0], mask=study[1])
    assert responses.ids == tuple(ids)
    assert responses.summary()["rois"] == {"V1": 1, "FFA": 1, "IT": 6}
    given = read_responses(study[0], mask=study[1], ids=list("abcdefg"))
    assert given.ids == tuple("abcdefg")


def test_a_mask_of_ones_is_named_mask(tmp_path: Path, series: np.ndarray) -> None:
    nib.save(make_image(series), tmp_path / "bold.nii")
    one = np.zeros((*SHAPE, 1), np.float32)  # floats, NaN outside, and a fourth axis of length one
    one[:] = np.nan
    one[1, 2] = 1
    nib.save(make_image(one), tmp_path / "mask.nii")
    responses = read_responses(tmp_path / "bold.nii", mask=tmp_path / "mask.nii")
    assert responses.summary()["rois"] == {"mask": 3}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_map_keeps_the_header(study: tuple[Path, Path], labels: np.ndarray, suffix: str) -> None:
    responses = read_responses(study[0], mask=study[1])
    values = np.arange(responses.n_vox) + 0.25
    target = study[0].with_name(f"map{suffix}")
    responses.save_map(values, target)
    source, img = nib.load(study[0]), nib.load(target)
    np.testing.assert_array_equal(img.affine, source.affine)
    np.testing.assert_array_equal(img.header.get_qform(), source.header.get_qform())
    np.testing.assert_array_equal(img.header.get_sform(), source.header.get_sform())
    assert img.shape == SHAPE
    assert img.get_data_dtype() == np.float32
    assert img.header.get_zooms() == source.header.get_zooms()[:3]
    assert img.header.get_xyzt_units() == ("mm", "sec")
    assert int(img.header["qform_code"]) == 1
    assert int(img.header["sform_code"]) == 4
    assert img.header["descrip"].item() == b"study 7"
    assert float(img.header["cal_max"]) == 0  # the range of the responses is not that of the map
    data = np.asarray(img.dataobj)
    np.testing.assert_array_equal(data[labels > 0], values.astype(np.float32))
    assert np.isnan(data[labels == 0]).all()
    assert sorted(p.name for p in target.parent.glob("*map*")) == [target.name]


def test_stack_of_maps(study: tuple[Path, Path], labels: np.ndarray) -> None:
    responses = read_responses(study[0], mask=study[1])
    values = np.random.default_rng(1).normal(size=(4, responses.n_vox)).astype(np.float32)
    img = responses.to_img(values)
    assert img.shape == (*SHAPE, 4)
    assert img.header.get_zooms()[3] == 1
    assert img.header.get_xyzt_units() == ("mm", "unknown")
    np.testing.assert_array_equal(np.asarray(img.dataobj)[labels > 0].T, values)
    np.testing.assert_array_equal(img.affine, nib.load(study[0]).affine)


def test_the_source_header_is_left_alone(study: tuple[Path, Path]) -> None:
    responses = read_responses(study[0], mask=study[1])
    assert responses.geometry is not None
    before = responses.geometry.header.binaryblock
    responses.to_img(np.zeros((3, responses.n_vox)))
    assert responses.geometry.header.binaryblock == before


def test_extensions_of_the_source_do_not_describe_the_map(
    tmp_path: Path, series: np.ndarray
) -> None:
    img = make_image(series)
    img.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"raw BOLD"))
    nib.save(img, tmp_path / "bold.nii")
    responses = read_responses(tmp_path / "bold.nii")
    responses.save_map(np.zeros(60), tmp_path / "map.nii")
    assert len(nib.load(tmp_path / "bold.nii").header.extensions) == 1
    assert len(nib.load(tmp_path / "map.nii").header.extensions) == 0


@pytest.mark.parametrize("name", ["again.nii.gz", "again.nii", "again.npy"])
def test_write_and_read_back_bit_for_bit(study: tuple[Path, Path], name: str) -> None:
    folder = study[0].parent
    (folder / "rois.labels.csv").write_text("value,name\n7,FFA\n1,V1\n2,IT\n")
    first = read_responses(study[0], mask=study[1], ids=[f"s{i}" for i in range(N_STIM)])
    write_responses(first, folder / name, mask=folder / "again-mask.nii.gz")
    second = read_responses(folder / name, mask=folder / "again-mask.nii.gz")
    np.testing.assert_array_equal(second.data, first.data)
    assert (second.ids, second.rois) == (first.ids, first.rois)
    assert second.geometry is not None
    np.testing.assert_array_equal(second.geometry.affine, AFFINE.astype(np.float32))


def test_nan_and_constant_voxels_are_kept_and_counted(tmp_path: Path, series: np.ndarray) -> None:
    series[0, 0, 0, 3] = np.nan
    series[0, 0, 1] = np.inf
    series[1, 1] = 4.5
    nib.save(make_image(series), tmp_path / "bold.nii.gz")
    responses = read_responses(tmp_path / "bold.nii.gz")
    np.testing.assert_array_equal(responses.data, series.reshape(-1, N_STIM).T)
    summary = responses.summary()
    assert (summary["n_nan"], summary["n_constant"]) == (2, 4)  # the infinite voxel is constant too


# --- refusals ----------------------------------------------------------------------------------


def test_mask_of_another_shape(study: tuple[Path, Path]) -> None:
    other = study[0].with_name("other.nii.gz")
    nib.save(make_image(np.ones((5, 4, 2), np.int16)), other)
    with pytest.raises(
        ValueError, match=r"other\.nii\.gz.*\(5, 4, 2\).*bold\.nii\.gz.*\(5, 4, 3\)"
    ):
        read_responses(study[0], mask=other)


@pytest.mark.parametrize("change", ["shift", "flip", "rotate"])
def test_mask_of_another_affine(study: tuple[Path, Path], labels: np.ndarray, change: str) -> None:
    affine = AFFINE.copy()
    if change == "shift":
        affine[0, 3] += 0.1
    elif change == "flip":
        affine[0, 0] *= -1
    else:
        affine[0, 1] += 0.02  # far corners move, the origin does not
    other = study[0].with_name("other.nii.gz")
    nib.save(make_image(labels, affine=affine), other)
    with pytest.raises(ValueError, match=r"affines of .*other\.nii\.gz and .*bold\.nii\.gz.*mm"):
        read_responses(study[0], mask=other)


def test_rounding_of_the_affine_is_no_difference(
    study: tuple[Path, Path], labels: np.ndarray
) -> None:
    other = study[0].with_name("other.nii.gz")
    nib.save(make_image(labels, affine=AFFINE * (1 + 1e-6)), other)
    assert read_responses(study[0], mask=other).n_vox == 8


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (0.0, "a voxel inside"),
        (np.nan, "a voxel inside"),
        (0.37, r"holds 0\.37"),
        (-1.0, "holds -1"),
        (np.inf, "holds inf"),
    ],
)
def test_masks_that_select_nothing_or_say_nothing(
    study: tuple[Path, Path], fill: float, message: str
) -> None:
    other = study[0].with_name("other.nii.gz")
    nib.save(make_image(np.full(SHAPE, fill, np.float32)), other)
    with pytest.raises(ValueError, match=message):
        read_responses(study[0], mask=other)


def test_series_of_three_or_five_axes(study: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"4-D.*rois\.nii\.gz has shape \(5, 4, 3\)"):
        read_responses(study[1], mask=study[1])
    five = study[0].with_name("five.nii")
    nib.save(make_image(np.zeros((5, 4, 3, 1, 2), np.float32)), five)
    with pytest.raises(ValueError, match=r"4-D.*\(5, 4, 3, 1, 2\)"):
        read_responses(five)


def test_series_as_mask(study: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"mask must be 3-D.*\(5, 4, 3, 7\)"):
        read_responses(study[0], mask=study[0])


def test_complex_voxels(tmp_path: Path) -> None:
    nib.save(make_image(np.zeros((*SHAPE, 2), np.complex64)), tmp_path / "phase.nii")
    with pytest.raises(ValueError, match=r"phase\.nii must hold real numbers.*complex64"):
        read_responses(tmp_path / "phase.nii")


def test_values_beyond_float32(tmp_path: Path) -> None:
    data = np.zeros((*SHAPE, 2))
    data[1, 1, 1, 1] = 1e300
    nib.save(make_image(data), tmp_path / "huge.nii")
    with pytest.raises(ValueError, match=r"fit into float32.*huge\.nii"):
        read_responses(tmp_path / "huge.nii")


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.99])
def test_truncated_gzip(study: tuple[Path, Path], keep: float) -> None:
    whole = study[0].read_bytes()
    study[0].write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(ValueError, match=r"bold\.nii\.gz must be a readable NIfTI file"):
        read_responses(study[0], mask=study[1])


def test_truncated_before_compression_and_not_nifti(study: tuple[Path, Path]) -> None:
    plain = gzip.decompress(study[0].read_bytes())
    short, text = study[0].with_name("short.nii"), study[0].with_name("text.nii.gz")
    short.write_bytes(plain[:-8])
    text.write_text("not an image at all")
    for path in (short, text):
        with pytest.raises(ValueError, match=f"{path.name} must be a readable NIfTI file"):
            read_responses(path)


def test_damaged_inside(study: tuple[Path, Path]) -> None:
    data = bytearray(study[0].read_bytes())
    data[len(data) // 2] ^= 0xFF
    study[0].write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"bold\.nii\.gz must be a readable NIfTI file"):
        read_responses(study[0])


def test_wrong_suffix_and_absent_files(study: tuple[Path, Path]) -> None:
    folder = study[0].parent
    with pytest.raises(ValueError, match=r"type \.nii.*got 'bold\.mgz'"):
        read_responses(folder / "bold.mgz")
    with pytest.raises(FileNotFoundError, match=r"absent\.nii\.gz"):
        read_responses(folder / "absent.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"absent\.nii"):
        read_responses(study[0], mask=folder / "absent.nii")
    with pytest.raises(ValueError, match=r"a mask must be.*'m\.npy'"):
        read_responses(study[0], mask=folder / "m.npy")
    responses = read_responses(study[0], mask=study[1])
    with pytest.raises(ValueError, match=r"written to \.nii.*got 'map\.mgz'"):
        responses.save_map(np.zeros(responses.n_vox), folder / "map.mgz")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        responses.save_map(np.zeros(responses.n_vox), folder / "nowhere" / "map.nii")


def test_maps_of_the_wrong_length(study: tuple[Path, Path]) -> None:
    responses = read_responses(study[0], mask=study[1])
    with pytest.raises(ValueError, match=r"8; got shape \(9,\)"):
        responses.to_img(np.zeros(9))
    with pytest.raises(ValueError, match="1-D or 2-D"):
        responses.to_img(np.zeros((2, 2, 8)))
    with pytest.raises(ValueError, match=r"places of the voxels"):
        Responses(np.zeros((3, 8))).to_img(np.zeros(8))


def test_sidecars_that_do_not_fit(study: tuple[Path, Path]) -> None:
    ids, names = study[0].with_name("bold.ids.csv"), study[1].with_name("rois.labels.csv")
    for text, message in (
        ("id\na\nb\n", r"bold\.ids\.csv must name the 7 stimuli of .*bold\.nii\.gz; it names 2"),
        ("id\n" + "a\n" * 7, "unique; 'a'"),
        ("name\na\n", r"bold\.ids\.csv must have the columns id; it has name"),
        ("", "it has none"),
        ("id,run\na,1\n,2\n", "row 2 has ''"),
    ):
        ids.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_responses(study[0], mask=study[1])
    ids.unlink()
    with pytest.raises(ValueError, match="must name 7 items; got 2"):
        read_responses(study[0], mask=study[1], ids=["a", "b"])
    for text, message in (
        ("value,name\n1,V1\n2,IT\n", r"must name every label.*\[7\]"),
        ("value,name\n1,V1\n1,V2\n", "1 is both 'V1' and 'V2'"),
        ("value,name\none,V1\n", "integers; got 'one' for 'V1'"),
    ):
        names.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_responses(study[0], mask=study[1])


# --- real data ---------------------------------------------------------------------------------


def test_haxby_slice(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "haxby2001-pymvpa"
    source = nib.load(folder / "bold.nii.gz")
    responses = read_responses(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
    assert responses.data.shape == (1452, 530)
    assert responses.summary() == {
        "n_stim": 1452, "n_vox": 530, "n_nan": 0, "n_constant": 0, "rois": {"mask": 530},
    }  # fmt: skip
    inside = np.asarray(nib.load(folder / "mask.nii.gz").dataobj) > 0
    np.testing.assert_array_equal(responses.data, np.asarray(source.dataobj)[inside].T)

    responses.save_map(responses.data.mean(axis=0), tmp_path / "mean.nii.gz")
    img = nib.load(tmp_path / "mean.nii.gz")
    np.testing.assert_array_equal(img.affine, source.affine)
    assert img.header.get_zooms() == source.header.get_zooms()[:3]
    assert img.header.get_xyzt_units() == source.header.get_xyzt_units()
    for field in ("qform_code", "sform_code", "descrip", "quatern_b", "srow_x"):
        np.testing.assert_array_equal(img.header[field], source.header[field])
    data = np.asarray(img.dataobj)
    np.testing.assert_array_equal(np.isfinite(data), inside)
    # One voxel by hand: the last inside, by its place in the scanner.
    last = np.argwhere(inside)[-1]
    place = nib.affines.apply_affine(source.affine, last)
    there = np.rint(nib.affines.apply_affine(np.linalg.inv(img.affine), place)).astype(int)
    series = np.asarray(source.dataobj[tuple(last)], dtype=float)
    assert data[tuple(there)] == pytest.approx(series.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("mask", "n_vox"), [("brain", 129), ("gray", 28), ("vt", 1), ("hoc", None), ("white", None)]
)
def test_haxby_whole_brain_runs(data_dir: Path, mask: str, n_vox: int | None) -> None:
    folder = data_dir / "haxby2001-pymvpa" / "sub001"
    mask_path = folder / "masks_25mm" / f"{mask}.nii.gz"
    inside = np.asarray(nib.load(mask_path).dataobj) > 0
    runs = sorted(folder.glob("task001_run*/bold_25mm.nii.gz"))
    assert len(runs) == 12
    for run in runs:
        responses = read_responses(run, mask=mask_path)
        assert responses.data.shape == (121, n_vox or np.count_nonzero(inside))
        expected = np.asarray(nib.load(run).dataobj)[inside].T.astype(np.float32)
        np.testing.assert_array_equal(responses.data, expected)
        img = responses.to_img(responses.data[0])
        np.testing.assert_array_equal(img.affine, nib.load(run).affine)
