"""The features of an encoding model: layers, or the channels or positions within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite
from dnnbrain_cpp.features import Features, Gram

__all__ = ["ITER_AXES", "LayerData", "Layers", "Part", "read_layers"]

ITER_AXES = ("channel", "row_col")

LayerData = NDArray[Any] | Gram
"""Features of shape (n_stim, n_feat), or their Gram matrix."""

Sources = Features | Mapping[str, ArrayLike] | ArrayLike
"""What features may come as."""


@dataclass(frozen=True)
class Part:
    """What one model is fitted on: a layer, or a channel or position of it.

    Parameters
    ----------
    layer : str
    place : mapping of str to int
        Empty for a whole layer; ``{"channel": 3}``; ``{"row": 1, "column": 2}``. From 0.
    """

    layer: str
    place: Mapping[str, int]

    @property
    def name(self) -> str:
        """Layer and place, such as ``conv1[channel=3]``."""
        within = ", ".join(f"{axis}={index}" for axis, index in self.place.items())
        return f"{self.layer}[{within}]" if within else self.layer


@dataclass(frozen=True)
class Layers:
    """Checked features of several layers.

    Parameters
    ----------
    data : mapping of str to ndarray of shape (n_stim, n_feat) or Gram
    ids : tuple of str, optional
    shapes : mapping of str to tuple of int
        Of each layer's activation, where it is known.
    iter_axis : {"channel", "row_col"}, optional
    """

    data: Mapping[str, LayerData]
    ids: tuple[str, ...] | None
    shapes: Mapping[str, tuple[int, ...]]
    iter_axis: str | None

    def check_n_stim(self, n_stim: int) -> None:
        """Raise unless every layer has `n_stim` rows."""
        for name, layer in self.data.items():
            n_rows = layer.n_stim if isinstance(layer, Gram) else len(layer)
            if n_rows != n_stim:
                raise ValueError(
                    f"features and responses must be of the same stimuli; layer {name!r} has "
                    f"{n_rows}, the responses {n_stim}."
                )

    def parts(self) -> Iterator[tuple[Part, LayerData]]:
        """Yield what each model is fitted on; views, no copies."""
        for name, layer in self.data.items():
            if self.iter_axis is None or isinstance(layer, Gram):
                yield Part(name, {}), layer
                continue
            n_chn, n_row, n_col = self.shapes[name]
            grid = layer.reshape(len(layer), n_chn, n_row * n_col)
            if self.iter_axis == "channel":
                for channel in range(n_chn):
                    yield Part(name, {"channel": channel}), grid[:, channel]
            else:
                for position in range(n_row * n_col):
                    row, column = divmod(position, n_col)
                    yield Part(name, {"row": row, "column": column}), grid[:, :, position]


def read_layers(features: Sources, iter_axis: str | None = None) -> Layers:
    """Check features of any kind, before any work is done.

    Raises
    ------
    ValueError
        For no layer, NaN, wrong ranks, or shapes that `iter_axis` cannot run over.
    """
    if iter_axis is not None:
        check_choice(iter_axis, "iter_axis", ITER_AXES)
    layers: Mapping[str, Any] = (
        features if isinstance(features, Mapping) else {"features": features}
    )
    if not layers:
        raise ValueError("features must hold at least one layer; got none.")
    known = features.shapes if isinstance(features, Features) else {}
    data: dict[str, LayerData] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, value in layers.items():
        data[name], shape = _read_layer(name, value, known.get(name), iter_axis)
        if shape is not None:
            shapes[name] = shape
    ids = features.ids if isinstance(features, Features) else None
    return Layers(data, ids, shapes, iter_axis)


def _read_layer(
    name: str, value: Any, shape: tuple[int, ...] | None, iter_axis: str | None
) -> tuple[LayerData, tuple[int, int, int] | None]:
    if isinstance(value, Gram):
        if iter_axis is not None:
            raise TypeError(
                f"iter_axis needs the units of layer {name!r}, and a Gram matrix has none. "
                "Extract with reduce='keep'."
            )
        return value, None
    array = as_float_array(value, f"layer {name!r}", ndim=2 if iter_axis is None else (2, 3, 4))
    check_finite(array, f"layer {name!r}")
    if array.size == 0:
        raise ValueError(f"layer {name!r} must hold a stimulus and a unit; got {array.shape}.")
    if iter_axis is None:
        return array, None
    return array.reshape(len(array), -1), _grid_shape(name, array, shape, iter_axis)


def _grid_shape(
    name: str, array: NDArray[Any], shape: tuple[int, ...] | None, iter_axis: str
) -> tuple[int, int, int]:
    """Return (n_chn, n_row, n_col) of the units of a layer."""
    if array.ndim > 2:
        shape = array.shape[1:]
    n_feat = int(np.prod(array.shape[1:]))
    if shape is None:
        raise ValueError(
            f"iter_axis={iter_axis!r} needs the shape of layer {name!r}; give Features with "
            "shapes, or an array of shape (n_stim, n_chn, n_row, n_col)."
        )
    if int(np.prod(shape)) != n_feat:
        if iter_axis == "channel" and shape[0] == n_feat:  # pooled: a number per channel
            return n_feat, 1, 1
        raise ValueError(
            f"iter_axis={iter_axis!r} needs all units of layer {name!r}, which are "
            f"{' x '.join(map(str, shape))}; there are {n_feat} features. Extract with "
            "reduce='keep'."
        )
    if len(shape) > 3:
        raise ValueError(
            f"iter_axis={iter_axis!r} needs a layer of channels, rows and columns; layer "
            f"{name!r} has shape {tuple(shape)}."
        )
    n_chn, n_row, n_col = (*shape, 1, 1)[:3]
    return int(n_chn), int(n_row), int(n_col)
