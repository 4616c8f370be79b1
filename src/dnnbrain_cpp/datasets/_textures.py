"""Textures: gratings, plaids, checks, filtered noise, dots, marble and cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.datasets._colour import palette
from dnnbrain_cpp.datasets._noise import band_noise, power_law_noise

__all__ = ["TEXTURES"]

Float = NDArray[np.float32]


def _coordinates(rng: np.random.Generator, size: int) -> tuple[Float, Float]:
    """Pixel coordinates in [-0.5, 0.5], turned by a random angle."""
    axis = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    angle = rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * axis[None, :] + sin * axis[:, None], cos * axis[:, None] - sin * axis[None, :]


def _blend(weight: Float, first: Float, second: Float) -> Float:
    """Mix two colours by a weight in [0, 1] per pixel."""
    return first + weight[..., None] * (second - first)


def _soft_square(wave: Float, sharpness: float) -> Float:
    out: Float = 0.5 + 0.5 * np.tanh(sharpness * wave)
    return out


def _grating(rng: np.random.Generator, size: int) -> Float:
    u, _ = _coordinates(rng, size)
    wave = np.sin(2 * np.pi * rng.uniform(2, 16) * u + rng.uniform(0, 2 * np.pi))
    colours = palette(rng, 2)
    return _blend(_soft_square(wave, rng.choice([0.8, 6.0])), colours[0], colours[1])


def _plaid(rng: np.random.Generator, size: int) -> Float:
    u, v = _coordinates(rng, size)
    colours = palette(rng, 4)
    first, second = (
        _soft_square(np.sin(2 * np.pi * rng.uniform(3, 12) * x + rng.uniform(0, 6)), 3.0)
        for x in (u, v)
    )
    woven = 0.5 * (_blend(first, colours[0], colours[1]) + _blend(second, colours[2], colours[3]))
    thread = np.sin(2 * np.pi * rng.uniform(18, 30) * (u + v))
    out: Float = woven * (1 + 0.12 * thread[..., None])
    return out


def _checker(rng: np.random.Generator, size: int) -> Float:
    u, v = _coordinates(rng, size)
    frequency = rng.uniform(2, 8)
    wave = np.sin(2 * np.pi * frequency * u) * np.sin(
        2 * np.pi * frequency * v * rng.choice([1, 0.5])
    )
    colours = palette(rng, 2)
    return _blend(_soft_square(wave, 14.0 / frequency + 4), colours[0], colours[1])


def _noise_band(rng: np.random.Generator, size: int) -> Float:
    orientation = rng.uniform(0, np.pi) if rng.random() < 0.5 else None
    field = band_noise(
        rng, size, frequency=2 ** rng.uniform(1.6, 4.6), bandwidth=0.25, orientation=orientation
    )
    colours = palette(rng, 2)
    return _blend(_soft_square(field, rng.choice([0.6, 3.0])), colours[0], colours[1])


def _dots(rng: np.random.Generator, size: int) -> Float:
    u, v = _coordinates(rng, size)
    frequency, radius = rng.uniform(4, 11), rng.uniform(0.22, 0.42)
    row = np.floor(v * frequency)
    x = u * frequency + 0.5 * (row % 2)
    distance = np.hypot(x - np.floor(x) - 0.5, v * frequency - row - 0.5)
    inside = np.clip((radius - distance) * size / frequency + 0.5, 0, 1)
    colours = palette(rng, 3)
    which = (np.floor(x) + row) % 2
    return _blend(inside, colours[0], _blend(which, colours[1], colours[2]))


def _marble(rng: np.random.Generator, size: int) -> Float:
    u, _ = _coordinates(rng, size)
    warp = power_law_noise(rng, size, exponent=2.4)[0]
    wave = np.sin(2 * np.pi * (rng.uniform(2, 5) * u + rng.uniform(0.4, 1.0) * warp))
    colours = palette(rng, 3)
    base = _blend(0.5 + 0.5 * wave, colours[0], colours[1])
    return _blend(np.abs(wave) ** 12, base, colours[2])


def _cells(rng: np.random.Generator, size: int) -> Float:
    n_cell = int(rng.integers(18, 90))
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    centres = rng.random((n_cell, 2), dtype=np.float32)
    squared = (axis[:, None, None] - centres[:, 0]) ** 2 + (
        axis[None, :, None] - centres[:, 1]
    ) ** 2
    nearest = np.partition(squared, 1, axis=-1)[..., :2]
    gap = np.sqrt(nearest[..., 1]) - np.sqrt(nearest[..., 0])
    colours = palette(rng, 5)
    tile = colours[rng.integers(1, 5, n_cell)][squared.argmin(axis=-1)]
    return _blend(np.clip(gap * size / 2 - 0.3, 0, 1), 0.25 * colours[0], tile)


TEXTURES: dict[str, Callable[[np.random.Generator, int], Float]] = {
    "grating": _grating,
    "plaid": _plaid,
    "checker": _checker,
    "noise-band": _noise_band,
    "dots": _dots,
    "marble": _marble,
    "cells": _cells,
}
"""Painters by subcategory: (rng, size) to linear light of shape (size, size, 3)."""
