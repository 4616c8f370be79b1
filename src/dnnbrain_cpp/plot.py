"""Figures: layer curves, distributions of voxel scores, RDMs, slices of a brain, sheets of stimuli.

Every function draws into the axes it is given and returns them; without any it makes a figure of
its own, which is ``ax.figure``. Nothing here uses pyplot, shows a window or changes a global style.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage
    from PIL.Image import Image

__all__ = [
    "COLORS",
    "MARKERS",
    "ceiling_band",
    "contact_sheet",
    "dendrogram",
    "layer_curve",
    "mds",
    "rdm_matrix",
    "score_distribution",
    "slice_map",
    "time_matrix",
    "timecourse",
]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#3D3D3D")
"""Colours that people with any colour vision tell apart (Okabe and Ito, 2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Shapes that go with `COLORS`, so that no curve is known by its colour alone."""

_INK = "#2B3038"
_FAINT = "#8A929C"
_OUTSIDE = "#EEF0F2"
_BAR = "significant"  # marks the bars of timecourse
_MAX_TICKS = 16
_MAX_POINT_LABELS = 30
_LONG_LABELS = 28  # characters that fit under an axis side by side


@runtime_checkable
class _HasSquare(Protocol):
    def square(self) -> NDArray[np.float64]: ...


@runtime_checkable
class _HasPositions(Protocol):
    @property
    def positions(self) -> NDArray[np.float64]: ...
    @property
    def ids(self) -> tuple[str, ...]: ...


class _HasLinkage(Protocol):
    @property
    def linkage(self) -> NDArray[np.float64]: ...
    @property
    def ids(self) -> tuple[str, ...]: ...


def layer_curve(
    layers: Sequence[str],
    scores: ArrayLike,
    *,
    sem: ArrayLike | None = None,
    seeds: ArrayLike | None = None,
    p: ArrayLike | None = None,
    level: float = 0.05,
    label: str | None = None,
    color: str = COLORS[0],
    marker: str = MARKERS[0],
    ax: Axes | None = None,
) -> Axes:
    """Draw one score per layer, as a curve over depth.

    Parameters
    ----------
    layers : sequence of str
        Names, in the order in which the network computes them.
    scores : array_like of shape (n_layer,)
    sem : array_like of shape (n_layer,), optional
        Standard errors, drawn as bars; NaN for none.
    seeds : array_like of shape (n_seed, n_layer), optional
        Curves of single seeds, drawn thin behind the mean.
    p : array_like of shape (n_layer,), optional
        Layers with p below `level` get a filled marker, the others an open one.
    level : float
    label : str, optional
        For the legend.
    color, marker : str
    ax : Axes, optional
        Call again with the same axes to add a curve.

    Returns
    -------
    Axes
    """
    y = _vector(scores, "scores", len(layers))
    ax = _axes(ax, (4.8, 3.4))
    x = np.arange(len(layers))
    if seeds is not None:
        single = as_array(seeds, "seeds", dtype=np.float64, ndim=2)
        ax.plot(x, single.T, color=color, linewidth=0.8, alpha=0.3, zorder=2)
    error = None if sem is None else np.nan_to_num(_vector(sem, "sem", len(layers)))
    ax.errorbar(x, y, yerr=error, color=color, linewidth=2, elinewidth=1.2, capsize=2.5, zorder=3)
    filled = np.ones(len(y), bool) if p is None else _vector(p, "p", len(layers)) < level
    face = [color if mark else "white" for mark in filled]
    ax.plot([], [], color=color, marker=marker, linewidth=2, markersize=6, label=label)
    ax.scatter(x, y, s=42, marker=marker, c=face, edgecolors=color, linewidths=1.6, zorder=4)
    _layer_ticks(ax, layers)
    _tidy(ax)
    return ax


def ceiling_band(
    lower: float, upper: float, *, label: str = "noise ceiling", ax: Axes | None = None
) -> Axes:
    """Draw the range between two bounds of a noise ceiling as a grey band with its name in it.

    Parameters
    ----------
    lower, upper : float
    label : str
        Should name the formula.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (4.8, 3.4))
    ax.axhspan(lower, upper, color="#D9DDE2", linewidth=0, zorder=0)
    ax.annotate(
        label,
        (0.015, upper),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize=8.5,
        color="#626A74",
    )
    return ax


