"""The command group, ``info``, ``layers``, and the parsing of arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dnnbrain_cpp
from dnnbrain_cpp.cli._rdm_files import RdmFile, parse_rdm_file
from dnnbrain_cpp.cli._seeds import NetworkSet

Command = Callable[..., Any]


@pytest.mark.parametrize("command", [[], ["compare"], ["demo"], ["info"], ["layers"]])
def test_help(dnnbrain: Command, command: list[str]) -> None:
    result = dnnbrain(*command, "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: dnnbrain")
    if command == ["compare"]:
        assert "--rdms fmri.mat:IT_RDMs" in result.out
        assert all(len(line) <= 100 for line in result.out.splitlines())


def test_version(dnnbrain: Command) -> None:
    assert dnnbrain_cpp.__version__ in dnnbrain("--version").out


def test_unknown_command(dnnbrain: Command) -> None:
    result = dnnbrain("comparre")
    assert result.code == 2
    assert "comparre" in result.err


def test_info(dnnbrain: Command) -> None:
    facts = dict(line.split(maxsplit=1) for line in dnnbrain("info").out.splitlines())
    assert "alexnet" in facts["networks"]
    assert facts["torch_running"] == dnnbrain_cpp.build_info()["torch_running"]


def test_layers(dnnbrain: Command) -> None:
    lines = dnnbrain("layers", "deepcluster_alexnet", "--layers", "type:ReLU").out.splitlines()
    assert lines[0].split() == ["layer", "type", "alias", "parameters"]
    assert lines[1].split() == ["features.2", "ReLU", "conv1_relu", "0"]
    assert len(lines) == 1 + 7
    assert dnnbrain("layers", "alexnett").code == 2


@pytest.mark.parametrize(
    ("text", "roi", "path", "key"),
    [
        ("a/fmri.mat:IT_RDMs", "IT", "a/fmri.mat", "IT_RDMs"),
        ("a/fmri.mat:MEG_RDMs_early", "MEG_RDMs_early", "a/fmri.mat", "MEG_RDMs_early"),
        ("a/92_brainRDMs.mat", "92_brain", "a/92_brainRDMs.mat", None),
        ("a/rdms.npz", "rdms", "a/rdms.npz", None),
        ("a/rdms.npz:RDMs", "rdms", "a/rdms.npz", "RDMs"),
        ("V4=a/fmri.mat:x", "V4", "a/fmri.mat", "x"),
        ("V4=a/fmri.mat", "V4", "a/fmri.mat", None),
    ],
)
def test_rdm_files(text: str, roi: str, path: str, key: str | None) -> None:
    assert parse_rdm_file(text) == RdmFile(roi, Path(path), key)


@pytest.mark.parametrize("name", ["b:c.npz", "b=c.npz"])
def test_rdm_files_with_signs_in_their_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.touch()
    assert parse_rdm_file(f"{file}").path == file
    assert parse_rdm_file(f"{file}:key") == RdmFile("key", file, "key")
    assert parse_rdm_file(f"V4={file}:key") == RdmFile("V4", file, "key")


def test_networks_come_seed_by_seed() -> None:
    made: list[tuple[str, str, int]] = []

    def create(name: str, *, weights: str, seed: int) -> Any:
        made.append((name, weights, seed))
        return name

    several = NetworkSet(("a", "b"), ("random", "b.pth"), (4, 5), create)
    assert len(several) == len(list(several)) == 3
    assert made == [("a", "random", 4), ("b", "b.pth", 4), ("a", "random", 5)]
