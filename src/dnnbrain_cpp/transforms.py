"""From an image to a network's input: each pixel as torchvision and DNNBrain would have it.

A `Transform` is a short list of changes of geometry, made by Pillow on 8-bit pixels, and one
normalisation in float32. Its ``repr`` spells every step, so that a result can say what was shown
to the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dnnbrain_cpp._validate import check_choice, check_integer

__all__ = ["Normalize", "Picture", "Transform", "central_crop", "resize_crop", "squash"]

Picture = Image.Image | NDArray[np.uint8]
"""A Pillow image of mode RGB, or the same pixels as an array of shape (n_row, n_col, 3)."""

Normalize = str | tuple[Sequence[float], Sequence[float]] | None
"""``"imagenet"``, a pair ``(mean, std)`` of three numbers each, or None for values in [0, 1]."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class _Step(ABC):
    """One change of geometry; a picture that has the wanted size already is not touched."""

    @abstractmethod
    def size(self, n_row: int, n_col: int) -> tuple[int, int]:
        """Return the size after this step of a picture of `n_row` by `n_col` pixels."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain data."""

    @abstractmethod
    def describe(self, interpolation: str) -> str:
        """Return the step in words."""

    @abstractmethod
    def change(self, picture: Picture, interpolation: str) -> Picture:
        """Return `picture` after this step."""


class _Resize(_Step):
    def change(self, picture: Picture, interpolation: str) -> Picture:
        n_row, n_col = self.size(*_size(picture))
        if (n_row, n_col) == _size(picture):
            return picture
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(np.ascontiguousarray(picture))
        return picture.resize((n_col, n_row), _RESAMPLING[interpolation])


class _Crop(_Step):
    def change(self, picture: Picture, interpolation: str) -> Picture:
        n_row, n_col = self.size(*_size(picture))
        if (n_row, n_col) == _size(picture):
            return picture
        top = _crop_start(picture_side=_size(picture)[0], crop_side=n_row)
        left = _crop_start(picture_side=_size(picture)[1], crop_side=n_col)
        if isinstance(picture, np.ndarray):
            if top >= 0 and left >= 0:
                return picture[top : top + n_row, left : left + n_col]
            picture = Image.fromarray(np.ascontiguousarray(picture))
        # Pillow fills what lies outside the picture with black.
        return picture.crop((left, top, left + n_col, top + n_row))


@dataclass(frozen=True)
class _Squash(_Resize):
    n_row: int
    n_col: int

    def size(self, n_row: int, n_col: int) -> tuple[int, int]:
        return self.n_row, self.n_col

    def to_dict(self) -> dict[str, Any]:
        return {"step": "squash", "size": [self.n_row, self.n_col]}

    def describe(self, interpolation: str) -> str:
        return f"squash to {self.n_row} x {self.n_col} ({_resampling(interpolation)})"


@dataclass(frozen=True)
class _ResizeShorterSide(_Resize):
    side: int

    def size(self, n_row: int, n_col: int) -> tuple[int, int]:
        # The longer side is cut, not rounded: torchvision's rule.
        if n_col <= n_row:
            return int(self.side * n_row / n_col), self.side
        return self.side, int(self.side * n_col / n_row)

    def to_dict(self) -> dict[str, Any]:
        return {"step": "resize shorter side", "size": self.side}

    def describe(self, interpolation: str) -> str:
        return f"shorter side to {self.side} ({_resampling(interpolation)})"


@dataclass(frozen=True)
class _CentreCrop(_Crop):
    n_row: int
    n_col: int

    def size(self, n_row: int, n_col: int) -> tuple[int, int]:
        return self.n_row, self.n_col

    def to_dict(self) -> dict[str, Any]:
        return {"step": "centre crop", "size": [self.n_row, self.n_col]}

    def describe(self, interpolation: str) -> str:
        return f"centre crop {self.n_row} x {self.n_col}"


@dataclass(frozen=True)
class _CentreFraction(_Crop):
    fraction: float

    def size(self, n_row: int, n_col: int) -> tuple[int, int]:
        return max(1, round(self.fraction * n_row)), max(1, round(self.fraction * n_col))

    def to_dict(self) -> dict[str, Any]:
        return {"step": "centre crop", "fraction": self.fraction}

    def describe(self, interpolation: str) -> str:
        return f"centre crop {self.fraction:g} of each side"


