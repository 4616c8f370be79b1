"""Scenes with the statistics of natural images: 1/f clouds, dead leaves, pebbles, hills."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.datasets._colour import linear_from_oklch
from dnnbrain_cpp.datasets._noise import power_law_noise, ridge_line

__all__ = ["SCENES"]

Float = NDArray[np.float32]

_OVERSAMPLING = 2  # occlusion edges are drawn at twice the size and averaged


def _clouds(rng: np.random.Generator, size: int) -> Float:
    """Paint colour noise of amplitude 1/f: lightness and hue vary together, as in nature."""
    lightness, chroma, hue = power_law_noise(rng, size, exponent=rng.uniform(1.0, 1.4), n=3)
    return linear_from_oklch(
        np.clip(rng.uniform(0.5, 0.7) + 0.15 * lightness, 0.05, 0.98),
        np.clip(0.09 + 0.04 * chroma, 0, 0.2),
        rng.random() + rng.uniform(0.05, 0.16) * hue,
    )


def _occlusion(
    rng: np.random.Generator, size: int, *, n: int, smallest: float, largest: float, aspect: float
) -> tuple[NDArray[np.intp], Float, Float, Float]:
    """Throw `n` ellipses onto the plane, the later over the earlier (Lee, Mumford, Huang, 2001).

    Radii follow the density 1/r**3 between `smallest` and `largest` (in image sides), which makes
    the image scale-invariant.

    Returns
    -------
    index : ndarray of shape (m, m)
        Which ellipse is seen at each fine pixel, with ``m = 2 * size``.
    x, y : ndarray of shape (m, m)
        Place within that ellipse, -1 to 1 along its axes.
    radius : ndarray of shape (n,)
    """
    fine = _OVERSAMPLING * size
    uniform = rng.random(n)
    radius = 1 / np.sqrt(smallest**-2 + uniform * (largest**-2 - smallest**-2))
    radius[0] = 4.0  # what lies below everything
    centre = rng.uniform(-0.05, 1.05, (n, 2))
    angle = rng.uniform(0, np.pi, n)
    ratio = rng.uniform(aspect, 1, n)
    matrix = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle) / ratio, np.cos(angle) / ratio])
    matrix = (matrix / radius).astype(np.float32)
    axis = ((np.arange(fine) + 0.5) / fine).astype(np.float32)
    index = np.zeros((fine, fine), np.intp)
    low = np.clip(np.floor((centre - radius[:, None]) * fine), 0, fine).astype(int)
    high = np.clip(np.ceil((centre + radius[:, None]) * fine), 0, fine).astype(int)
    for k in range(1, n):
        rows, columns = slice(low[k, 1], high[k, 1]), slice(low[k, 0], high[k, 0])
        dx = (axis[columns] - np.float32(centre[k, 0]))[None, :]
        dy = (axis[rows] - np.float32(centre[k, 1]))[:, None]
        a, b, c, d = matrix[:, k]
        index[rows, columns][(a * dx + b * dy) ** 2 + (c * dx + d * dy) ** 2 < 1] = k
    dx = axis[None, :] - centre[:, 0].astype(np.float32)[index]
    dy = axis[:, None] - centre[:, 1].astype(np.float32)[index]
    x = matrix[0][index] * dx + matrix[1][index] * dy
    y = matrix[2][index] * dx + matrix[3][index] * dy
    return index, x, y, radius.astype(np.float32)


def _average(fine: Float) -> Float:
    """Average squares of fine pixels into pixels."""
    size = fine.shape[0] // _OVERSAMPLING
    out: Float = fine.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING, 3).mean(axis=(1, 3))
    return out


def _leaves(rng: np.random.Generator, size: int) -> Float:
    """Paint flat leaves with a vein and a gradient, in the colours of one season."""
    n = 260
    index, x, y, _ = _occlusion(rng, size, n=n, smallest=0.025, largest=0.3, aspect=0.35)
    hue = (
        rng.random() + rng.choice([0, 0.08, 0.35], n, p=[0.6, 0.25, 0.15]) + rng.normal(0, 0.02, n)
    )
    colour = linear_from_oklch(rng.uniform(0.35, 0.85, n), rng.uniform(0.06, 0.17, n), hue)
    light = 1 + 0.25 * x - 0.5 * np.exp(-((y / 0.07) ** 2)) * (np.abs(x) < 0.9)
    return _average(colour[index] * light[..., None])


def _pebbles(rng: np.random.Generator, size: int) -> Float:
    """Paint rounded stones under one lamp."""
    n = 220
    index, x, y, _ = _occlusion(rng, size, n=n, smallest=0.035, largest=0.2, aspect=0.6)
    hue = rng.random() + rng.normal(0, 0.06, n)
    colour = linear_from_oklch(rng.uniform(0.45, 0.9, n), rng.uniform(0.01, 0.09, n), hue)
    depth = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    direction = rng.uniform(0, 2 * np.pi)
    lamp = np.clip(0.6 * (np.cos(direction) * x + np.sin(direction) * y) + 0.8 * depth, 0, None)
    grain = 1 + 0.06 * power_law_noise(rng, index.shape[0], exponent=0.6)[0]
    light = (0.12 + 1.05 * lamp) * grain * np.clip(3.5 * depth, 0.15, 1)
    light[index == 0] = 0.08
    return _average(colour[index] * light[..., None])


def _hills(rng: np.random.Generator, size: int) -> Float:
    """Paint chains of hills that fade into the sky with distance."""
    fine = _OVERSAMPLING * size
    height = np.linspace(1, 0, fine, dtype=np.float32)[:, None]
    zenith, horizon = linear_from_oklch(
        [rng.uniform(0.45, 0.75), rng.uniform(0.85, 0.97)],
        [rng.uniform(0.08, 0.16), rng.uniform(0.03, 0.1)],
        [rng.uniform(0.6, 0.8), rng.choice([0.15, 0.25, 0.68, 0.95])],
    )
    weight = np.clip((height - 0.35) / 0.65, 0, 1)
    cloud = np.clip(power_law_noise(rng, fine, exponent=1.4)[0] - rng.uniform(0.2, 1.4), 0, 1.5)
    image = horizon + weight[..., None] * (zenith - horizon) + 0.25 * cloud[..., None]
    n_chain = int(rng.integers(3, 6))
    near = linear_from_oklch(rng.uniform(0.3, 0.5), rng.uniform(0.06, 0.13), rng.uniform(0.28, 0.5))
    far = linear_from_oklch(rng.uniform(0.55, 0.72), rng.uniform(0.04, 0.1), rng.uniform(0.6, 0.8))
    grain = power_law_noise(rng, fine, exponent=1.1)[0]
    summit = rng.uniform(0.5, 0.72)
    for k in range(n_chain):
        distance = 1 - (k + 1) / n_chain  # 1 would be the sky, 0 is the nearest
        rough = rng.uniform(1.2, 1.9)
        crest = summit * (0.25 + 0.9 * distance) + 0.06 * ridge_line(rng, fine, exponent=rough)
        ground = near + distance**0.7 * (far - near)
        relief = 1 + (0.25 - 0.2 * distance) * np.roll(grain, 37 * k, axis=1)
        mist = np.clip((crest[None, :] - height) * 4, 0, 1)
        inside = height < crest[None, :]
        shade = ground * relief[..., None]
        shade += (0.35 * distance * mist)[..., None] * (horizon - shade)
        image[inside] = shade[inside]
    return _average(image)


SCENES: dict[str, Callable[[np.random.Generator, int], Float]] = {
    "clouds": _clouds,
    "leaves": _leaves,
    "pebbles": _pebbles,
    "hills": _hills,
}
"""Painters by subcategory: (rng, size) to linear light of shape (size, size, 3)."""
