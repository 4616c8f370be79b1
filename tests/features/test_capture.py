"""What a hook takes: before in-place operations, each call, each tensor, no more than wanted."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dnnbrain_cpp import Network, Stimuli, extract, networks, plan, transforms
from features.naive import activations, difference, make_network, make_stimuli, pixels_of
from tolerances import TOLERANCES

# The smallest images that the networks take; DeepCluster's has no adaptive pooling.
SIDES = {"inception_v3": 75, "deepcluster_alexnet": 224}


@pytest.mark.parametrize("name", networks.available())
def test_all_leaves_equal_clones_taken_in_plain_hooks(name: str) -> None:
    side = SIDES.get(name, 64)
    network = networks.create(name, transform=transforms.squash(side))
    stimuli = make_stimuli(2, side)
    features = extract(network, stimuli, batch_size=2)
    expected = activations(network, pixels_of(network, stimuli), network.layers)
    assert features.layers == list(expected)
    for layer, maps in expected.items():
        assert features.shapes[layer] == maps.shape[1:]
        assert difference(features[layer], maps.reshape(2, -1)) == TOLERANCES["exact"], layer


def test_a_hook_without_a_copy_would_be_overwritten() -> None:
    # The reason for the test above: were this not so, it could not fail.
    network = networks.alexnet(transform=transforms.squash(64))
    stimuli = make_stimuli(2, 64)
    kept: list[torch.Tensor] = []
    handle = network.module.get_submodule("features.0").register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    with network.evaluating(), torch.no_grad():
        network(pixels_of(network, stimuli))
    handle.remove()
    assert kept[0].min() == 0
    assert np.asarray(extract(network, stimuli, "features.0")["features.0"]).min() < 0


class InPlace(nn.Module):
    """A convolution whose output the caller changes in the way that `how` names."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.how = how

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.conv(pixels)
        if self.how == "relu_":
            return functional.relu_(maps)
        if self.how == "inplace=True":
            return functional.relu(maps, inplace=True)
        if self.how == "clamp_":
            return maps.clamp_(min=0)
        if self.how == "through a view":
            maps.view(-1).mul_(0)
            return maps
        maps += 1
        return maps


@pytest.mark.parametrize("how", ["relu_", "inplace=True", "clamp_", "through a view", "add"])
def test_functional_in_place_operations_do_not_reach_the_capture(
    how: str, stimuli: Stimuli
) -> None:
    network = make_network(lambda: InPlace(how))
    conv = network.module.get_submodule("conv")
    with torch.no_grad():
        expected = conv(pixels_of(network, stimuli)).flatten(1).numpy()
    features = extract(network, stimuli, "conv", batch_size=len(stimuli))
    assert difference(features["conv"], expected) == TOLERANCES["exact"]


class Counting(nn.Module):
    """Passes its input on, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.n_calls = 0

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        return maps


def test_nothing_behind_the_deepest_layer_runs(stimuli: Stimuli) -> None:
    counters = [Counting(), Counting()]
    network = make_network(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), counters[0], nn.ReLU(), counters[1], nn.Flatten())
    )
    plan(network, stimuli, ["0", "2"])
    in_dry_run = counters[1].n_calls
    extract(network, stimuli, ["2", "0"], batch_size=1)
    # One dry run more, which has to see how deep the layers lie.
    assert counters[1].n_calls == 2 * in_dry_run
    assert counters[0].n_calls == 2 * in_dry_run + len(stimuli)


class SwallowsExceptions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = Counting()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        try:
            maps = self.conv(pixels)
        except Exception:
            maps = pixels
        return self.last(maps)


def test_a_network_that_catches_exceptions_stops_too(stimuli: Stimuli) -> None:
    network = make_network(SwallowsExceptions)
    extract(network, stimuli, "conv", batch_size=1)
    assert network.module.last.n_calls == 1  # the dry run


def test_a_reused_module_gives_one_layer_per_call_in_order() -> None:
    network = networks.resnet18(transform=transforms.squash(64))
    stimuli = make_stimuli(2, 64)
    features = extract(network, stimuli, "layer1.*.relu", batch_size=2)
    assert features.layers == [f"layer1.{block}.relu#{call}" for block in (0, 1) for call in (1, 2)]
    paths = ["layer1.0.relu", "layer1.1.relu"]
    expected = activations(network, pixels_of(network, stimuli), paths)
    for layer, maps in expected.items():
        assert difference(features[layer], maps.reshape(2, -1)) == TOLERANCES["exact"]
    assert difference(features["layer1.0.relu#1"], features["layer1.0.relu#2"]) > 0.1


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.body(pixels)["logits"]


class Body(nn.Module):
    """Returns a mapping with a tensor, a tuple, an integer tensor, a number and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, pixels: torch.Tensor) -> Any:
        maps = self.conv(pixels)
        return OrderedDict(
            logits=maps.mean((2, 3)),
            hidden=(maps, [maps.amax((2, 3))]),
            top=maps.flatten(1).argmax(1),
            scale=2.0,
            none=None,
        )


