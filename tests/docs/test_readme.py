"""Every Python block of the README and of docs/ runs, and prints what its comments say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from types import ModuleType

import pytest

from dnnbrain_cpp import encoding, linear, stats

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page}-{place}")
    for page in PAGES
    for place, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    )
]


def _expected(block: str) -> list[str]:
    """Lines of comments that stand alone: the printed result."""
    return [line[2:].rstrip() for line in block.splitlines() if line.startswith("# ")]


_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def _shape(line: str) -> str:
    """Return a line without its numbers and gaps: both hang on last digits."""
    return " ".join(_NUMBER.sub("0", line).split())


def test_there_are_examples() -> None:
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs_and_prints_what_it_says(block: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "a page", "exec"), {})
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    expected = _expected(block)
    assert [_shape(line) for line in lines] == [_shape(line) for line in expected], (
        "the shape of the output has changed"
    )
    for ours, theirs in zip(lines, expected, strict=True):
        numbers = [float(x) for x in _NUMBER.findall(ours)]
        assert numbers == pytest.approx([float(x) for x in _NUMBER.findall(theirs)], abs=0.011)


@pytest.mark.parametrize("module", [encoding, linear, stats], ids=["encoding", "linear", "stats"])
def test_every_public_name_is_on_its_page(module: ModuleType) -> None:
    page = f"docs/{module.__name__.rpartition('.')[2]}.md"
    words = set(re.findall(r"\w+", (ROOT / page).read_text(encoding="utf-8")))
    assert set(module.__all__) <= words, f"{page} leaves out {set(module.__all__) - words}"


@pytest.mark.parametrize("path", ["ARCHITECTURE.md", "CONTRIBUTING.md", *PAGES])
def test_links_lead_somewhere(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / path).parent.joinpath(target).exists(), (
            f"{path} links to {target}, which does not exist"
        )
