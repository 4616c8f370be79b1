"""Small modules that the tests of networks share."""

from __future__ import annotations

import pytest
import torch
from torch import nn


class Block(nn.Module):
    """Two layers, one of them in place, and a list that is not called itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.tail = nn.ModuleList([nn.Identity(), nn.Dropout(0.5)])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.relu(self.norm(self.conv(maps)))
        for layer in self.tail:
            maps = layer(maps)
        return maps


class Small(nn.Module):
    """A stem, two blocks, an output, and an auxiliary output that runs in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.layer1 = Block()
        self.layer2 = Block()
        self.aux = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 5)
        self.again = self.layer1.relu

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.layer2(self.layer1(self.stem(pixels)))
        scores: torch.Tensor = self.fc(self.again(self.pool(maps)).flatten(1))
        return scores + self.aux(maps).sum() if self.training else scores


@pytest.fixture
def small() -> Small:
    """Build a small network and leave the global random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def state(small: Small) -> dict[str, torch.Tensor]:
    """Values for the small network that its initialisation does not give."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(value.shape, generator=generator).to(value.dtype)
        for name, value in small.state_dict().items()
    }
