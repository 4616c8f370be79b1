"""Responses of vertices: GIFTI and CIFTI-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2, gifti
from numpy.typing import NDArray

from dnnbrain_cpp import rsa
from dnnbrain_cpp.io import read_responses

N_MAP, N_VERTEX = 5, 12
DATA: NDArray[np.float32] = (
    np.random.default_rng(0).standard_normal((N_MAP, N_VERTEX)).astype(np.float32)
)
KEYS = np.array([0, 3, 3, 0, 7, 7, 7, 3, 0, 0, 7, 3], np.int32)
NAMES = [f"map {i}" for i in range(N_MAP)]


def write_gifti(path: Path, data: NDArray[Any], names: list[str] | None = None) -> Path:
    arrays = []
    for place, row in enumerate(data):
        array = gifti.GiftiDataArray(row, intent="NIFTI_INTENT_NONE")
        if names is not None:
            array.meta = gifti.GiftiMetaData({"Name": names[place]})
        arrays.append(array)
    nib.save(gifti.GiftiImage(darrays=arrays), path)
    return path


def write_label_gifti(path: Path, keys: NDArray[np.int32]) -> Path:
    image = gifti.GiftiImage(darrays=[gifti.GiftiDataArray(keys, intent="NIFTI_INTENT_LABEL")])
    for key, name in {0: "???", 3: "V1", 7: "FFA"}.items():
        label = gifti.GiftiLabel(key=key)
        label.label = name
        image.labeltable.labels.append(label)
    nib.save(image, path)
    return path


def brain_models(first: int = 0) -> Any:
    return cifti2.BrainModelAxis.from_surface(
        np.arange(first, first + N_VERTEX), 100, name="CortexLeft"
    )


def write_cifti(path: Path, data: NDArray[Any], axis: Any, models: Any = None) -> Path:
    header = (axis, brain_models() if models is None else models)
    nib.save(cifti2.Cifti2Image(data, header), path)
    return path


def write_dlabel(path: Path, keys: NDArray[np.int32], models: Any = None) -> Path:
    table = {0: ("???", (0, 0, 0, 0)), 3: ("V1", (1, 0, 0, 1)), 7: ("FFA", (0, 1, 0, 1))}
    axis = cifti2.LabelAxis(["areas"], [table])
    return write_cifti(path, keys[None].astype(np.float32), axis, models)


def write(kind: str, folder: Path) -> tuple[Path, Path]:
    """Write responses and a mask of the kind."""
    if kind == "gifti":
        return (
            write_gifti(folder / "a.func.gii", DATA, NAMES),
            write_label_gifti(folder / "areas.label.gii", KEYS),
        )
    return (
        write_cifti(folder / "a.dscalar.nii", DATA, cifti2.ScalarAxis(NAMES)),
        write_dlabel(folder / "areas.dlabel.nii", KEYS),
    )


@pytest.mark.parametrize("kind", ["gifti", "cifti"])
def test_maps_and_their_names(kind: str, tmp_path: Path) -> None:
    path, _ = write(kind, tmp_path)
    responses = read_responses(path)
    np.testing.assert_array_equal(responses.data, DATA)
    assert (responses.ids, responses.rois, responses.geometry) == (tuple(NAMES), None, None)
    assert read_responses(path, ids=list("abcde")).ids == tuple("abcde")


@pytest.mark.parametrize("kind", ["gifti", "cifti"])
def test_labelled_regions(kind: str, tmp_path: Path) -> None:
    path, mask = write(kind, tmp_path)
    responses = read_responses(path, mask=mask)
    np.testing.assert_array_equal(responses.data, DATA[:, KEYS > 0])
    expected = ["V1" if key == 3 else "FFA" for key in KEYS[KEYS > 0]]
    assert responses.rois == tuple(expected)
    rdms = rsa.rdm(responses)
    assert isinstance(rdms, rsa.RDMs)
    assert rdms.names == ("V1", "FFA")
    np.testing.assert_array_equal(
        rdms["FFA"].dissimilarities, rsa.rdm(DATA[:, KEYS == 7]).dissimilarities
    )


def test_sidecar_of_ids_before_names_of_maps(tmp_path: Path) -> None:
    path, _ = write("gifti", tmp_path)
    (tmp_path / "a.func.ids.csv").write_text("id\nv\nw\nx\ny\nz\n")
    assert read_responses(path).ids == tuple("vwxyz")


def test_one_array_of_many_maps_and_nameless_maps(tmp_path: Path) -> None:
    together = gifti.GiftiImage(
        darrays=[gifti.GiftiDataArray(DATA.T.copy(), intent="NIFTI_INTENT_NONE")]
    )
    nib.save(together, tmp_path / "b.func.gii")
    responses = read_responses(tmp_path / "b.func.gii")
    np.testing.assert_array_equal(responses.data, DATA)
    assert responses.ids is None
    assert read_responses(write_gifti(tmp_path / "c.func.gii", DATA, ["x"] * N_MAP)).ids is None


def test_series_of_cifti(tmp_path: Path) -> None:
    path = write_cifti(tmp_path / "a.dtseries.nii", DATA, cifti2.SeriesAxis(0, 2, N_MAP))
    responses = read_responses(path)
    np.testing.assert_array_equal(responses.data, DATA)
    assert responses.ids is None


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    surface, areas = write("gifti", tmp_path)
    dense, _ = write("cifti", tmp_path)
    short = write_label_gifti(tmp_path / "short.label.gii", KEYS[:-1])
    with pytest.raises(ValueError, match=r"same vertices; .*short\.label\.gii has 11"):
        read_responses(surface, mask=short)
    moved = write_dlabel(tmp_path / "moved.dlabel.nii", KEYS, brain_models(3))
    with pytest.raises(ValueError, match="same grayordinates"):
        read_responses(dense, mask=moved)
    empty = write_label_gifti(tmp_path / "empty.label.gii", 0 * KEYS)
    with pytest.raises(ValueError, match="must have a vertex inside"):
        read_responses(surface, mask=empty)
    negative = write_label_gifti(tmp_path / "negative.label.gii", -KEYS)
    with pytest.raises(ValueError, match="positive integers inside"):
        read_responses(surface, mask=negative)
    with pytest.raises(ValueError, match=r"mask of a\.func\.gii must be a \.gii"):
        read_responses(surface, mask=tmp_path / "mask.nii.gz")
    assert read_responses(dense, mask=areas).n_vox == (KEYS > 0).sum()


def test_what_is_no_map(tmp_path: Path) -> None:
    corners = gifti.GiftiDataArray(np.eye(3, dtype=np.float32), intent="NIFTI_INTENT_POINTSET")
    nib.save(gifti.GiftiImage(darrays=[corners]), tmp_path / "lh.surf.gii")
    with pytest.raises(ValueError, match=r"lh\.surf\.gii must hold maps.*it is a surface"):
        read_responses(tmp_path / "lh.surf.gii")
    with pytest.raises(FileNotFoundError, match="must exist to be read"):
        read_responses(tmp_path / "absent.func.gii")


@pytest.mark.parametrize("kind", ["gifti", "cifti"])
def test_damaged_files_are_named(kind: str, tmp_path: Path) -> None:
    path, _ = write(kind, tmp_path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=rf"{path.name} must be a readable GIFTI or CIFTI-2"):
        read_responses(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=rf"{path.name} must be a readable GIFTI or CIFTI-2"):
        read_responses(path)
