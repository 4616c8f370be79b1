"""Every pixel that a network sees, against torchvision's own transforms."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dnnbrain_cpp import transforms
from dnnbrain_cpp._torchvision import import_torchvision

SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (37, 53), (199, 201), (223, 225), (224, 224), (225, 224)]
SIZES += [(255, 256), (256, 256), (256, 341), (257, 255), (300, 1), (375, 500), (500, 333)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(n_row: int, n_col: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng([seed, n_row, n_col])
    return Image.fromarray(rng.integers(0, 256, (n_row, n_col, 3), dtype=np.uint8))


def peer(
    *steps: str, interpolation: str = "bilinear", normalize: bool = True
) -> Callable[..., Any]:
    import_torchvision()
    from torchvision import transforms as T

    mode = T.InterpolationMode(interpolation)
    made: list[Any] = []
    for step in steps:
        name, _, value = step.partition(":")
        numbers = [int(v) for v in value.split("x")]
        size = numbers[0] if len(numbers) == 1 else tuple(numbers)
        made.append(T.Resize(size, mode) if name == "resize" else T.CenterCrop(size))
    made.append(T.ToTensor())
    if normalize:
        made.append(T.Normalize(MEAN, STD))
    return T.Compose(made)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (transforms.squash(), ("resize:224x224",)),
        (transforms.squash((61, 130)), ("resize:61x130",)),
        (transforms.resize_crop(), ("resize:256", "crop:224")),
        (transforms.resize_crop(342, 299), ("resize:342", "crop:299")),
        (transforms.resize_crop(64, 97), ("resize:64", "crop:97")),
        (transforms.resize_crop(97, 64), ("resize:97", "crop:64")),
        (transforms.resize_crop(64, (80, 33)), ("resize:64", "crop:80x33")),
    ],
    ids=["squash", "squash-61x130", "256-224", "342-299", "64-97", "97-64", "64-80x33"],
)
def test_equal_to_torchvision(
    size: tuple[int, int], ours: transforms.Transform, theirs: tuple[str, ...]
) -> None:
    image = picture(*size)
    expected = peer(*theirs)(image)
    assert torch.equal(ours(image), expected)
    # The same pixels as an array take another way through the code.
    assert torch.equal(ours(np.asarray(image)), expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
@pytest.mark.parametrize("size", [(37, 53), (375, 500), (224, 224)])
def test_interpolations_equal_torchvision(interpolation: str, size: tuple[int, int]) -> None:
    image = picture(*size)
    ours = transforms.resize_crop(100, 90, interpolation=interpolation, normalize=None)
    theirs = peer("resize:100", "crop:90", interpolation=interpolation, normalize=False)
    assert torch.equal(ours(image), theirs(image))


@pytest.mark.parametrize("size", SIZES)
def test_central_crop_is_crop_then_squash(size: tuple[int, int]) -> None:
    image = picture(*size)
    rows, columns = (max(1, round(0.875 * side)) for side in size)
    theirs = peer(f"crop:{rows}x{columns}", "resize:64x64")
    assert torch.equal(transforms.central_crop(size=64)(image), theirs(image))


def test_every_8_bit_value_is_normalised_as_torchvision_does() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert torch.equal(transforms.squash(16)(ramp), peer("resize:16x16")(Image.fromarray(ramp)))


def test_own_normalisation() -> None:
    image = picture(8, 8)
    mean, std = (0.5, 0.25, 0.125), (0.5, 0.25, 2.0)
    out = transforms.squash(8, normalize=(mean, std))(image)
    plain = transforms.squash(8, normalize=None)(image)
    for channel in range(3):
        assert torch.equal(out[channel], (plain[channel] - mean[channel]) / std[channel])
    assert plain.min() >= 0
    assert plain.max() <= 1


def test_strided_read_only_and_channels_first_views_give_the_same_bits() -> None:
    pixels = np.asarray(picture(40, 50))
    transform = transforms.resize_crop(40, 32)
    expected = transform(Image.fromarray(pixels))
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    channels_first.flags.writeable = False
    assert torch.equal(transform(channels_first.transpose(1, 2, 0)), expected)
    wide = np.zeros((80, 100, 3), np.uint8)
    wide[::2, ::2] = pixels
    assert torch.equal(transform(wide[::2, ::2]), expected)


def test_input_is_not_changed() -> None:
    pixels = np.array(picture(30, 30))
    before = pixels.copy()
    transforms.squash(30)(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_repr_spells_every_step() -> None:
    assert repr(transforms.resize_crop()) == (
        "Transform(shorter side to 256 (bilinear, antialiased), centre crop 224 x 224, RGB / 255, "
        "minus mean (0.485, 0.456, 0.406), over std (0.229, 0.224, 0.225))"
    )
    assert repr(transforms.central_crop(0.875, 64, normalize=None, interpolation="nearest")) == (
        "Transform(centre crop 0.875 of each side, squash to 64 x 64 (nearest), RGB / 255)"
    )


def test_to_dict_is_plain_data() -> None:
    assert transforms.resize_crop().to_dict() == {
        "steps": [
            {"step": "resize shorter side", "size": 256},
            {"step": "centre crop", "size": [224, 224]},
        ],
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "output_size": [224, 224],
    }
    assert transforms.squash(3, normalize=None).to_dict()["mean"] is None


def test_equality_hash_and_pickle() -> None:
    first, second = transforms.resize_crop(), transforms.resize_crop()
    assert first == second
    assert hash(first) == hash(second)
    assert first != transforms.resize_crop(255)
    assert first != transforms.resize_crop(normalize=None)
    copy = pickle.loads(pickle.dumps(first))
    assert copy == first
    image = picture(300, 280)
    assert torch.equal(copy(image), first(image))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: transforms.squash(0), ValueError, "size.*at least 1.*0"),
        (lambda: transforms.squash((1, 2, 3)), ValueError, r"size.*\(1, 2, 3\)"),  # type: ignore[arg-type]
        (lambda: transforms.resize_crop(2.5), TypeError, "resize.*2.5"),  # type: ignore[arg-type]
        (lambda: transforms.resize_crop(8, -1), ValueError, "crop.*-1"),
        (lambda: transforms.central_crop(0.0), ValueError, r"fraction.*\(0, 1\].*0.0"),
        (lambda: transforms.central_crop(float("nan")), ValueError, "fraction.*nan"),
        (lambda: transforms.central_crop("1"), TypeError, "fraction.*'1'"),  # type: ignore[arg-type]
        (lambda: transforms.squash(normalize="cifar"), ValueError, "imagenet.*cifar"),
        (lambda: transforms.squash(normalize=((1, 2), (3, 4))), ValueError, "three numbers"),
        (lambda: transforms.squash(normalize=5), ValueError, "three numbers.*5"),  # type: ignore[arg-type]
        (lambda: transforms.squash(normalize=(MEAN, (1, 0, 1))), ValueError, "positive stds"),
        (lambda: transforms.squash(interpolation="area"), ValueError, "bilinear.*area"),
    ],
)
def test_wrong_arguments(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


@pytest.mark.parametrize(
    ("image", "kind", "words"),
    [
        (Image.new("L", (4, 4)), ValueError, "mode RGB.*mode L"),
        (np.zeros((4, 4, 3)), ValueError, "uint8.*float64"),
        (np.zeros((3, 4, 4), np.uint8), ValueError, r"n_row, n_col, 3.*\(3, 4, 4\)"),
        (torch.zeros(3, 4, 4), TypeError, "Pillow.*Tensor"),
    ],
)
def test_wrong_images(image: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        transforms.squash(4)(image)
