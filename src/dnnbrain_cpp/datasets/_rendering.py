"""One object in a lit room: camera, floor, backdrop, shading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnbrain_cpp.datasets._colour import linear_from_oklch, palette
from dnnbrain_cpp.datasets._noise import power_law_noise
from dnnbrain_cpp.datasets._solids import Float, Solid, unit, vector
from dnnbrain_cpp.datasets._tracing import shadow, trace

__all__ = ["render"]

_FIELD_OF_VIEW = 0.29  # half the image side over the focal length
_CAMERA_DISTANCE = 5.0
_FLOOR_REACH = 6.0  # beyond it the floor has become the backdrop


@dataclass(frozen=True)
class _View:
    """Where the camera and the lamp are."""

    eye: Float  # (3,)
    rays: Float  # (size * size, 3), row by row from the top, of length one
    lamp: Float  # (3,), direction towards it


def _random_view(rng: np.random.Generator, size: int) -> _View:
    """Look at the object from above the floor, the lamp to the left or to the right."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.6)
    level = np.cos(elevation)
    back = vector(level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth))
    target = vector(rng.uniform(-0.2, 0.2), 0.65, rng.uniform(-0.2, 0.2))
    eye = target + np.float32(_CAMERA_DISTANCE * rng.uniform(0.85, 1.2)) * back
    right = unit(vector(back[2], 0, -back[0]))  # level, and across the line of sight
    up: Float = np.cross(back, right).astype(np.float32)
    axis = (2 * (np.arange(size, dtype=np.float32) + 0.5) / size - 1) * np.float32(_FIELD_OF_VIEW)
    rays = -back + axis[None, :, None] * right - axis[:, None, None] * up
    turn = azimuth + rng.choice([-1, 1]) * rng.uniform(0.5, 1.4)
    lamp = unit(vector(np.sin(turn), rng.uniform(0.8, 1.6), np.cos(turn)))
    return _View(eye, unit(rays.reshape(-1, 3).astype(np.float32)), lamp)


def _ground_pattern(rng: np.random.Generator, base: Float) -> Callable[[Float, Float], Float]:
    """Colour of the floor at (x, z): plain, tiles, boards or stone."""
    kind = rng.choice(["plain", "tiles", "boards", "stone"])
    other = base * rng.uniform(0.45, 0.8)
    frequency = rng.uniform(0.7, 1.6)
    field = power_law_noise(rng, 128, exponent=1.2)[0]

    def colour(x: Float, z: Float) -> Float:
        if kind == "tiles":
            wave = np.sin(np.pi * frequency * x) * np.sin(np.pi * frequency * z)
            weight = 0.5 + 0.5 * np.tanh(8 * wave)
        elif kind == "boards":
            weight = 0.5 + 0.5 * np.tanh(5 * np.sin(2 * np.pi * frequency * x))
        elif kind == "stone":
            rows = np.int64(np.floor(z * 24)) % 128
            columns = np.int64(np.floor(x * 24)) % 128
            weight = np.clip(0.5 + 0.35 * field[rows, columns], 0, 1)
        else:
            weight = np.zeros_like(x)
        out: Float = base + weight[:, None] * (other - base)
        return out

    return colour


def _wall(rng: np.random.Generator, size: int, base: Float) -> Float:
    """Backdrop as seen in the image: plain, clouded, striped or out-of-focus lights."""
    kind = rng.choice(["plain", "clouded", "striped", "lights"])
    other = palette(rng, 1)[0]
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    if kind == "clouded":
        weight = np.clip(0.4 + 0.3 * power_law_noise(rng, size, exponent=1.5)[0], 0, 1)
    elif kind == "striped":
        wave = np.sin(2 * np.pi * rng.uniform(3, 8) * (axis + rng.uniform(0, 1)))
        weight = np.broadcast_to(0.35 + 0.3 * np.tanh(6 * wave), (size, size))
    elif kind == "lights":
        centre, radius = (
            rng.random((24, 2, 1), dtype=np.float32),
            rng.uniform(0.03, 0.1, (24, 1, 1)),
        )
        squared = (axis - centre[:, 0])[:, None, :] ** 2 + (axis - centre[:, 1])[:, :, None] ** 2
        discs = np.clip((radius - np.sqrt(squared)) * size / 3, 0, 1)
        weight = np.clip((0.35 * discs).sum(axis=0), 0, 1).astype(np.float32)
    else:
        weight = np.zeros((size, size), np.float32)
    out: Float = base + weight[..., None] * (other - base)
    return out


