"""The figures of a report, each with its title, caption and place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dnnbrain_cpp import plot
from dnnbrain_cpp.comparison._findings import LEVEL
from dnnbrain_cpp.comparison._labels import file_stems, shared_labels
from dnnbrain_cpp.comparison._tables import best_maps
from dnnbrain_cpp.comparison._verdict import best_layers

if TYPE_CHECKING:
    from dnnbrain_cpp.comparison._comparison import Comparison

__all__ = ["METHOD_NAMES", "SECTIONS", "Panel", "category_column", "make_panels"]

METHOD_NAMES = {
    "tau-a": "Kendall's tau-a",
    "tau-b": "Kendall's tau-b",
    "spearman": "Spearman's rho",
    "rho-a": "rho-a",
    "corr": "Pearson's r",
    "cosine": "cosine",
}

SECTIONS = ("rsa", "rdms", "encoding", "maps", "stimuli")

_N_STIMULI_SHOWN = 24
_MAX_CONDITIONS_SHOWN = 2000  # more make an image that nobody can read and a large file


@dataclass(frozen=True)
class Panel:
    """One figure of the report.

    Attributes
    ----------
    name : str
        Stem of its file, once `make_panels` has made it one.
    section : str
        One of `SECTIONS`.
    roi : str
        Region it is about, or empty.
    alt : str
        What it shows, for those who cannot see it.
    """

    name: str
    section: str
    figure: Figure
    alt: str
    caption: str = ""
    roi: str = ""


def make_panels(comparison: Comparison) -> list[Panel]:
    """Return all figures in the order of the report, each with a name of its own."""
    panels = [
        *_rsa_curves(comparison),
        *_rdm_matrices(comparison),
        *_encoding_curves(comparison),
        *_voxel_distributions(comparison),
        *_maps(comparison),
        _stimuli(comparison),
    ]
    stems = file_stems(panel.name for panel in panels)
    return [replace(panel, name=stem) for panel, stem in zip(panels, stems, strict=True)]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _title(ax: Axes, text: str, *, pad: float = 10) -> None:
    ax.set_title(text, loc="left", fontsize=11, fontweight="bold", color="#1C2128", pad=pad)


def _axis_labels(ax: Axes, comparison: Comparison, score: str) -> None:
    shared = shared_labels(comparison.layers) is not None
    ax.set_xlabel("" if shared else "layer, in the order of computation", fontsize=9.5)
    ax.set_ylabel(score, fontsize=9.5)


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _curves(comparison: Comparison, ax: Axes, analysis: str, roi: str) -> None:
    """Draw one curve per network into `ax`."""
    summary = _of(comparison.summary, analysis=analysis, roi=roi)
    scores = _of(comparison.scores, analysis=analysis, roi=roi)
    shared = shared_labels(comparison.layers)
    longest: list[str] = []
    for place, network in enumerate(comparison.networks):
        cells = _of(summary, network=network)
        labels = shared or [str(number + 1) for number in range(len(cells))]
        longest = max(longest, labels, key=len)
        by_seed = _of(scores, network=network).pivot_table(
            index="seed", columns="layer", values="score", sort=False, dropna=False
        )
        plot.layer_curve(
            labels,
            cells["score"],
            sem=cells["sem"] if cells["sem"].notna().any() else None,
            seeds=by_seed if len(by_seed) > 1 else None,
            p=cells["p"] if cells["p"].notna().any() else None,
            level=LEVEL,
            label=network,
            color=plot.COLORS[place % len(plot.COLORS)],
            marker=plot.MARKERS[place % len(plot.MARKERS)],
            ax=ax,
        )
    if shared is None:  # the network drawn last may not be the deepest
        ax.set_xticks(range(len(longest)), labels=longest)
        ax.set_xlim(-0.5, len(longest) - 0.5)


def _of(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    chosen = np.ones(len(table), bool)
    for column, value in values.items():
        chosen &= (table[column] == value).to_numpy()
    return table[chosen]


def _rois(comparison: Comparison, analysis: str) -> list[str]:
    return list(dict.fromkeys(_of(comparison.summary, analysis=analysis)["roi"]))


def _same_heights(axes: list[Axes]) -> None:
    """Give all axes one range, so that regions can be compared by eye; zero is always in it."""
    low = min([0.0, *(ax.get_ylim()[0] for ax in axes)])
    high = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)
        ax.axhline(0, color="#8A929C", linewidth=0.8, zorder=1)


def _rsa_curves(comparison: Comparison) -> Iterator[Panel]:
    drawn: list[tuple[str, Figure, Axes]] = []
    for roi in _rois(comparison, "rsa"):
        cells = _of(comparison.summary, analysis="rsa", roi=roi)
        method = METHOD_NAMES[str(cells["method"].iloc[0])]
        figure, ax = _figure(4.8, 3.6)
        _curves(comparison, ax, "rsa", roi)
        lower, upper = cells[["ceiling_lower", "ceiling_upper"]].iloc[0]
        if np.isfinite(lower):
            plot.ceiling_band(lower, upper, label="noise ceiling (mean RDM)", ax=ax)
            ax.set_ylim(top=max(ax.get_ylim()[1], upper + 0.1 * abs(upper)))
        _title(ax, roi)
        _axis_labels(ax, comparison, f"{method} with the subjects")
        if len(comparison.networks) > 1:
            _legend(figure, ax)
        drawn.append((roi, figure, ax))
    if drawn:
        _same_heights([ax for _, _, ax in drawn])
    for roi, figure, _ in drawn:
        yield Panel(
            name=f"rsa_{roi}",
            section="rsa",
            figure=figure,
            alt=f"Similarity of each layer's RDM with those of {roi}, per network",
            roi=roi,
        )


def _rdm_matrices(comparison: Comparison) -> Iterator[Panel]:
    if not comparison.rdms or len(comparison.stimuli) > _MAX_CONDITIONS_SHOWN:
        return
    best = best_layers(_of(comparison.summary, analysis="rsa"))
    order = _display_order(comparison.stimuli.labels)
    labels = comparison.layers.set_index(["network", "layer"])["label"]
    for roi, data in comparison.rdms.items():
        figure, ax = _figure(3.6, 3.1)
        plot.rdm_matrix(data.mean().square()[np.ix_(order, order)], ax=ax)
        _title(ax, f"{roi}, mean of {len(data)}" if len(data) > 1 else roi)
        yield Panel(
            name=f"rdm_{roi}",
            section="rdms",
            figure=figure,
            alt=f"Dissimilarity matrix of {roi}",
            roi=roi,
        )
    shown = dict.fromkeys(best[["network", "layer"]].itertuples(index=False, name=None))
    for network, layer in shown:
        figure, ax = _figure(3.6, 3.1)
        model = comparison.model_rdms[network][layer].square()
        plot.rdm_matrix(model[np.ix_(order, order)], ax=ax)
        _title(ax, f"{network}, {labels[network, layer]}")
        yield Panel(
            name=f"rdm_{network}_{layer}",
            section="rdms",
            figure=figure,
            alt=f"Dissimilarity matrix of {network} at {layer}",
        )


def _display_order(labels: pd.DataFrame) -> NDArray[np.intp]:
    """Return the stimuli sorted by category, if a label tells one, else as they are."""
    column = category_column(labels)
    if column is None:
        return np.arange(len(labels))
    return np.argsort(labels[column].astype(str).to_numpy(), kind="stable")


def category_column(labels: pd.DataFrame) -> str | None:
    """Return the first label that puts stimuli into a few groups."""
    few = max(2, len(labels) // 4)
    groups = (name for name in labels.columns if 2 <= labels[name].nunique() <= few)
    return next(groups, None)


def _encoding_curves(comparison: Comparison) -> Iterator[Panel]:
    """With several networks, their means per region; a single one is in the distributions."""
    if len(comparison.networks) < 2:
        return
    drawn = []
    for roi in _rois(comparison, "encoding"):
        figure, ax = _figure(4.8, 3.6)
        _curves(comparison, ax, "encoding", roi)
        _title(ax, roi)
        _axis_labels(ax, comparison, "held-out r, mean over voxels")
        _legend(figure, ax)
        drawn.append((roi, figure, ax))
    if drawn:
        _same_heights([ax for _, _, ax in drawn])
    for roi, figure, _ in drawn:
        yield Panel(
            name=f"encoding_{roi}",
            section="encoding",
            figure=figure,
            alt=f"Held-out correlation of each layer with voxels of {roi}, per network",
            roi=roi,
        )


def _voxel_distributions(comparison: Comparison) -> Iterator[Panel]:
    responses = comparison.responses
    if responses is None:
        return
    drawn = []
    rois = np.asarray(responses.rois or ["all"] * responses.n_vox)
    for place, (network, table) in enumerate(comparison.voxel_scores.items()):
        layers = _of(comparison.layers, network=network)
        color = plot.COLORS[place % len(plot.COLORS)]
        for roi in _rois(comparison, "encoding"):
            figure, ax = _figure(4.8, 3.4)
            values = table.to_numpy()[:, rois == roi]
            plot.score_distribution(
                dict(zip(layers["label"], values, strict=True)), color=color, ax=ax
            )
            several = len(comparison.networks) > 1
            _title(ax, f"{roi}: voxels, {network}" if several else roi)
            ax.set_ylabel("held-out r of each voxel", fontsize=9.5)
            name = f"voxels_{roi}" + (f"_{network}" if several else "")
            drawn.append((name, roi, network, figure, ax))
    _same_heights([ax for *_, ax in drawn])
    for name, roi, network, figure, _ in drawn:
        yield Panel(
            name=name,
            section="encoding",
            figure=figure,
            alt=f"Distribution over voxels of {roi} of the held-out correlation, {network}",
            roi=roi,
        )


def _maps(comparison: Comparison) -> Iterator[Panel]:
    responses = comparison.responses
    if responses is None or responses.geometry is None:
        return
    for network, table in comparison.voxel_scores.items():
        labels = list(_of(comparison.layers, network=network)["label"])
        score, best = best_maps(table)
        for kind, values, categories, label in (
            ("best_layer", best, labels, "layer that predicts each voxel best"),
            ("best_r", score, None, "held-out r of that layer"),
        ):
            figure, ax = _figure(5.6, 3.2)
            plot.slice_map(
                responses.to_img(values),
                categories=categories,
                cmap="magma" if categories is None else "viridis",
                ax=ax,
            )
            _title(ax, f"{network}: {label}", pad=18)
            yield Panel(
                name=f"{kind}_{network}",
                section="maps",
                figure=figure,
                alt=f"Slices of the brain: {label}, {network}",
            )


def _stimuli(comparison: Comparison) -> Panel:
    stimuli = comparison.stimuli
    n_shown = min(_N_STIMULI_SHOWN, len(stimuli))
    places = np.linspace(0, len(stimuli) - 1, n_shown).round().astype(int)
    figure, ax = _figure(9.2, 9.2 / 12 * -(-n_shown // 12))
    plot.contact_sheet([stimuli.image(int(place)) for place in places], n_col=12, ax=ax)
    return Panel(
        name="stimuli",
        section="stimuli",
        figure=figure,
        caption=f"{n_shown} of {len(stimuli)} stimuli, evenly spaced in their order.",
        alt="A selection of the stimuli",
    )
