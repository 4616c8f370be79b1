"""DeepCluster's AlexNet against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import nn

from dnnbrain_cpp import networks
from dnnbrain_cpp.networks.deepcluster import DeepClusterAlexNet
from tolerances import TOLERANCES


@pytest.fixture(scope="module")
def network() -> networks.Network:
    return networks.deepcluster_alexnet(seed=0, layers="type:ReLU")


def test_the_seven_rectified_layers(network: networks.Network) -> None:
    assert network.layers == [
        *(f"features.{index}" for index in (2, 6, 10, 13, 16)),
        "classifier.2",
        "classifier.5",
    ]
    assert network.resolve(["conv*_relu", "fc*_relu"]) == network.layers


def test_shapes_of_all_layers(network: networks.Network) -> None:
    shapes = {}
    hooks = [
        network.module.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, alias=alias: shapes.update({alias: output.shape[1:]})
        )
        for alias, path in network.aliases.items()
    ]
    with network.evaluating(), torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    assert {alias: tuple(shape) for alias, shape in shapes.items() if "_" not in alias} == {
        "conv1": (96, 55, 55),
        "conv2": (256, 27, 27),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "fc1": (4096,),
        "fc2": (4096,),
        "fc3": (1000,),
    }
    assert tuple(shapes["conv5_maxpool"]) == (256, 6, 6)


def test_front_end_is_grey_and_sobel(network: networks.Network) -> None:
    image = torch.randn(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    grey = image[0].double().mean(0).numpy()
    # SciPy's derivative points the other way along both axes.
    expected = np.stack([-ndimage.sobel(grey, axis, mode="constant") for axis in (1, 0)])
    maps = network.module.sobel(image)[0].double().numpy()
    assert np.linalg.norm(maps - expected) / np.linalg.norm(maps) < TOLERANCES["fp32_reduction"]


def test_initialisation_has_the_stated_distributions(network: networks.Network) -> None:
    for module in network.module.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if isinstance(module, nn.Conv2d):
                scale = (2 / (module.kernel_size[0] ** 2 * module.out_channels)) ** 0.5
            else:
                scale = 0.01
            values = module.weight.detach().flatten()[:20_000].numpy() / scale
            assert stats.kstest(values, "norm").pvalue > 1e-4
            assert torch.count_nonzero(module.bias) == 0
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.count_nonzero(module.bias) == 0


def test_the_seed_is_that_of_plain_torch(network: networks.Network) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = DeepClusterAlexNet()
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name


def test_a_published_style_checkpoint_loads(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        trained = DeepClusterAlexNet(n_classes=30)
    state = {
        name.replace("features.", "features.module."): value
        for name, value in trained.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    file = tmp_path / "checkpoint.pth.tar"
    torch.save(
        {"epoch": 400, "arch": "alexnet", "state_dict": state, "optimizer": {"state": {}}},
        file,
        _use_new_zipfile_serialization=False,
    )
    network = networks.deepcluster_alexnet(weights=file)
    assert network.module.top_layer.out_features == 30
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name


def test_the_front_end_is_neither_trained_nor_permuted(network: networks.Network) -> None:
    assert not any(name.startswith("sobel") for name, _ in network.module.named_parameters())
    assert {name for name in network.module.state_dict() if name.startswith("sobel")} == {
        "sobel.0.weight",
        "sobel.0.bias",
        "sobel.1.weight",
        "sobel.1.bias",
    }
