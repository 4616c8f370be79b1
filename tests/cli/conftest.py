"""A study in files, and the command run as a user would, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dnnbrain_cpp.cli import main

N_STIM = 12

NETWORKS = """
from collections import OrderedDict
from torch import nn
from dnnbrain_cpp import Network, transforms

def tiny():
    module = nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(3, 8, 3), relu1=nn.ReLU(), conv2=nn.Conv2d(8, 8, 3), relu2=nn.ReLU()
    ))
    return Network(module, transform=transforms.squash(16), name="tiny")

def broken():
    raise RuntimeError("a bug of the network")
"""


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def dnnbrain(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(exit_info.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Images img-1 ... img-12, networks, RDMs with and without ids, responses."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    names = [f"img-{i + 1}" for i in range(N_STIM)]
    for name in names:
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "nets.py").write_text(NETWORKS)
    n_pair = N_STIM * (N_STIM - 1) // 2
    np.savez(
        tmp_path / "fmri.npz", IT_RDMs=rng.random((3, n_pair)), EVC_RDMs=rng.random((3, n_pair))
    )
    np.savez(tmp_path / "named.npz", IT=rng.random((3, n_pair)), ids=np.array(names[::-1]))
    np.save(tmp_path / "voxels.npy", rng.normal(size=(N_STIM, 5)))
    return tmp_path
