"""Objects: each a few solids, of random proportions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dnnbrain_cpp.datasets._rendering import render
from dnnbrain_cpp.datasets._solids import (
    Float,
    Part,
    Solid,
    box,
    capsule,
    ellipsoid,
    frustum,
    roof,
    torus,
)

__all__ = ["OBJECTS"]


def _ball(rng: np.random.Generator) -> list[Part]:
    r = rng.uniform(0.55, 0.8)
    flat = rng.uniform(0.6, 1.0)
    parts = [Part(ellipsoid((0, r * flat, 0), (r, r * flat, r)), 0)]
    if rng.random() < 0.5:
        parts.append(Part(torus((0, r * flat, 0), 0.97 * r, 0.09, axis=1), 1))
    return parts


def _block(rng: np.random.Generator) -> list[Part]:
    x, y, z = rng.uniform(0.35, 0.75, 3)
    parts = [Part(box((0, y, 0), (x, y, z), rounding=rng.uniform(0.02, 0.15)), 0)]
    if rng.random() < 0.5:
        s = 0.6 * min(x, z)
        parts.append(Part(box((0, 2 * y + s / 2, 0), (s, s / 2, s)), 1))
    return parts


def _cone(rng: np.random.Generator) -> list[Part]:
    h, r = rng.uniform(0.5, 0.8), rng.uniform(0.45, 0.75)
    parts = [Part(frustum((0, h, 0), h, r, rng.uniform(0.06, 0.3), rounding=0.05), 0)]
    if rng.random() < 0.6:
        parts.append(Part(frustum((0, 0.08, 0), 0.08, 1.25 * r, 1.25 * r), 1))
    return parts


def _ring(rng: np.random.Generator) -> list[Part]:
    ring, tube = rng.uniform(0.4, 0.6), rng.uniform(0.12, 0.26)
    if rng.random() < 0.5:
        return [Part(torus((0, ring + tube, 0), ring, tube, axis=2), 0)]
    count = int(rng.integers(1, 4))
    shrink = 0.8
    parts, height = [], 0.0
    for k in range(count):
        scale = shrink**k
        height += tube * scale
        parts.append(Part(torus((0, height, 0), ring * scale + 0.1, tube * scale, axis=1), k % 3))
        height += tube * scale * 0.8
    return parts


def _mug(rng: np.random.Generator) -> list[Part]:
    h, r = rng.uniform(0.45, 0.65), rng.uniform(0.4, 0.55)
    wall = frustum((0, h, 0), h, r, r * rng.uniform(0.9, 1.2), rounding=0.03)
    hollow = frustum((0, h + 0.12, 0), h, 0.84 * r, r * 0.86, rounding=0.01)

    def cup(p: Float) -> Float:
        return np.maximum(wall(p), -hollow(p))

    handle = torus((r + 0.12, h, 0), 0.6 * h, 0.09, axis=2)

    def outside(p: Float) -> Float:
        return np.maximum(handle(p), -wall(p))

    return [Part(cup, 0), Part(outside, int(rng.integers(0, 2)))]


def _mushroom(rng: np.random.Generator) -> list[Part]:
    h, r = rng.uniform(0.35, 0.6), rng.uniform(0.5, 0.75)
    cap = ellipsoid((0, 2 * h, 0), (r, 0.65 * r, r))

    def dome(p: Float) -> Float:
        out: Float = np.maximum(cap(p), np.float32(2 * h - 0.05) - p[:, 1])
        return out

    stem = rng.uniform(0.14, 0.26)
    return [Part(frustum((0, h, 0), h, stem * 1.3, stem), 1), Part(dome, 0)]


def _tree(rng: np.random.Generator) -> list[Part]:
    parts = [Part(frustum((0, 0.35, 0), 0.35, 0.15, 0.11), 1)]
    if rng.random() < 0.5:
        for k in range(3):
            r = 0.62 - 0.15 * k
            parts.append(Part(frustum((0, 0.72 + 0.36 * k, 0), 0.27, r, 0.06), 0))
    else:
        for angle in rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2:
            r = rng.uniform(0.28, 0.4)
            x, z = 0.27 * np.cos(angle), 0.27 * np.sin(angle)
            parts.append(Part(ellipsoid((x, rng.uniform(0.85, 1.15), z), (r, r, r)), 0))
        parts.append(Part(ellipsoid((0, 1.3, 0), (0.36, 0.34, 0.36)), 0))
    return parts


def _house(rng: np.random.Generator) -> list[Part]:
    x, y, z = rng.uniform(0.4, 0.55), rng.uniform(0.3, 0.45), rng.uniform(0.4, 0.7)
    return [
        Part(box((0, y, 0), (x, y, z), rounding=0.01), 0),
        Part(roof((0, 2 * y, 0), (1.2 * x, rng.uniform(0.4, 0.65), 1.1 * z)), 1),
        Part(box((0, 0.22, z), (0.11, 0.22, 0.03), rounding=0.01), 2),
        Part(box((x * 0.45, 2 * y + 0.4, -0.3 * z), (0.07, 0.25, 0.07), rounding=0.01), 2),
    ]


def _animal(rng: np.random.Generator) -> list[Part]:
    leg, length = rng.uniform(0.3, 0.5), rng.uniform(0.45, 0.6)
    girth = rng.uniform(0.24, 0.34)
    back = leg + 0.8 * girth
    parts = [Part(ellipsoid((0, back, 0), (girth, girth, length)), 0)]
    parts += [
        Part(capsule((x, 0.08, z), (x, back, z * 0.9), 0.08), 0)
        for x in (-0.55 * girth, 0.55 * girth)
        for z in (-0.62 * length, 0.62 * length)
    ]
    neck = rng.uniform(0.1, 0.45)
    head_y, head_z = back + 0.15 + neck, length + 0.12
    head = rng.uniform(0.17, 0.24)
    parts += [
        Part(capsule((0, back, 0.7 * length), (0, head_y, head_z), 0.11), 0),
        Part(ellipsoid((0, head_y, head_z + 0.06), (0.85 * head, head, 1.25 * head)), 0),
        Part(capsule((0, back + 0.1, -length), (0, back + 0.3, -length - 0.25), 0.05), 1),
    ]
    for x in (-1, 1):
        ear = (0.6 * head * x, head_y + head, head_z)
        parts.append(Part(ellipsoid(ear, (0.07, rng.uniform(0.1, 0.2), 0.05)), 1))
    return parts


def _figure(rng: np.random.Generator) -> list[Part]:
    body = rng.uniform(0.3, 0.42)
    head = rng.uniform(0.2, 0.28)
    neck = 1.0
    parts = [
        Part(frustum((0, 0.5, 0), 0.5, body, 0.55 * body, rounding=0.08), 0),
        Part(ellipsoid((0, neck + 0.8 * head, 0), (head, head * 1.1, head)), 1),
    ]
    for x in (-1, 1):
        hand = (x * rng.uniform(0.45, 0.7), rng.uniform(0.3, 1.2), rng.uniform(-0.1, 0.3))
        parts.append(Part(capsule((x * 0.45 * body, 0.88, 0), hand, 0.08), 0))
        parts.append(Part(ellipsoid(hand, (0.1, 0.1, 0.1)), 1))
    if rng.random() < 0.5:
        parts.append(Part(frustum((0, neck + 1.75 * head, 0), 0.2, 0.9 * head, 0.05), 2))
    return parts


_BUILDERS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "ball": _ball,
    "block": _block,
    "cone": _cone,
    "ring": _ring,
    "mug": _mug,
    "mushroom": _mushroom,
    "tree": _tree,
    "house": _house,
    "animal": _animal,
    "figure": _figure,
}


def _painter(
    build: Callable[[np.random.Generator], list[Part]],
) -> Callable[[np.random.Generator, int], Float]:
    return lambda rng, size: render(rng, size, Solid(build(rng)))


OBJECTS: dict[str, Callable[[np.random.Generator, int], Float]] = {
    name: _painter(build) for name, build in _BUILDERS.items()
}
"""Painters by subcategory: (rng, size) to linear light of shape (size, size, 3)."""