@dataclass(frozen=True, repr=False)
class Transform:
    """Image to network input, step by step; made by `squash`, `resize_crop` or `central_crop`.

    Called with a Pillow image of mode RGB it returns a float32 tensor of shape (3, n_row, n_col).
    Instances are immutable, comparable, and may be used by several threads at once.

    Attributes
    ----------
    interpolation : str
        How Pillow resamples; all but ``"nearest"`` are antialiased.
    mean, std : tuple of float, or None
        Subtracted from and divided into pixels in [0, 1], per colour; None: not normalised.
    output_size : tuple of int
        Rows and columns of every output.
    """

    _steps: tuple[_Step, ...]
    interpolation: str
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    output_size: tuple[int, int]
    _affine: tuple[NDArray[np.float32], NDArray[np.float32]] | None = field(
        init=False, compare=False
    )

    def __post_init__(self) -> None:
        affine = None
        if self.mean is not None and self.std is not None:
            affine = (
                np.array(self.mean, np.float32).reshape(3, 1, 1),
                np.array(self.std, np.float32).reshape(3, 1, 1),
            )
        object.__setattr__(self, "_affine", affine)

    def __call__(self, image: Picture) -> torch.Tensor:
        """Return the network input made from `image`.

        Parameters
        ----------
        image : PIL.Image.Image of mode RGB, or ndarray of shape (n_row, n_col, 3), uint8

        Returns
        -------
        tensor of shape (3, n_row, n_col), float32
        """
        out = torch.empty((3, *self.output_size), dtype=torch.float32)
        self.into(image, out.numpy())
        return out

    def into(self, image: Picture, out: NDArray[np.float32]) -> None:
        """Write the network input made from `image` to `out`, without further memory for it.

        Parameters
        ----------
        image : PIL.Image.Image of mode RGB, or ndarray of shape (n_row, n_col, 3), uint8
        out : ndarray of shape (3, n_row, n_col), float32
            Overwritten.

        Raises
        ------
        TypeError
            If `image` is neither.
        ValueError
            If `image` is not RGB.
        """
        _check_picture(image)
        picture = image
        for step in self._steps:
            picture = step.change(picture, self.interpolation)
        # The operations of torchvision's ToTensor and Normalize in their order, each rounded to
        # float32, so that the bits agree.
        np.copyto(out, np.asarray(picture).transpose(2, 0, 1))
        np.divide(out, np.float32(255), out=out)
        if self._affine is not None:
            mean, std = self._affine
            np.subtract(out, mean, out=out)
            np.divide(out, std, out=out)

    def to_dict(self) -> dict[str, Any]:
        """Return every step and number as plain data, for a record of the run."""
        return {
            "steps": [step.to_dict() for step in self._steps],
            "interpolation": self.interpolation,
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            "output_size": list(self.output_size),
        }

    def __repr__(self) -> str:
        steps = [step.describe(self.interpolation) for step in self._steps]
        steps.append("RGB / 255")
        if self.mean is not None and self.std is not None:
            steps += [f"minus mean {_numbers(self.mean)}", f"over std {_numbers(self.std)}"]
        return f"Transform({', '.join(steps)})"


def squash(
    size: int | tuple[int, int] = (224, 224),
    *,
    normalize: Normalize = "imagenet",
    interpolation: str = "bilinear",
) -> Transform:
    """Resize to exactly `size`, whatever the aspect ratio: what DNNBrain's networks see.

    Parameters
    ----------
    size : int or tuple of int
        Rows and columns; one number for both.
    normalize : "imagenet", (mean, std) or None
        Subtract the mean and divide by the standard deviation of pixels in [0, 1], per colour.
    interpolation : {"bilinear", "bicubic", "nearest", "lanczos"}
        All but ``"nearest"`` are antialiased.

    Returns
    -------
    Transform

    Notes
    -----
    Equal, bit for bit, to torchvision's ``Resize(size)``, ``ToTensor`` and ``Normalize`` on a
    Pillow image.

    Examples
    --------
    >>> squash(128, normalize=None)
    Transform(squash to 128 x 128 (bilinear, antialiased), RGB / 255)
    """
    n_row, n_col = _pair(size, "size")
    return _transform((_Squash(n_row, n_col),), (n_row, n_col), normalize, interpolation)


