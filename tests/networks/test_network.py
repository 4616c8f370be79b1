"""The wrapper: what it shows, and that it leaves no trace on the module."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dnnbrain_cpp import networks
from dnnbrain_cpp.networks import Network


def snapshot(module: nn.Module) -> dict[str, object]:
    """List everything about a module that a guest must leave as it was."""
    return {
        "training": {path: child.training for path, child in module.named_modules()},
        "hooks": {
            path: (len(child._forward_hooks), len(child._forward_pre_hooks))
            for path, child in module.named_modules()
        },
        "tensors": {
            name: (id(tensor), tensor.requires_grad, tensor.device, tensor.dtype, tensor._version)
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        },
    }


@pytest.fixture
def mixed(small: nn.Module) -> nn.Module:
    """Half in training, half frozen, with a hook of its owner."""
    small.train()
    small.layer1.eval()
    small.layer1.norm.train()
    small.fc.requires_grad_(False)
    small.layer2.register_forward_hook(lambda module, inputs, output: output * 2)
    return small


def test_defaults(small: nn.Module) -> None:
    network = Network(small)
    assert network.module is small
    assert network.name == "Small"
    assert network.weights is None
    assert network.seed is None
    assert network.transform.output_size == (224, 224)
    network.layers.append("changed")
    assert "changed" not in network.layers


def test_forward_is_the_modules_own(small: nn.Module, pixels: torch.Tensor) -> None:
    small.eval()
    assert torch.equal(Network(small)(pixels), small(pixels))
    assert Network(small)(pixels).requires_grad


def test_evaluating_switches_and_restores_each_submodule(
    mixed: nn.Module, pixels: torch.Tensor
) -> None:
    before = snapshot(mixed)
    reference = copy.deepcopy(mixed).eval()
    network = Network(mixed)
    with network.evaluating() as running, torch.no_grad():
        assert running is network
        assert not any(child.training for child in mixed.modules())
        assert torch.equal(network(pixels), reference(pixels))
    assert snapshot(mixed) == before
    assert any(before["training"].values())  # type: ignore[attr-defined]
    assert not all(before["training"].values())  # type: ignore[attr-defined]


def test_evaluating_restores_after_an_error_and_when_nested(mixed: nn.Module) -> None:
    before = snapshot(mixed)
    network = Network(mixed)

    def fail_within() -> None:
        with network.evaluating():
            with network.evaluating("cpu"):
                pass
            assert not any(child.training for child in mixed.modules())
            raise KeyError("user")

    with pytest.raises(KeyError, match="user"):
        fail_within()
    assert snapshot(mixed) == before


def test_evaluating_does_not_call_an_overridden_train(small: nn.Module) -> None:
    calls: list[bool] = []

    class Merging(nn.Linear):
        def train(self, mode: bool = True) -> Merging:
            calls.append(mode)
            return super().train(mode)

    with torch.random.fork_rng(devices=[]):
        small.fc = Merging(4, 5)
    with Network(small).evaluating():
        assert small.fc.training is False
    assert small.fc.training is True
    assert calls == []


class Travelling(nn.Sequential):
    """Notes where it is sent, and stays."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.visited: list[str] = []

    def to(self, device: object) -> Travelling:  # type: ignore[override]
        self.visited.append(str(device))
        if str(device) == "full":
            raise torch.OutOfMemoryError
        return self


def test_evaluating_moves_there_and_back(small: nn.Module) -> None:
    module = Travelling(small.layer1)
    with Network(module).evaluating("meta"):
        assert module.visited == ["meta"]
    assert module.visited == ["meta", "cpu"]
    with Network(module).evaluating("cpu"):
        pass
    with Network(module).evaluating():
        pass
    assert module.visited == ["meta", "cpu"]
    without_tensors = Travelling(nn.ReLU())
    with Network(without_tensors).evaluating("meta"):
        pass
    assert without_tensors.visited == []


