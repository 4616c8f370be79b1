"""What a plan says before anything runs, against what then happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dnnbrain_cpp import Network, Stimuli, extract, plan
from features.naive import make_network, make_stimuli, small_cnn
from tolerances import TOLERANCES


@pytest.mark.parametrize("reduce", ["keep", "mean", "gram"])
def test_shapes_and_bytes_are_those_that_come(
    reduce: str, network: Network, stimuli: Stimuli
) -> None:
    made = plan(network, stimuli, reduce=reduce, batch_size=2)
    features = extract(network, stimuli, reduce=reduce, batch_size=2)
    assert [layer.name for layer in made.layers] == features.layers
    assert {layer.name: layer.trace.shape for layer in made.layers} == features.shapes
    for layer in made.layers:
        came = np.asarray(features[layer.name])
        waiting = 0 if reduce != "gram" else 4 * len(stimuli) * layer.trace.n_unit
        assert made.layer_bytes(layer) == came.nbytes + waiting
        if reduce != "gram":
            assert came.shape == (len(stimuli), layer.n_feat)
    assert made.buffer_bytes == sum(made.layer_bytes(layer) for layer in made.layers)
    assert made.peak_bytes > made.buffer_bytes


def test_a_plan_prints_as_one_table(network: Network, stimuli: Stimuli) -> None:
    made = plan(network, stimuli, ["0", "10"], reduce={"0": "mean", "10": "keep"}, batch_size=2)
    lines = repr(made).splitlines()
    assert lines[0].startswith("Plan for small: 5 stimuli in batches of 2 on cpu; buffers ")
    assert " free" in lines[0]
    assert lines[1].split() == (
        ["layer", "type", "activation", "batch", "axis", "reduce", "features", "bytes", "note"]
    )
    assert lines[2].split() == ["0", "Conv2d", "6x14x14", "0", "mean", "6", "120", "B"]
    assert lines[3].split()[:6] == ["10", "Dropout", "90", "0", "keep", "90"]
    assert len(lines) == 4
    html = made._repr_html_()
    assert html.count("<tr>") == 3
    assert "6x14x14" in html


def test_names_are_escaped_in_html(stimuli: Stimuli) -> None:
    class Angled(nn.Module):
        def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"<b>": pixels}

    made = plan(make_network(lambda: nn.Sequential(Angled()), name="<i>"), stimuli)
    assert "<b>" not in made._repr_html_()
    assert "<i>" not in made._repr_html_()


def test_the_batch_does_not_count_beyond_the_stimuli(network: Network) -> None:
    few, many = make_stimuli(4), make_stimuli(64)
    assert (
        plan(network, few, batch_size=64).peak_bytes
        < plan(network, many, batch_size=64).peak_bytes / 8
    )
    # Buffers apart, the peak does not grow with the stimuli once three batches are there.
    peaks = [
        made.peak_bytes - made.buffer_bytes
        for made in (plan(network, make_stimuli(n), batch_size=4) for n in (12, 13, 120))
    ]
    assert len(set(peaks)) == 1


@pytest.mark.parametrize("skip", [True, False])
def test_the_working_memory_counts_what_a_skip_connection_holds(
    skip: bool, stimuli: Stimuli
) -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList([nn.AvgPool2d(1) for _ in range(5)])

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            held = []
            for step in self.steps:
                maps = step(maps)
                held.append(maps if skip and not held else None)
            return maps

    one = 4 * 3 * 32 * 32
    working = plan(make_network(Chain), stimuli).working_bytes
    # A step's input and output, and room to reorder; and what the skip connection holds.
    assert working == (4 if skip else 3) * one


def test_a_plan_of_stimuli_of_which_the_first_is_damaged(network: Network, tmp_path: Path) -> None:
    stimuli = make_stimuli(3)
    for i, name in enumerate(stimuli.ids):
        stimuli.image(i).save(tmp_path / f"{name}.png")
    (tmp_path / "s000.png").write_bytes(b"")
    made = plan(network, Stimuli.from_folder(tmp_path))
    assert made.n_stim == 3


_MEASURE = """
import ctypes, gc, json, re, sys
from pathlib import Path
import numpy as np
from dnnbrain_cpp import Stimuli, extract, networks, plan

def memory(key):
    status = Path("/proc/self/status").read_text()
    return int(re.search(key + r":\\s+(\\d+)", status).group(1)) << 10

n_stim, reduce = int(sys.argv[1]), sys.argv[2]
network = networks.alexnet(layers="features.*")
pixels = np.random.default_rng(0).integers(0, 256, (n_stim, 224, 224, 3), dtype=np.uint8)
stimuli = Stimuli.from_array(pixels, layout="NHWC")
extract(network, stimuli[:2], reduce="mean")
predicted = plan(network, stimuli, reduce=reduce, batch_size=16).peak_bytes
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
features = extract(network, stimuli, reduce=reduce, batch_size=16)
print(json.dumps([predicted, memory("VmHWM") - before]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("n_stim", "reduce"), [(64, "mean"), (48, "keep"), (48, "gram")])
def test_the_predicted_peak_is_the_measured_one(n_stim: int, reduce: str) -> None:
    out = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(n_stim), reduce],
        check=True,
        capture_output=True,
        text=True,
    )
    predicted, measured = json.loads(out.stdout)
    low, high = TOLERANCES["peak_too_low"], TOLERANCES["peak_too_high"]
    assert low < predicted / measured < high


def test_a_plan_changes_nothing_in_a_trained_network(stimuli: Stimuli) -> None:
    network = make_network(small_cnn)
    norm = network.module.get_submodule("3")
    mean = norm.running_mean.clone()
    network.module.train()
    plan(network, stimuli)
    extract(network, stimuli)
    assert torch.equal(norm.running_mean, mean)
    assert int(norm.num_batches_tracked) == 0
    assert norm.training
