"""RDMs from files, in every shape and version that people keep them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from dnnbrain_cpp import rsa

N_COND, N_RDM = 7, 4
IDS = [f"stim {i}" for i in range(N_COND)]


def draw(n_rdm: int = N_RDM, n_cond: int = N_COND) -> rsa.RDMs:
    rng = np.random.default_rng([n_rdm, n_cond])
    return rsa.RDMs(rng.random((n_rdm, n_cond * (n_cond - 1) // 2)))


def save(path: Path, array: NDArray[Any], key: str = "rdms") -> Path:
    """Write an array as MATLAB or NumPy would; .h5.mat stands for version 7.3."""
    if path.name.endswith(".h5.mat"):
        with h5py.File(path, "w") as file:
            file[key] = np.asarray(array).T  # MATLAB's columns come first
    elif path.suffix == ".mat":
        savemat(path, {key: array})
    elif path.suffix == ".npz":
        np.savez(path, **{key: array})
    else:
        np.save(path, array)
    return path


SHAPES = {
    "square": lambda rdms: rdms.square()[0],
    "stack": lambda rdms: rdms.square(),
    "stack-last": lambda rdms: np.moveaxis(rdms.square(), 0, 2),
    "condensed": lambda rdms: rdms.dissimilarities,
    "condensed-last": lambda rdms: rdms.dissimilarities.T,
    "one-condensed": lambda rdms: rdms.dissimilarities[:1],
    "one-column": lambda rdms: rdms.dissimilarities[:1].T,
}


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5.mat"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_shape(shape: str, suffix: str, dtype: type, tmp_path: Path) -> None:
    rdms = draw()
    path = save(tmp_path / f"file{suffix}", SHAPES[shape](rdms).astype(dtype))
    key = "rdms" if shape == "condensed-last" and suffix != ".npy" else None
    loaded = rsa.load_rdms(path, key=key or (path.stem if suffix == ".npy" else None))
    expected = rdms.dissimilarities[: len(loaded)].astype(dtype)
    assert len(loaded) == (1 if "one" in shape or shape == "square" else N_RDM)
    np.testing.assert_array_equal(loaded.dissimilarities, expected)
    assert loaded.names[0] == "subject-01"
    assert loaded.ids is None


def test_one_flat_condensed_rdm(tmp_path: Path) -> None:
    rdms = draw(1)
    loaded = rsa.load_rdms(save(tmp_path / "rdm.npy", rdms.dissimilarities[0]))
    np.testing.assert_array_equal(loaded.dissimilarities, rdms.dissimilarities)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("suffix", [".npy", ".mat", ".h5.mat"])
def test_as_many_rdms_as_conditions(axis: int, suffix: str, tmp_path: Path) -> None:
    """All axes are equal then; only one reading is symmetric."""
    rdms = draw(N_COND)
    path = save(tmp_path / f"file{suffix}", np.moveaxis(rdms.square(), 0, axis))
    np.testing.assert_array_equal(rsa.load_rdms(path).dissimilarities, rdms.dissimilarities)


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".h5.mat"])
def test_fifteen_subjects_are_not_six_conditions(suffix: str, tmp_path: Path) -> None:
    """15 is 6 x 5 / 2, so that (15, n_pair) could be misread; and in columns it is ambiguous."""
    rdms = draw(15, 12)
    loaded = rsa.load_rdms(save(tmp_path / f"rows{suffix}", rdms.dissimilarities))
    np.testing.assert_array_equal(loaded.dissimilarities, rdms.dissimilarities)
    columns = save(tmp_path / f"columns{suffix}", rdms.dissimilarities.T)
    with pytest.raises(ValueError, match=r"\(66, 15\) may hold 66 RDMs or, in its columns, 15"):
        rsa.load_rdms(columns)
    by_ids = rsa.load_rdms(columns, ids=[str(i) for i in range(12)])
    np.testing.assert_array_equal(by_ids.dissimilarities, rdms.dissimilarities)
    assert rsa.load_rdms(columns, ids=list("abcdef")).dissimilarities.shape == (66, 15)


def test_ids_and_names_in_the_archive_and_as_arguments(tmp_path: Path) -> None:
    rdms = draw()
    path = tmp_path / "rdms.npz"
    names = ["a", "b", "c", "d"]
    np.savez(path, rdms=rdms.dissimilarities, ids=IDS, names=np.array(names, dtype="S"))
    loaded = rsa.load_rdms(path)
    assert loaded.ids == tuple(IDS)
    assert loaded.names == tuple(names)
    other = rsa.load_rdms(path, ids=IDS[::-1], names=["e", "f", "g", "h"])
    assert other.ids == tuple(IDS[::-1])
    assert other.names == ("e", "f", "g", "h")
    with pytest.raises(ValueError, match=r"rdms\.npz \(rdms\): ids must name 7 items; got 2"):
        rsa.load_rdms(path, ids=["a", "b"])


def test_ids_in_matlab_cells(tmp_path: Path) -> None:
    cells = np.empty((1, N_COND), dtype=object)
    cells[0] = IDS
    savemat(tmp_path / "rdms.mat", {"rdms": draw().square(), "ids": cells})
    assert rsa.load_rdms(tmp_path / "rdms.mat").ids == tuple(IDS)


@pytest.mark.parametrize("square", [True, False])
def test_struct_arrays(square: bool, tmp_path: Path) -> None:
    rdms = draw()
    fields = rdms.square() if square else rdms.dissimilarities
    struct = np.array(
        [(field, name) for field, name in zip(fields, "abcd", strict=True)],
        dtype=[("RDM", object), ("name", object)],
    )
    savemat(tmp_path / "rdms.mat", {"RDMs": struct.reshape(2, 2), "other": np.zeros((3, 4))})
    loaded = rsa.load_rdms(tmp_path / "rdms.mat")
    np.testing.assert_array_equal(loaded.dissimilarities, rdms.dissimilarities)
    assert loaded.names == ("a", "b", "c", "d")


def test_struct_arrays_of_unequal_shapes(tmp_path: Path) -> None:
    struct = np.array([(np.zeros((3, 3)),), (np.zeros((4, 4)),)], dtype=[("RDM", object)])
    savemat(tmp_path / "rdms.mat", {"RDMs": struct})
    with pytest.raises(ValueError, match=r"rdms\.mat.*one shape; got \[\(3, 3\), \(4, 4\)\]"):
        rsa.load_rdms(tmp_path / "rdms.mat")


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_which_array_is_meant(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"two{suffix}"
    arrays = {"EVC": draw(2).square(), "IT": draw(3).square(), "note": np.zeros((2, 4))}
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        savemat(path, arrays)
    assert len(rsa.load_rdms(path, key="IT")) == 3
    listed = r"EVC \(2, 7, 7\).*IT \(3, 7, 7\).*note"
    with pytest.raises(ValueError, match=rf"several arrays that may be RDMs: {listed}.*key="):
        rsa.load_rdms(path)
    with pytest.raises(ValueError, match=rf"has no 'LOC'; it holds {listed}"):
        rsa.load_rdms(path, key="LOC")
    with pytest.raises(ValueError, match=rf"two\{suffix} \(note\)"):
        rsa.load_rdms(path, key="note")


def spoilt(change: str) -> NDArray[np.float64]:
    square = draw(2).square()
    if change == "asymmetric":
        square[1, 0, 3] += 0.1
    elif change == "diagonal":
        square[0, 2, 2] = 1
    else:
        square[1, 2, 3] = square[1, 3, 2] = np.nan
    return square


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5.mat"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("asymmetric", "symmetric; entries across the diagonal differ by up to 0.1"),
        ("diagonal", "zero diagonal; got values up to 1"),
        ("nan", "must be finite; 2 of 98"),
    ],
)
def test_spoilt_matrices_name_the_file(
    change: str, message: str, suffix: str, tmp_path: Path
) -> None:
    path = save(tmp_path / f"spoilt{suffix}", spoilt(change))
    with pytest.raises(ValueError, match=rf"spoilt.*{message}"):
        rsa.load_rdms(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.npy", b"not numpy", "broken.npy cannot be read"),
        ("broken.npz", b"PK not a zip", "broken.npz cannot be read"),
        ("broken.mat", b"MATLAB 5.0 MAT-file" + b"\0" * 10, "broken.mat cannot be read"),
        ("table.csv", b"1,2", r"\.npy, \.npz, \.mat, .* files; got .*table\.csv"),
    ],
)
def test_unreadable_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        rsa.load_rdms(tmp_path / name)


def test_truncated_archives(tmp_path: Path) -> None:
    path = save(tmp_path / "cut.npz", draw(40, 40).square())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"cut\.npz cannot be read"):
        rsa.load_rdms(path)


def test_missing_files_and_other_contents(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.npy"):
        rsa.load_rdms(tmp_path / "absent.npy")
    complex_rdm = save(tmp_path / "complex.npy", draw(1).dissimilarities[0] + 1j)
    with pytest.raises(ValueError, match="no array of RDMs' shape"):
        rsa.load_rdms(complex_rdm)
    with pytest.raises(ValueError, match=r"complex\.npy \(complex\): .*real numbers; got"):
        rsa.load_rdms(complex_rdm, key="complex")


def test_pickled_objects_are_not_run(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects\.npy cannot be read"):
        rsa.load_rdms(path)
