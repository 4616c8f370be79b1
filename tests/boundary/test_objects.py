"""Objects of the core: pickled, copied, described."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import dnnbrain_cpp
from dnnbrain_cpp._native import core

pytestmark = pytest.mark.boundary


def _round_trips(value: Any) -> list[Any]:
    pickled = [pickle.loads(pickle.dumps(value, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    return [*pickled, copy.copy(value), copy.deepcopy(value)]


@pytest.mark.parametrize(
    "enum",
    [core.Alternative, core.Comparator, core.Dissimilarity, core.Pooling, core.Score],
    ids=lambda enum: enum.__name__,
)
def test_enums_survive_as_themselves(enum: Any) -> None:
    assert len(enum) >= 2
    for member in enum:
        assert all(other is member for other in _round_trips(member))


def test_moments_survive_with_all_their_parts() -> None:
    features = 3 + torch.rand(6, 20, generator=torch.Generator().manual_seed(0))
    moments = core.gram_moments(features)
    for other in _round_trips(moments):
        assert other.n_feat == 20
        assert torch.equal(other.centred, moments.centred)
        for metric in core.Dissimilarity:
            assert torch.equal(
                core.dissimilarities(other, metric), core.dissimilarities(moments, metric)
            )


def test_a_copy_of_moments_is_its_own() -> None:
    moments = core.gram_moments(torch.eye(3, dtype=torch.float64))
    other = copy.deepcopy(moments)
    other.centred.zero_()
    assert moments.centred.any()


def test_wrong_states_are_refused() -> None:
    moments = core.gram_moments(torch.eye(3, dtype=torch.float64))
    blank = core.GramMoments.__new__(core.GramMoments)
    with pytest.raises(ValueError, match="has 7 parts; got 6"):
        blank.__setstate__(moments.__getstate__()[:6])


@pytest.mark.parametrize(
    "sink", [core.KeepSink(torch.zeros(2, 2), 0), core.GramSink(torch.zeros(2, 2), 0)]
)
def test_sinks_are_bound_to_their_process(sink: Any) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(sink)


def test_functions_survive() -> None:
    restored = pickle.loads(pickle.dumps(core.random_draws))
    assert restored(1, 2, 3).tolist() == core.random_draws(1, 2, 3).tolist()


def test_the_stub_names_arguments_as_the_module_does() -> None:
    """`stubtest` cannot see the arguments of compiled functions; their docstrings have them."""
    stub = ast.parse((Path(dnnbrain_cpp.__file__).parent / "_core.pyi").read_text("utf-8"))
    stubbed: dict[str, set[tuple[str, ...]]] = {}
    for outer in ast.walk(stub):
        for node in getattr(outer, "body", []):
            if isinstance(node, ast.FunctionDef) and not node.name.endswith("state__"):
                prefix = f"{outer.name}." if isinstance(outer, ast.ClassDef) else ""
                names = tuple(a.arg for a in node.args.args)
                stubbed.setdefault(prefix + node.name, set()).add(names)
    checked = 0
    for name, expected in stubbed.items():
        function: Any = core
        for part in name.split("."):
            function = getattr(function, part)
        if isinstance(function, property):
            continue
        bare = name.rpartition(".")[2]
        lines = re.findall(rf"^(?:\d+\. )?{bare}\((.*)\) ->", function.__doc__, re.MULTILINE)
        assert {tuple(re.findall(r"(?:^|, )(\w+): ", line)) for line in lines} == expected, name
        checked += 1
    assert checked >= 12