def timecourse(
    times: ArrayLike,
    scores: ArrayLike,
    *,
    sem: ArrayLike | None = None,
    significant: ArrayLike | None = None,
    ceiling: ArrayLike | None = None,
    label: str | None = None,
    color: str = COLORS[0],
    ax: Axes | None = None,
) -> Axes:
    """Draw one score per time as a curve.

    Parameters
    ----------
    times : array_like of shape (n_time,)
    scores : array_like of shape (n_time,)
        NaN leaves a gap.
    sem : array_like of shape (n_time,), optional
        Standard errors, drawn as a band around the curve.
    significant : array_like of bool, shape (n_time,), optional
        Drawn as marks in the curve's colour at the bottom; each call with the same axes adds a row
        above the last.
    ceiling : array_like of shape (2, n_time), optional
        Lower and upper noise ceiling, drawn as a grey band.
    label : str, optional
        For the legend.
    color : str
    ax : Axes, optional
        Call again with the same axes to add a curve.

    Returns
    -------
    Axes
    """
    x: NDArray[np.float64] = as_array(times, "times", dtype=np.float64, ndim=1)
    y = _vector(scores, "scores", len(x), "time")
    ax = _axes(ax, (5.6, 3.4))
    if not ax.lines:
        ax.axhline(0, color=_FAINT, linewidth=0.8, zorder=1)
    if ceiling is not None:
        lower, upper = as_array(ceiling, "ceiling", dtype=np.float64, ndim=2)
        ax.fill_between(x, lower, upper, color="#D9DDE2", linewidth=0, zorder=0)
    if sem is not None:
        error = _vector(sem, "sem", len(x), "time")
        ax.fill_between(x, y - error, y + error, color=color, alpha=0.22, linewidth=0, zorder=2)
    ax.plot(x, y, color=color, linewidth=2, label=label, zorder=3)
    if significant is not None:
        chosen = _vector(significant, "significant", len(x), "time") > 0
        n_bar = sum(line.get_gid() == _BAR for line in ax.lines)
        ax.plot(
            x[chosen],
            np.full(int(chosen.sum()), 0.02 + 0.025 * n_bar),
            color=color,
            linestyle="none",
            marker="s",
            markersize=3,
            transform=ax.get_xaxis_transform(),
            gid=_BAR,
        )
    ax.set_xlim(x.min(), x.max())
    _tidy(ax)
    return ax


