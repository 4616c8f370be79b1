"""One image file to one 8-bit RGB picture, or to an error that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

__all__ = ["decode"]

# Where EXIF's orientation puts the first pixel, and what brings it to the top left.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TIFF_BITS_PER_SAMPLE = 258


def decode(path: Path) -> Image.Image:
    """Read an image file as people see it: upright, 8 bits, RGB.

    Parameters
    ----------
    path : Path
        Of any format that Pillow knows, whatever the suffix says; of several frames the first.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, in memory, the file closed.

    Raises
    ------
    ValueError
        If the file is no image, is truncated or damaged, or holds values without a known range.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Alpha is dropped, not blended, as ``Image.convert("RGB")`` does. Of 16-bit values the high byte
    is kept, as Pillow does for 16-bit colour; its own conversion of 16-bit grey clips at 255.
    """
    try:
        with Image.open(path) as image:
            image.load()
            orientation = _orientation(image)
            picture = _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their parsers do
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise ValueError(
            f"a stimulus must be a whole image that Pillow can read; {path} is not: "
            f"{_reason(error)}. Repair or remove the file, or skip it with on_error='skip'."
        ) from error
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return picture


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block says nothing about the pixels, which are there
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"its mode {image.mode} (32 bits per value) does not say which values are black and "
            "white; save it with 8 or 16 bits"
        )
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow warns about partly transparent palettes on any other way.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    bits = 16
    if image.format == "TIFF":  # which also has 12 bits in the same mode
        bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, (bits,))[0]
    grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is of no known image format"
    return str(error).rstrip(".") or type(error).__name__
