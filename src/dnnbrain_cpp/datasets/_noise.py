"""Random fields with the amplitude spectra of natural images, and others shaped in frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["band_noise", "power_law_noise", "ridge_line"]

Float = NDArray[np.float32]


def _radius(size: int) -> NDArray[np.float64]:
    """Spatial frequency in cycles per image, in the layout of `numpy.fft.rfft2`."""
    out: NDArray[np.float64] = (
        np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * size
    )
    return out


def _shaped(rng: np.random.Generator, gain: NDArray[np.float64], size: int, n: int) -> Float:
    spectrum = np.fft.rfft2(rng.standard_normal((n, size, size))) * gain
    field = np.fft.irfft2(spectrum, s=(size, size))
    field -= field.mean(axis=(1, 2), keepdims=True)
    field /= field.std(axis=(1, 2), keepdims=True)
    return field.astype(np.float32)


def power_law_noise(
    rng: np.random.Generator, size: int, *, exponent: float = 1.0, n: int = 1
) -> Float:
    """Return `n` periodic fields with amplitude proportional to ``1 / frequency ** exponent``.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side in pixels.
    exponent : float
        About 1 in natural images (Field, 1987).
    n : int
        Number of fields.

    Returns
    -------
    ndarray of shape (n, size, size), float32
        Zero mean and unit variance, each.
    """
    radius = _radius(size)
    radius[0, 0] = np.inf
    return _shaped(rng, radius**-exponent, size, n)


def band_noise(
    rng: np.random.Generator,
    size: int,
    *,
    frequency: float,
    bandwidth: float,
    orientation: float | None = None,
) -> Float:
    """Return a periodic field of noise in one band of frequency, and of orientation if given.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side in pixels.
    frequency : float
        Centre of the band, cycles per image.
    bandwidth : float
        Standard deviation in octaves.
    orientation : float, optional
        Direction of the modulation, radians; the band is then 15 degrees wide.

    Returns
    -------
    ndarray of shape (size, size), float32
        Zero mean and unit variance.
    """
    radius = _radius(size)
    radius[0, 0] = np.finfo(float).tiny
    gain = np.exp(-0.5 * (np.log2(radius / frequency) / bandwidth) ** 2)
    if orientation is not None:
        angle = np.arctan2(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
        gain = gain * np.exp(
            (np.cos(2 * (angle - orientation)) - 1) / (2 * np.deg2rad(15)) ** 2 * 2
        )
    out: Float = _shaped(rng, gain, size, 1)[0]
    return out


def ridge_line(rng: np.random.Generator, size: int, *, exponent: float) -> Float:
    """Return a periodic random profile of zero mean and unit variance, like a chain of hills."""
    frequency = np.arange(size // 2 + 1, dtype=float)
    frequency[0] = np.inf
    line = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * frequency**-exponent, n=size)
    out: Float = ((line - line.mean()) / line.std()).astype(np.float32)
    return out
