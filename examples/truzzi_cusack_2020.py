"""Is an untrained network as much like human IT as a trained one? Truzzi and Cusack (2020) again.

    python examples/truzzi_cusack_2020.py --data ../shared/data --out truzzi_cusack_2020

Seven ReLU layers of untrained and trained networks against inferior temporal cortex of 15 subjects:
92 images, maps averaged over space, RDMs of 1 - Pearson r, Kendall's tau-b and tau-a, permutation
tests; then analysis of variance (network x layer) over subjects, and tests of each layer both as in
the paper (unpaired, uncorrected) and as the design asks for (paired, corrected, sphericity minded).

Untrained networks are drawn here. Trained ones come from files of weights (--alexnet,
--deepcluster). Without any, trained AlexNet is the activations that were published with the data,
which were made without the crop to 224 pixels, and there is no trained DeepCluster.

Truzzi, A. & Cusack, R. (2020). Convolutional neural networks as a model of visual activity in the
brain: greater contribution of architecture than learned weights. Bridging AI and Cognitive Science,
ICLR 2020 workshop. Data: Cichy, Pantazis & Oliva (2014); Algonauts Project (2019), see the README
in the folder of data.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp import Features, Stimuli, extract, networks, plot, rsa, stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2")
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DNNBRAIN_TEST_DATA", ROOT.parent / "shared" / "data"))

# As printed, or read from figure 1e.
PUBLISHED_TAU = {
    "untrained DeepCluster": (0.091, 0.144, 0.130, 0.132, 0.134, 0.117, 0.114),
    "trained AlexNet": (0.039, 0.087, 0.075, 0.105, 0.085, 0.101, 0.100),
}


@dataclass(frozen=True)
class Contrast:
    """Two networks of one figure of the paper, and what it prints about them."""

    figure: str
    first: str
    second: str
    f: tuple[float, float, float]
    t: tuple[float, ...]


CONTRASTS = (
    Contrast(
        "1e",
        "untrained DeepCluster",
        "trained AlexNet",
        (6.51, 10.45, 5.87),
        (3.43, 2.73, 2.57, 1.25, 2.38, 0.75, 0.73),
    ),
    Contrast(
        "2a",
        "trained AlexNet",
        "untrained AlexNet",
        (29.18, 7.25, 14.53),
        (1.59, 3.47, 2.29, 3.76, 3.28, 4.62, 5.41),
    ),
    Contrast(
        "2b",
        "trained DeepCluster",
        "untrained DeepCluster",
        (9.17, 8.30, 14.07),
        (-2.36, -3.88, -3.13, -3.45, -2.02, -0.43, 0.42),
    ),
)


# --- scores -------------------------------------------------------------------------------------


def layers_of(network: networks.Network, stimuli: Stimuli) -> Features:
    """Run a network and return its seven ReLU layers, averaged over positions."""
    features = extract(network, stimuli, "type:ReLU", reduce="mean")
    return Features.from_arrays(dict(zip(LAYERS, features.values(), strict=True)), ids=stimuli.ids)


def published_activations(data: Path, stimuli: Stimuli) -> Features:
    """Return trained AlexNet's layers as they come with the data."""
    with np.load(data / "alexnet-activations-92" / "alexnet_relu_pooled.npz") as archive:
        names = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
        return Features.from_arrays(
            {layer: archive[name] for layer, name in zip(LAYERS, names, strict=True)},
            ids=stimuli.ids,
        )


def all_models(
    data: Path,
    stimuli: Stimuli,
    n_seed: int,
    *,
    alexnet: Path | None = None,
    deepcluster: Path | None = None,
) -> dict[tuple[str, int], Features]:
    """Return the layers of every network and seed; a trained network has the seed 0."""
    models = {}
    for seed in range(n_seed):
        for name, create in (
            ("DeepCluster", networks.deepcluster_alexnet),
            ("AlexNet", networks.alexnet),
        ):
            models[f"untrained {name}", seed] = layers_of(create(seed=seed), stimuli)
    models["trained AlexNet", 0] = (
        published_activations(data, stimuli)
        if alexnet is None
        else layers_of(networks.alexnet(weights=alexnet), stimuli)
    )
    if deepcluster is not None:
        network = networks.deepcluster_alexnet(weights=deepcluster)
        models["trained DeepCluster", 0] = layers_of(network, stimuli)
    return models


