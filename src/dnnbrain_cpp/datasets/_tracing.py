"""Rays that meet solids, by sphere tracing.

A ray is followed in steps as long as the distance to the nearest surface, which cannot jump through
it (Hart, 1996).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.datasets._solids import Float, Solid, vector

__all__ = ["shadow", "trace"]

_MARCH_STEPS = 28
_SHADOW_STEPS = 16
_ON_SURFACE = 0.1  # pixels

# The ball that holds every object: rays that miss it are not followed.
_CENTRE = vector(0, 0.75, 0)
_RADIUS = 1.35


def _ball_interval(origin: Float, direction: Float) -> tuple[Float, Float]:
    """Entry and exit of rays through the ball around the object; NaN where they miss."""
    offset = origin - _CENTRE
    b = np.einsum("ij,ij->i", offset, direction)
    c = np.einsum("ij,ij->i", offset, offset) - np.float32(_RADIUS**2)
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b * b - c)
    return np.maximum(-b - root, 0), -b + root


def trace(
    solid: Solid, eye: Float, rays: Float, pixel: float
) -> tuple[NDArray[np.intp], Float, Float]:
    """Follow rays to the object.

    Returns
    -------
    hit : ndarray of shape (m,)
        Which rays come within a pixel of the surface.
    place : ndarray of shape (m, 3)
        Where.
    coverage : ndarray of shape (m,)
        How much of the pixel the object fills: less than one on its outline.
    """
    entry, leave = _ball_interval(np.broadcast_to(eye, rays.shape), rays)
    active = np.flatnonzero(np.isfinite(leave) & (leave > 0))
    nearest = np.full(len(rays), np.inf, np.float32)  # in pixels
    at = np.zeros(len(rays), np.float32)
    t = entry[active]
    for _ in range(_MARCH_STEPS):
        d = solid.distance(eye + t[:, None] * rays[active])
        ratio = d / (np.float32(pixel) * t)
        better = ratio < nearest[active]
        nearest[active[better]] = ratio[better]
        at[active[better]] = t[better]
        t = t + d
        going = (ratio > _ON_SURFACE) & (t < leave[active])
        active, t = active[going], t[going]
        if not active.size:
            break
    hit = np.flatnonzero(nearest < 1)
    coverage = np.clip((1 - nearest[hit]) / (1 - _ON_SURFACE), 0, 1)
    return hit, eye + at[hit, None] * rays[hit], coverage


def shadow(solid: Solid, points: Float, lamp: Float) -> Float:
    """Part of a broad lamp that each point sees, 0 to 1."""
    light = np.ones(len(points), np.float32)
    directions = np.broadcast_to(lamp, points.shape)
    entry, leave = _ball_interval(points, directions)
    active = np.flatnonzero(np.isfinite(leave) & (leave > 0))
    t: Float = np.maximum(entry[active], np.float32(0.08))
    for _ in range(_SHADOW_STEPS):
        d = solid.distance(points[active] + t[:, None] * lamp)
        light[active] = np.minimum(light[active], np.clip(8 * d / t, 0, 1))
        t = t + np.maximum(0.7 * d, 0.04)
        going = (light[active] > 0.01) & (t < leave[active])
        active, t = active[going], t[going]
        if not active.size:
            break
    return light