def time_matrix(
    times: ArrayLike,
    scores: ArrayLike,
    *,
    significant: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "score",
    cmap: str = "RdBu_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw one score per pair of times, the first time upwards and the second to the right.

    Parameters
    ----------
    times : array_like of shape (n_time,)
        Evenly spaced.
    scores : array_like of shape (n_time, n_time)
    significant : array_like of bool, shape (n_time, n_time), optional
        Outlined.
    limits : (float, float), optional
        Of the colours; by default symmetric about zero.
    label : str
        Of the colour bar.
    cmap : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    x: NDArray[np.float64] = as_array(times, "times", dtype=np.float64, ndim=1)
    matrix = as_array(scores, "scores", dtype=np.float64, ndim=2)
    if matrix.shape != (len(x), len(x)):
        raise ValueError(
            f"scores must have a row and a column for each of {len(x)} times; got {matrix.shape}."
        )
    ax = _axes(ax, (4.4, 3.6))
    finite = np.abs(matrix[np.isfinite(matrix)])
    most = float(finite.max()) if len(finite) else 1.0
    low, high = limits or (-most, most)
    half = (x[1] - x[0]) / 2 if len(x) > 1 else 0.5
    extent = (x[0] - half, x[-1] + half, x[0] - half, x[-1] + half)
    image = ax.imshow(
        matrix, cmap=cmap, vmin=low, vmax=high, extent=extent, origin="lower", aspect="equal"
    )
    if significant is not None:
        chosen = as_array(significant, "significant", dtype=np.float64, ndim=2)
        if chosen.shape != matrix.shape:
            raise ValueError(
                f"significant must have the shape of scores, {matrix.shape}; got {chosen.shape}."
            )
        if 0 < chosen.sum() < chosen.size:
            ax.contour(x, x, chosen, levels=[0.5], colors=_INK, linewidths=1)
    ax.plot(extent[:2], extent[:2], color=_FAINT, linewidth=0.8, linestyle=(0, (4, 4)))
    _color_bar(image, ax, label, shrink=0.85)
    ax.xaxis.set_major_locator(_few_ticks())
    ax.yaxis.set_major_locator(_few_ticks())
    ax.tick_params(labelsize=9, color=_FAINT, labelcolor=_INK)
    return ax


def score_distribution(
    scores: Mapping[str, ArrayLike],
    *,
    color: str = COLORS[0],
    ax: Axes | None = None,
) -> Axes:
    """Draw how the scores of voxels are spread in each layer, and their means.

    Parameters
    ----------
    scores : mapping of str to array_like of shape (n_vox,)
        Per layer; values that are not finite are left out.
    color : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, (4.8, 3.4))
    values = [as_array(layer, "scores", dtype=np.float64, ndim=1) for layer in scores.values()]
    finite = [layer[np.isfinite(layer)] for layer in values]
    drawn = [(place, layer) for place, layer in enumerate(finite) if len(layer)]
    if drawn:
        bodies = ax.violinplot(
            [layer for _, layer in drawn],
            positions=[place for place, _ in drawn],
            widths=0.8,
            showextrema=False,
        )["bodies"]
        for body in bodies:  # type: ignore[attr-defined]
            body.set(facecolor=color, alpha=0.25, edgecolor="none")
    means = [float(layer.mean()) if len(layer) else np.nan for layer in finite]
    quartiles = np.array(
        [np.quantile(layer, (0.25, 0.75)) if len(layer) else (np.nan, np.nan) for layer in finite]
    )
    x = np.arange(len(finite))
    ax.vlines(x, quartiles[:, 0], quartiles[:, 1], color=color, linewidth=3, alpha=0.55)
    ax.plot(x, means, color=color, linewidth=1.6, marker="o", markersize=6)
    _layer_ticks(ax, list(scores))
    _tidy(ax)
    return ax


def rdm_matrix(
    rdm: ArrayLike | _HasSquare,
    *,
    index: int = 0,
    limits: tuple[float, float] | None = None,
    label: str = "dissimilarity",
    cmap: str = "cividis",
    ax: Axes | None = None,
) -> Axes:
    """Draw a dissimilarity matrix; its diagonal, zero by definition, stays white.

    Parameters
    ----------
    rdm : RDM, RDMs, or array_like of shape (n_cond, n_cond) or (n_rdm, n_cond, n_cond)
    index : int
        Which, of several.
    limits : (float, float), optional
        Of the colours; by default the 2nd and 98th percentile.
    label : str
        Of the colour bar.
    cmap : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    square = rdm.square() if isinstance(rdm, _HasSquare) else np.asarray(rdm)
    square = square[index] if square.ndim == 3 else square
    matrix = as_array(square, "rdm", dtype=np.float64, ndim=2).copy()
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"rdm must be square; got shape {matrix.shape}.")
    ax = _axes(ax, (3.5, 3.0))
    low, high = limits or np.percentile(matrix[np.triu_indices(len(matrix), 1)], (2, 98))
    np.fill_diagonal(matrix, np.nan)
    image = ax.imshow(matrix, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    _color_bar(image, ax, label, shrink=0.85)
    return ax


def mds(
    layout: ArrayLike | _HasPositions,
    *,
    ids: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw conditions in the plane, such as `rsa.mds` lays them out.

    Parameters
    ----------
    layout : MDSResult, or array_like of shape (n_cond, 2)
        Of more dimensions, the first two.
    ids : sequence of str, optional
        Written beside the points; by default, those of the result if there are at most 30.
    categories : sequence of str, optional
        One per condition; each has a colour and a shape.
    ax : Axes, optional

    Returns
    -------
    Axes
        Both axes have one scale.
    """
    if isinstance(layout, _HasPositions):
        positions = layout.positions
        if ids is None and len(layout.ids) <= _MAX_POINT_LABELS:
            ids = layout.ids
    else:
        positions = as_array(layout, "layout", dtype=np.float64, ndim=2)
    if positions.shape[1] < 2:
        raise ValueError(f"layout must have two dimensions; got {positions.shape[1]}.")
    x, y = positions[:, 0], positions[:, 1]
    groups = [""] * len(x) if categories is None else [str(name) for name in categories]
    if len(groups) != len(x):
        raise ValueError(f"categories must name {len(x)} conditions; got {len(groups)}.")
    ax = _axes(ax, (4.5, 4.2))
    for place, group in enumerate(dict.fromkeys(groups)):
        members = [name == group for name in groups]
        ax.scatter(
            x[members],
            y[members],
            s=28,
            linewidth=0,
            label=group or None,
            color=COLORS[place % len(COLORS)],
            marker=MARKERS[place % len(MARKERS)],
        )
    for label, left, bottom in zip(ids or (), x, y, strict=False):
        ax.annotate(
            label, (left, bottom), (4, 3), textcoords="offset points", fontsize=7.5, color=_INK
        )
    if categories is not None:
        ax.legend(frameon=False, fontsize=8.5)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(_FAINT)
    return ax


def dendrogram(
    tree: _HasLinkage,
    *,
    n_cluster: int = 1,
    label: str = "dissimilarity",
    ax: Axes | None = None,
) -> Axes:
    """Draw a tree of conditions, such as `rsa.dendrogram` makes.

    Parameters
    ----------
    tree : Dendrogram
    n_cluster : int
        Into how many clusters the tree is cut; each has a colour.
    label : str
        Of the axis of heights.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    from scipy.cluster import hierarchy

    n_cond = len(tree.ids)
    if not 1 <= n_cluster <= n_cond:
        raise ValueError(f"n_cluster must be from 1 to {n_cond}; got {n_cluster}.")
    color_of = dict(enumerate(_FAINT for _ in range(2 * n_cond - 1)))
    if n_cluster > 1:
        color_of.update(_cluster_colors(tree.linkage, n_cluster))
    ax = _axes(ax, (max(4.0, 0.16 * n_cond), 3.2))
    hierarchy.dendrogram(
        tree.linkage,
        labels=list(tree.ids),
        link_color_func=color_of.__getitem__,
        leaf_rotation=90,
        leaf_font_size=8 if n_cond <= _MAX_POINT_LABELS else 5,
        ax=ax,
    )
    ax.set_ylabel(label, fontsize=9, color=_INK)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(_FAINT)
    ax.tick_params(axis="y", labelsize=9, color=_FAINT, labelcolor=_INK)
    ax.tick_params(axis="x", color=_FAINT, labelcolor=_INK)
    return ax


def slice_map(
    volume: Any,
    *,
    limits: tuple[float, float] | None = None,
    categories: Sequence[str] | None = None,
    label: str = "",
    n_slice: int = 6,
    cmap: str = "viridis",
    ax: Axes | None = None,
) -> Axes:
    """Draw a map as a row of horizontal slices, from the lowest to the highest with voxels in it.

    Parameters
    ----------
    volume : ndarray of shape (n_x, n_y, n_z), or 3-D nibabel image
        NaN outside. An image is turned so that left is left and up is front.
    limits : (float, float), optional
        Of the colours; by default the range of the values.
    categories : sequence of str, optional
        Names of the values 1, 2, ..., for a map of labels.
    label : str
        Of the colour bar.
    n_slice : int
        At most.
    cmap : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If no voxel has a value.
    """
    values = _upright(volume)
    inside = np.isfinite(values)
    if not inside.any():
        raise ValueError("volume must have a finite voxel at least; all of them are NaN.")
    box = [_extent(np.asarray(inside.any(axis=others))) for others in ((1, 2), (0, 2))]
    heights = np.flatnonzero(inside.any(axis=(0, 1)))
    chosen = heights[
        np.linspace(0, len(heights) - 1, min(n_slice, len(heights))).round().astype(int)
    ]
    tiles = [np.flipud(values[box[0], box[1], z].T) for z in chosen]
    gap = np.full((tiles[0].shape[0], 1), np.nan)
    row = np.hstack([part for tile in tiles for part in (tile, gap)][:-1])

    ax = _axes(ax, (6.4, 1.2 + 5.2 * row.shape[0] / row.shape[1]))
    if categories is None:
        low, high = limits or (float(values[inside].min()), float(values[inside].max()))
        colors: Any = cmap
    else:
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        low, high = 0.5, len(categories) + 0.5
        colors = ListedColormap(colormaps[cmap](np.linspace(0.05, 0.95, len(categories))))
    ax.set_facecolor(_OUTSIDE)
    image = ax.imshow(row, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    width = tiles[0].shape[1] + 1
    for place, z in enumerate(chosen):
        if place:
            ax.axvline(place * width - 1, color="white", linewidth=3)
        ax.annotate(
            f"z {z}",
            (place * width - 0.3, -0.5),
            xytext=(0, 2),
            textcoords="offset points",
            va="bottom",
            fontsize=7.5,
            color=_FAINT,
        )
    bar = _color_bar(image, ax, label, orientation="horizontal", shrink=0.6, aspect=40, pad=0.04)
    if categories is not None:
        bar.set_ticks(list(range(1, len(categories) + 1)), labels=list(categories))
    return ax


def contact_sheet(
    images: Sequence[Image], *, n_col: int = 12, size: int = 96, ax: Axes | None = None
) -> Axes:
    """Draw images as a sheet of small pictures.

    Parameters
    ----------
    images : sequence of PIL.Image.Image
    n_col : int
    size : int
        Pixels of each; the aspect ratio is kept.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    if not images:
        raise ValueError("images must hold one picture at least; got none.")
    n_col = min(n_col, len(images))
    n_row = math.ceil(len(images) / n_col)
    step = size + size // 12
    sheet = np.full((n_row * step, n_col * step, 3), 255, np.uint8)
    for place, image in enumerate(images):
        small = image.convert("RGB")
        small.thumbnail((size, size))
        top = place // n_col * step + (step - small.height) // 2
        left = place % n_col * step + (step - small.width) // 2
        sheet[top : top + small.height, left : left + small.width] = np.asarray(small)
    ax = _axes(ax, (0.8 * n_col, 0.8 * n_row))
    ax.imshow(sheet)
    ax.set_axis_off()
    return ax


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_FAINT)
    ax.tick_params(labelsize=9, color=_FAINT, labelcolor=_INK)
    ax.grid(axis="y", color="#E8EAED", linewidth=0.8, zorder=0)
    ax.set_axisbelow(True)


def _color_bar(image: AxesImage, ax: Axes, label: str, **options: Any) -> Colorbar:
    """Add a colour bar to an image, and take away what would frame the image."""
    figure = ax.get_figure()
    if figure is None:
        raise ValueError("ax must belong to a figure; it was removed from its own.")
    bar = figure.colorbar(image, ax=ax, **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2, color=_FAINT, labelcolor=_INK)
    bar.set_label(label, fontsize=8.5, color=_INK)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return bar


def _layer_ticks(ax: Axes, layers: Sequence[str]) -> None:
    step = math.ceil(len(layers) / _MAX_TICKS)
    places = list(range(0, len(layers), step))
    names = [layers[place] for place in places]
    slanted = sum(map(len, names)) > _LONG_LABELS
    ax.set_xticks(
        places,
        labels=names,
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
    ax.set_xlim(-0.5, len(layers) - 0.5)


def _cluster_colors(linkage: NDArray[np.float64], n_cluster: int) -> dict[int, str]:
    """Return a colour for each join inside a cluster of the tree cut into `n_cluster`."""
    from scipy.cluster import hierarchy

    clusters = hierarchy.fcluster(linkage, n_cluster, criterion="maxclust")
    order = clusters[hierarchy.leaves_list(linkage)]
    color = {name: COLORS[i % len(COLORS)] for i, name in enumerate(dict.fromkeys(order))}
    n_cond = len(clusters)
    of_node: dict[int, int | None] = dict(enumerate(clusters))
    colors = {}
    for place, (left, right) in enumerate(linkage[:, :2].astype(int)):
        same = of_node[left] is not None and of_node[left] == of_node[right]
        of_node[n_cond + place] = of_node[left] if same else None
        if same:
            colors[n_cond + place] = color[of_node[left]]
    return colors


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _vector(value: ArrayLike, name: str, n: int, each: str = "layer") -> NDArray[np.float64]:
    array: NDArray[np.float64] = as_array(value, name, dtype=np.float64, ndim=1)
    if len(array) != n:
        raise ValueError(f"{name} must have one value per {each}, {n}; got {len(array)}.")
    return array


def _upright(volume: Any) -> NDArray[np.float64]:
    if hasattr(volume, "affine"):
        import nibabel as nib

        as_canonical: Any = nib.funcs.as_closest_canonical
        volume = as_canonical(volume).get_fdata()
    array: NDArray[np.float64] = as_array(volume, "volume", dtype=np.float64, ndim=3)
    return array


def _extent(occupied: NDArray[np.bool_]) -> slice:
    """From one voxel before the first occupied place to one after the last."""
    places = np.flatnonzero(occupied)
    return slice(max(0, int(places[0]) - 1), int(places[-1]) + 2)
