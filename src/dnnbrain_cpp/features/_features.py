"""What an extraction gives: one array, or one Gram matrix, per layer, with the stimuli's ids."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_ids
from dnnbrain_cpp.features._gram import Gram

__all__ = ["Features", "Layer"]

Layer = NDArray[Any] | Gram
"""Features of one layer: an array of shape (n_stim, n_feat), or their Gram matrix."""


class Features(Mapping[str, Layer]):
    """Mapping from layer name to features of shape (n_stim, n_feat).

    Rows of all layers belong to the same stimuli, named by `ids`.

    Parameters
    ----------
    layers : mapping of str to ndarray of shape (n_stim, n_feat) or Gram
    ids : sequence of str, optional
        One per stimulus. Without them, joins with responses go by order.
    reduce : mapping of str to str, optional
        How each layer was reduced.
    shapes : mapping of str to tuple of int, optional
        Shape of each layer's activation for one stimulus.
    skipped : sequence of (id, reason), optional
        Stimuli that could not be read and were left out.
    fidelity : mapping of str to float, optional
        Correlation with features of full precision, where less was asked for.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        *,
        ids: Sequence[str] | None = None,
        reduce: Mapping[str, str] | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        skipped: Sequence[tuple[str, str]] = (),
        fidelity: Mapping[str, float] | None = None,
    ) -> None:
        if not layers:
            raise ValueError("Features must hold at least one layer; got none.")
        lengths = {name: _n_stim(layer) for name, layer in layers.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"all layers must have the same n_stim; got {lengths}.")
        self._layers = dict(layers)
        self._n_stim = next(iter(lengths.values()))
        self._ids = None if ids is None else check_ids(ids, "ids", n=self._n_stim)
        self._reduce = dict(reduce or {})
        self._shapes = dict(shapes or {})
        self._skipped = tuple(skipped)
        self._fidelity = dict(fidelity or {})

    @classmethod
    def from_arrays(
        cls, layers: Mapping[str, ArrayLike], *, ids: Sequence[str] | None = None
    ) -> Features:
        """Return Features over arrays of shape (n_stim, ...), flattened to (n_stim, n_feat).

        Parameters
        ----------
        layers : mapping of str to array_like of shape (n_stim, ...)
            float32 stays float32; memory-mapped arrays stay where they are.
        ids : sequence of str, optional
        """
        arrays: dict[str, Layer] = {}
        for name, value in layers.items():
            array = as_float_array(value, f"layer {name!r}", ndim=range(1, 9))
            arrays[name] = array.reshape(len(array), -1)
        return cls(arrays, ids=ids)

    @property
    def ids(self) -> tuple[str, ...] | None:
        """One id per row, or None."""
        return self._ids

    @property
    def n_stim(self) -> int:
        """Number of stimuli."""
        return self._n_stim

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in the order in which the network computes them."""
        return list(self._layers)

    @property
    def reduce(self) -> dict[str, str]:
        """How each layer was reduced."""
        return dict(self._reduce)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each layer's activation for one stimulus, before it was reduced."""
        return dict(self._shapes)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Stimuli that could not be read, as (id, reason)."""
        return self._skipped

    @property
    def fidelity(self) -> dict[str, float]:
        """Pearson r with fp32 features on the first batch, where less precision was asked for."""
        return dict(self._fidelity)

    def select(self, ids: Sequence[str]) -> Features:
        """Return the stimuli named by `ids`, in that order."""
        if self._ids is None:
            raise ValueError("these features have no ids to select by; build them with ids=.")
        place = {name: row for row, name in enumerate(self._ids)}
        wanted = check_ids(ids, "ids")
        missing = [name for name in wanted if name not in place]
        if missing:
            raise ValueError(
                f"ids must be among the features' {self._n_stim} stimuli; {missing[0]!r} "
                f"({len(missing)} in all) is not."
            )
        rows = [place[name] for name in wanted]
        return Features(
            {
                name: layer.select(rows) if isinstance(layer, Gram) else layer[rows]
                for name, layer in self._layers.items()
            },
            ids=wanted,
            reduce=self._reduce,
            shapes=self._shapes,
            skipped=self._skipped,
            fidelity=self._fidelity,
        )

    def __getitem__(self, layer: str) -> Layer:
        try:
            return self._layers[layer]
        except KeyError:
            raise KeyError(f"no layer {layer!r}; there are {', '.join(self._layers)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for name, layer in self._layers.items():
            shape = "x".join(str(n) for n in self._shapes.get(name, ()))
            n_feat = layer.n_feat if isinstance(layer, Gram) else layer.shape[1]
            rows.append((name, shape, self._reduce.get(name, ""), str(n_feat)))
        return rows

    def __repr__(self) -> str:
        n_bytes = sum(np.asarray(layer).nbytes for layer in self._layers.values())
        lines = [
            f"Features: {len(self)} layers, {self._n_stim} stimuli, {n_bytes / 2**20:.1f} MiB"
            + (f", {len(self._skipped)} skipped" if self._skipped else "")
        ]
        rows = self._rows()
        shown = rows if len(rows) <= 24 else [*rows[:12], ("...", "", "", ""), *rows[-11:]]
        widths = [max(len(row[i]) for row in shown) for i in range(4)]
        lines += [
            f"  {name:<{widths[0]}}  {shape:>{widths[1]}}  {how:<{widths[2]}}  {n:>{widths[3]}}"
            for name, shape, how, n in shown
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        head = "".join(f"<th>{cell}</th>" for cell in ("layer", "activation", "reduce", "features"))
        return (
            f"<p>Features: {len(self)} layers, {self._n_stim} stimuli</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _n_stim(layer: Layer) -> int:
    return layer.n_stim if isinstance(layer, Gram) else len(layer)
