"""What weights mean: random, from files, shuffled, and from torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dnnbrain_cpp import networks
from dnnbrain_cpp._torchvision import import_torchvision
from dnnbrain_cpp.networks._weights import WeightSource, permute_parameters, weight_source


@pytest.mark.parametrize(
    ("weights", "expected", "text"),
    [
        ("random", WeightSource("random"), "random"),
        ("nets/a.pth", WeightSource("file", "nets/a.pth"), "nets/a.pth"),
        (Path("nets/a.pth"), WeightSource("file", "nets/a.pth"), "nets/a.pth"),
        ("permuted:a.pth", WeightSource("permuted", "a.pth"), "permuted:a.pth"),
        ("torchvision:V1", WeightSource("torchvision", "V1"), "torchvision:V1"),
    ],
)
def test_sources(weights: str | Path, expected: WeightSource, text: str) -> None:
    assert weight_source(weights) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("weights", "kind", "facts"),
    [
        ("", ValueError, "must not be empty"),
        ("permuted:", ValueError, "what follows 'permuted:'"),
        (None, TypeError, "got None"),
        (True, TypeError, "got True"),
    ],
)
def test_sources_that_are_none(weights: Any, kind: type[Exception], facts: str) -> None:
    with pytest.raises(kind, match=facts):
        weight_source(weights)


def test_permuted_values_are_the_same_in_another_order(small: nn.Module) -> None:
    before = {name: value.clone() for name, value in small.state_dict().items()}
    permute_parameters(small, seed=3)
    first = {name: value.clone() for name, value in small.state_dict().items()}
    for name, parameter in small.named_parameters():
        assert torch.equal(parameter.flatten().sort()[0], before[name].flatten().sort()[0])
        assert parameter.requires_grad
    for name in ("stem.weight", "fc.weight", "aux.1.weight"):
        assert not torch.equal(first[name], before[name])
    assert torch.equal(first["layer1.norm.running_var"], before["layer1.norm.running_var"])
    for seed, equal in ((3, True), (4, False)):
        small.load_state_dict(before)
        permute_parameters(small, seed=seed)
        assert torch.equal(small.fc.weight, first["fc.weight"]) is equal


def test_constructors_load_a_file_and_take_its_number_of_classes(tmp_path: Path) -> None:
    source = networks.resnet18(seed=7, n_classes=12)
    file = tmp_path / "resnet.pth"
    torch.save(nn.DataParallel(source.module).state_dict(), file)
    loaded = networks.resnet18(weights=file)
    for name, value in source.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], value), name
    assert (loaded.weights, loaded.seed) == (str(file), None)
    assert (source.weights, source.seed) == ("random", 7)
    with pytest.raises(ValueError, match=r"fc\.weight: \(12, 512\) in the file, \(1000, 512\)"):
        networks.resnet18(weights=file, n_classes=1000)
    permuted = networks.resnet18(weights=f"permuted:{file}", seed=2)
    assert (permuted.weights, permuted.seed) == (f"permuted:{file}", 2)
    weight, original = permuted.module.conv1.weight, source.module.conv1.weight
    assert not torch.equal(weight, original)
    assert torch.equal(weight.flatten().sort()[0], original.flatten().sort()[0])


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-in for torchvision's download: notes the address, gives random weights of the shape."""
    addresses: list[str] = []
    models = import_torchvision().models

    def download(url: str, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        addresses.append(url)
        name = Path(url).name.split("-")[0]
        with torch.random.fork_rng(devices=[]):
            options = {"init_weights": False} if name == "googlenet" else {}
            state: dict[str, torch.Tensor] = getattr(models, name)(
                weights=None, **options
            ).state_dict()
        return state

    monkeypatch.setattr(models._api, "load_state_dict_from_url", download)
    return addresses


def test_weights_of_torchvision_bring_their_transform(downloads: list[str]) -> None:
    enum = import_torchvision().models.ResNet50_Weights
    by_name = networks.resnet50(weights="torchvision:IMAGENET1K_V1")
    by_member = networks.resnet50(weights=enum.IMAGENET1K_V2)
    assert downloads == [enum.IMAGENET1K_V1.url, enum.IMAGENET1K_V2.url]
    assert (by_name.weights, by_name.seed) == ("torchvision:IMAGENET1K_V1", None)
    assert by_member.weights == "torchvision:IMAGENET1K_V2"
    assert repr(by_name.transform) == repr(networks.resnet50().transform)
    assert "232" in repr(by_member.transform)


def test_googlenet_normalises_anew_for_weights_of_torchvision(downloads: list[str]) -> None:
    network = networks.googlenet(weights="torchvision:IMAGENET1K_V1")
    assert network.module.transform_input is True
    assert repr(network.transform) == repr(networks.googlenet().transform)
    assert len(downloads) == 1


def test_weights_that_torchvision_does_not_have(downloads: list[str]) -> None:
    models = import_torchvision().models
    with pytest.raises(ValueError, match=r"'torchvision:IMAGENET1K_V1'; got 'torchvision:V9'"):
        networks.alexnet(weights="torchvision:V9")
    with pytest.raises(ValueError, match="got 'torchvision:DEFAULT'"):
        networks.resnet50(weights="torchvision:DEFAULT")
    with pytest.raises(ValueError, match=r"torchvision's alexnet must be one of .*VGG11"):
        networks.alexnet(weights=models.VGG11_Weights.IMAGENET1K_V1)
    with pytest.raises(ValueError, match=r"n_classes must be 1000 .*; got 10"):
        networks.alexnet(weights="torchvision:IMAGENET1K_V1", n_classes=10)
    with pytest.raises(ValueError, match="torchvision does not have this network"):
        networks.deepcluster_alexnet(weights="torchvision:IMAGENET1K_V1")
    assert downloads == []
