"""Files of weights: what is read, what fits, and what is said when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnbrain_cpp import networks
from dnnbrain_cpp.networks._state_dict import load_weights, read_state_dict


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert list(left) == list(right)
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.parametrize("form", ["plain", "legacy", "safetensors", "state_dict", "model"])
def test_files(form: str, tmp_path: Path, small: nn.Module, state: dict[str, Any]) -> None:
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "legacy":
        torch.save(state, file, _use_new_zipfile_serialization=False)
    else:
        torch.save(state if form == "plain" else {"epoch": 3, form: state}, file)
    load_weights(small, read_state_dict(file), name="Small", source=str(file))
    assert_same(small.state_dict(), state)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights file {file} cannot be read: .+"):
        read_state_dict(file)


def test_a_truncated_file_is_named(tmp_path: Path, state: dict[str, Any]) -> None:
    file = tmp_path / "cut.pth"
    torch.save(state, file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match=rf"weights file {file} cannot be read"):
        read_state_dict(file)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(FileNotFoundError, match=rf"there is no file {path}\."):
            read_state_dict(path)
    with pytest.raises(FileNotFoundError, match=r"weights must be 'random', .*no file imagenet\."):
        networks.resnet18(weights="imagenet")


def test_a_pickled_module_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "whole.pth"
    torch.save(nn.Sequential(nn.ReLU()), file)
    with pytest.raises(ValueError, match=r"tensors only.*torch\.save\(model\.state_dict\("):
        read_state_dict(file)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ([1, 2], "an object of <class 'list'>"),
        ({}, "an empty dict"),
        ({"epoch": 3, "weights": {"a": 1}}, "a dict with keys 'epoch', 'weights'"),
        ({"state_dict": {}}, "a dict with keys 'state_dict'"),
        (torch.zeros(2), "an object of <class 'torch.Tensor'>"),
    ],
)
def test_a_file_without_a_state_dict(tmp_path: Path, content: Any, facts: str) -> None:
    file = tmp_path / "other.pth"
    torch.save(content, file)
    with pytest.raises(ValueError, match=rf"must hold a state dict .*; got {facts}\. Save one"):
        read_state_dict(file)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.module.{name}",
        lambda name: name.replace("layer1.", "layer1.module."),
    ],
)
def test_names_that_wrappers_changed(small: nn.Module, state: dict[str, Any], rename: Any) -> None:
    wrapped = {rename(name): value for name, value in state.items()}
    assert set(wrapped) != set(state)
    load_weights(small, wrapped, name="Small", source="file")
    assert_same(small.state_dict(), state)


def test_a_network_whose_own_names_have_the_segment(
    small: nn.Module, state: dict[str, Any]
) -> None:
    outer = nn.Module()
    outer.module = small
    load_weights(
        outer, {f"module.{name}": value for name, value in state.items()}, name="o", source="f"
    )
    assert_same(small.state_dict(), state)


def test_files_from_before_batch_counters(small: nn.Module, state: dict[str, Any]) -> None:
    old = {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) == len(state) - 2
    load_weights(small, old, name="Small", source="file")
    assert torch.equal(small.stem.weight, state["stem.weight"])


def test_a_misfit_is_told_name_by_name(small: nn.Module, state: dict[str, Any]) -> None:
    before = {name: value.clone() for name, value in small.state_dict().items()}
    state["fc.weight"] = torch.zeros(10, 4)
    state["head.weight"] = torch.zeros(1)
    del state["stem.bias"], state["layer1.norm.bias"]
    with pytest.raises(ValueError, match="weights must fit Small name by name") as caught:
        load_weights(small, state, name="Small", source="a.pth")
    assert str(caught.value).splitlines() == [
        "weights must fit Small name by name; those of a.pth do not.",
        "2 missing from the file:",
        "  stem.bias",
        "  layer1.norm.bias",
        "1 not in the network:",
        "  head.weight",
        "1 of another shape:",
        "  fc.weight: (10, 4) in the file, (5, 4) in the network",
        "Build the network that the file was saved from.",
    ]
    assert_same(small.state_dict(), before)


def test_a_long_misfit_is_cut(small: nn.Module) -> None:
    with pytest.raises(ValueError, match="weights must fit") as caught:
        load_weights(small, {f"k{i}": torch.zeros(1) for i in range(14)}, name="n", source="f")
    lines = str(caught.value).splitlines()
    assert "14 not in the network:" in lines
    assert "  and 4 more" in lines
    assert len(lines) == 1 + 2 * 12 + 1


def test_hints(small: nn.Module, state: dict[str, Any]) -> None:
    prefixed = {f"backbone.{name}": value for name, value in state.items()}
    with pytest.raises(ValueError, match=r"start with 'backbone\.': strip it"):
        load_weights(small, prefixed, name="n", source="f")
    state["fc.weight"], state["fc.bias"] = torch.zeros(9, 4), torch.zeros(9)
    with pytest.raises(ValueError, match="Give n_classes"):
        load_weights(small, state, name="n", source="f")
