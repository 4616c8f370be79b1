"""``dnnbrain compare``."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnbrain_cpp.cli._rdm_files import parse_rdm_file
from dnnbrain_cpp.cli._seeds import NetworkSet, SeedRange

if TYPE_CHECKING:
    from dnnbrain_cpp.rsa import RDMs
    from dnnbrain_cpp.stimuli import Stimuli

__all__ = ["compare"]

_METHODS = (
    *("corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b"),
    *("corr_cov", "cosine_cov", "cka", "cka-unbiased"),
)
_METRICS = ("correlation", "cosine", "euclidean", "sqeuclidean")
_REDUCTIONS = ("keep", "mean", "max", "min", "l1", "l2", "gram")

_EPILOG = """\b
Examples:
  dnnbrain compare images --network alexnet --weights alexnet.pth --layers type:ReLU \\
      --rdms fmri.mat:IT_RDMs --rdms fmri.mat:EVC_RDMs --out report

\b
  dnnbrain compare images --network alexnet --network deepcluster_alexnet --seeds 0-9 \\
      --layers type:ReLU --rdms IT=it.npz --n-perm 1000 --out report --progress

\b
  dnnbrain compare stimuli.stim.csv --network my_model.py:build --layers "blocks.*" \\
      --responses beta.nii.gz --mask rois.nii.gz --out report


Files without ids (.mat, .npy, NIfTI without <stem>.ids.csv) are taken in the order of the stimuli,
which for a folder is that of file names with numbers in their natural order. The report says so.
"""


@click.command(epilog=_EPILOG)
@click.argument("images", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--network",
    "names",
    multiple=True,
    required=True,
    help="Name (see dnnbrain info), module:function or file.py:function. Repeat for several.",
)
@click.option(
    "--weights",
    multiple=True,
    default=("random",),
    help="random, FILE, permuted:FILE or torchvision:NAME. One for all networks, or one for each.  "
    "[default: random]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of random weights, permutations and folds.",
)
@click.option("--seeds", type=SeedRange(), help="Several seeds of random weights, such as 0-9.")
@click.option(
    "--layers",
    multiple=True,
    help="Path, alias, glob or type:CLASS; repeat for several. See dnnbrain layers NETWORK.  "
    "[default: all modules without children]",
)
@click.option(
    "--reduce",
    type=click.Choice(_REDUCTIONS),
    default="mean",
    show_default=True,
    help="What is done with each layer's units; mean is over positions, per channel.",
)
@click.option(
    "--transform",
    type=click.Choice(["resize-crop", "squash"]),
    help="Shorter side to 256 and centre 224, or all to 224 x 224.  [default: the network's own]",
)
@click.option(
    "--rdms",
    multiple=True,
    metavar="[ROI=]FILE[:KEY]",
    help="Subjects' RDMs of a region (.mat, .npz, .npy), for RSA. Repeat for several regions.",
)
@click.option(
    "--responses",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Responses of one subject's voxels (.nii, .nii.gz, .npy, .npz), for encoding.",
)
@click.option(
    "--mask",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Which voxels, and the regions they are of.",
)
@click.option("--metric", type=click.Choice(_METRICS), default="correlation", show_default=True)
@click.option("--method", type=click.Choice(_METHODS), default="tau-b", show_default=True)
@click.option(
    "--n-perm",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Relabellings of the stimuli; 0 for no p-values.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Of cross-validation, shuffled by --seed.",
)
@click.option("--device", help="Such as cuda or cpu.  [default: cpu]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="[default: float32]")
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: chosen]")
@click.option("--skip-unreadable", is_flag=True, help="Leave out images that cannot be read.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the report: new, empty, or that of an earlier run.",
)
@click.option("--progress/--quiet", default=False, help="Show a progress bar.  [default: quiet]")
def compare(
    images: Path,
    names: tuple[str, ...],
    weights: tuple[str, ...],
    seed: int,
    seeds: tuple[int, ...] | None,
    layers: tuple[str, ...],
    reduce: str,
    transform: str | None,
    rdms: tuple[str, ...],
    responses: Path | None,
    mask: Path | None,
    metric: str,
    method: str,
    n_perm: int,
    folds: int,
    device: str | None,
    dtype: str | None,
    batch_size: int | None,
    skip_unreadable: bool,
    out: Path,
    progress: bool,
) -> None:
    """Compare layers of networks with brains.

    IMAGES is a folder of images or a .stim.csv file. Give --rdms for RSA, --responses for encoding,
    or both. The report, tables, figures and maps go to --out, and a summary to the terminal.
    """
    if mask is not None and responses is None:
        raise click.UsageError("--mask says which voxels of --responses; give both.")
    if not rdms and responses is None:
        raise click.UsageError(
            "Give --rdms, --responses or both; there is nothing to compare with."
        )
    if len(weights) not in (1, len(names)):
        raise click.UsageError(
            f"Give one --weights for all networks or one for each of {len(names)}; "
            f"got {len(weights)}."
        )

    from dnnbrain_cpp import networks, transforms
    from dnnbrain_cpp.cli._table import summary_text
    from dnnbrain_cpp.comparison import check_folder, compare_networks
    from dnnbrain_cpp.io import read_responses

    check_folder(out)
    _check_names(names, networks.available())
    stimuli = _read_stimuli(images)
    made = {None: None, "resize-crop": transforms.resize_crop(), "squash": transforms.squash()}
    several = NetworkSet(
        names=names,
        weights=weights * len(names) if len(weights) == 1 else weights,
        seeds=(seed,) if seeds is None else seeds,
        create=functools.partial(networks.create, transform=made[transform]),
    )
    comparison = compare_networks(
        stimuli,
        several,
        layers=list(layers) or None,
        reduce=reduce,
        rdms=_read_rdms(rdms) or None,
        responses=None if responses is None else read_responses(responses, mask=mask),
        metric=metric,
        method=method,
        n_perm=n_perm,
        cv=folds,
        random_state=seed,
        device=device,
        dtype=dtype,
        batch_size="auto" if batch_size is None else batch_size,
        on_error="skip" if skip_unreadable else "raise",
        progress=progress,
    )
    report = comparison.save(out, command=["dnnbrain", *sys.argv[1:]])
    click.echo(summary_text(comparison))
    for note in comparison.notes:
        click.echo(f"\nNote: {note}")
    click.echo(f"\nReport: {report}")


def _check_names(names: tuple[str, ...], known: list[str]) -> None:
    """Refuse an unknown name before the first network runs."""
    for name in names:
        if ":" not in name and name not in known:
            raise click.BadParameter(
                f"{name!r} is none of {', '.join(known)}, nor module:function or file.py:function.",
                param_hint="--network",
            )


def _read_stimuli(images: Path) -> Stimuli:
    from dnnbrain_cpp import Stimuli

    return Stimuli.from_folder(images) if images.is_dir() else Stimuli.read(images)


def _read_rdms(texts: tuple[str, ...]) -> dict[str, RDMs]:
    from dnnbrain_cpp.rsa import load_rdms

    by_roi: dict[str, Any] = {}
    for text in texts:
        file = parse_rdm_file(text)
        if file.roi in by_roi:
            raise click.BadParameter(
                f"region {file.roi!r} comes twice; name one: OTHER={text}", param_hint="--rdms"
            )
        by_roi[file.roi] = load_rdms(file.path, key=file.key)
    return by_roi
