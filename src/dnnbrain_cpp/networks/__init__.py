"""Networks: any module with its layers, and constructors of those that studies use."""

from __future__ import annotations

from dnnbrain_cpp.networks._create import available, create
from dnnbrain_cpp.networks._network import ImageTransform, Network
from dnnbrain_cpp.networks._torchvision_networks import (
    alexnet,
    googlenet,
    inception_v3,
    resnet18,
    resnet50,
    resnet152,
    vgg11,
    vgg11_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from dnnbrain_cpp.networks._weights import Weights
from dnnbrain_cpp.networks.deepcluster import deepcluster_alexnet

__all__ = [
    "ImageTransform",
    "Network",
    "Weights",
    "alexnet",
    "available",
    "create",
    "deepcluster_alexnet",
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