def score(
    models: Mapping[tuple[str, int], Features],
    subjects: rsa.RDMs,
    *,
    n_perm: int,
    random_state: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Return a row per network, seed, layer and subject: tau_b, tau_a and p.

    Both taus count the same pairs and differ by a factor that no permutation changes: one p serves
    both.
    """
    labels = [(network, seed, layer) for network, seed in models for layer in LAYERS]
    rdms = rsa.RDMs(
        np.concatenate([rsa.rdm(features).dissimilarities for features in models.values()]),
        ids=subjects.ids,
        names=[f"{network}, seed {seed}, {layer}" for network, seed, layer in labels],
        metric="correlation",
    )
    tau_b = rsa.compare(
        rdms, subjects, method="tau-b", n_perm=n_perm, random_state=random_state, progress=progress
    )
    tau_a = rsa.compare(rdms, subjects, method="tau-a")
    table = pd.DataFrame(
        [(*label, subject) for label in labels for subject in subjects.names],
        columns=["network", "seed", "layer", "subject"],
    )
    table["tau_b"] = tau_b.scores.ravel()
    table["tau_a"] = tau_a.scores.ravel()
    table["p"] = np.nan if tau_b.p_values is None else tau_b.p_values.ravel()
    group = np.nan if tau_b.group_p_values is None else tau_b.group_p_values
    table["group_p"] = np.repeat(np.broadcast_to(group, len(labels)), len(subjects))
    return table


# --- statistics ---------------------------------------------------------------------------------


def by_subject(scores: pd.DataFrame, value: str = "tau_b") -> dict[str, NDArray[np.float64]]:
    """Return scores (subject, layer) of every network, averaged over seeds."""
    tables = scores.pivot_table(
        index=["network", "subject"], columns="layer", values=value, sort=False
    )[list(LAYERS)]
    return {str(network): tables.loc[network].to_numpy() for network in scores["network"].unique()}


def layer_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row per network and layer: mean tau, its standard error, p, and the paper's tau."""
    tau_b, tau_a = by_subject(scores, "tau_b"), by_subject(scores, "tau_a")
    groups = scores.groupby(["network", "layer"], sort=False)["group_p"].median()
    rows = [
        {
            "network": network,
            "layer": layer,
            "tau_b": values[:, place].mean(),
            "sem": values[:, place].std(ddof=1) / np.sqrt(len(values)),
            "tau_a": tau_a[network][:, place].mean(),
            "p_median_over_seeds": groups.loc[(network, layer)],
            "published_tau_b": PUBLISHED_TAU.get(network, [np.nan] * len(LAYERS))[place],
        }
        for network, values in tau_b.items()
        for place, layer in enumerate(LAYERS)
    ]
    return pd.DataFrame(rows)


def anova_table(scores: pd.DataFrame, value: str = "tau_b") -> pd.DataFrame:
    """Return a row per contrast and effect: F as the paper has it, and what corrections leave."""
    taus = by_subject(scores, value)
    tables = []
    for contrast in _available(taus):
        y = np.stack([taus[contrast.first], taus[contrast.second]], axis=1)
        table = stats.rm_anova(y, within=("network", "layer")).to_frame()
        table.insert(0, "figure", contrast.figure)
        table.insert(1, "networks", f"{contrast.first} - {contrast.second}")
        table["published_f"] = contrast.f
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def post_hoc_table(scores: pd.DataFrame, value: str = "tau_b") -> pd.DataFrame:
    """Return a row per contrast and layer: the paper's unpaired t test, and paired ones."""
    taus = by_subject(scores, value)
    tables = []
    for contrast in _available(taus):
        first, second = taus[contrast.first], taus[contrast.second]
        paper = stats.ttest(first, second)
        paired = stats.ttest(first, second, paired=True)
        ranks = stats.wilcoxon(first, second)
        tables.append(
            pd.DataFrame(
                {
                    "figure": contrast.figure,
                    "networks": f"{contrast.first} - {contrast.second}",
                    "layer": LAYERS,
                    "t_unpaired": paper.t,
                    "p_unpaired": paper.p,
                    "published_t": contrast.t,
                    "t_paired": paired.t,
                    "p_paired": paired.p,
                    "p_holm": stats.adjust(paired.p, method="holm"),
                    "p_bh": stats.adjust(paired.p, method="bh"),
                    "d_z": paired.d,
                    "p_wilcoxon_holm": stats.adjust(ranks.p, method="holm"),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def depth_table(scores: pd.DataFrame, value: str = "tau_b") -> pd.DataFrame:
    """Return a row per network: the last layer against the first."""
    rows = []
    for network, tau in by_subject(scores, value).items():
        paper = stats.ttest(tau[:, -1], tau[:, 0])
        paired = stats.ttest(tau[:, -1], tau[:, 0], paired=True)
        rows.append(
            {
                "network": network,
                "last_minus_first": float(paired.difference),
                "t_unpaired": float(paper.t),
                "p_unpaired": float(paper.p),
                "t_paired": float(paired.t),
                "p_paired": float(paired.p),
                "d_z": float(paired.d),
            }
        )
    return pd.DataFrame(rows)


def _available(taus: Mapping[str, Any]) -> list[Contrast]:
    return [c for c in CONTRASTS if c.first in taus and c.second in taus]


# --- figure -------------------------------------------------------------------------------------


def draw(scores: pd.DataFrame, ceiling: rsa.NoiseCeiling) -> Figure:
    """Draw a panel per contrast: mean tau-b over depth, its standard error, and the ceiling.

    Stars: the two networks differ in this layer, paired t test, Holm over layers.
    """
    from matplotlib.figure import Figure

    taus = by_subject(scores)
    post_hoc = post_hoc_table(scores)
    contrasts = _available(taus)
    styles = {
        "untrained DeepCluster": (plot.COLORS[1], plot.MARKERS[1], "--"),
        "untrained AlexNet": (plot.COLORS[4], plot.MARKERS[2], "--"),
        "trained AlexNet": (plot.COLORS[0], plot.MARKERS[0], "-"),
        "trained DeepCluster": (plot.COLORS[2], plot.MARKERS[3], "-"),
    }
    figure = Figure(figsize=(4.6 * len(contrasts), 3.9), layout="constrained")
    axes = figure.subplots(1, len(contrasts), sharey=True, squeeze=False)[0]
    for ax, contrast in zip(axes, contrasts, strict=True):
        plot.ceiling_band(
            ceiling.lower, ceiling.upper, label=f"noise ceiling, {ceiling.kind}", ax=ax
        )
        top: NDArray[np.float64] = np.zeros(len(LAYERS))
        for network in (contrast.first, contrast.second):
            tau = taus[network]
            mean, sem = tau.mean(0), tau.std(0, ddof=1) / np.sqrt(len(tau))
            color, marker, line = styles[network]
            ax.fill_between(
                range(len(LAYERS)), mean - sem, mean + sem, color=color, alpha=0.18, linewidth=0
            )
            ax.plot(mean, color=color, marker=marker, linestyle=line, linewidth=2, label=network)
            top = np.maximum(top, mean + sem)
        rows = post_hoc[post_hoc["figure"] == contrast.figure]
        for place, p in enumerate(rows["p_holm"]):
            if p < 0.05:
                ax.text(place, top[place] + 0.008, "*", ha="center", fontsize=13, color="#2B3038")
        ax.set_xticks(range(len(LAYERS)), labels=LAYERS)
        ax.set_ylim(-0.012, 0.42)
        ax.set_title(f"Figure {contrast.figure}", loc="left", fontsize=10.5)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.72), fontsize=9)
    n_subject = len(taus[contrasts[0].first])
    axes[0].set_ylabel(f"Kendall's tau-b with human IT\nmean of {n_subject} subjects, band: SEM")
    note = "* networks differ: paired t test, p < 0.05 by Holm"
    figure.supxlabel(note, fontsize=9, x=0.98, ha="right")
    return figure


# --- command ------------------------------------------------------------------------------------


def run(
    data: Path,
    out: Path,
    *,
    n_seed: int = 10,
    n_perm: int = 10_000,
    alexnet: Path | None = None,
    deepcluster: Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Do everything, write tables and the figure to `out`, and return the scores."""
    study = data / "algonauts2019-92"
    stimuli = Stimuli.from_folder(study / "jpg")
    subjects = rsa.load_rdms(study / "target_fmri.mat", key="IT_RDMs", ids=stimuli.ids)
    models = all_models(data, stimuli, n_seed, alexnet=alexnet, deepcluster=deepcluster)
    scores = score(models, subjects, n_perm=n_perm, progress=progress)
    ceiling = rsa.noise_ceiling(subjects, method="tau-b", kind="mean-rdm")

    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "layers": layer_table(scores),
        "anova": anova_table(scores),
        "post_hoc": post_hoc_table(scores),
        "depth": depth_table(scores),
    }
    scores.to_csv(out / "scores.csv", index=False)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False)
    draw(scores, ceiling).savefig(out / "figure.png", dpi=160)

    source = "published activations" if alexnet is None else str(alexnet)
    print(f"{len(subjects)} subjects, {n_seed} seeds, {n_perm} permutations; {ceiling!r}")
    print(f"trained AlexNet: {source}; trained DeepCluster: {deepcluster or 'not given, left out'}")
    shown = {
        "anova": ["figure", "effect", "f", "published_f", "df", "df_error", "p", "eps_gg", "p_gg"],
        "post_hoc": ["figure", "layer", "t_unpaired", "published_t", "t_paired", "p_holm", "d_z"],
    }
    for name, table in tables.items():
        columns = shown.get(name, list(table.columns))
        text = table[columns].to_string(index=False, float_format=lambda x: f"{x:.3g}")
        print(f"\n{name}\n{text}")
    print(f"\nwritten to {out}")
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published data")
    parser.add_argument("--out", type=Path, default=Path("truzzi_cusack_2020"), help="new folder")
    parser.add_argument("--seeds", type=int, default=10, help="untrained networks of each kind")
    parser.add_argument("--permutations", type=int, default=10_000, help="0 for none")
    parser.add_argument("--alexnet", type=Path, help="weights of trained AlexNet (torchvision's)")
    parser.add_argument("--deepcluster", type=Path, help="weights of trained DeepCluster-AlexNet")
    parser.add_argument("--progress", action="store_true", help="show a bar")
    options = parser.parse_args(arguments)
    if not (options.data / "algonauts2019-92").is_dir():
        parser.error(
            f"--data must be the folder of published data; {options.data} has no algonauts2019-92"
        )
    run(
        options.data,
        options.out,
        n_seed=options.seeds,
        n_perm=options.permutations,
        alexnet=options.alexnet,
        deepcluster=options.deepcluster,
        progress=options.progress,
    )


if __name__ == "__main__":
    main()
