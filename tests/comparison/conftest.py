"""A study small enough to be redone by hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from dnnbrain_cpp import Network, Stimuli, transforms
from dnnbrain_cpp.io import Responses, VolumeGeometry
from dnnbrain_cpp.rsa import RDMs

N_STIM = 24
LAYERS = ["relu1", "relu2"]


@pytest.fixture(scope="session")
def stimuli() -> Stimuli:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (N_STIM, 4, 4, 3), dtype=np.uint8)
    labels = {"category": np.repeat(["face", "house"], N_STIM // 2)}
    return Stimuli.from_array(coarse.repeat(4, 1).repeat(4, 2), layout="NHWC", labels=labels)


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Network]:
    def make(seed: int | None = 0, *, name: str = "small", weights: str = "random") -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed or 0)
            module = nn.Sequential(
                OrderedDict(
                    conv1=nn.Conv2d(3, 8, 3),
                    relu1=nn.ReLU(inplace=True),
                    conv2=nn.Conv2d(8, 12, 3),
                    relu2=nn.ReLU(inplace=True),
                )
            )
        return Network(
            module,
            "type:ReLU",
            transform=transforms.squash(16),
            name=name,
            weights=weights,
            seed=seed,
            aliases={"first": "relu1", "second": "relu2"},
        )

    return make


@pytest.fixture(scope="session")
def rdms(stimuli: Stimuli) -> dict[str, RDMs]:
    rng = np.random.default_rng(1)
    shared = rng.random((2, N_STIM * (N_STIM - 1) // 2))
    return {
        roi: RDMs(
            base + 0.3 * rng.random((4, base.size)),
            ids=stimuli.ids,
            names=[f"subject-{i + 1:02d}" for i in range(4)],
        )
        for roi, base in zip(("IT", "EVC"), shared, strict=True)
    }


@pytest.fixture(scope="session")
def responses(stimuli: Stimuli) -> Responses:
    """Two regions of three voxels; voxel 0 has a NaN, voxel 3 never changes."""
    labels = np.zeros((3, 2, 3), np.int32)
    labels[0, 0], labels[2, 1] = 1, 2
    image = nib.Nifti1Image(labels, np.diag([2.0, 2.0, 3.0, 1.0]))
    geometry = VolumeGeometry(labels, {1: "early", 2: "late"}, image.affine, image.header)
    data = np.random.default_rng(2).normal(size=(N_STIM, 6)).astype(np.float32)
    data[:, 1] += 3 * stimuli_brightness(stimuli)
    data[4, 0] = np.nan
    data[:, 3] = 5
    return Responses(data, ids=stimuli.ids, rois=geometry.rois, geometry=geometry)


def stimuli_brightness(stimuli: Stimuli) -> np.ndarray:
    values = np.array([np.asarray(stimuli.image(i)).mean() for i in range(len(stimuli))])
    return (values - values.mean()) / values.std()
