"""The five lines of Python that stand for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dnnbrain_cpp import Network, Stimuli

README = Path(__file__).resolve().parents[2] / "README.md"
FIVE_LINES = re.findall(r"^```py\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)[0]


def test_five_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stimuli: Stimuli,
    make_network: Callable[..., Network],
) -> None:
    from dnnbrain_cpp import comparison, networks, rsa

    (tmp_path / "images").mkdir()
    for i, name in enumerate(stimuli.ids):
        stimuli.image(i).save(tmp_path / "images" / f"{name}.png")
    np.savez(tmp_path / "fmri.npz", IT=np.random.default_rng(0).random((3, 276)))
    monkeypatch.chdir(tmp_path)
    # The same lines, with a network that takes no minute.
    monkeypatch.setattr(networks, "alexnet", lambda *, seed, layers: make_network(seed))
    scope = {"Stimuli": Stimuli, "comparison": comparison, "networks": networks, "rsa": rsa}
    exec(FIVE_LINES, scope)
    assert (tmp_path / "report" / "report.html").is_file()
    summary = scope["result"].summary  # type: ignore[attr-defined]
    assert summary["n_seed"].tolist() == [10, 10]
    assert summary["p"].notna().all()
