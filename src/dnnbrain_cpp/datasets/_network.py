"""A small network of our own, for demonstrations and tests."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from dnnbrain_cpp import transforms
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.datasets._drawings import draw_stimuli
from dnnbrain_cpp.networks import Network

__all__ = ["demo_network"]

_SIZE = 128  # pixels
_N_CHN = (64, 64, 96, 128, 128)
_KERNEL = (7, 5, 3, 3, 3)
_N_CLASSES = 10
_SILENT = 0.9  # part of positions at which a channel is silent
_N_CALIBRATION = 48
_CALIBRATION_SEED = 2_000_003  # drawings that no demonstration uses as stimuli


class ContrastNormalization(nn.Module):
    """Normalise each position across channels, then shift and scale each channel.

    For the channels c at one position::

        z_c = (x_c - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + epsilon)
        y_c = gain_c * (z_c - threshold_c)

    It takes out what all channels share, local contrast above all, so that depth adds new
    information instead of repeating it (Heeger, 1992).
    """

    gain: torch.Tensor
    threshold: torch.Tensor

    def __init__(self, n_chn: int, *, epsilon: float = 0.05) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.register_buffer("gain", torch.ones(n_chn))
        self.register_buffer("threshold", torch.zeros(n_chn))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` (n_stim, n_chn, n_row, n_col) normalised, of the same shape."""
        x = x - x.mean(dim=1, keepdim=True)
        x = x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + self.epsilon)
        return self.gain[:, None, None] * (x - self.threshold[:, None, None])

    @torch.no_grad()
    def calibrate(self, x: torch.Tensor) -> None:
        """Set threshold and gain so that each channel is silent and active as often as the others.

        Over the positions of `x`, a part `_SILENT` of each channel then lies below zero, and its
        positive part has mean one.
        """
        z = self(x).transpose(0, 1).flatten(1)
        self.threshold.copy_(torch.kthvalue(z, int(_SILENT * z.shape[1]) + 1, dim=1).values)
        positive = torch.relu(z - self.threshold[:, None])
        self.gain.copy_(1 / positive.mean(dim=1))


def demo_network(*, seed: int = 0) -> Network:
    """Return a small untrained network whose layers differ clearly from each other.

    Five blocks of convolution, contrast normalisation, ReLU and pooling, then a linear read-out
    over the mean of each channel. Filters are random normal with zero mean. Thresholds and gains
    are set on drawings of their own, so that every unit is active at a tenth of all positions: with
    sparse units, layers several steps apart have distinct geometries, as those of trained networks
    do, which dense random networks lack.

    Parameters
    ----------
    seed : int
        Of the filters.

    Returns
    -------
    Network
        Layers ``relu1`` to ``relu5`` by default; images are squashed to 128 x 128.

    Notes
    -----
    Cost: about a second, most of it for 48 drawings. torch's global random state is not used.
    """
    generator = torch.Generator().manual_seed(check_integer(seed, "seed", minimum=0))
    transform = transforms.squash(size=(_SIZE, _SIZE))
    drawings = draw_stimuli(_N_CALIBRATION, size=_SIZE, seed=_CALIBRATION_SEED)
    x = torch.stack([transform(drawings.image(i)) for i in range(len(drawings))])

    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    with torch.no_grad():
        for k, (n_chn, kernel) in enumerate(zip(_N_CHN, _KERNEL, strict=True), start=1):
            normalization = ContrastNormalization(n_chn)
            block: dict[str, nn.Module] = {
                f"conv{k}": _convolution(x.shape[1], n_chn, kernel, 2 if k == 1 else 1, generator),
                f"norm{k}": normalization,
                f"relu{k}": nn.ReLU(),
                f"pool{k}": nn.MaxPool2d(2) if k < len(_N_CHN) else nn.AdaptiveAvgPool2d(1),
            }
            filtered = block[f"conv{k}"](x)
            normalization.calibrate(filtered)
            x = block[f"pool{k}"](torch.relu(normalization(filtered)))
            blocks.update(block)
    blocks["flatten"] = nn.Flatten()
    blocks["fc"] = _read_out(_N_CHN[-1], generator)
    return Network(
        nn.Sequential(blocks).eval(),
        "type:ReLU",
        transform=transform,
        name="demo",
        weights="random",
        seed=seed,
    )


def _convolution(
    n_in: int, n_out: int, kernel: int, stride: int, generator: torch.Generator
) -> nn.Conv2d:
    # Made without values: torch's own initialisation would move its global random state.
    layer = nn.Conv2d(
        n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False, device="meta"
    ).to_empty(device="cpu")
    weight = torch.randn(layer.weight.shape, generator=generator)
    weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def _read_out(n_feat: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(n_feat, _N_CLASSES, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / n_feat**0.5)
        layer.bias.zero_()
    return layer
