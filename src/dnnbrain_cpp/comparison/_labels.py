"""What networks and layers are called in tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

__all__ = ["file_stem", "file_stems", "label_networks", "layer_labels", "shared_labels"]


def label_networks(names: Sequence[tuple[str, str]]) -> list[str]:
    """Return a label for each (name, weights): the name, with the weights where names repeat."""
    kinds: dict[str, dict[str, None]] = {}
    for name, weights in names:
        kinds.setdefault(name, {})[weights] = None
    labels = []
    for name, weights in names:
        short = [_short(other) for other in kinds[name]]
        unique = len(set(short)) == len(short)
        what = _short(weights) if unique else weights
        labels.append(name if len(short) == 1 else f"{name} ({what})")
    return labels


def layer_labels(networks: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> pd.DataFrame:
    """Return one row per network and layer: network, layer, label, type, activation, ...

    Seeds of a network have the same layers, so the first speaks for all.
    """
    seen: dict[str, Sequence[Mapping[str, Any]]] = {}
    for network, layers in networks:
        seen.setdefault(network, layers)
    return pd.DataFrame(
        [{"network": network, **layer} for network, layers in seen.items() for layer in layers]
    )


def shared_labels(layers: pd.DataFrame) -> list[str] | None:
    """Return the layers' labels if they are the same in all networks, else None."""
    by_network = [list(group) for _, group in layers.groupby("network", sort=False)["label"]]
    return by_network[0] if all(group == by_network[0] for group in by_network) else None


def file_stem(text: str) -> str:
    """Return `text` as part of a file name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "unnamed"


def file_stems(names: Iterable[str]) -> list[str]:
    """Return a stem for each name, no two of them the same on any file system."""
    stems: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem = plain = file_stem(name)
        number = 2
        while stem.lower() in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def _short(weights: str) -> str:
    prefix, colon, rest = weights.partition(":")
    if prefix == "torchvision":
        return rest
    if prefix == "permuted" and colon:
        return f"permuted {PurePath(rest).stem}"
    return PurePath(weights).stem
