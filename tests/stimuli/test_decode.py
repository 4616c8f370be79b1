"""Every kind of image file that people have: the right pixels, or an error that names the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dnnbrain_cpp.stimuli._decode import decode


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def colour(rng: np.random.Generator, n_row: int = 23, n_col: int = 31) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (n_row, n_col, 3), dtype=np.uint8)


def pixels(path: Path) -> NDArray[np.uint8]:
    image = decode(path)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".tga"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (23, 31)])
def test_lossless_formats(
    tmp_path: Path, rng: np.random.Generator, suffix: str, size: tuple[int, int]
) -> None:
    expected = colour(rng, *size)
    Image.fromarray(expected).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(pixels(tmp_path / f"a{suffix}"), expected)


def test_content_decides_not_the_suffix(tmp_path: Path, rng: np.random.Generator) -> None:
    expected = colour(rng)
    Image.fromarray(expected).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(pixels(tmp_path / "a.jpg"), expected)


def test_grey_and_bilevel(tmp_path: Path, rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (9, 8), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        pixels(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2)
    )
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(pixels(tmp_path / "bits.png")[..., 0], (grey > 99) * 255)


def test_alpha_is_dropped_not_blended(tmp_path: Path, rng: np.random.Generator) -> None:
    expected = colour(rng)
    alpha = rng.integers(0, 256, expected.shape[:2], dtype=np.uint8)
    Image.fromarray(np.dstack([expected, alpha])).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(pixels(tmp_path / "rgba.png"), expected)
    Image.fromarray(np.dstack([expected[..., 0], alpha]), "LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(pixels(tmp_path / "la.png")[..., 2], expected[..., 0])


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 240, 15))])
def test_palette(tmp_path: Path, rng: np.random.Generator, transparency: Any) -> None:
    palette = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    index = rng.integers(0, 16, (12, 11), dtype=np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "a.png", **options)
    # Warnings are errors here: Pillow's own conversion warns about transparency as bytes.
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), palette[index])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_grey_is_scaled_where_pillow_clips(tmp_path: Path, suffix: str) -> None:
    wide = np.linspace(0, 65535, 30 * 20).round().astype(np.uint16).reshape(30, 20)
    path = tmp_path / f"a{suffix}"
    if suffix == ".pgm":
        path.write_bytes(b"P5 20 30 65535\n" + wide.astype(">u2").tobytes())
    else:
        Image.fromarray(wide).save(path)
    np.testing.assert_array_equal(
        pixels(path), np.repeat((wide >> 8).astype(np.uint8)[..., None], 3, axis=2)
    )
    with Image.open(path) as image:
        clipped = np.asarray(image.convert("RGB"))
    assert (clipped == 255).mean() > 0.9, "the peer's fault that this test is about"


@pytest.mark.parametrize("widen", [256, 257])
def test_16_bit_grey_made_from_8_bits_gives_them_back(tmp_path: Path, widen: int) -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray((grey * widen).astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png")[..., 0], grey)


def test_12_bit_tiff_is_scaled_by_its_own_depth(tmp_path: Path) -> None:
    # Two pixels, black level 0x080 and white 0xFFF, packed into three bytes.
    entries = [(256, 4, 2), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 4, 1), (279, 4, 3)]
    out = io.BytesIO()
    out.write(b"II*\0" + (12).to_bytes(4, "little") + bytes([0x08, 0x0F, 0xFF, 0]))
    out.write(len(entries).to_bytes(2, "little"))
    for tag, kind, value in entries:
        out.write(tag.to_bytes(2, "little") + kind.to_bytes(2, "little"))
        out.write((1).to_bytes(4, "little") + value.to_bytes(4, "little"))
    out.write(bytes(4))
    (tmp_path / "a.tif").write_bytes(out.getvalue())
    assert pixels(tmp_path / "a.tif")[0, :, 0].tolist() == [0x08, 0xFF]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_values_have_no_known_range(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.ones((3, 3), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif.*32 bits.*8 or 16 bits"):
        decode(tmp_path / "a.tif")


def test_cmyk_jpeg_equals_pillows_conversion(tmp_path: Path, rng: np.random.Generator) -> None:
    smooth = Image.fromarray(colour(rng, 4, 4)).resize((64, 48), Image.Resampling.BICUBIC)
    smooth.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "CMYK"
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(pixels(tmp_path / "a.jpg"), expected)
    # And it looks as it did, not inverted.
    assert np.abs(expected.astype(int) - np.asarray(smooth)).mean() < 12


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(
    tmp_path: Path, rng: np.random.Generator, suffix: str, orientation: int
) -> None:
    image = Image.fromarray(colour(rng))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    image.save(tmp_path / f"a{suffix}", exif=exif, **options)
    with Image.open(tmp_path / f"a{suffix}") as saved:
        expected = ImageOps.exif_transpose(saved).convert("RGB")
    assert expected.size == (image.size if orientation < 5 else image.size[::-1])
    np.testing.assert_array_equal(pixels(tmp_path / f"a{suffix}"), np.asarray(expected))


def test_damaged_exif_does_not_lose_the_image(tmp_path: Path, rng: np.random.Generator) -> None:
    expected = colour(rng)
    Image.fromarray(expected).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x07")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), expected)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 5), c) for c in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    assert (pixels(tmp_path / "a.gif") == [255, 0, 0]).all()


def test_original_is_closed(tmp_path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    image = decode(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert image.getpixel((0, 0)) is not None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".bmp", ".webp"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.02])
def test_truncated_files(
    tmp_path: Path, rng: np.random.Generator, suffix: str, kept: float
) -> None:
    path = tmp_path / f"größe{suffix}"
    Image.fromarray(colour(rng, 64, 64)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"whole image.*größe\{suffix}.*on_error='skip'"):
        decode(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_files_that_are_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"Pillow can read; .*a\.png is not: .+ Repair"):
        decode(tmp_path / "a.png")


def test_damaged_chunks_of_a_png(tmp_path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[60:70] = b"0123456789"
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png is not"):
        decode(tmp_path / "a.png")


def test_files_that_are_not_there_or_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        decode(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        decode(tmp_path)


def test_a_decompression_bomb_is_an_error(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(colour(rng)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"a\.png.*decompression bomb"):
        decode(tmp_path / "a.png")
