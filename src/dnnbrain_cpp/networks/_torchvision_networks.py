"""The networks that torchvision defines."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from torch import nn

from dnnbrain_cpp import transforms
from dnnbrain_cpp._torchvision import import_torchvision
from dnnbrain_cpp.networks._architecture import Architecture, constructor
from dnnbrain_cpp.networks._network import ImageTransform
from dnnbrain_cpp.networks._weights import Weights, seeded

__all__ = [
    "alexnet",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet50",
    "resnet152",
    "vgg11",
    "vgg11_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]


def _builder(name: str, **options: Any) -> Callable[[int], nn.Module]:
    def build(n_classes: int) -> nn.Module:
        make = getattr(import_torchvision().models, name)
        return make(weights=None, num_classes=n_classes, **options)  # type: ignore[no-any-return]

    return build


def _pretrained(name: str) -> Callable[[Weights], tuple[nn.Module, ImageTransform]]:
    def load(weights: Weights) -> tuple[nn.Module, ImageTransform]:
        models = import_torchvision().models
        # By name without DEFAULT, which means other weights in another version of torchvision.
        known = {f"torchvision:{member.name}": member for member in models.get_model_weights(name)}
        if isinstance(weights, enum.Enum):
            member = weights if weights in known.values() else None
        else:
            member = known.get(str(weights))
        if member is None:
            choices = ", ".join(map(repr, known))
            raise ValueError(
                f"weights of torchvision's {name} must be one of {choices}; got {str(weights)!r}."
            )
        # torchvision initialises the module before it loads the weights.
        with seeded(0):
            module = getattr(models, name)(weights=member, progress=False)
        return module, _transform_of(member)

    return load


def _transform_of(member: Any) -> ImageTransform:
    """Return the transform of torchvision's weights; their resize differs between versions."""
    preset = member.transforms()
    return transforms.resize_crop(
        preset.resize_size[0],
        preset.crop_size[0],
        normalize=(tuple(preset.mean), tuple(preset.std)),
        interpolation=preset.interpolation.value,
    )


def _architecture(
    name: str, title: str, reference: str, head: str, *, options: Any = None, **more: Any
) -> Architecture:
    return Architecture(
        name=name,
        title=title,
        reference=reference,
        build=_builder(name, **(options or {})),
        head=head,
        pretrained=_pretrained(name),
        **more,
    )


_VGG = "Simonyan & Zisserman (2015), Very deep convolutional networks. arXiv:1409.1556."
_RESNET = "He et al. (2016), Deep residual learning for image recognition. arXiv:1512.03385."

alexnet = constructor(
    _architecture(
        "alexnet",
        "AlexNet of torchvision: 5 convolutions and 3 fully connected layers.",
        "Krizhevsky (2014), One weird trick for parallelizing CNNs. arXiv:1404.5997.",
        "classifier.6.weight",
    )
)
vgg11 = constructor(
    _architecture(
        "vgg11",
        "VGG of 11 layers: 8 convolutions and 3 fully connected.",
        _VGG,
        "classifier.6.weight",
    )
)
vgg16 = constructor(
    _architecture(
        "vgg16",
        "VGG of 16 layers: 13 convolutions and 3 fully connected.",
        _VGG,
        "classifier.6.weight",
    )
)
vgg19 = constructor(
    _architecture(
        "vgg19",
        "VGG of 19 layers: 16 convolutions and 3 fully connected.",
        _VGG,
        "classifier.6.weight",
    )
)
vgg11_bn = constructor(
    _architecture("vgg11_bn", "VGG of 11 layers with batch norm.", _VGG, "classifier.6.weight")
)
vgg16_bn = constructor(
    _architecture("vgg16_bn", "VGG of 16 layers with batch norm.", _VGG, "classifier.6.weight")
)
vgg19_bn = constructor(
    _architecture("vgg19_bn", "VGG of 19 layers with batch norm.", _VGG, "classifier.6.weight")
)
resnet18 = constructor(
    _architecture("resnet18", "ResNet of 18 layers: 8 basic blocks.", _RESNET, "fc.weight")
)
resnet50 = constructor(
    _architecture("resnet50", "ResNet of 50 layers: 16 bottleneck blocks.", _RESNET, "fc.weight")
)
resnet152 = constructor(
    _architecture("resnet152", "ResNet of 152 layers: 50 bottleneck blocks.", _RESNET, "fc.weight")
)
# Files of torchvision's own weights for the next two expect pixels normalised to mean 0.5 and
# standard deviation 0.5; torchvision sets `transform_input` to get there from ImageNet's.
googlenet = constructor(
    _architecture(
        "googlenet",
        "GoogLeNet (Inception v1) of torchvision, with its two auxiliary outputs.",
        "Szegedy et al. (2015), Going deeper with convolutions. arXiv:1409.4842.",
        "fc.weight",
        options={"init_weights": True},
        train_only=("aux1", "aux2"),
    )
)
inception_v3 = constructor(
    _architecture(
        "inception_v3",
        "Inception v3 of torchvision, with its auxiliary output.",
        "Szegedy et al. (2016), Rethinking the Inception architecture. arXiv:1512.00567.",
        "fc.weight",
        options={"init_weights": True},
        resize=342,
        crop=299,
        train_only=("AuxLogits",),
    )
)
