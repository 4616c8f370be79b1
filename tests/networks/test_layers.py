"""Patterns of layers against what they must select."""

from __future__ import annotations

import pytest
from torch import nn

from dnnbrain_cpp.networks import Network

ALIASES = {"conv1": "stem", "block1": "layer1", "block2": "layer2", "out": "fc"}


@pytest.fixture
def network(small: nn.Module) -> Network:
    return Network(small, aliases=ALIASES, train_only=("aux",))


LEAVES = [
    "stem",
    "layer1.conv",
    "layer1.norm",
    "layer1.relu",
    "layer1.tail.0",
    "layer1.tail.1",
    "layer2.conv",
    "layer2.norm",
    "layer2.relu",
    "layer2.tail.0",
    "layer2.tail.1",
    "pool",
    "fc",
]


def test_the_default_is_every_leaf_that_runs(network: Network) -> None:
    assert network.layers == LEAVES


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("fc", ["fc"]),
        (["fc", "stem"], ["stem", "fc"]),
        (("fc", "out", "fc"), ["fc"]),
        ("layer1", ["layer1"]),
        ("block2", ["layer2"]),
        ("aux", ["aux"]),
        ("aux.1", ["aux.1"]),
        ("again", ["layer1.relu"]),
        ("layer1.tail.1", ["layer1.tail.1"]),
        ("*", LEAVES),
        ("layer1.*", LEAVES[1:6]),
        ("layer1.*o*", ["layer1.conv", "layer1.norm"]),
        ("layer1.tail.?", ["layer1.tail.0", "layer1.tail.1"]),
        ("layer?", ["layer1", "layer2"]),
        ("layer[2-9]", ["layer2"]),
        ("block?", ["layer1", "layer2"]),
        ("*conv*", ["stem", "layer1.conv", "layer2.conv"]),
        (["layer?", "layer1.relu"], ["layer1", "layer1.relu", "layer2"]),
        ("type:ReLU", ["layer1.relu", "layer2.relu"]),
        ("type:Block", ["layer1", "layer2"]),
        ("type:Linear", ["fc"]),
        ("type:*Norm2d", ["layer1.norm", "layer2.norm"]),
        (["type:Linear", "stem"], ["stem", "fc"]),
    ],
)
def test_patterns(network: Network, patterns: str | list[str], expected: list[str]) -> None:
    assert network.resolve(patterns) == expected
    assert Network(network.module, patterns, aliases=ALIASES, train_only=("aux",)).layers == (
        expected
    )


def test_a_generator_of_patterns(network: Network) -> None:
    assert network.resolve(name for name in ("fc", "stem")) == ["stem", "fc"]  # type: ignore[arg-type]


def test_a_path_goes_before_an_alias_of_the_same_name(small: nn.Module) -> None:
    network = Network(small, aliases={"fc": "stem", "layer1.conv": "pool"})
    assert network.resolve(["fc", "layer1.conv"]) == ["layer1.conv", "fc"]


@pytest.mark.parametrize(
    ("pattern", "facts"),
    [
        ("fcc", r"'fcc' matches none\. Close: 'fc'"),
        ("layer1.con", r"matches none\. Close: .*'layer1\.conv'"),
        ("blok1", r"matches none\. Close: 'block1'"),
        ("nothing.like.*", r"'nothing\.like\.\*' matches none\. The layer_table\(\)"),
        ("type:Relu", r"'type:Relu' matches none\. Close: 'type:ReLU'"),
        ("type:Small", r"'type:Small' matches none"),
        ("layer1.tail", r"'layer1\.tail' of Small is a ModuleList.*Use 'layer1\.tail\.\*'"),
        ("aux.*", r"'aux\.\*' matches none"),
        ("", r"at least one layer each; got ''"),
        ([], r"at least one layer each; got \[\]"),
        (["fc", ""], r"at least one layer each; got \['fc', ''\]"),
    ],
)
def test_what_matches_nothing_is_named_with_close_names(
    network: Network, pattern: str | list[str], facts: str
) -> None:
    with pytest.raises(ValueError, match=facts):
        network.resolve(pattern)


@pytest.mark.parametrize("patterns", [3, ["fc", 3], [None]])
def test_patterns_are_strings(network: Network, patterns: object) -> None:
    with pytest.raises(TypeError, match="layers must be a string or a list of strings; got"):
        network.resolve(patterns)  # type: ignore[arg-type]
