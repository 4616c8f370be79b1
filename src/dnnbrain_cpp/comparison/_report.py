"""The report: one HTML file with everything in it, for a screen of any width and for paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dnnbrain_cpp.comparison._figures import METHOD_NAMES, SECTIONS, Panel, category_column
from dnnbrain_cpp.comparison._findings import LEVEL, count, listed
from dnnbrain_cpp.comparison._tables import records
from dnnbrain_cpp.plot import COLORS

if TYPE_CHECKING:
    from dnnbrain_cpp.comparison._comparison import Comparison

__all__ = ["render"]

_METRIC_NAMES = {
    "correlation": "1 minus Pearson's r over features",
    "cosine": "1 minus the cosine over features",
    "euclidean": "Euclidean distance",
    "sqeuclidean": "squared Euclidean distance",
}
_REDUCE_NAMES = {
    "keep": "all units kept",
    "mean": "mean over positions per channel",
    "max": "maximum over positions per channel",
    "min": "minimum over positions per channel",
    "l1": "L1 norm over positions per channel",
    "l2": "L2 norm over positions per channel",
    "gram": "inner products over all units",
}


def render(
    comparison: Comparison,
    panels: Sequence[Panel],
    images: Mapping[str, bytes],
    record: Mapping[str, Any],
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    comparison : Comparison
    panels : sequence of Panel
    images : mapping of str to bytes
        PNG of each panel, by name.
    record : mapping
        What ``run.json`` holds.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dnnbrain_cpp.comparison", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "p": _p, "unbroken": _unbroken}
    style = resources.files("dnnbrain_cpp.comparison").joinpath("templates/report.css")
    sections: dict[str, list[dict[str, str]]] = {section: [] for section in SECTIONS}
    for panel in panels:
        source = base64.b64encode(images[panel.name]).decode("ascii")
        shown = {
            "source": f"data:image/png;base64,{source}",
            "alt": panel.alt,
            "caption": panel.caption,
            "roi": panel.roi,
        }
        sections[panel.section].append(shown)
    verdict = comparison.verdict
    return environment.get_template("report.html.j2").render(
        style=style.read_text(encoding="utf-8"),
        headline=comparison.headline,
        findings=[] if verdict is not None else comparison.findings[1:],
        lede=_lede(comparison),
        verdict=[] if verdict is None else _verdict_rows(verdict, comparison.layers),
        recovered=verdict is not None and bool(verdict["match"].all()),
        panels=sections,
        rsa=_tables(comparison, "rsa"),
        rsa_reading=_rsa_reading(comparison, record["settings"]),
        encoding=_tables(comparison, "encoding"),
        order=category_column(comparison.stimuli.labels),
        notes=comparison.notes,
        methods=_methods(comparison, record),
        networks=_networks(comparison, record),
        record=record,
    )


def _number(value: float, digits: int = 3) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _unbroken(text: str) -> str:
    """Keep the name of a method, and the number behind it, on one line."""
    for name in ("tau-a", "tau-b", "rho-a"):
        text = text.replace(f"{name} ", f"{name}\N{NO-BREAK SPACE}")
        text = text.replace(name, name.replace("-", "\N{NON-BREAKING HYPHEN}"))
    return text


def _p(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def _lede(comparison: Comparison) -> str:
    """Say what was compared with what."""
    summary = comparison.summary
    n_seed = int(summary["n_seed"].max())
    n_layer = comparison.layers.groupby("network", sort=False).size()
    layers = (
        f"{n_layer.iloc[0]} layers"
        if n_layer.nunique() == 1
        else f"{n_layer.min()} to {n_layer.max()} layers"
    )
    seeds = f", {n_seed} seeds" if n_seed > 1 else ""
    sides = []
    if comparison.rdms:
        counts = {len(data) for data in comparison.rdms.values()}
        who = f"{max(counts)} subjects" if max(counts) > 1 else "one RDM"
        sides.append(f"the geometry of {listed(list(comparison.rdms))} ({who})")
    if comparison.responses is not None:
        sides.append(f"{comparison.responses.n_vox:,} voxels")
    return (
        f"{listed(comparison.networks)} ({layers}{seeds}) on {len(comparison.stimuli)} stimuli, "
        f"compared with {listed(sides)}."
    )


def _tables(comparison: Comparison, analysis: str) -> list[dict[str, Any]]:
    """Per region the rows of its table, grouped by network."""
    summary = comparison.summary
    summary = summary[summary["analysis"] == analysis]
    labels = comparison.layers.set_index(["network", "layer"])["label"]
    largest = np.fmax(summary["score"].max(), summary["ceiling_upper"].max())
    tables = []
    for roi, cells in summary.groupby("roi", sort=False):
        lower, upper = cells[["ceiling_lower", "ceiling_upper"]].iloc[0]
        groups = []
        for network, rows in cells.groupby("network", sort=False):
            highest = rows["score"].max()
            entries = [
                {
                    **row,
                    "label": labels[network, row["layer"]],
                    "passes": row["p"] < LEVEL,
                    "best": row["score"] == highest,
                    "width": np.nan_to_num(max(0.0, 100 * row["score"] / largest)),
                }
                for row in records(rows)
            ]
            color = COLORS[comparison.networks.index(str(network)) % len(COLORS)]
            groups.append({"network": network, "color": color, "rows": entries})
        tables.append(
            {
                "roi": roi,
                "method": cells["method"].iloc[0],
                "n_subject": int(cells["n_subject"].max()),
                "has_sem": bool(cells["sem"].notna().any()),
                "has_seeds": bool(cells["seed_sd"].notna().any()),
                "has_p": bool(cells["p"].notna().any()),
                "lower": lower,
                "upper": upper,
                "groups": groups,
            }
        )
    return tables


def _verdict_rows(verdict: pd.DataFrame, layers: pd.DataFrame) -> list[dict[str, Any]]:
    labels = layers.set_index(["network", "layer"])["label"]
    rows = []
    for row in records(verdict):
        network = row["network"]
        shown = dict(row)
        for name in ("planted", "encoding_layer", "rsa_layer"):
            if name in row:
                shown[name] = labels.get((network, row[name]), row[name])
        rows.append(shown)
    return rows


def _rsa_reading(comparison: Comparison, settings: Mapping[str, Any]) -> str:
    """How to read the figures of RSA."""
    summary = comparison.summary
    summary = summary[summary["analysis"] == "rsa"]
    if summary.empty:
        return ""
    parts = [f"Points: mean {METHOD_NAMES[str(settings['method'])]} over subjects"]
    if summary["n_seed"].max() > 1:
        parts[0] += " and seeds; thin lines: single seeds"
    if summary["sem"].notna().any():
        parts.append("bars: standard error over subjects")
    if summary["p"].notna().any():
        several = ", the largest over seeds" if summary["n_seed"].max() > 1 else ""
        parts.append(
            f"filled points: p < {LEVEL} (stimuli relabelled {settings['n_perm']:,} times, "
            f"{settings['alternative']}, mean over subjects{several}; not corrected for "
            f"{count(len(summary), 'test')}), open points: not"
        )
    if summary["ceiling_lower"].notna().any():
        parts.append(
            "grey band: noise ceiling, from the mean similarity of each subject with the mean RDM "
            "of the others (lower) to that with the mean RDM of all (upper)"
        )
    return "; ".join(parts) + "."


def _methods(comparison: Comparison, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every choice that the numbers depend on, as (term, text)."""
    settings = record["settings"]
    transforms = dict.fromkeys(entry["transform_in_words"] for entry in record["networks"])
    layers = settings["layers"]
    layers = "each network's own" if layers is None else layers
    layers = layers if isinstance(layers, str) else ", ".join(layers)
    reduce = settings["reduce"]
    reduced = (
        _REDUCE_NAMES[reduce]
        if isinstance(reduce, str)
        else "; ".join(f"{pattern}: {_REDUCE_NAMES[how]}" for pattern, how in reduce.items())
    )
    methods = [
        ("Images", "; ".join(transforms)),
        ("Layers", f"{layers}; {reduced}."),
    ]
    if comparison.rdms:
        permutations = (
            f"Permutation test: {settings['n_perm']:,} relabellings of the stimuli "
            f"(seed {settings['random_state']}), {settings['alternative']}, "
            "p = (1 + extreme) / (1 + relabellings); it speaks of these subjects."
            if settings["n_perm"]
            else "No permutation test."
        )
        methods += [
            (
                "RSA",
                f"Dissimilarity of two stimuli in a layer: {_METRIC_NAMES[settings['metric']]}. "
                f"Similarity of two RDMs: {METHOD_NAMES[settings['method']]}, per subject.",
            ),
            ("Chance", permutations),
            (
                "Noise ceiling",
                "Mean-RDM formula: upper, mean over subjects of the similarity with the mean RDM "
                "of all; lower, with the mean RDM of the others. The upper bound is not strict.",
            ),
        ]
    if record["responses"] is not None:
        routes = "; ".join(dict.fromkeys(record["responses"]["route"].values()))
        methods.append(
            (
                "Encoding",
                f"Each voxel predicted from one layer at a time ({routes}), cross-validated with "
                f"{settings['cv']}; Pearson r in held-out stimuli, mean over folds, then over the "
                "voxels of a region. Encoding scores carry no p-value.",
            )
        )
    return methods


def _networks(comparison: Comparison, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    networks = []
    for label in comparison.networks:
        entries = [entry for entry in record["networks"] if entry["network"] == label]
        seeds = [entry["seed"] for entry in entries if entry["seed"] is not None]
        networks.append(
            {
                "label": label,
                "weights": entries[0]["weights"],
                "seeds": _ranges(seeds),
                "layers": entries[0]["layers"],
            }
        )
    return networks


def _ranges(numbers: Sequence[int]) -> str:
    """Write whole numbers as people do: 0-9, 12."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