def test_each_tensor_in_a_nested_output_is_a_layer(stimuli: Stimuli) -> None:
    network = make_network(Nested)
    features = extract(network, stimuli, "body", batch_size=len(stimuli))
    assert features.layers == ["body['logits']", "body['hidden'][0]", "body['hidden'][1][0]"]
    with torch.no_grad():
        body = network.module.get_submodule("body")(pixels_of(network, stimuli))
    for layer, expected in zip(
        features, (body["logits"], body["hidden"][0], body["hidden"][1][0]), strict=True
    ):
        assert difference(features[layer], expected.flatten(1)) == TOLERANCES["exact"]


class SequenceFirst(nn.Module):
    """Tokens (n_token, n_stim, n_chn), as attention without ``batch_first`` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).permute(2, 0, 1)
        return self.block(tokens).mean(0)


def test_a_batch_axis_that_is_not_the_first_is_found(stimuli: Stimuli) -> None:
    network = make_network(SequenceFirst)
    layers = ["block.norm2", "block"]
    made = plan(network, stimuli, layers)
    assert [layer.trace.batch_axis for layer in made.layers] == [1, 1]
    assert [layer.trace.shape for layer in made.layers] == [(16, 8), (16, 8)]
    kept = extract(network, stimuli, layers, batch_size=3)
    pooled = extract(network, stimuli, layers, batch_size=3, reduce="mean")
    pixels = pixels_of(network, stimuli)
    expected = activations(network, pixels, ["block.norm2"])["block.norm2"].transpose(1, 0, 2)
    assert difference(kept["block.norm2"], expected.reshape(5, -1)) < TOLERANCES["fp32_forward"]
    assert difference(pooled["block.norm2"], expected.mean(1)) < TOLERANCES["fp32_forward"]


def test_a_batch_axis_is_found_where_another_axis_is_as_long(stimuli: Stimuli) -> None:
    class Pairs(nn.Module):
        """Gives (2, n_stim, n_chn): at a batch of two nothing tells its first axes apart."""

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            pooled = maps.mean((2, 3))
            return torch.stack([pooled, -pooled])

    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Pairs()))
    (layer,) = plan(network, stimuli, "1").layers
    assert (layer.trace.batch_axis, layer.trace.shape) == (1, (2, 4))
    features = extract(network, stimuli, "1", batch_size=2)
    pooled = extract(network, stimuli, "0", reduce="mean")["0"]
    expected = np.concatenate([pooled, -np.asarray(pooled)], axis=1)
    assert difference(features["1"], expected) < TOLERANCES["fp32_forward"]


class Windows(nn.Module):
    """Folds positions into the batch axis, as windowed attention does."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.permute(0, 2, 3, 1).flatten(0, 2)


def test_an_activation_without_an_axis_for_stimuli_is_refused(stimuli: Stimuli) -> None:
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Windows()))
    with pytest.raises(ValueError, match="layer '1' must have one axis that counts stimuli"):
        extract(network, stimuli, "1")
    assert extract(network, stimuli, "0").layers == ["0"]


