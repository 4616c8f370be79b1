"""Colours that are evenly spaced to the eye, in linear light until the last step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_from_oklch", "palette", "to_uint8"]

Float = NDArray[np.float32]

# Oklab to cone responses (cubed) to linear sRGB; Ottosson (2020), "A perceptual color space".
_LMS_FROM_LAB = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def linear_from_oklch(lightness: object, chroma: object, hue: object) -> Float:
    """Return linear sRGB, clipped to the gamut, for broadcastable Oklch coordinates.

    Parameters
    ----------
    lightness, chroma : array_like
        0 (black) to 1 (white); 0 (grey) to about 0.3 (the most vivid colours that screens show).
    hue : array_like
        In turns: 0.08 red, 0.3 yellow, 0.4 green, 0.7 blue.

    Returns
    -------
    ndarray of shape (..., 3), float32
    """
    light, c, h = np.broadcast_arrays(
        np.asarray(lightness, float), np.asarray(chroma, float), 2 * np.pi * np.asarray(hue, float)
    )
    lab = np.stack([light, c * np.cos(h), c * np.sin(h)], axis=-1)
    rgb = (lab @ _LMS_FROM_LAB.T) ** 3 @ _RGB_FROM_LMS.T
    out: Float = np.clip(rgb, 0, 1).astype(np.float32)
    return out


def palette(rng: np.random.Generator, n_colours: int) -> Float:
    """Return `n_colours` that go together: a base hue, its neighbours and its complement."""
    base = rng.random()
    offsets = rng.choice([0.0, 0.06, -0.06, 0.5, 0.42, 0.33], size=n_colours, replace=n_colours > 6)
    offsets[0] = 0.0
    lightness = rng.permutation(np.linspace(0.42, 0.86, n_colours)) + rng.normal(0, 0.03, n_colours)
    chroma = rng.uniform(0.07, 0.2, n_colours)
    return linear_from_oklch(lightness, chroma, base + offsets + rng.normal(0, 0.015, n_colours))


def to_uint8(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Encode linear light as sRGB bytes; values outside [0, 1] are clipped."""
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    out: NDArray[np.uint8] = np.rint(255 * encoded).astype(np.uint8)
    return out
