"""``dnnbrain info`` and ``dnnbrain layers``."""

from __future__ import annotations

import click

__all__ = ["info", "layers"]


@click.command()
def info() -> None:
    """Show versions, how the core was built, and the networks there are."""
    from dnnbrain_cpp import build_info, networks

    facts = build_info()
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:<{width}}  {shown}")
    click.echo(f"{'networks':<{width}}  {', '.join(networks.available())}")


@click.command(epilog="Example: dnnbrain layers alexnet --layers type:ReLU")
@click.argument("network")
@click.option("--layers", "patterns", multiple=True, help="Only what these patterns select.")
def layers(network: str, patterns: tuple[str, ...]) -> None:
    """List the layers of NETWORK: a name, or file.py:function.

    Path and alias can both be used in --layers of dnnbrain compare.
    """
    from dnnbrain_cpp import networks

    made = networks.create(network)
    table = made.layer_table()
    if patterns:
        table = table[table["layer"].isin(made.resolve(list(patterns)))]
    rows = [["layer", "type", "alias", "parameters"]]
    rows += [
        [str(layer), str(kind), str(alias), f"{n_params:,}"]
        for layer, kind, alias, n_params in table.itertuples(index=False)
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        click.echo(
            f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  "
            f"{row[3]:>{widths[3]}}"
        )
