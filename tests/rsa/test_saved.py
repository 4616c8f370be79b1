"""Files that we write, and HDF5 files that DNNBrain, rsatoolbox and MATLAB write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dnnbrain_cpp import rsa
from dnnbrain_cpp.rsa._matlab import MATLAB_WRITERS

SUFFIXES = [".npz", ".mat", ".rdm.h5", ".h5", ".hdf5"]


def draw(n_rdm: int = 4, n_cond: int = 7, *, ids: bool = True) -> rsa.RDMs:
    rng = np.random.default_rng([n_rdm, n_cond])
    return rsa.RDMs(
        rng.random((n_rdm, n_cond * (n_cond - 1) // 2)),
        ids=[f"stim {i}" for i in range(n_cond)][::-1] if ids else None,
        names=[f"layer.{i}" for i in range(n_rdm)][::-1],
        metric="correlation",
    )


def same(one: rsa.RDMs, other: rsa.RDMs) -> None:
    np.testing.assert_array_equal(one.dissimilarities, other.dissimilarities)
    assert (one.ids, one.names, one.metric) == (other.ids, other.names, other.metric)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize(("n_rdm", "n_cond"), [(1, 5), (4, 7), (3, 3), (6, 4), (7, 7)])
def test_there_and_back(n_rdm: int, n_cond: int, ids: bool, suffix: str, tmp_path: Path) -> None:
    """Also where as many RDMs as pairs, or as conditions, look like a square."""
    rdms = draw(n_rdm, n_cond, ids=ids)
    rsa.save_rdms(rdms, tmp_path / f"rdms{suffix}")
    same(rsa.load_rdms(tmp_path / f"rdms{suffix}"), rdms)
    assert [path.name for path in tmp_path.iterdir()] == [f"rdms{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_rdm_and_arrays(suffix: str, tmp_path: Path) -> None:
    rdms = draw()
    rsa.save_rdms(rdms["layer.2"], tmp_path / f"one{suffix}")
    same(rsa.load_rdms(tmp_path / f"one{suffix}"), rdms[["layer.2"]])
    rsa.save_rdms(rdms.square(), tmp_path / f"array{suffix}")
    plain = rsa.load_rdms(tmp_path / f"array{suffix}", ids=rdms.ids, names=list("abcd"))
    np.testing.assert_array_equal(plain.dissimilarities, rdms.dissimilarities)
    assert (plain.ids, plain.names, plain.metric) == (rdms.ids, tuple("abcd"), None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"rdms{suffix}"
    rsa.save_rdms(draw(), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    for writer in ("_write_npz", "write_dnnbrain", "write_rsatoolbox"):
        monkeypatch.setattr(f"dnnbrain_cpp.rsa._save.{writer}", fail)
    monkeypatch.setitem(MATLAB_WRITERS, "5", fail)
    with pytest.raises(OSError, match="disk full"):
        rsa.save_rdms(draw(2), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", ["bRDM", "dRDM"])
def test_dnnbrain_can_read_what_we_write(kind: str, tmp_path: Path) -> None:
    """As its manual describes the file: attribute type, one gzip float64 dataset per key."""
    rdms = draw(2)
    rsa.save_rdms(rdms, tmp_path / "a.rdm.h5", kind=kind)
    with h5py.File(tmp_path / "a.rdm.h5") as file:
        assert file.attrs["type"] == kind
        assert set(file) == set(rdms.names)
        for one in rdms:
            dataset = file[one.name]
            assert (dataset.dtype, dataset.compression) == (np.float64, "gzip")
            assert dataset.shape == ((21,) if kind == "bRDM" else (1, 21))
            np.testing.assert_array_equal(np.ravel(dataset), one.dissimilarities)


def test_files_of_dnnbrain(tmp_path: Path) -> None:
    rdms = draw(5)
    with h5py.File(tmp_path / "b.rdm.h5", "w") as file:
        file.attrs["type"] = "bRDM"
        for name, row in zip(("1", "2.0"), rdms.dissimilarities[:2], strict=True):
            file.create_dataset(name, data=row, compression="gzip")
    brain = rsa.load_rdms(tmp_path / "b.rdm.h5")
    assert (brain.names, brain.ids, brain.metric) == (("1", "2.0"), None, None)
    np.testing.assert_array_equal(brain.dissimilarities, rdms.dissimilarities[:2])
    with h5py.File(tmp_path / "d.rdm.h5", "w") as file:
        file.attrs["type"] = "dRDM"
        file.create_dataset("conv5", data=rdms.dissimilarities[:3], compression="gzip")
        file.create_dataset("fc1", data=rdms.dissimilarities[3:4], compression="gzip")
    layers = rsa.load_rdms(tmp_path / "d.rdm.h5", ids=rdms.ids)
    assert layers.names == ("conv5[0]", "conv5[1]", "conv5[2]", "fc1")
    assert layers.ids == rdms.ids
    np.testing.assert_array_equal(layers.dissimilarities, rdms.dissimilarities[:4])
    assert rsa.load_rdms(tmp_path / "d.rdm.h5", key="fc1").names == ("fc1",)
    with pytest.raises(ValueError, match=r"d\.rdm\.h5 cannot be read: it has no 'fc2'"):
        rsa.load_rdms(tmp_path / "d.rdm.h5", key="fc2")


def test_ids_of_many_conditions_fit(tmp_path: Path) -> None:
    """HDF5's first attributes end at 64 KB."""
    n_cond = 1200
    ids = [f"{i:0100d}" for i in range(n_cond)]
    rdms = rsa.RDMs(np.ones(n_cond * (n_cond - 1) // 2), ids=ids)
    rsa.save_rdms(rdms, tmp_path / "many.rdm.h5")
    assert rsa.load_rdms(tmp_path / "many.rdm.h5").ids == tuple(ids)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rsatoolbox_reads_what_we_write_and_we_what_it_writes(tmp_path: Path) -> None:
    theirs = pytest.importorskip("rsatoolbox.rdm")
    rdms = draw()
    rsa.save_rdms(rdms, tmp_path / "ours.h5")
    loaded = theirs.load_rdm(str(tmp_path / "ours.h5"))
    np.testing.assert_array_equal(loaded.dissimilarities, rdms.dissimilarities)
    np.testing.assert_array_equal(loaded.get_matrices(), rdms.square())
    assert list(loaded.pattern_descriptors["name"]) == list(rdms.ids or ())
    assert list(loaded.rdm_descriptors["name"]) == list(rdms.names)
    assert loaded.dissimilarity_measure == "correlation"
    made = theirs.RDMs(
        rdms.dissimilarities,
        dissimilarity_measure="crossnobis",
        descriptors={"session": "first"},
        pattern_descriptors={"category": list("aabbccd"), "conds": list("gfedcba")},
        rdm_descriptors={"roi": ["V1", "V2", "IT", "FFA"]},
    )
    made.save(str(tmp_path / "theirs.hdf5"))
    ours = rsa.load_rdms(tmp_path / "theirs.hdf5")
    assert (ours.ids, ours.names) == (tuple("gfedcba"), ("V1", "V2", "IT", "FFA"))
    assert ours.metric == "crossnobis"
    np.testing.assert_array_equal(ours.dissimilarities, rdms.dissimilarities)
    theirs.RDMs(rdms.dissimilarities).save(str(tmp_path / "bare.hdf5"))
    bare = rsa.load_rdms(tmp_path / "bare.hdf5")
    assert (bare.ids, bare.metric) == (None, None)


def matlab_text(file: Any, path: str, text: str) -> Any:
    file[path] = np.array([[ord(letter)] for letter in text], np.uint16)
    file[path].attrs["MATLAB_class"] = np.bytes_("char")
    return file[path].ref


def test_structs_and_cells_of_matlab_73(tmp_path: Path) -> None:
    rdms = draw(3)
    assert rdms.ids is not None
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        references = file.create_group("#refs#")
        struct = file.create_group("RDMs")
        matrices, names = [], []
        for place, one in enumerate(rdms):
            references[f"m{place}"] = one.square().T
            matrices.append(references[f"m{place}"].ref)
            names.append(matlab_text(file, f"#refs#/n{place}", one.name))
        struct.create_dataset("RDM", data=np.array(matrices)[:, None], dtype=h5py.ref_dtype)
        struct.create_dataset("name", data=np.array(names)[:, None], dtype=h5py.ref_dtype)
        cells = [matlab_text(file, f"#refs#/i{i}", name) for i, name in enumerate(rdms.ids)]
        file.create_dataset("ids", data=np.array(cells)[None], dtype=h5py.ref_dtype)
        file.create_dataset("other", data=np.array(matrices)[None], dtype=h5py.ref_dtype)
    loaded = rsa.load_rdms(tmp_path / "v73.mat")
    same(loaded, rsa.RDMs(rdms.dissimilarities, ids=rdms.ids, names=rdms.names))


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize(("n_rdm", "n_cond"), [(1, 5), (4, 7), (6, 4)])
def test_writing_matlab_73(n_rdm: int, n_cond: int, ids: bool, tmp_path: Path) -> None:
    rdms = draw(n_rdm, n_cond, ids=ids).rename(
        [f"{i}. \N{GREEK SMALL LETTER TAU}" for i in range(n_rdm)]
    )
    rsa.save_rdms(rdms, tmp_path / "v73.mat", matlab="7.3")
    same(rsa.load_rdms(tmp_path / "v73.mat"), rdms)
    header = (tmp_path / "v73.mat").read_bytes()[:128]
    assert header.startswith(b"MATLAB 7.3 MAT-file")
    assert header[124:] == b"\x00\x02IM"
    with h5py.File(tmp_path / "v73.mat") as file:
        first = file[file["RDMs/RDM"][0, 0]]
        assert first.attrs["MATLAB_class"] == b"double"
        np.testing.assert_array_equal(first[()], rdms[0].square())
    with pytest.raises(ValueError, match=r"matlab must be one of '5', '7\.3'; got '6'"):
        rsa.save_rdms(rdms, tmp_path / "v6.mat", matlab="6")


def test_one_struct_of_matlab_73(tmp_path: Path) -> None:
    """Its fields are no cells."""
    one = draw(1)[0]
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        file["RDMs/RDM"] = one.square().T
        matlab_text(file, "RDMs/name", one.name)
    assert rsa.load_rdms(tmp_path / "v73.mat").names == (one.name,)


def test_wrong_targets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.npz, \.mat, .* files; got 'rdms\.csv'"):
        rsa.save_rdms(draw(), tmp_path / "rdms.csv")
    with pytest.raises(ValueError, match=r"slash or be empty; got 'a/b'. Use RDMs\.rename"):
        rsa.save_rdms(draw(1).rename(["a/b"]), tmp_path / "rdms.rdm.h5")
    with pytest.raises(ValueError, match="kind must be one of 'dRDM', 'bRDM'"):
        rsa.save_rdms(draw(), tmp_path / "rdms.rdm.h5", kind="cRDM")
    assert not list(tmp_path.iterdir())


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        rsa.load_rdms(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ValueError, match=r"text\.h5 cannot be read"):
        rsa.load_rdms(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["act"] = np.ones(3)
    with pytest.raises(ValueError, match=r"neither DNNBrain's .* nor rsatoolbox's; it holds act"):
        rsa.load_rdms(tmp_path / "other.h5")
    with h5py.File(tmp_path / "mixed.rdm.h5", "w") as file:
        file.attrs["type"] = "bRDM"
        file["a"], file["b"] = np.ones(3), np.ones(6)
    with pytest.raises(ValueError, match=r"numbers of pairs are \{'a': 3, 'b': 6\}\. Choose one"):
        rsa.load_rdms(tmp_path / "mixed.rdm.h5")
    assert len(rsa.load_rdms(tmp_path / "mixed.rdm.h5", key="b")) == 1
