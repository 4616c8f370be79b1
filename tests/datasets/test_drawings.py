"""Drawn stimuli: seeded, varied, and what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from dnnbrain_cpp.datasets import draw_stimuli
from dnnbrain_cpp.datasets._colour import linear_from_oklch, to_uint8
from dnnbrain_cpp.datasets._noise import band_noise, power_law_noise, ridge_line
from dnnbrain_cpp.datasets._solids import (
    Part,
    Solid,
    box,
    capsule,
    ellipsoid,
    frustum,
    roof,
    torus,
    unit,
    vector,
)
from dnnbrain_cpp.datasets._tracing import shadow, trace
from dnnbrain_cpp.stimuli import Stimuli
from tolerances import TOLERANCES


def pixels(stimuli: Stimuli) -> np.ndarray:
    return np.stack([np.asarray(stimuli.image(i)) for i in range(len(stimuli))])


@pytest.fixture(scope="module")
def drawn() -> Stimuli:
    return draw_stimuli(63, size=48, seed=3)


def test_ids_and_labels(drawn: Stimuli) -> None:
    assert len(drawn) == 63
    assert drawn.ids[:4] == ("object-001", "texture-001", "scene-001", "object-002")
    assert drawn.labels.loc["texture-021", "category"] == "texture"
    counts = drawn.labels.groupby("category")["subcategory"].nunique()
    assert counts.to_dict() == {"object": 10, "texture": 7, "scene": 4}


def test_images_are_varied(drawn: Stimuli) -> None:
    images = pixels(drawn)
    assert images.shape == (63, 48, 48, 3)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 63
    assert (images.std(axis=(1, 2)).max(axis=1) > 5).all()  # none is blank
    mean = images.mean(axis=(1, 2))
    assert ((mean > 15) & (mean < 245)).any(axis=1).all()
    assert (mean.std(axis=0) > 10).all()  # colours differ between images
    assert (np.ptp(images.astype(int), axis=3).mean(axis=(1, 2)) > 3).mean() > 0.95  # not grey


def test_same_seed_same_images(drawn: Stimuli) -> None:
    again = draw_stimuli(63, size=48, seed=3)
    np.testing.assert_array_equal(pixels(again), pixels(drawn))
    other = draw_stimuli(6, size=48, seed=4)
    assert (pixels(other) != pixels(drawn)[:6]).any(axis=(1, 2, 3)).all()


def test_an_image_does_not_depend_on_their_number(drawn: Stimuli) -> None:
    np.testing.assert_array_equal(pixels(draw_stimuli(7, size=48, seed=3)), pixels(drawn)[:7])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_stim": 0}, "n_stim must be at least 1; got 0"),
        ({"size": 8}, "size must be at least 16; got 8"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
    ],
)
def test_refusals(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_stimuli(**arguments)
    with pytest.raises(TypeError, match="integer"):
        draw_stimuli(2.5)  # type: ignore[arg-type]


# --- colour ------------------------------------------------------------------------------------


def test_srgb_encoding() -> None:
    linear = np.array([-1, 0, 0.001, 0.2158605, 0.5, 1, 7])
    np.testing.assert_array_equal(to_uint8(linear), [0, 0, 3, 128, 188, 255, 255])


def test_oklch_of_known_colours() -> None:
    # Published coordinates of sRGB's white, grey and red.
    rgb = linear_from_oklch([1, 0.5, 0.627955], [0, 0, 0.257683], [0, 0.3, 29.2339 / 360])
    np.testing.assert_allclose(rgb, [[1] * 3, [0.125] * 3, [1, 0, 0]], atol=1e-3)


# --- noise -------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.5])
def test_amplitude_falls_with_frequency(exponent: float) -> None:
    fields = power_law_noise(np.random.default_rng(0), 128, exponent=exponent, n=16)
    power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128))) * 128
    band = (radius > 2) & (radius < 60)
    slope = np.polyfit(np.log(radius[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-2 * exponent, abs=0.1)
    np.testing.assert_allclose(fields.mean(axis=(1, 2)), 0, atol=TOLERANCES["fp32_reduction"])
    np.testing.assert_allclose(fields.std(axis=(1, 2)), 1, atol=TOLERANCES["fp32_reduction"])


def test_band_noise_has_its_frequency_and_orientation() -> None:
    field = band_noise(
        np.random.default_rng(0), 128, frequency=16, bandwidth=0.25, orientation=np.pi / 3
    )
    power = np.abs(np.fft.fft2(field)) ** 2
    row, column = np.meshgrid(np.fft.fftfreq(128) * 128, np.fft.fftfreq(128) * 128, indexing="ij")
    radius, angle = np.hypot(row, column), np.arctan2(row, column) % np.pi
    assert (power * radius).sum() / power.sum() == pytest.approx(16, rel=0.1)
    near = np.abs(angle - np.pi / 3) < np.deg2rad(30)
    assert power[near].sum() > 0.9 * power.sum()


def test_ridge_line_gets_smoother() -> None:
    rough, smooth = (
        np.abs(np.diff(ridge_line(np.random.default_rng(0), 256, exponent=e))).mean()
        for e in (1.0, 2.0)
    )
    assert rough > 3 * smooth


# --- solids ------------------------------------------------------------------------------------

SOLIDS = {
    "ball": ellipsoid((0.1, 0.5, 0), (0.5, 0.5, 0.5)),
    "box": box((0, 0.5, 0.1), (0.4, 0.5, 0.3)),
    "frustum": frustum((0, 0.5, 0), 0.5, 0.6, 0.2),
    "torus": torus((0, 0.5, 0), 0.4, 0.1, axis=1),
    "capsule": capsule((0, 0.1, 0), (0.3, 0.9, 0.2), 0.15),
    "roof": roof((0, 0.2, 0), (0.4, 0.5, 0.6)),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_a_step_of_the_distance_never_jumps_through(name: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform((-0.9, -0.4, -0.9), (0.9, 1.4, 0.9), (20_000, 3)).astype(np.float32)
    distance = SOLIDS[name](points)
    inside = points[distance < 0]
    assert 100 < len(inside) < 5000
    # The distance to a set is at most that to any of its points ...
    outside = np.flatnonzero(distance > 0)[:300]
    nearest = np.linalg.norm(points[outside, None] - inside[None], axis=2).min(axis=1)
    assert (distance[outside] <= nearest + 1e-5).all()
    # ... and changes by no more than the way gone.
    step = rng.normal(0, 0.05, points.shape).astype(np.float32)
    change = np.abs(SOLIDS[name](points + step) - distance)
    assert (change <= np.linalg.norm(step, axis=1) + 1e-5).all()


def test_a_ball_is_traced_where_geometry_says() -> None:
    ball = Solid([Part(ellipsoid((0, 0.75, 0), (0.5, 0.5, 0.5)), 2)])
    eye = vector(0, 0.75, 4)
    offsets = np.linspace(-0.9, 0.9, 181, dtype=np.float32)
    rays = unit(np.stack([offsets, 0 * offsets, np.full_like(offsets, -4)], axis=1))
    hit, place, coverage = trace(ball, eye, rays, 0.005)
    # A ray meets the ball if it passes its centre closer than the radius.
    passes = 4 * np.abs(rays[:, 0])
    certain = np.flatnonzero(passes < 0.49)
    assert np.isin(certain, hit).all()
    assert (passes[hit] < 0.5 + 0.005 * 4.2).all()
    assert ((coverage >= 0) & (coverage <= 1)).all()
    solid = coverage == 1
    np.testing.assert_allclose(
        np.linalg.norm(place[solid] - vector(0, 0.75, 0), axis=1), 0.5, atol=0.003
    )
    normal = ball.normal(place[solid])
    np.testing.assert_allclose(normal, (place[solid] - vector(0, 0.75, 0)) / 0.5, atol=0.02)
    assert (ball.colour(place) == 2).all()


def test_a_ball_throws_a_shadow_under_the_lamp() -> None:
    ball = Solid([Part(ellipsoid((0, 0.75, 0), (0.5, 0.5, 0.5)), 0)])
    floor = np.array([[0, 0, 0], [0.2, 0, 0], [2.5, 0, 0], [0, 0, -1.5]], np.float32)
    light = shadow(ball, floor, vector(0, 1, 0))
    assert (light[:2] < 0.05).all()
    np.testing.assert_array_equal(light[2:], 1)
