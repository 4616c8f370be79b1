"""Eight ways to compare a network with a brain, after Martin Hebart's slides, on real data.

    python examples/hebart_methods.py --data ../shared/data --out hebart_methods

vanilla        RDMs of AlexNet's layers against early visual cortex and IT, Spearman
remixing       read-outs of categories from each layer, trained on other images
reweighting    layers with weights that are not negative, fitted to other images and subjects
partitioning   what early layer, late layer and categories explain alone and together
weighting      a weight for each unit (FR-RSA)
encoding       voxels predicted from what was shown (no voxels of the 92 images are public)
searchlight    categories around every voxel
meg            AlexNet against MEG, early and late, and MEG against fMRI

92 images (Cichy et al. 2014) with fMRI and MEG RDMs of 15 subjects (Algonauts Project 2019),
published activations of AlexNet to them, and one subject of Haxby et al. (2001); see the READMEs in
the folder of data. A table and a figure for each method.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, StratifiedKFold

from dnnbrain_cpp import Features, Stimuli, encoding, io, linear, plot, rsa, stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DNNBRAIN_TEST_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class Study:
    """The data, and how much work to do.

    `effort` is 1 for the numbers that papers use, and less for a look.
    """

    data: Path
    n_perm: int = 10_000
    effort: float = 1.0
    seed: int = 0

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Names of the 92 images."""
        return Stimuli.from_folder(self.data / "algonauts2019-92" / "jpg").ids

    @cached_property
    def layers(self) -> Features:
        """AlexNet's layers: maps averaged over space, and fully connected ones as they are."""
        path = self.data / "alexnet-activations-92" / "alexnet_relu_pooled.npz"
        with np.load(path) as archive:
            return Features.from_arrays({layer: archive[layer] for layer in LAYERS}, ids=self.ids)

    @cached_property
    def whole_layers(self) -> rsa.RDMs:
        """RDMs of AlexNet's layers with all their units."""
        path = self.data / "alexnet-activations-92" / "cnn_rdms_92.npz"
        with np.load(path) as archive:
            rdms = np.stack([archive[f"alexnet_{layer}"] for layer in LAYERS])
        return rsa.RDMs(rdms, ids=self.ids, names=LAYERS, metric="correlation")

    @cached_property
    def categories(self) -> NDArray[Any]:
        """Of each image one of six, such as "human face"."""
        table = pd.read_csv(self.data / "kriegeskorte2008-92" / "stimuli_92.csv")
        return table["category"].to_numpy(str)

    def fmri(self, region: str) -> rsa.RDMs:
        """Return a region's RDMs, "EVC" or "IT", of 15 subjects."""
        path = self.data / "algonauts2019-92" / "target_fmri.mat"
        return rsa.load_rdms(path, key=f"{region}_RDMs", ids=self.ids)

    def meg(self, window: str) -> rsa.RDMs:
        """Return MEG RDMs, "early" or "late", of 15 subjects."""
        path = self.data / "algonauts2019-92" / "meg_92_original_order.npz"
        return rsa.load_rdms(path, key=window, ids=self.ids)

    @cached_property
    def haxby(self) -> Haxby:
        """One slice of the brain, twelve runs."""
        return Haxby.read(self.data / "haxby2001-pymvpa")

    def repeats(self, full: int, *, least: int = 1) -> int:
        """Return how often to repeat what papers repeat `full` times."""
        return max(least, round(self.effort * full))


