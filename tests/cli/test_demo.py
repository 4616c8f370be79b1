"""``dnnbrain demo``: what it prints, and its exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dnnbrain_cpp import comparison

Command = Callable[..., Any]


class _Found:
    """What a demonstration gives, as far as the command looks at it."""

    def __init__(self, layers: list[str]) -> None:
        planted = ["relu1", "relu3"]
        self.headline = "A headline."
        self.verdict = pd.DataFrame(
            {
                "network": "demo", "roi": ["early", "late"], "planted": planted,
                "encoding_layer": layers, "encoding_score": 0.5, "rsa_layer": layers,
                "rsa_score": 0.4, "ceiling_lower": 0.6, "ceiling_upper": 0.7,
                "noise_ceiling": 0.7, "measured_ceiling": 0.71,
                "match": [a == b for a, b in zip(layers, planted, strict=True)],
            }
        )  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "code", "last"),
    [(["relu1", "relu3"], 0, "recovered"), (["relu1", "relu2"], 1, "NOT RECOVERED")],
)
def test_verdict_and_exit_code(
    dnnbrain: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    layers: list[str], code: int, last: str,
) -> None:  # fmt: skip
    called: list[tuple[Path, dict[str, Any]]] = []

    def demonstrate(folder: Path, **options: Any) -> _Found:
        called.append((folder, options))
        return _Found(layers)

    monkeypatch.setattr(comparison, "demonstrate", demonstrate)
    result = dnnbrain("demo", "--out", tmp_path / "out", "--seed", 4, "--size", "small")
    assert result.code == code
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0] == "A headline."
    assert lines[2].split()[:6] == ["early", "relu1", "relu1", "0.500", "(0.710)", "relu1"]
    assert lines[3].endswith(last)
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'report.html'}"
    ((folder, options),) = called
    assert folder == tmp_path / "out"
    assert (options["seed"], options["size"], options["progress"]) == (4, "small", False)
