"""Solids by their signed distance: negative inside, zero on the surface, positive outside.

Each maker returns a function of points ``(m, 3)``, float32, with y upwards and the floor at y = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Float",
    "Part",
    "Solid",
    "box",
    "capsule",
    "ellipsoid",
    "frustum",
    "roof",
    "torus",
    "unit",
    "vector",
]

Float = NDArray[np.float32]
Vector = tuple[float, float, float]
Distance = Callable[[Float], Float]


@dataclass(frozen=True)
class Part:
    """One solid: its signed distance at points (m, 3), and its colour."""

    distance: Distance
    colour: int


def vector(x: float, y: float, z: float) -> Float:
    """Return one point or direction."""
    return np.array([x, y, z], np.float32)


def _norm(*components: Float) -> Float:
    total = components[0] * components[0]
    for component in components[1:]:
        total = total + component * component
    out: Float = np.sqrt(total)
    return out


def ellipsoid(centre: Vector, radii: Vector) -> Distance:
    middle, scale = vector(*centre), 1 / vector(*radii)

    def distance(p: Float) -> Float:
        q = (p - middle) * scale
        k = np.sqrt(np.einsum("ij,ij->i", q, q))
        q *= scale
        # First-order distance: exact on the surface and for spheres.
        out: Float = k * (k - 1) / np.maximum(np.sqrt(np.einsum("ij,ij->i", q, q)), 1e-6)
        return out

    return distance


def box(centre: Vector, half: Vector, *, rounding: float = 0.04) -> Distance:
    middle, inner = vector(*centre), vector(*half) - np.float32(rounding)

    def distance(p: Float) -> Float:
        q = np.abs(p - middle) - inner
        outside = np.maximum(q, 0)
        out: Float = (
            np.sqrt(np.einsum("ij,ij->i", outside, outside))
            + np.minimum(q.max(axis=1), 0)
            - np.float32(rounding)
        )
        return out

    return distance


def frustum(
    centre: Vector, half_height: float, bottom: float, top: float, *, rounding: float = 0.04
) -> Distance:
    """Upright truncated cone; a cylinder if `bottom` equals `top`."""
    middle = vector(*centre)
    low, high = (np.float32(max(r - rounding, 0)) for r in (bottom, top))
    half = np.float32(half_height - rounding)
    along = np.array([high - low, 2 * half], np.float32)  # the slant in the (radius, y) plane
    along_squared = along @ along

    def distance(p: Float) -> Float:
        q = p - middle
        radius, y = _norm(q[:, 0], q[:, 2]), q[:, 1]
        t = ((radius - low) * along[0] + (y + half) * along[1]) / along_squared
        t = np.clip(t, 0, 1)
        beside, above = radius - low - t * along[0], y + half - t * along[1]
        cap_height = np.abs(y) - half
        cap_beside = np.maximum(radius - np.where(y < 0, low, high), 0)
        nearest = np.minimum(_norm(beside, above), _norm(cap_beside, cap_height))
        inside = (beside < 0) & (cap_height < 0)
        out: Float = np.where(inside, -nearest, nearest) - np.float32(rounding)
        return out

    return distance


def torus(centre: Vector, ring: float, tube: float, *, axis: int) -> Distance:
    middle = vector(*centre)
    a, b = (i for i in range(3) if i != axis)

    def distance(p: Float) -> Float:
        q = p - middle
        return _norm(_norm(q[:, a], q[:, b]) - np.float32(ring), q[:, axis]) - np.float32(tube)

    return distance


def capsule(start: Vector, end: Vector, radius: float) -> Distance:
    a, b = vector(*start), vector(*end)
    axis = b - a
    length = np.float32(axis @ axis)

    def distance(p: Float) -> Float:
        q = p - a
        along = np.clip(q @ axis / length, 0, 1)
        q -= along[:, None] * axis
        out: Float = np.sqrt(np.einsum("ij,ij->i", q, q)) - np.float32(radius)
        return out

    return distance


def roof(centre: Vector, half: Vector) -> Distance:
    """Gable roof on a rectangle: `half` is half width, height, half length."""
    middle = vector(*centre)
    width, height, length = (np.float32(h) for h in half)
    tilt = height / np.sqrt(width**2 + height**2)

    def distance(p: Float) -> Float:
        q = p - middle
        slope = (np.abs(q[:, 0]) - width) * tilt + q[:, 1] * np.sqrt(1 - tilt**2)
        out: Float = np.maximum(np.maximum(slope, np.abs(q[:, 2]) - length), -q[:, 1]) - np.float32(
            0.02
        )
        return out

    return distance


class Solid:
    """The union of parts: distance and colour index at points, with a ball that holds it all."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts

    def distance(self, p: Float) -> Float:
        best = self.parts[0].distance(p)
        for part in self.parts[1:]:
            np.minimum(best, part.distance(p), out=best)
        return best

    def colour(self, p: Float) -> NDArray[np.intp]:
        distances = np.stack([part.distance(p) for part in self.parts])
        out: NDArray[np.intp] = np.array([part.colour for part in self.parts])[
            distances.argmin(axis=0)
        ]
        return out

    def normal(self, p: Float) -> Float:
        """Gradient of the distance by differences along the corners of a tetrahedron."""
        step = np.float32(0.004)
        total = np.zeros_like(p)
        for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            direction = vector(*corner)
            total += self.distance(p + step * direction)[:, None] * direction
        return unit(total)


def unit(vectors: Float) -> Float:
    """Scale vectors along the last axis to length one."""
    out: Float = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return out