class Codebook(nn.Module):
    """Gives two rows whatever comes in."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.new_ones(2, 7)


def test_a_layer_that_does_not_follow_the_batch_is_refused_at_the_first_batch() -> None:
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Codebook()))
    with pytest.raises(ValueError, match=r"'1' must give one row per stimulus; it gave 2 for 4"):
        extract(network, make_stimuli(12), "1", batch_size=4)


class TrainingOnly(nn.Module):
    """An auxiliary output in training mode, and a module that nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.aux = nn.Linear(4, 2)
        self.unused = nn.Linear(4, 2)
        self.fc = nn.Linear(4, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        pooled = self.conv(pixels).mean((2, 3))
        scores: torch.Tensor = self.fc(pooled)
        return scores + self.aux(pooled) if self.training else scores


@pytest.mark.parametrize("pattern", ["aux", "unused", "a?x", ["conv", "unused"]])
def test_a_pattern_that_gives_nothing_is_an_error(
    pattern: str | list[str], stimuli: Stimuli
) -> None:
    network = make_network(TrainingOnly)
    with pytest.raises(ValueError, match=r"must give activations.*(aux|unused|a\?x)"):
        extract(network, stimuli, pattern)


@pytest.mark.parametrize("pattern", [None, "type:Linear", ["type:*"]])
def test_modules_that_are_not_called_are_passed_over_in_groups_and_named(
    pattern: Any, stimuli: Stimuli
) -> None:
    network = make_network(TrainingOnly)
    made = plan(network, stimuli, pattern)
    assert made.silent == ("aux", "unused")
    assert "no activation: aux, unused" in repr(made)
    assert "aux, unused" in made._repr_html_()
    assert [layer for layer in extract(network, stimuli, pattern).layers if layer != "conv"] == [
        "fc"
    ]


def test_a_module_without_floating_point_output_is_named(stimuli: Stimuli) -> None:
    class Top(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.flatten(1).argmax(1)

    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Top()))
    with pytest.raises(ValueError, match=r"'1' gives none"):
        extract(network, stimuli, "1")


def test_duplicates_are_found_and_in_place_changes_are_none(stimuli: Stimuli) -> None:
    network = make_network(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten()
        )
    )
    made = plan(network, stimuli)
    assert {layer.name: layer.trace.duplicate_of for layer in made.layers} == {
        "0": None,
        "1": "0",
        "2": None,  # the same memory, but written to
        "3": "2",
        "4": None,  # the same numbers, but of another shape
    }
    assert "same as 0" in repr(made)


def test_equal_addresses_of_tensors_that_are_gone_make_no_duplicates(stimuli: Stimuli) -> None:
    memory = np.empty(3 * 3 * 32 * 32, np.float32)

    class Recycling(nn.Module):
        """Puts its output where that of the last one was, as allocators do."""

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            output = torch.from_numpy(memory[: maps.numel()]).view(maps.shape)
            return output.copy_(maps + 1)

    class Copying(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.clone()

    network = make_network(lambda: nn.Sequential(Recycling(), Copying(), Recycling()))
    made = plan(network, stimuli)
    assert [layer.trace.duplicate_of for layer in made.layers] == [None, None, None]


def test_one_number_per_stimulus_is_a_layer(stimuli: Stimuli) -> None:
    class Score(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.mean((1, 2, 3))

    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Score()))
    expected = np.asarray(extract(network, stimuli, "0")["0"]).mean(1, keepdims=True)
    for reduce in ("keep", "mean", "max", "min"):
        came = extract(network, stimuli, "1", reduce=reduce)["1"]
        assert difference(came, expected) < TOLERANCES["fp32_reduction"]
    for reduce in ("l1", "l2"):
        came = extract(network, stimuli, "1", reduce=reduce)["1"]
        assert difference(came, np.abs(expected)) < TOLERANCES["fp32_reduction"]


def test_a_network_of_timm_runs_with_its_attention(stimuli: Stimuli) -> None:
    from dnnbrain_cpp._torchvision import import_torchvision

    import_torchvision()
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        module = timm.create_model(
            "vit_tiny_patch16_224", pretrained=False, img_size=32, depth=2, num_classes=7
        )
    network = Network(module, transform=transforms.squash(32))
    features = extract(network, stimuli, reduce="mean", batch_size=2)
    # Fused attention leaves its dropout out.
    assert "blocks.0.attn.attn_drop" in plan(network, stimuli).silent
    expected = activations(network, pixels_of(network, stimuli), ["blocks.1.mlp.fc2"])
    tokens = expected["blocks.1.mlp.fc2"]
    assert tokens.shape == (5, 5, 192)  # four patches and the class token
    came = features["blocks.1.mlp.fc2"]
    assert difference(came, tokens.mean(1)) < TOLERANCES["fp32_forward"]
    assert np.shape(features["head"]) == (5, 7)