def resize_crop(
    resize: int = 256,
    crop: int | tuple[int, int] = 224,
    *,
    normalize: Normalize = "imagenet",
    interpolation: str = "bilinear",
) -> Transform:
    """Resize the shorter side to `resize`, then cut out the centre: torchvision's evaluation.

    Parameters
    ----------
    resize : int
        Pixels of the shorter side; the aspect ratio is kept.
    crop : int or tuple of int
        Rows and columns of the centre; one number for both. A picture that is smaller is padded
        with black.
    normalize : "imagenet", (mean, std) or None
        Subtract the mean and divide by the standard deviation of pixels in [0, 1], per colour.
    interpolation : {"bilinear", "bicubic", "nearest", "lanczos"}
        All but ``"nearest"`` are antialiased.

    Returns
    -------
    Transform

    Notes
    -----
    Equal, bit for bit, to torchvision's ``Resize(resize)``, ``CenterCrop(crop)``, ``ToTensor`` and
    ``Normalize`` on a Pillow image.

    Examples
    --------
    >>> resize_crop(342, 299).output_size
    (299, 299)
    """
    n_row, n_col = _pair(crop, "crop")
    steps = (
        _ResizeShorterSide(check_integer(resize, "resize", minimum=1)),
        _CentreCrop(n_row, n_col),
    )
    return _transform(steps, (n_row, n_col), normalize, interpolation)


def central_crop(
    fraction: float = 0.875,
    size: int | tuple[int, int] = 224,
    *,
    normalize: Normalize = "imagenet",
    interpolation: str = "bilinear",
) -> Transform:
    """Cut out the central `fraction` of each side, then squash to `size`.

    Parameters
    ----------
    fraction : float
        In (0, 1]; of the rows and of the columns, rounded to whole pixels, at least one.
    size : int or tuple of int
        Rows and columns; one number for both.
    normalize : "imagenet", (mean, std) or None
        Subtract the mean and divide by the standard deviation of pixels in [0, 1], per colour.
    interpolation : {"bilinear", "bicubic", "nearest", "lanczos"}
        All but ``"nearest"`` are antialiased.

    Returns
    -------
    Transform
    """
    if isinstance(fraction, bool) or not isinstance(fraction, int | float | np.number):
        raise TypeError(f"fraction must be a number; got {fraction!r}.")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1]; got {fraction}.")
    n_row, n_col = _pair(size, "size")
    steps = (_CentreFraction(float(fraction)), _Squash(n_row, n_col))
    return _transform(steps, (n_row, n_col), normalize, interpolation)


def _transform(
    steps: tuple[_Step, ...], output_size: tuple[int, int], normalize: Normalize, interpolation: str
) -> Transform:
    mean, std = _mean_and_std(normalize)
    check_choice(interpolation, "interpolation", tuple(_RESAMPLING))
    return Transform(steps, interpolation, mean, std, output_size)


def _mean_and_std(
    normalize: Normalize,
) -> tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]:
    if normalize is None:
        return None, None
    if isinstance(normalize, str):
        check_choice(normalize, "normalize", ("imagenet",))
        return _IMAGENET
    try:
        mean, std = (np.asarray(values, np.float64) for values in normalize)
    except (TypeError, ValueError):
        mean = std = np.empty(0)
    if mean.shape != (3,) or std.shape != (3,):
        raise ValueError(
            "normalize must be 'imagenet', None or a pair (mean, std) of three numbers each, "
            f"for red, green and blue; got {normalize!r}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(f"normalize must hold finite means and positive stds; got {normalize!r}.")
    return (
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(std[0]), float(std[1]), float(std[2])),
    )


def _pair(size: int | tuple[int, int], name: str) -> tuple[int, int]:
    if isinstance(size, tuple | list):
        if len(size) != 2:
            raise ValueError(f"{name} must be one number or (rows, columns); got {size!r}.")
        return (
            check_integer(size[0], f"{name}[0]", minimum=1),
            check_integer(size[1], f"{name}[1]", minimum=1),
        )
    side = check_integer(size, name, minimum=1)
    return side, side


def _check_picture(image: object) -> None:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                "image must be an array of shape (n_row, n_col, 3), uint8; "
                f"got shape {image.shape}, {image.dtype}."
            )
    elif not isinstance(image, Image.Image):
        raise TypeError(
            f"image must be a Pillow image or a uint8 array; got {type(image).__name__}."
        )
    elif image.mode != "RGB":
        raise ValueError(
            f"image must be of mode RGB; got mode {image.mode}. Take it from Stimuli.image, which "
            "decodes every mode rightly, or convert it."
        )


def _size(picture: Picture) -> tuple[int, int]:
    if isinstance(picture, np.ndarray):
        return picture.shape[0], picture.shape[1]
    return picture.height, picture.width


def _crop_start(*, picture_side: int, crop_side: int) -> int:
    """Return where a centred crop starts; negative where the picture has to be padded."""
    if crop_side > picture_side:
        return -((crop_side - picture_side) // 2)
    # Halves go to the even number, as in torchvision.
    return round((picture_side - crop_side) / 2)


def _resampling(interpolation: str) -> str:
    return interpolation if interpolation == "nearest" else f"{interpolation}, antialiased"


def _numbers(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.12g}' for value in values)})"
