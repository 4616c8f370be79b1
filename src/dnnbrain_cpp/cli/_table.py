"""The table that ``dnnbrain compare`` and ``dnnbrain demo`` end with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dnnbrain_cpp.comparison import LEVEL, records

if TYPE_CHECKING:
    from dnnbrain_cpp.comparison import Comparison

__all__ = ["summary_text", "verdict_text"]


def summary_text(comparison: Comparison) -> str:
    """Return per analysis and region one table: layers down, networks across."""
    summary = comparison.summary
    labels = comparison.layers.set_index(["network", "layer"])["label"]
    blocks = []
    for (analysis, roi), cells in summary.groupby(["analysis", "roi"], sort=False):
        columns = []
        for network, rows in cells.groupby("network", sort=False):
            names = [str(labels[network, layer]) for layer in rows["layer"]]
            columns.append((str(network), names, [_cell(row) for row in records(rows)]))
        first = cells.iloc[0]
        title = f"{roi}: {'RSA' if analysis == 'rsa' else 'encoding'}, {first['method']}"
        if analysis == "rsa":
            title += f", {first['n_subject']} subject{'s' if first['n_subject'] > 1 else ''}"
        if math.isfinite(first["ceiling_lower"]):
            title += f", noise ceiling {first['ceiling_lower']:.3f} to {first['ceiling_upper']:.3f}"
        blocks.append("\n".join([title, *_columns(columns)]))
    if summary["p"].notna().any():
        settings = comparison.record["settings"]
        blocks.append(
            f"Mean over subjects{' and seeds' if summary['n_seed'].max() > 1 else ''}, SEM over "
            f"subjects; * p < {LEVEL} by {settings['n_perm']} relabellings of the stimuli, "
            "uncorrected."
        )
    return "\n\n".join(blocks)


def verdict_text(comparison: Comparison) -> str:
    """Return the verdict on planted layers as a table."""
    verdict = comparison.verdict
    if verdict is None:
        return ""
    head = ["region", "planted", "by encoding", "r (ceiling)", "by RSA", "tau-b (ceiling)", ""]
    rows = [
        [
            row["roi"],
            row["planted"],
            row["encoding_layer"],
            f"{row['encoding_score']:.3f} ({row['measured_ceiling']:.3f})",
            row["rsa_layer"],
            f"{row['rsa_score']:.3f} ({row['ceiling_lower']:.3f} to {row['ceiling_upper']:.3f})",
            "recovered" if row["match"] else "NOT RECOVERED",
        ]
        for row in records(verdict)
    ]
    return "\n".join(_aligned([head, *rows]))


def _cell(row: Mapping[str, Any]) -> str:
    text = f"{row['score']: .3f}"
    if math.isfinite(row["sem"]):
        text += f" ± {row['sem']:.3f}"
    if math.isfinite(row["p"]):
        text += " *" if row["p"] < LEVEL else "  "
    return text


def _columns(columns: Sequence[tuple[str, list[str], list[str]]]) -> list[str]:
    """Put networks side by side where their layers have the same names, else below each other."""
    if all(names == columns[0][1] for _, names, _ in columns):
        head = ["layer", *(network for network, _, _ in columns)]
        rows = [list(row) for row in zip(columns[0][1], *(c for _, _, c in columns), strict=True)]
        return _aligned([head, *rows])
    lines = []
    for network, names, cells in columns:
        lines += _aligned([["layer", network], *map(list, zip(names, cells, strict=True))])
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
