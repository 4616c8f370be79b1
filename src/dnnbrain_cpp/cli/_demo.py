"""``dnnbrain demo``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["demo"]


@click.command(
    epilog="Exit code: 0 if every planted layer was recovered, else 1.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the report and the simulated study.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--size",
    type=click.Choice(["small", "full"]),
    default="full",
    show_default=True,
    help="120 stimuli and 200 permutations, or 240 and 500.",
)
@click.option("--progress/--quiet", default=False, help="Show a progress bar.  [default: quiet]")
@click.pass_context
def demo(ctx: click.Context, out: Path, seed: int, size: str, progress: bool) -> None:
    """Run the whole analysis on a simulated subject.

    Draws stimuli, runs a small network, plants three of its layers in three regions of a simulated
    brain with noise of known size, analyses it as any subject, and says whether the planted layers
    were found. Needs no data and no network access.
    """
    from dnnbrain_cpp.cli._table import verdict_text
    from dnnbrain_cpp.comparison import demonstrate

    comparison = demonstrate(
        out, seed=seed, size=size, command=["dnnbrain", *sys.argv[1:]], progress=progress
    )
    click.echo(comparison.headline)
    click.echo(verdict_text(comparison))
    click.echo(f"\nReport: {out / 'report.html'}")
    if comparison.verdict is None or not comparison.verdict["match"].all():
        ctx.exit(1)
