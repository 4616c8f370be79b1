"""`atomic_path`: complete or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dnnbrain_cpp._files import atomic_path


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_success_leaves_only_the_target(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "map.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert not (tmp_path / "map.nii.gz").exists()
    assert _names(tmp_path) == ["map.nii.gz"]
    assert (tmp_path / "map.nii.gz").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "scores.csv"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["scores.csv"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer one is renamed last
    assert _names(tmp_path) == ["run.json"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    (tmp_path / "plain.txt").write_text("x")
    modes = {stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("a.txt", "plain.txt")}
    assert len(modes) == 1


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "annexed").write_text("kept")
    (tmp_path / "link.txt").symlink_to("annexed")
    with atomic_path(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "annexed").read_text() == "kept"
    assert not (tmp_path / "link.txt").is_symlink()


def test_refusals(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"must exist.*absent"),
        atomic_path(tmp_path / "absent" / "a.txt"),
    ):
        pass
    with pytest.raises(IsADirectoryError, match="must not be a folder"), atomic_path(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match="left no file"), atomic_path(tmp_path / "a.txt"):
        pass
    assert _names(tmp_path) == []


def test_accepts_strings(tmp_path: Path) -> None:
    with atomic_path(os.fspath(tmp_path / "a.txt")) as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a.txt").is_file()