def _paint_floor(
    image: Float, solid: Solid, view: _View, floor: Callable[[Float, Float], Float]
) -> None:
    """Lay the floor over the backdrop; it fades with distance, as in a photographer's studio."""
    down = np.flatnonzero(view.rays[:, 1] < -1e-3)
    t = -view.eye[1] / view.rays[down, 1]
    place = view.eye + t[:, None] * view.rays[down]
    place[:, 1] = 0
    reach = np.hypot(place[:, 0], place[:, 2])
    near = reach < _FLOOR_REACH
    down, place, reach = down[near], place[near], reach[near]
    light = 0.3 + 0.75 * view.lamp[1] * shadow(solid, place, view.lamp)
    contact = np.clip(0.35 + 2.2 * solid.distance(place + vector(0, 0.12, 0)), 0.35, 1)
    lit = floor(place[:, 0], place[:, 2]) * (light * contact)[:, None]
    fade = np.clip((reach - 2) / (_FLOOR_REACH - 2), 0, 1)[:, None]
    image[down] = lit + fade * fade * (3 - 2 * fade) * (image[down] - lit)


def _paint_object(
    image: Float, solid: Solid, view: _View, colours: Float, ground: Float, gloss: float
) -> None:
    """Shade the object by the lamp, the sky and the light that the floor throws back."""
    pixel = 2 * _FIELD_OF_VIEW / np.sqrt(len(image))
    hit, place, coverage = trace(solid, view.eye, view.rays, pixel)
    normal = solid.normal(place)
    corner = np.clip(0.35 + 4 * solid.distance(place + np.float32(0.16) * normal), 0.35, 1)
    lifted = place + np.float32(0.06) * normal  # off the surface, which would shade itself
    seen = shadow(solid, lifted, view.lamp) * np.clip(normal @ view.lamp, 0, 1)
    sky = (0.5 + 0.5 * normal[:, 1]) * corner
    bounce = ((0.5 - 0.5 * normal[:, 1]) * corner)[:, None] * ground
    halfway = unit(view.lamp - view.rays[hit])
    shine = gloss * np.clip(np.einsum("ij,ij->i", normal, halfway), 0, 1) ** 40 * (seen > 0)
    albedo = colours[solid.colour(place)]
    radiance = albedo * (seen[:, None] + 0.32 * sky[:, None] + 0.25 * bounce) + shine[:, None]
    image[hit] += coverage[:, None] * (radiance - image[hit])


def render(rng: np.random.Generator, size: int, solid: Solid) -> Float:
    """Return the object in linear light, (size, size, 3), in a room of random colours."""
    colours = palette(rng, 3)
    ground, backdrop = linear_from_oklch(
        rng.uniform(0.5, 0.85, 2),
        rng.uniform(0.02, 0.11, 2),
        rng.random() + np.array([0, rng.uniform(-0.3, 0.3)]),
    )
    view = _random_view(rng, size)
    height = np.linspace(1, 0, size, dtype=np.float32)[:, None, None]
    image = (_wall(rng, size, backdrop) * (0.7 + 0.45 * height)).reshape(-1, 3)
    _paint_floor(image, solid, view, _ground_pattern(rng, ground))
    _paint_object(image, solid, view, colours, ground, rng.choice([0.0, 0.12, 0.45]))
    return image.reshape(size, size, 3)
