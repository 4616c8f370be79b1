"""The AlexNet of DeepCluster, defined here because torchvision has no such network.

It differs from torchvision's AlexNet in four ways: a fixed front end turns the image into grey
and then into its horizontal and vertical Sobel gradients; the convolutions have 96, 256, 384, 384
and 256 filters; each is followed by batch norm; and the last layer stands apart as ``top_layer``.
Names of parameters are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dnnbrain_cpp.networks._architecture import Architecture, constructor

__all__ = ["DeepClusterAlexNet", "FixedConv2d", "deepcluster_alexnet"]

# Channels, kernel size, stride, padding, and whether 3 x 3 max-pooling of stride 2 follows.
_CONVOLUTIONS = (
    (96, 11, 4, 2, True),
    (256, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
_N_POOLED = 256 * 6 * 6
_N_HIDDEN = 4096

_SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
_SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))


class DeepClusterAlexNet(nn.Module):
    """AlexNet on Sobel gradients, with batch norm.

    Weights are drawn as in the published code: convolutions from N(0, 2 / (k * k * n_out)), fully
    connected layers from N(0, 0.01 ** 2), biases zero, batch norm one and zero. In evaluation mode
    such a batch norm is the identity.

    Parameters
    ----------
    n_classes : int, default 1000
        Size of ``top_layer``.

    References
    ----------
    Caron et al. (2018), Deep clustering for unsupervised learning of visual features.
    arXiv:1807.05520.
    """

    def __init__(self, n_classes: int = 1000) -> None:
        super().__init__()
        self.sobel = nn.Sequential(
            FixedConv2d(torch.full((1, 3, 1, 1), 1 / 3)),
            FixedConv2d(torch.tensor([[_SOBEL_X], [_SOBEL_Y]])),
        )
        self.features = _convolutions(n_in=2)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(_N_POOLED, _N_HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(_N_HIDDEN, _N_HIDDEN),
            nn.ReLU(inplace=True),
        )
        self.top_layer = nn.Linear(_N_HIDDEN, n_classes)
        self.apply(_initialise)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return class scores (n_stim, n_classes) of `pixels` (n_stim, 3, 224, 224)."""
        maps = self.features(self.sobel(pixels))
        scores: torch.Tensor = self.top_layer(self.classifier(maps.flatten(1)))
        return scores


class FixedConv2d(nn.Module):
    """A convolution that is part of a definition: buffers, so nothing trains or permutes it.

    Parameters
    ----------
    weight : torch.Tensor of shape (n_out, n_in, k, k)
        With k odd; maps keep their size, borders are padded with zeros.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.zeros(weight.shape[0]))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return `maps` (n_stim, n_in, n_row, n_col) filtered, with n_out channels."""
        return functional.conv2d(maps, self.weight, self.bias, padding="same")


def _convolutions(n_in: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_out, kernel, stride, padding, pools in _CONVOLUTIONS:
        layers += [
            nn.Conv2d(n_in, n_out, kernel, stride, padding),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        ]
        if pools:
            layers.append(nn.MaxPool2d(3, 2))
        n_in = n_out
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


deepcluster_alexnet = constructor(
    Architecture(
        name="deepcluster_alexnet",
        title="AlexNet of DeepCluster: Sobel gradients, wider convolutions, batch norm.",
        reference="Caron et al. (2018), Deep clustering for unsupervised learning of visual "
        "features.\n    arXiv:1807.05520.",
        build=DeepClusterAlexNet,
        head="top_layer.weight",
    )
)
