"""`Responses` itself, and responses in NumPy files."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from dnnbrain_cpp.io import Responses, read_responses, write_responses
from dnnbrain_cpp.io import _responses as responses_module


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def test_float32_is_not_copied(data: np.ndarray) -> None:
    data.setflags(write=False)
    assert Responses(data).data is data or np.shares_memory(Responses(data).data, data)


@pytest.mark.parametrize("form", ["float64", "fortran", "int16", "list", "torch", "slice"])
def test_other_forms_are_converted(data: np.ndarray, form: str) -> None:
    whole = np.rint(10 * data)
    value = {
        "float64": whole.astype(np.float64),
        "fortran": np.asfortranarray(whole),
        "int16": whole.astype(np.int16),
        "list": whole.tolist(),
        "torch": torch.from_numpy(whole),
        "slice": np.repeat(whole, 2, axis=1)[:, ::2],
    }[form]
    responses = Responses(value)
    np.testing.assert_array_equal(responses.data, whole)
    assert responses.data.dtype == np.float32
    assert responses.data.flags.c_contiguous


def test_select_by_id(data: np.ndarray) -> None:
    responses = Responses(data, ids=tuple("abcdef"), rois=("V1", "V1", "IT", "V1"))
    chosen = responses.select(["f", "a", "c"])
    np.testing.assert_array_equal(chosen.data, data[[5, 0, 2]])
    assert chosen.ids == ("f", "a", "c")
    assert chosen.rois == responses.rois
    assert responses.roi_names == ("V1", "IT")
    with pytest.raises(ValueError, match=r"6 stimuli.*'z' \(2 in all\)"):
        responses.select(["a", "z", "y"])
    with pytest.raises(ValueError, match="no ids"):
        Responses(data).select(["a"])


def test_refusals(data: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"2-D; got shape \(6,\)"):
        Responses(data[:, 0])
    with pytest.raises(ValueError, match=r"got shape \(0, 4\)"):
        Responses(data[:0])
    with pytest.raises(TypeError, match="real numbers"):
        Responses(data.astype(complex))
    with pytest.raises(ValueError, match="must name 6 items; got 2"):
        Responses(data, ids=("a", "b"))
    with pytest.raises(ValueError, match="rois must have 4 voxels, as data; got 1"):
        Responses(data, rois=("V1",))
    with pytest.raises(ValueError, match="fit into float32"):
        Responses(data.astype(float) * 1e300)


def test_repr_fits_on_a_line(data: np.ndarray) -> None:
    responses = Responses(data, ids=tuple("abcdef"), rois=("V1", "V1", "IT", "V1"))
    assert repr(responses) == "Responses(6 stimuli with ids; 4 voxels (V1 3, IT 1))"
    assert repr(Responses(data)) == "Responses(6 stimuli without ids; 4 voxels)"


def test_pickle(data: np.ndarray) -> None:
    again = pickle.loads(pickle.dumps(Responses(data, ids=tuple("abcdef"))))
    np.testing.assert_array_equal(again.data, data)
    assert again.ids == tuple("abcdef")


@pytest.mark.parametrize("block", [1, 3 * 7, 2**22])
def test_summary_counts_voxel_by_voxel(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(responses_module, "_BLOCK_ENTRIES", block)
    wide = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    wide[1, ::7] = np.nan
    wide[:, 5::10] = 2.0
    summary = Responses(wide).summary()
    columns = [list(column) for column in wide.T]
    assert summary["n_nan"] == sum(any(x != x for x in c) for c in columns) == 7
    assert summary["n_constant"] == sum(len(set(c)) == 1 for c in columns) == 5


# --- NumPy files -------------------------------------------------------------------------------


def test_npy_stays_on_disk_and_read_only(tmp_path: Path, data: np.ndarray) -> None:
    np.save(tmp_path / "r.npy", data)
    (tmp_path / "r.ids.csv").write_text("id\n" + "\n".join("abcdef"))
    responses = read_responses(tmp_path / "r.npy")
    np.testing.assert_array_equal(responses.data, data)
    assert not responses.data.flags.writeable
    assert isinstance(responses.data.base, np.memmap)
    assert responses.ids == tuple("abcdef")
    assert responses.summary()["n_vox"] == 4


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.float16])
def test_npy_of_other_types(tmp_path: Path, data: np.ndarray, dtype: type) -> None:
    values = np.asfortranarray(np.rint(data * 8).astype(dtype))
    np.save(tmp_path / "r.npy", values)
    np.testing.assert_array_equal(read_responses(tmp_path / "r.npy").data, values)


def test_npz_names(tmp_path: Path, data: np.ndarray) -> None:
    np.savez(tmp_path / "one.npz", only=data)
    np.savez_compressed(tmp_path / "two.npz", V1=data, IT=2 * data)
    np.testing.assert_array_equal(read_responses(tmp_path / "one.npz").data, data)
    np.testing.assert_array_equal(read_responses(tmp_path / "two.npz", key="IT").data, 2 * data)
    with pytest.raises(ValueError, match=r"2 arrays of .*two\.npz, 'V1', 'IT'; it was not named"):
        read_responses(tmp_path / "two.npz")
    with pytest.raises(ValueError, match=r"'V1', 'IT'; got key='V4'"):
        read_responses(tmp_path / "two.npz", key="V4")
    np.save(tmp_path / "r.npy", data)
    with pytest.raises(ValueError, match=r"key is for \.npz files; got key='V1' with r\.npy"):
        read_responses(tmp_path / "r.npy", key="V1")


def test_numpy_with_mask_places_the_columns(tmp_path: Path, data: np.ndarray) -> None:
    labels = np.zeros((3, 2, 2), np.uint8)
    labels[0, 1] = 1
    labels[2, 0] = 2
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), tmp_path / "mask.nii")
    np.save(tmp_path / "r.npy", data)
    responses = read_responses(tmp_path / "r.npy", mask=tmp_path / "mask.nii")
    assert responses.rois == ("roi-1", "roi-1", "roi-2", "roi-2")
    img = np.asarray(responses.to_img(data[0]).dataobj)
    np.testing.assert_array_equal(img[labels > 0], data[0])
    np.save(tmp_path / "wide.npy", np.zeros((6, 5)))
    with pytest.raises(ValueError, match="5 columns and 4 voxels"):
        read_responses(tmp_path / "wide.npy", mask=tmp_path / "mask.nii")


def test_unreadable_numpy_files(tmp_path: Path, data: np.ndarray) -> None:
    np.save(tmp_path / "r.npy", data)
    np.savez(tmp_path / "r.npz", a=data, b=data)
    for name in ("r.npy", "r.npz"):
        whole = (tmp_path / name).read_bytes()
        for keep in (0, 4, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:keep])
            with pytest.raises(ValueError, match=rf"{name} must be a readable NumPy file"):
                read_responses(tmp_path / name)
    np.save(tmp_path / "object.npy", np.array([[1, "a"]], dtype=object))
    with pytest.raises(ValueError, match=r"object\.npy must be a readable NumPy file"):
        read_responses(tmp_path / "object.npy")
    np.save(tmp_path / "flat.npy", data.ravel())
    with pytest.raises(ValueError, match=r"2-D.*flat\.npy holds shape \(24,\)"):
        read_responses(tmp_path / "flat.npy")
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"):
        read_responses(tmp_path / "absent.npy")


def test_writing_needs_places_for_a_volume(tmp_path: Path, data: np.ndarray) -> None:
    with pytest.raises(ValueError, match="places of the voxels"):
        write_responses(Responses(data), tmp_path / "r.nii.gz")
    with pytest.raises(ValueError, match=r"\.npy; got 'r\.csv'"):
        write_responses(Responses(data), tmp_path / "r.csv")
    assert list(tmp_path.iterdir()) == []


def test_importing_io_loads_nothing_heavy() -> None:
    code = (
        "import sys, dnnbrain_cpp.io; "
        "print([m for m in ('nibabel', 'torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
