"""Every constructor: what it builds, runs and shows, against plain torchvision."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from dnnbrain_cpp import networks
from dnnbrain_cpp._torchvision import import_torchvision

# The smallest images that the networks take; DeepCluster's has no adaptive pooling.
SIZE = {"inception_v3": 75, "deepcluster_alexnet": 224}

# Type of module that the last part of an alias means.
KIND = {
    "conv": "Conv2d",
    "bn": "BatchNorm2d",
    "relu": "ReLU",
    "maxpool": "MaxPool2d",
    "fc": "Linear",
    "avgpool": "AdaptiveAvgPool2d",
    "bottleneck": "Bottleneck",
}

N_ALIASES = {  # DNNBrain's count, where it has the network
    "alexnet": 18,
    "vgg11": 26,
    "vgg19_bn": 58,
    "googlenet": 17,
    "resnet152": 56,
    "inception_v3": 20,
}


def expected_type(name: str, alias: str) -> str:
    kind = alias.rpartition("_")[2].rstrip("0123456789")
    if name in ("googlenet", "inception_v3"):
        if kind.startswith("inception"):
            return "Inception"
        return "BasicConv2d" if kind == "conv" else KIND[kind]
    return KIND[kind]


@pytest.mark.parametrize("name", networks.available())
def test_builds_runs_and_names_its_layers(name: str) -> None:
    network = getattr(networks, name)()
    assert network.name == name
    assert (network.weights, network.seed) == ("random", 0)
    crop = 299 if name == "inception_v3" else 224
    assert network.transform.output_size == (crop, crop)

    ran: list[str] = []
    for path in network.layers:
        network.module.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: ran.append(path)
        )
    size = SIZE.get(name, 64)
    with network.evaluating(), torch.inference_mode():
        scores = network(torch.zeros(2, 3, size, size))
    assert scores.shape == (2, 1000)
    assert set(ran) == set(network.layers)

    assert len(network.aliases) == N_ALIASES.get(name, len(network.aliases))
    for alias, path in network.aliases.items():
        assert network.resolve(alias) == [path]
        kind = type(network.module.get_submodule(path)).__name__
        assert kind.startswith(expected_type(name, alias)), (alias, path, kind)
    assert len(set(network.aliases.values())) == len(network.aliases)


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "googlenet"])
def test_random_weights_are_those_of_plain_torch(name: str) -> None:
    ours = getattr(networks, name)(seed=11, n_classes=7).module
    # torchvision warns where this is not said, and then does it.
    options: dict[str, Any] = {"init_weights": True} if name == "googlenet" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        plain = getattr(import_torchvision().models, name)(weights=None, num_classes=7, **options)
    assert type(ours) is type(plain)
    for (key, value), (other, expected) in zip(
        ours.state_dict().items(), plain.state_dict().items(), strict=True
    ):
        assert key == other
        assert torch.equal(value, expected), key


def test_seeds_differ_and_defaults_do_not_matter() -> None:
    first = networks.resnet18(seed=1).module.conv1.weight
    assert not torch.equal(first, networks.resnet18(seed=2).module.conv1.weight)
    with torch.device("meta"):
        assert torch.equal(first, networks.resnet18(seed=1).module.conv1.weight)


def test_the_seven_rectified_layers() -> None:
    expected = [f"features.{index}" for index in (1, 4, 7, 9, 11)] + [
        "classifier.2",
        "classifier.5",
    ]
    network = networks.alexnet(layers="type:ReLU", n_classes=3)
    assert network.layers == expected
    assert network.resolve(["conv*_relu", "fc*_relu"]) == expected


def test_aliases_of_alexnet_one_by_one() -> None:
    features = {
        "conv1": 0,
        "conv1_relu": 1,
        "conv1_maxpool": 2,
        "conv2": 3,
        "conv2_relu": 4,
        "conv2_maxpool": 5,
        "conv3": 6,
        "conv3_relu": 7,
        "conv4": 8,
        "conv4_relu": 9,
        "conv5": 10,
        "conv5_relu": 11,
        "conv5_maxpool": 12,
    }
    classifier = {"fc1": 1, "fc1_relu": 2, "fc2": 4, "fc2_relu": 5, "fc3": 6}
    assert networks.alexnet(n_classes=3).aliases == {
        **{alias: f"features.{index}" for alias, index in features.items()},
        **{alias: f"classifier.{index}" for alias, index in classifier.items()},
    }


def test_auxiliary_outputs_are_passed_over_but_can_be_named() -> None:
    network = networks.googlenet()
    assert not any(path.startswith("aux") for path in network.layers)
    assert not any(path.startswith("aux") for path in network.resolve(["type:Conv2d", "*"]))
    assert network.resolve("aux1.fc1") == ["aux1.fc1"]


@pytest.mark.parametrize("name", networks.available())
def test_documentation_and_signature(name: str) -> None:
    function = getattr(networks, name)
    assert function.__name__ == name
    assert function.__module__ == "dnnbrain_cpp.networks"
    parameters = inspect.signature(function).parameters
    assert list(parameters) == ["weights", "seed", "layers", "transform", "n_classes"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
    text = inspect.getdoc(function)
    assert text is not None
    assert "arXiv:" in text
    assert all(f"\n{parameter} : " in text for parameter in parameters)


@pytest.mark.parametrize(
    ("options", "kind", "facts"),
    [
        ({"seed": -1}, ValueError, "seed must be at least 0; got -1"),
        ({"seed": 1.5}, TypeError, "seed must be an integer; got 1.5"),
        ({"n_classes": 0}, ValueError, "n_classes must be at least 1; got 0"),
        ({"layers": "conv9", "n_classes": 2}, ValueError, "'conv9' matches none"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], kind: type[Exception], facts: str) -> None:
    with pytest.raises(kind, match=facts):
        networks.alexnet(**options)
