"""A comparison on disk: every file complete or not there, its record last."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnnbrain_cpp import __version__
from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp.comparison._figures import make_panels
from dnnbrain_cpp.comparison._folder import RECORD, claim_folder, earlier_files
from dnnbrain_cpp.comparison._labels import file_stems
from dnnbrain_cpp.comparison._record import environment_record
from dnnbrain_cpp.comparison._report import render
from dnnbrain_cpp.comparison._tables import best_maps

if TYPE_CHECKING:
    from dnnbrain_cpp.comparison._comparison import Comparison

__all__ = ["save"]

_DPI = 180
_TRIMMED = ("maps", "stimuli")  # images of fixed shape, which do not fill their figure


def save(comparison: Comparison, folder: Path, command: Sequence[str] | None) -> Path:
    """Write everything; see `Comparison.save`."""
    claim_folder(folder)
    earlier = earlier_files(folder)
    files = [
        _write_table(comparison.scores, folder / "scores.csv"),
        _write_table(comparison.summary, folder / "summary.csv"),
    ]
    if comparison.verdict is not None:
        files.append(_write_table(comparison.verdict, folder / "verdict.csv"))
    panels = make_panels(comparison)
    images = {}
    for panel in panels:
        path = folder / f"{panel.name}.png"
        with atomic_path(path) as temporary:
            panel.figure.savefig(
                temporary,
                dpi=_DPI,
                format="png",
                facecolor="white",
                bbox_inches="tight" if panel.section in _TRIMMED else None,
            )
        images[panel.name] = path.read_bytes()
        files.append(path)
    files += _write_maps(comparison, folder)
    record = {
        "dnnbrain_cpp": __version__,
        "complete": True,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": None if command is None else list(command),
        "headline": comparison.headline,
        "findings": comparison.findings,
        **comparison.record,
        **environment_record(),
    }
    report = folder / "report.html"
    _write_text(render(comparison, panels, images, record), report)
    files.append(report)
    names = [path.relative_to(folder).as_posix() for path in files]
    _write_text(json.dumps(_plain({**record, "files": names}), indent=2) + "\n", folder / RECORD)
    for name in set(earlier) - {*names, RECORD}:
        (folder / name).unlink(missing_ok=True)
    return report


def _write_text(text: str, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_table(table: pd.DataFrame, path: Path) -> Path:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    return path


def _write_maps(comparison: Comparison, folder: Path) -> list[Path]:
    """Write, per network, mean r of every layer, the best layer, and its r."""
    responses = comparison.responses
    if responses is None or responses.geometry is None:
        return []
    home = folder / "maps"
    home.mkdir(exist_ok=True)
    files = []
    stems = file_stems(comparison.voxel_scores)
    for stem, table in zip(stems, comparison.voxel_scores.values(), strict=True):
        best_r, best_layer = best_maps(table)
        for kind, values in (
            ("r", table.to_numpy()),
            ("best_r", best_r),
            ("best_layer", best_layer),
        ):
            path = home / f"{stem}_{kind}.nii.gz"
            responses.save_map(values, path)
            files.append(path)
        numbers = pd.DataFrame({"value": range(1, len(table) + 1), "name": table.index})
        files.append(_write_table(numbers, home / f"{stem}_layers.csv"))
    return files


def _plain(value: Any) -> Any:
    """Return `value` with what JSON lacks, NaN and NumPy's numbers, as null and Python's."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