def test_a_failed_move_is_undone(small: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Travelling(small.layer1).train()
    monkeypatch.setattr(
        "dnnbrain_cpp.networks._network._usable_device", lambda device: torch.device("meta")
    )
    with pytest.raises(torch.OutOfMemoryError), Network(module).evaluating("full"):
        pytest.fail("the block must not run")
    assert module.visited == ["full", "cpu"]
    assert all(child.training for child in module.modules())


@pytest.mark.needs_cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_evaluating_on_a_gpu(mixed: nn.Module, pixels: torch.Tensor) -> None:
    values = {name: value.clone() for name, value in mixed.state_dict().items()}
    before = {name: parameter.requires_grad for name, parameter in mixed.named_parameters()}
    network = Network(mixed)
    with network.evaluating("cuda"), torch.no_grad():
        assert network(pixels.cuda()).device.type == "cuda"
    assert all(torch.equal(value, values[name]) for name, value in mixed.state_dict().items())
    assert before == {name: p.requires_grad for name, p in mixed.named_parameters()}


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", 3.5])
def test_a_device_that_is_not_there_is_named(small: nn.Module, device: str) -> None:
    before = snapshot(small)
    with (
        pytest.raises(
            ValueError, match=f"device must be one that torch can use here; got '{device}'"
        ),
        Network(small).evaluating(device),
    ):
        pytest.fail("the block must not run")
    assert snapshot(small) == before


def test_a_module_on_two_devices_is_run_but_not_moved(small: nn.Module) -> None:
    small.fc.to("meta")
    with Network(small).evaluating():
        pass
    with (
        pytest.raises(ValueError, match="Small lies on cpu, meta"),
        Network(small).evaluating("cpu"),
    ):
        pytest.fail("the block must not run")


def test_layer_table(small: nn.Module) -> None:
    table = Network(small, aliases={"conv1": "stem", "one": "stem"}).layer_table()
    assert list(table.columns) == ["layer", "type", "alias", "n_params"]
    rows = table.set_index("layer")
    assert rows.loc["stem"].tolist() == ["Conv2d", "conv1", 3 * 4 * 9 + 4]
    assert rows.loc["layer1"].tolist() == ["Block", "", 4 * 4 * 9 + 4 + 8]
    assert rows.loc["layer1.relu"].tolist() == ["ReLU", "", 0]
    assert "layer1.tail" not in rows.index
    assert "again" not in rows.index
    assert list(table["layer"][:2]) == ["stem", "layer1"]


def test_repr_fits_a_screen() -> None:
    network = networks.resnet18(seed=4, layers="*")
    lines = repr(network).splitlines()
    assert lines[0] == "Network resnet18"
    assert lines[1] == "  weights     random, seed 4"
    assert lines[-2] == (
        "  layers      52 selected, 52 leaves: conv1, bn1, relu, ..., layer4.1.bn2, avgpool, fc"
    )
    assert lines[-1] == "  parameters  11,689,512 on cpu"
    assert len(lines) < 10
    assert max(len(line) for line in lines) < 200


def test_html_is_escaped(small: nn.Module) -> None:
    network = Network(small, name="<b>", transform=lambda image: image, weights="a & b")  # type: ignore[arg-type,return-value]
    page = network._repr_html_()
    assert "Network &lt;b&gt;" in page
    assert "a &amp; b" in page
    assert "&lt;function" in page


@pytest.mark.parametrize(
    ("module", "facts"),
    [
        ("alexnet", r"got 'alexnet'\. Build a network from its name"),
        (nn.Linear, r"got <class .*Linear'>\. Make an instance of it: Linear\("),
        ({"weight": torch.zeros(1)}, r"an object of <class 'dict'>.*load the state dict"),
        (7, r"an object of <class 'int'>\. Pass the network itself"),
    ],
)
def test_what_is_no_module_is_refused_with_a_remedy(module: object, facts: str) -> None:
    with pytest.raises(TypeError, match=facts):
        Network(module)  # type: ignore[arg-type]


def test_modules_that_cannot_serve_are_refused(small: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"Identity has none\. Wrap it: torch\.nn\.Sequential"):
        Network(nn.Identity())
    with pytest.raises(ValueError, match="some of Sequential are not initialised"):
        Network(nn.Sequential(nn.LazyLinear(3)))
    with pytest.raises(ValueError, match="'c' points to 'nowhere'"):
        Network(small, aliases={"c": "nowhere"})
    with pytest.raises(TypeError, match="transform must be a function of one image; got 224"):
        Network(small, transform=224)  # type: ignore[arg-type]
