"""Networks by name, and from functions of users."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import torch

from dnnbrain_cpp import networks

USER_FILE = """
    from dataclasses import dataclass

    import torch
    import torchvision
    from torch import nn

    from dnnbrain_cpp.networks import Network

    @dataclass
    class Options:
        width: "int" = 4

    def plain(width=Options().width):
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU())

    def wrapped():
        return Network(
            plain(), "type:ReLU", name="mine", weights="of mine", aliases={"conv1": "0"}
        )

    def nothing():
        return None

    constant = 3
"""


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    file = tmp_path / "my_networks.py"
    file.write_text(textwrap.dedent(USER_FILE))
    return file


def test_available_names_are_the_constructors() -> None:
    assert networks.available() == sorted(networks.available())
    assert set(networks.available()) == {
        "alexnet",
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
    }


def test_a_name_is_its_constructor() -> None:
    network = networks.create("resnet18", seed=3, layers="layer?", n_classes=4)
    assert network.layers == ["layer1", "layer2", "layer3", "layer4"]
    assert network.module.fc.out_features == 4
    assert torch.equal(
        network.module.conv1.weight, networks.resnet18(seed=3, n_classes=4).module.conv1.weight
    )


def test_a_function_of_a_file(user_file: Path) -> None:
    network = networks.create(f"{user_file}:plain", seed=6, width=5)
    assert (network.name, network.weights, network.seed) == ("plain", "random", 6)
    assert network.layers == ["0", "1"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        expected = torch.nn.Conv2d(3, 5, 3)
    assert torch.equal(network.module[0].weight, expected.weight)


def test_a_function_that_returns_a_network(user_file: Path) -> None:
    network = networks.create(f"{user_file}:wrapped")
    assert (network.name, network.weights, network.seed) == ("mine", "of mine", None)
    assert network.layers == ["1"]
    assert networks.create(f"{user_file}:wrapped", layers="conv1").layers == ["0"]


def test_weights_for_a_function(user_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    source = networks.create(f"{user_file}:plain", seed=1)
    torch.save(source.module.state_dict(), file)
    loaded = networks.create(f"{user_file}:wrapped", weights=file)
    assert torch.equal(loaded.module[0].weight, source.module[0].weight)
    assert (loaded.weights, loaded.seed) == (str(file), None)
    permuted = networks.create(f"{user_file}:plain", weights=f"permuted:{file}", seed=8)
    assert permuted.seed == 8
    assert not torch.equal(permuted.module[0].weight, source.module[0].weight)


def test_a_function_of_a_package() -> None:
    network = networks.create("torchvision.models:squeezenet1_1", seed=2, num_classes=3)
    with network.evaluating(), torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_timm() -> None:
    pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    network = networks.create("timm:create_model", model_name="test_vit", layers="blocks.?")
    assert network.layers == [f"blocks.{i}" for i in range(len(network.module.blocks))]
    assert set(network.resolve("blocks.0.*")) < set(network.resolve("*"))
    _, n_row, n_col = network.module.default_cfg["input_size"]
    with network.evaluating(), torch.inference_mode():
        assert network(torch.zeros(2, 3, n_row, n_col)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("alexnt", r"network must be one of alexnet, .*; got 'alexnt'\. Close: 'alexnet'"),
        ("no_such_package.nets:make", r"'no_such_package\.nets' is not one"),
        ("torch.nn:Linearr", r"torch\.nn must have a function 'Linearr'.*Close: .*'Linear'"),
        ("nowhere.py:make", r"there is no .*nowhere\.py"),
        ("{file}:constant", "must have a function 'constant'"),
        ("{file}:plane", "Close: 'plain'"),
    ],
)
def test_names_that_lead_nowhere(user_file: Path, name: str, facts: str) -> None:
    with pytest.raises(ValueError, match=facts):
        networks.create(name.format(file=user_file))


def test_what_is_refused(user_file: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"nothing' must return .*<class 'NoneType'>"):
        networks.create(f"{user_file}:nothing")
    with pytest.raises(TypeError, match="name must be a string"):
        networks.create(torch.nn.ReLU())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Let the function itself load weights of torchvision"):
        networks.create(f"{user_file}:plain", weights="torchvision:IMAGENET1K_V1")
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        networks.create(f"{broken}:make")
