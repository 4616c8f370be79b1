"""``dnnbrain compare`` on a small study in files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Command = Callable[..., Any]


def arguments(study: Path, *more: object) -> list[object]:
    return [
        "compare", study / "images", "--network", f"{study / 'nets.py'}:tiny",
        "--layers", "type:ReLU", "--n-perm", 9, "--out", study / "out", *more,
    ]  # fmt: skip


def test_rsa_of_two_regions(dnnbrain: Command, study: Path) -> None:
    rdms = study / "fmri.npz"
    result = dnnbrain(
        *arguments(study, "--rdms", f"{rdms}:IT_RDMs", "--rdms", f"{rdms}:EVC_RDMs"),
        "--seeds", "0-1",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0].startswith("IT: RSA, tau-b, 3 subjects, noise ceiling")
    assert lines[1].split() == ["layer", "tiny"]
    assert [line.split()[0] for line in lines[2:4]] == ["relu1", "relu2"]
    assert "Mean over subjects and seeds" in result.out
    assert "Note: IT and EVC came without ids" in result.out
    assert lines[-1] == f"Report: {study / 'out' / 'report.html'}"
    scores = pd.read_csv(study / "out" / "scores.csv")
    assert len(scores) == 2 * 2 * 2 * 3
    assert set(scores["seed"]) == {0, 1}
    record = json.loads((study / "out" / "run.json").read_text())
    assert record["rdms"]["EVC"]["joined_by"] == "order"
    assert record["command"][0] == "dnnbrain"
    # The order of file names has numbers in their natural order.
    assert record["stimuli"]["ids"][:3] == ["img-1", "img-2", "img-3"]


def test_a_second_run_replaces_the_first_and_agrees(dnnbrain: Command, study: Path) -> None:
    call = arguments(study, "--rdms", f"brain={study / 'named.npz'}:IT", "--seed", 3)
    tables = []
    for _ in range(2):
        assert dnnbrain(*call).code == 0
        tables.append((study / "out" / "scores.csv").read_bytes())
    assert tables[0] == tables[1]
    record = json.loads((study / "out" / "run.json").read_text())
    assert record["rdms"]["brain"]["joined_by"] == "id"
    assert record["settings"]["random_state"] == 3
    assert record["networks"][0]["seed"] == 3


def test_encoding_and_options(dnnbrain: Command, study: Path) -> None:
    result = dnnbrain(
        *arguments(study, "--responses", study / "voxels.npy"),
        "--folds", 3, "--transform", "squash", "--batch-size", 5, "--dtype", "float32",
        "--device", "cpu", "--reduce", "max", "--progress",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.startswith("all: encoding, pcr-r")
    assert "comparing" in result.err  # the bar, as asked
    record = json.loads((study / "out" / "run.json").read_text())
    assert record["settings"]["reduce"] == "max"
    assert "n_splits=3" in record["settings"]["cv"]
    assert record["networks"][0]["transform"]["output_size"] == [224, 224]


def test_stimuli_from_a_table(dnnbrain: Command, study: Path) -> None:
    names = [f"img-{i + 1}.png" for i in range(12)]
    (study / "some.stim.csv").write_text(
        "\n".join(["type=image", f"path={study / 'images'}", "data=stimID", *names])
    )
    call = arguments(study, "--rdms", f"{study / 'fmri.npz'}:IT_RDMs")
    call[1] = study / "some.stim.csv"
    result = dnnbrain(*call)
    assert result.code == 0, result.err


def test_unreadable_images(dnnbrain: Command, study: Path) -> None:
    (study / "images" / "img-5.png").write_bytes(b"no image")
    call = arguments(study, "--rdms", f"{study / 'fmri.npz'}:IT_RDMs")
    refused = dnnbrain(*call)
    assert refused.code == 2
    assert "img-5.png" in refused.err
    assert not (study / "out").exists()
    skipped = dnnbrain(*call, "--skip-unreadable")
    assert skipped.code == 0, skipped.err
    assert "1 image could not be read, and left out on both sides: img-5." in skipped.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "Give --rdms, --responses or both"),
        (["--rdms", "{study}/nothing.npz"], "no such file of RDMs: {study}/nothing.npz"),
        (["--rdms", "{study}/fmri.npz"], "Say which with key="),
        (["--rdms", "{study}/fmri.npz:V4"], "has no 'V4'; it holds IT_RDMs"),
        (["--rdms", "{study}/fmri.npz:IT_RDMs"] * 2, "region 'IT' comes twice"),
        (["--mask", "{study}/voxels.npy"], "--mask says which voxels of --responses"),
        (["--responses", "{study}/nets.py"], "responses must be a file of type"),
        (["--weights", "random", "--weights", "random", "--weights", "random",
          "--rdms", "x.npz"], "one --weights for all networks or one for each of 1; got 3"),
        (["--rdms", "{study}/fmri.npz:IT_RDMs", "--layers", "conv7"], "conv7"),
        (["--rdms", "{study}/fmri.npz:IT_RDMs", "--weights", "{study}/w.pth"], "w.pth"),
        (["--rdms", "{study}/fmri.npz:IT_RDMs", "--network", "alexnett"], "'alexnett' is none of"),
        (["--rdms", "{study}/fmri.npz:IT_RDMs", "--device", "abacus"], "device"),
        (["--seeds", "9-0"], "must go upwards"),
        (["--seeds", "a"], "not of the form 0-9"),
        (["--method", "tau-c"], "'tau-b'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_sentence(
    dnnbrain: Command, study: Path, more: list[str], message: str
) -> None:
    result = dnnbrain(*arguments(study, *(part.format(study=study) for part in more)))
    assert result.code == 2
    assert message.format(study=study) in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not (study / "out").exists()


def test_other_peoples_folders_are_refused_at_once(dnnbrain: Command, study: Path) -> None:
    (study / "out").mkdir()
    (study / "out" / "thesis.tex").write_text("years")
    result = dnnbrain(*arguments(study, "--rdms", "not-even-read.npz"))
    assert result.code == 2
    assert "holds other files" in result.err


def test_errors_of_code_keep_their_traceback(dnnbrain: Command, study: Path) -> None:
    call = arguments(study, "--rdms", f"{study / 'fmri.npz'}:IT_RDMs")
    call[3] = f"{study / 'nets.py'}:broken"
    with pytest.raises(RuntimeError, match="a bug of the network"):
        dnnbrain(*call)


def test_a_traceback_of_a_mistake_when_asked(dnnbrain: Command, study: Path) -> None:
    result = dnnbrain("--traceback", *arguments(study, "--rdms", "nothing.npz"))
    assert result.code == 2
    assert "Traceback" in result.err


def test_weights_no_seed_changes_are_taken_once(dnnbrain: Command, study: Path) -> None:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        module = nn.ModuleDict({"conv1": nn.Conv2d(3, 8, 3), "conv2": nn.Conv2d(8, 8, 3)})
    torch.save(module.state_dict(), study / "trained.pth")
    network = f"{study / 'nets.py'}:tiny"
    result = dnnbrain(
        *arguments(study, "--rdms", f"{study / 'fmri.npz'}:IT_RDMs", "--network", network),
        "--weights", "random", "--weights", study / "trained.pth", "--seeds", "0,2",
    )  # fmt: skip
    assert result.code == 0, result.err
    scores = pd.read_csv(study / "out" / "scores.csv")
    seeds = {name: set(rows.dropna()) for name, rows in scores.groupby("network")["seed"]}
    assert seeds == {"tiny (random)": {0, 2}, "tiny (trained)": set()}


def test_ctrl_c_ends_cleanly(study: Path) -> None:
    call = arguments(study, "--rdms", f"{study / 'fmri.npz'}:IT_RDMs", "--progress")
    call[call.index("--n-perm") + 1] = 200_000_000
    process = subprocess.Popen(
        [sys.executable, "-m", "dnnbrain_cpp.cli", *map(str, call)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stderr is not None
    heard = b""
    while b"50/" not in heard:  # the network is done, RSA is at work
        piece = process.stderr.read(1)
        assert piece, heard
        heard += piece
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Interrupted" in err
    assert b"Traceback" not in err
    assert out == b""
    assert not (study / "out").exists()