@dataclass(frozen=True)
class Haxby:
    """BOLD of every volume, z-scored in each run, and what was shown."""

    responses: io.Responses
    bold: NDArray[np.float64]
    shown: NDArray[Any]
    runs: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path) -> Haxby:
        """Read the slice at full resolution."""
        responses = io.read_responses(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
        table = pd.read_csv(
            folder / "attributes_literal.txt", sep=" ", header=None, names=["shown", "run"]
        )
        runs = table["run"].to_numpy(np.int64)
        bold = linear.zscore_runs(np.asarray(responses.data, dtype=np.float64), runs)
        return cls(responses, bold, table["shown"].to_numpy(str), runs)

    @property
    def conditions(self) -> list[str]:
        """The eight categories."""
        return sorted(set(self.shown) - {"rest"})

    def delayed(self, n_volume: int) -> NDArray[Any]:
        """Return what was shown so many volumes ago, "rest" before a run's beginning."""
        out = np.full_like(self.shown, "rest")
        for run in np.unique(self.runs):
            here = np.flatnonzero(self.runs == run)
            out[here[n_volume:]] = self.shown[here[:-n_volume]]
        return out


Outcome = tuple[pd.DataFrame, "Figure"]


# --- methods ------------------------------------------------------------------------------------


def vanilla(study: Study) -> Outcome:
    """1 - Pearson r on both sides, Spearman between them, conditions permuted."""
    models = {"whole maps": study.whole_layers, "maps averaged": rsa.rdm(study.layers)}
    figure, axes = _panels(2, sharey=True)
    tables = []
    for ax, region in zip(axes, ("EVC", "IT"), strict=True):
        subjects = study.fmri(region)
        for place, (name, layers) in enumerate(models.items()):
            result = rsa.compare(
                layers, subjects, method="spearman", n_perm=study.n_perm, random_state=study.seed
            )
            table = result.summary().assign(region=region, units=name)
            _curve(ax, table, result.ceiling if place == 0 else None, label=name, place=place)
            tables.append(table)
        ax.set_title(region, loc="left")
    axes[0].set_ylabel("Spearman's r, mean of 15 subjects")
    axes[1].legend(frameon=False, loc="lower right")
    return pd.concat(tables, ignore_index=True), figure


def remixing(study: Study) -> Outcome:
    """Read categories out of each layer; compare the patterns of what was read.

    With 92 images for everything, the read-out of two images is trained on images that neither of
    them belongs to: two of eight folds are left out at a time, so that each pair is left out
    together.
    """
    subjects = study.fmri("IT")
    before = rsa.rdm(study.layers)
    after = _remixed(study.layers, study.categories, study.seed)
    figure, (ax,) = _panels(1)
    tables = []
    for place, (name, models) in enumerate((("as it is", before), ("remixed", after))):
        result = rsa.compare(
            models, subjects, method="spearman", n_perm=study.n_perm, random_state=study.seed
        )
        table = result.summary().assign(units=name)
        _curve(ax, table, result.ceiling if place == 0 else None, label=name, place=place)
        tables.append(table)
    ax.set_ylabel("Spearman's r with IT")
    ax.legend(frameon=False)
    return pd.concat(tables, ignore_index=True), figure


def _remixed(layers: Features, categories: NDArray[Any], seed: int) -> rsa.RDMs:
    folds = StratifiedKFold(8, shuffle=True, random_state=seed)
    held_out = [test for _, test in folds.split(categories, categories)]
    n = len(categories)
    total, count = np.zeros((len(layers), n, n)), np.zeros((n, n))
    for first, second in combinations(held_out, 2):
        test = np.sort(np.concatenate([first, second]))
        train = np.setdiff1d(np.arange(n), test)
        part = rsa.remix(
            {name: np.asarray(values)[train] for name, values in layers.items()},
            categories[train],
            {name: np.asarray(values)[test] for name, values in layers.items()},
            classifier="lda",
        )
        total[np.ix_(np.arange(len(layers)), test, test)] += part.square()
        count[np.ix_(test, test)] += 1
    return rsa.RDMs.from_square(total / count, ids=layers.ids, names=list(layers))


def reweighting(study: Study) -> Outcome:
    """Add layers up with weights that are not negative, fitted to other images and subjects.

    Each split holds out 12 images and 4 subjects: weights come from the other pairs of the other
    subjects, scores from the held-out pairs of those held out. So do the scores of each layer alone
    and the ceilings; intervals are those of bootstrap samples of images and subjects.
    """
    result = rsa.reweight(
        rsa.rdm(study.layers),
        study.fmri("IT"),
        n_boot=study.repeats(1000),
        method="spearman",
        random_state=study.seed,
    )
    table = result.to_frame()
    figure, axes = _panels(2)
    reach = np.abs(table[["low", "high"]].to_numpy().T - table["score"].to_numpy())
    _bars(axes[0], result.models, result.scores, reach)
    plot.ceiling_band(result.lower, result.upper, label="noise ceiling, same splits", ax=axes[0])
    axes[0].set_ylabel("Spearman's r with IT, held-out\nimages and subjects; 95 % interval")
    _bars(axes[1], result.models[:-1], result.weights)
    axes[1].set_ylabel("share of the weights, mean over splits")
    return table, figure


def partitioning(study: Study) -> Outcome:
    """Share the cross-validated variance of each subject's RDM among three predictors."""
    same = study.categories[:, None] == study.categories
    predictors: dict[str, rsa.RDM | rsa.RDMs] = {
        "conv2": study.whole_layers["conv2"],
        "fc7": study.whole_layers["fc7"],
        "categories": rsa.RDMs.from_square(1.0 - same, ids=study.ids),
    }
    figure, axes = _panels(2, sharey=True)
    tables = []
    for ax, region in zip(axes, ("EVC", "IT"), strict=True):
        parts = rsa.variance_partition(
            predictors,
            study.fmri(region),
            cv=5,
            n_repeat=study.repeats(20),
            random_state=study.seed,
        )
        wide = parts.to_frame().pivot_table(
            index="target", columns="predictors", values="part", sort=False
        )
        tests = stats.ttest(wide.to_numpy(), alternative="greater")
        table = pd.DataFrame(
            {
                "region": region,
                "predictors": list(wide.columns),
                "part": tests.difference,
                "sem": wide.to_numpy().std(0, ddof=1) / np.sqrt(len(wide)),
                "p_holm": stats.adjust(tests.p, method="holm"),
            }
        )
        _bars(ax, list(wide.columns), table["part"], table["sem"], stars=table["p_holm"] < 0.05)
        ax.set_title(f"{region}: all together {parts.total().mean():.3f}", loc="left")
        tables.append(table)
    axes[0].set_ylabel("share of variance, cross-validated")
    return pd.concat(tables, ignore_index=True), figure


def weighting(study: Study) -> Outcome:
    """Weigh the units of each convolutional layer by fractional ridge regression (FR-RSA)."""
    subjects = study.fmri("IT")
    rows = []
    for layer in LAYERS[:5]:
        units = np.asarray(study.layers[layer], dtype=np.float64)
        units = units[:, units.std(0) > 0]
        z = (units - units.mean(0)) / units.std(0)
        plain = rsa.rdm(z, metric="sqeuclidean", ids=study.ids)
        equal = rsa.compare(plain, subjects, method="corr")
        model = rsa.FRRSA(
            outer_repeats=study.repeats(10),
            inner_repeats=study.repeats(5),
            random_state=study.seed,
        ).fit(units, subjects, ids=study.ids)
        p = float(stats.ttest(model.scores_, equal.scores[0], paired=True).p)
        rows += [
            {
                "layer": layer,
                "units": name,
                "r": values.mean(),
                "sem": _sem(values),
                "p": p,
            }
            for name, values in (("equal", equal.scores[0]), ("weighted", model.scores_))
        ]
    table = pd.DataFrame(rows)
    figure, (ax,) = _panels(1)
    for place, (name, part) in enumerate(table.groupby("units", sort=False)):
        plot.layer_curve(
            list(part["layer"]),
            part["r"],
            sem=part["sem"],
            label=f"{name} units",
            color=plot.COLORS[place],
            marker=plot.MARKERS[place],
            ax=ax,
        )
    ceiling = rsa.noise_ceiling(subjects, method="corr")
    plot.ceiling_band(ceiling.lower, ceiling.upper, label="noise ceiling, mean-rdm", ax=ax)
    ax.set_ylabel("Pearson's r with IT\nweighted: over held-out pairs")
    ax.legend(frameon=False, loc="center left")
    return table, figure


def regression(study: Study) -> Outcome:
    """Predict each voxel from what was shown, with and without telling categories apart."""
    haxby = study.haxby
    dummies = np.stack([haxby.shown == name for name in haxby.conditions], axis=1).astype(float)
    designs = {"any picture": dummies.sum(1, keepdims=True), "eight categories": dummies}
    features = {
        name: linear.Delayer((1, 2, 3, 4), runs=haxby.runs).fit_transform(design - design.mean(0))
        for name, design in designs.items()
    }
    scores = encoding.encode(
        features,
        haxby.bold,
        estimator=linear.RidgeCV(np.logspace(0, 5, 11), cv=5),
        cv=GroupKFold(6),
        groups=haxby.runs,
        scoring="r2",
    )
    maps = {name: scores.mean(name) for name in designs}
    maps["gain"] = maps["eight categories"] - maps["any picture"]
    figure, axes = _panels(3, size=(4.2, 2.8))
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        top = float(np.nanpercentile(maps["gain" if name == "gain" else "eight categories"], 99))
        image = haxby.responses.to_img(np.asarray(values))
        plot.slice_map(image, limits=(0.0, top), label=f"{name}: R2, held-out runs", ax=ax)
    return pd.DataFrame(maps).rename_axis("voxel").reset_index(), figure


def searchlight(study: Study) -> Outcome:
    """Look for categories around every voxel, in crossvalidated distances.

    A map without a test: one house among eight categories can be relabelled in eight ways, too few
    for any p below 1/8. Inference would come from more subjects, see `stats.cluster_test`.
    """
    haxby = study.haxby
    shown = haxby.delayed(2)
    kept = shown != "rest"
    conditions = np.array(haxby.conditions)
    groups = {
        "animate": np.isin(conditions, ["face", "cat"]),
        "face": conditions == "face",
        "house": conditions == "house",
    }
    models = rsa.RDMs.from_square(
        [(group[:, None] != group).astype(float) for group in groups.values()],
        ids=list(conditions),
        names=list(groups),
    )
    result = rsa.searchlight(
        haxby.bold[kept],
        haxby.responses.geometry,
        models=models,
        radius=10.0,
        metric="crossnobis",
        method="spearman",
        conditions=list(shown[kept]),
        runs=list(haxby.runs[kept]),
        keep_rdms=True,
    )
    figure, axes = _panels(len(groups), size=(4.2, 2.8))
    for ax, name in zip(axes, groups, strict=True):
        plot.slice_map(
            result.to_img(name),
            limits=(-1.0, 1.0),
            cmap="RdBu_r",
            label=f"{name} against the rest: Spearman's r",
            ax=ax,
        )
    return result.to_frame(), figure


def meg(study: Study) -> Outcome:
    """Compare AlexNet with two windows of MEG, and these with two regions of fMRI."""
    models = study.whole_layers
    figure, axes = _panels(2)
    tables = []
    for place, window in enumerate(("early", "late")):
        subjects = study.meg(window)
        result = rsa.compare(
            models, subjects, method="spearman", n_perm=study.n_perm, random_state=study.seed
        )
        table = result.summary().assign(data=f"MEG {window}")
        label = {"early": "70 to 90 ms", "late": "140 to 160 ms"}[window]
        _curve(axes[0], table, None, label=label, place=place)
        tables.append(table)
    axes[0].set_ylabel("Spearman's r with MEG, mean of 15 subjects")
    axes[0].legend(frameon=False)

    windows = rsa.RDMs(
        np.stack([study.meg(window).mean().dissimilarities for window in ("early", "late")]),
        ids=study.ids,
        names=["MEG early", "MEG late"],
    )
    fusion = {}
    for region in ("EVC", "IT"):
        result = rsa.compare(
            windows,
            study.fmri(region),
            method="spearman",
            n_perm=study.n_perm,
            random_state=study.seed,
        )
        fusion[region] = result.group_scores
        tables.append(result.summary().assign(data=f"fMRI {region}"))
    matrix = np.stack(list(fusion.values()), axis=1)
    axes[1].imshow(matrix, cmap="cividis", vmin=0)
    for (row, column), value in np.ndenumerate(matrix):
        ink = "white" if value < 0.6 * matrix.max() else "black"
        axes[1].text(column, row, f"{value:.2f}", ha="center", va="center", color=ink)
    axes[1].set_xticks([0, 1], labels=list(fusion))
    axes[1].set_yticks([0, 1], labels=list(windows.names))
    axes[1].set_title("MEG and fMRI: Spearman's r", loc="left", fontsize=10)
    return pd.concat(tables, ignore_index=True), figure


METHODS: Mapping[str, Callable[[Study], Outcome]] = {
    "vanilla": vanilla,
    "remixing": remixing,
    "reweighting": reweighting,
    "partitioning": partitioning,
    "weighting": weighting,
    "encoding": regression,
    "searchlight": searchlight,
    "meg": meg,
}


# --- figures ------------------------------------------------------------------------------------


def _panels(
    n: int, *, size: tuple[float, float] = (4.8, 3.6), sharey: bool = False
) -> tuple[Figure, NDArray[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(n * size[0], size[1]), layout="constrained")
    return figure, figure.subplots(1, n, squeeze=False, sharey=sharey)[0]


def _curve(
    ax: Axes,
    table: pd.DataFrame,
    ceiling: rsa.NoiseCeiling | None,
    *,
    label: str | None = None,
    place: int = 0,
) -> None:
    plot.layer_curve(
        list(table["model"]),
        table["score"],
        sem=table["sem"],
        p=table["p"],
        label=label,
        color=plot.COLORS[place],
        marker=plot.MARKERS[place],
        ax=ax,
    )
    if ceiling is not None:
        label = f"noise ceiling, {ceiling.kind}"
        plot.ceiling_band(ceiling.lower, ceiling.upper, label=label, ax=ax)


def _bars(
    ax: Axes,
    names: Sequence[str],
    heights: ArrayLike,
    errors: ArrayLike | None = None,
    *,
    stars: ArrayLike = (),
) -> None:
    x = np.arange(len(names))
    ax.bar(x, heights, yerr=errors, color=plot.COLORS[0], alpha=0.85, capsize=3, width=0.7)
    top = np.maximum(heights, 0.0) + (0.0 if errors is None else np.atleast_2d(errors)[-1])
    for place in np.flatnonzero(stars):
        ax.annotate(
            "*",
            (place, top[place]),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            fontsize=13,
        )
    ax.margins(y=0.12)
    ax.axhline(0, color="#8A929C", linewidth=0.8)
    ax.set_xticks(x, labels=list(names), rotation=35, ha="right", rotation_mode="anchor")
    ax.spines[["top", "right"]].set_visible(False)


def _sem(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


# --- command ------------------------------------------------------------------------------------


def run(study: Study, out: Path, methods: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Run methods, write a table and a figure for each to `out`, and return the tables."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {}
    for name in methods:
        table, figure = METHODS[name](study)
        table.to_csv(out / f"{name}.csv", index=False)
        figure.savefig(out / f"{name}.png", dpi=160)
        print(f"{name}: {(METHODS[name].__doc__ or '').partition(chr(10))[0]}")
        print(table.head(16).to_string(index=False, float_format=lambda x: f"{x:.3g}"))
        print()
        tables[name] = table
    print(f"written to {out}")
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published data")
    parser.add_argument("--out", type=Path, default=Path("hebart_methods"), help="new folder")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--permutations", type=int, default=10_000, help="0 for none")
    parser.add_argument(
        "--effort", type=float, default=1.0, help="of repeated splits, 1 is what papers do"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not (options.data / "alexnet-activations-92").is_dir():
        parser.error(
            f"--data must be the folder of published data; {options.data} has no "
            "alexnet-activations-92"
        )
    study = Study(options.data, options.permutations, options.effort, options.seed)
    run(study, options.out, options.methods)


if __name__ == "__main__":
    main()
