"""DNNBrain's layer names of each network, and the modules they stand for.

DNNBrain numbers the convolutions and the fully connected layers of a network from one, and names
what follows each by its kind: ``conv1``, ``conv1_bn``, ``conv1_relu``, ``conv1_maxpool``. The
same rule names the layers of the networks of that family that DNNBrain lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ALIASES"]


def _numbered(container: str, kinds: str) -> dict[str, str]:
    """Name the children 0, 1, ... of `container`, whose kinds come in this order."""
    aliases: dict[str, str] = {}
    layer, n_layer = "", 0
    for index, kind in enumerate(kinds.split()):
        if kind in ("conv", "fc"):
            n_layer += 1
            layer = f"{kind}{n_layer}"
            aliases[layer] = f"{container}.{index}"
        elif kind != "dropout":
            aliases[f"{layer}_{kind}"] = f"{container}.{index}"
    return aliases


def _vgg(n_convs: tuple[int, ...], unit: str) -> dict[str, str]:
    """Blocks of so many convolutions, each block closed by a pooling layer."""
    features = " ".join(f"{unit} " * n_conv + "maxpool" for n_conv in n_convs)
    return _numbered("features", features) | _numbered(
        "classifier", "fc relu dropout fc relu dropout fc"
    )


def _resnet(n_blocks: tuple[int, ...]) -> dict[str, str]:
    """Stem, bottleneck blocks in four stages, and the output."""
    blocks = {
        f"layer{stage}_bottleneck{block}": f"layer{stage}.{block}"
        for stage, n_block in enumerate(n_blocks, start=1)
        for block in range(n_block)
    }
    stem = {"conv": "conv1", "bn": "bn1", "relu": "relu", "maxpool": "maxpool"}
    return stem | blocks | {"avgpool": "avgpool", "fc": "fc"}


_GOOGLENET = (
    "conv1 maxpool1 conv2 conv3 maxpool2 inception3a inception3b maxpool3 inception4a inception4b "
    "inception4c inception4d inception4e maxpool4 inception5a inception5b fc"
)

_INCEPTION_V3 = {
    "conv1": "Conv2d_1a_3x3",
    "conv2": "Conv2d_2a_3x3",
    "conv3": "Conv2d_2b_3x3",
    "maxpool1": "maxpool1",
    "conv4": "Conv2d_3b_1x1",
    "conv5": "Conv2d_4a_3x3",
    "maxpool2": "maxpool2",
    "inception1": "Mixed_5b",
    "inception2": "Mixed_5c",
    "inception3": "Mixed_5d",
    "inception4": "Mixed_6a",
    "inception5": "Mixed_6b",
    "inception6": "Mixed_6c",
    "inception7": "Mixed_6d",
    "inception8": "Mixed_6e",
    "inception9": "Mixed_7a",
    "inception10": "Mixed_7b",
    "inception11": "Mixed_7c",
    "avgpool": "avgpool",
    "fc": "fc",
}

ALIASES: Mapping[str, Mapping[str, str]] = {
    "alexnet": _numbered(
        "features",
        "conv relu maxpool conv relu maxpool conv relu conv relu conv relu maxpool",
    )
    | _numbered("classifier", "dropout fc relu dropout fc relu fc"),
    "deepcluster_alexnet": _numbered(
        "features",
        "conv bn relu maxpool conv bn relu maxpool conv bn relu conv bn relu conv bn relu maxpool",
    )
    | _numbered("classifier", "dropout fc relu dropout fc relu")
    | {"fc3": "top_layer"},
    "googlenet": {name: name for name in _GOOGLENET.split()},
    "inception_v3": _INCEPTION_V3,
    "resnet50": _resnet((3, 4, 6, 3)),
    "resnet152": _resnet((3, 8, 36, 3)),
    "vgg11": _vgg((1, 1, 2, 2, 2), "conv relu"),
    "vgg16": _vgg((2, 2, 3, 3, 3), "conv relu"),
    "vgg19": _vgg((2, 2, 4, 4, 4), "conv relu"),
    "vgg11_bn": _vgg((1, 1, 2, 2, 2), "conv bn relu"),
    "vgg16_bn": _vgg((2, 2, 3, 3, 3), "conv bn relu"),
    "vgg19_bn": _vgg((2, 2, 4, 4, 4), "conv bn relu"),
}
"""Network name -> alias -> module path."""
